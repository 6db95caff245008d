"""Targets: complete, and judged as declared in closed cases."""

from __future__ import annotations

import re

import pytest

from moeram.errors import ConfigError, EngineError
from moeram.repro.assumptions import Assumptions
from moeram.repro.targets import (
    CONTRADICTED,
    PREDICTED,
    SUB_RANGE,
    Point,
    Published,
    judge,
    load_targets,
)

OWN = Assumptions(
    paper="own",
    assumptions=[
        {
            "id": "A1",
            "title": "t",
            "reason": "r",
            "parameters": {
                "x": {"nominal": 1.0, "range": [0, 4]},
                "y": {"nominal": 1.0, "range": [0, 4]},
                "way": {"nominal": "a", "choices": ["a", "b", "c"]},
            },
        }
    ],
)


@pytest.mark.parametrize("paper, count", [("stratum", 15), ("sieve", 10)])
def test_every_target_of_the_sheet_is_there(paper, count, shared):
    sheet = (shared / "spec" / "papers" / f"{paper}.md").read_text(encoding="utf-8")
    ids = [target.id for target in load_targets(paper).targets]
    assert ids == [f"R{number}" for number in range(1, count + 1)]
    assert set(ids) == set(re.findall(r"^\|? ?(R\d+)\b", sheet, re.MULTILINE))


def test_tolerances():
    relative = Published(published=2.0, relative=0.1)
    assert relative.met_by(1.8) and relative.met_by(2.2) and not relative.met_by(1.79) and not relative.met_by(2.21)
    absolute = Published(published=1.3, absolute=0.05)
    assert absolute.met_by(1.25) and absolute.met_by(1.35) and not absolute.met_by(1.2499)
    trend = Published(published=True)
    assert trend.met_by(True) and not trend.met_by(False)
    for value, ours in ((trend, 1.0), (relative, True), (relative, float("nan"))):
        with pytest.raises(EngineError):
            value.met_by(ours)
    for wrong in (
        {"published": 1.0},
        {"published": 1.0, "relative": 0.1, "absolute": 0.1},
        {"published": True, "absolute": 1.0},
    ):
        with pytest.raises(ConfigError, match="tolerance"):
            Published(**wrong)


@pytest.mark.parametrize(
    "nominal, points, outcome, named",
    [
        (2.1, [({"x": 4.0}, 9.0)], PREDICTED, ""),
        (3.0, [({"x": 4.0}, 9.0)], CONTRADICTED, ""),
        (3.0, [({"x": 0.0}, 2.0), ({"x": 0.5}, 2.1), ({"y": 0.0}, 5.0)], SUB_RANGE, "x 0 to 0.5"),
        (3.0, [({"x": 0.0}, 2.0), ({"way": "b"}, 2.0), ({"way": "c"}, 2.0)], SUB_RANGE, "x = 0; or way = b or c"),
        (3.0, [({"x": 0.0}, 2.5), ({"x": 0.0, "y": 4.0}, 2.0)], SUB_RANGE, "for instance x = 0 with y = 4"),
    ],
)
def test_outcomes(nominal, points, outcome, named):
    points = [Point(changed=changed, ours=ours) for changed, ours in points]
    found = judge(Published(published=2.0, relative=0.1), nominal, points, OWN)
    assert (found.outcome, found.sub_range) == (outcome, named)
    everything = [nominal, *(point.ours for point in points)]
    assert (found.least, found.most) == (min(everything), max(everything))


def test_outcomes_of_a_trend():
    trend = Published(published=True)
    assert judge(trend, True, [], OWN).outcome == PREDICTED
    assert judge(trend, False, [Point(changed={"x": 2.0}, ours=False)], OWN).outcome == CONTRADICTED
    assert judge(trend, False, [Point(changed={"way": "b"}, ours=True)], OWN).sub_range == "way = b"
