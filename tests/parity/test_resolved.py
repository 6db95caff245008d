"""Does each pair of presets resolve to the numbers that were read off Ramulator 2.0 independently?"""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import yaml

from moeram.errors import ConfigError
from moeram.hardware.cycle import load_core

# Standard of Ramulator 2.0: pairs of organisation and timing presets.
PAIRS = {
    "DDR3": 168, "DDR4": 288, "DDR4-VRR": 288, "DDR4-RVRR": 288, "DDR5": 27, "DDR5-VRR": 27, "DDR5-RVRR": 27, "LPDDR5": 5,
    "GDDR6": 24, "HBM": 3, "HBM2": 3, "HBM3": 3,
}  # fmt: skip


@pytest.fixture(scope="module", params=list(PAIRS))
def sheet(request, shared):
    """(standard, its sheet of resolved values)."""
    path = shared / "spec" / "standards" / "resolved" / f"{request.param}.yaml"
    return request.param, yaml.safe_load(path.read_text())


def test_every_pair_of_presets(sheet):
    """All timing values in cycles and the read latency; where 2.0 reads outside a table the pair is refused."""
    standard, facts = sheet
    core = load_core()
    assert len(facts["resolved"]) == PAIRS[standard]
    for pair in facts["resolved"]:
        if pair["undefined"]:
            with pytest.raises(ConfigError, match="is not specified"):
                core.resolve(standard, organization=pair["org"], timing=pair["timing"])
            continue
        got = core.resolve(standard, organization=pair["org"], timing=pair["timing"])
        assert got["timing"] == pair["values"], (pair["org"], pair["timing"])
        assert got["read_latency_cycles"] == pair["read_latency_ticks"]
        assert got["tck_ps"] == pair["values"]["tCK_ps"]


def test_every_constraint_row(sheet):
    """The rows of the sheet's pair, each spread over its preceding and following commands, as often as they stand there."""
    standard, facts = sheet
    got = load_core().resolve(standard, organization=facts["rows_for"]["org"], timing=facts["rows_for"]["timing"])
    wanted = Counter(
        (row["level"], preceding, following, row["ticks"], row["window"], row["sibling"])
        for row in facts["rows"]
        for preceding, following in product(row["preceding"], row["following"])
    )
    assert Counter(tuple(row) for row in got["rows"]) == wanted


def test_overrides_and_unknown_presets():
    """Sizes and cycles override the presets; an unknown name is refused with its nearest neighbour."""
    core = load_core()
    got = core.resolve("DDR4", organization="DDR4_8Gb_x8", timing="DDR4_2400R", sizes={"rank": 2}, cycles={"nRCD": 20})
    assert got["counts"][:2] == [1, 2] and got["timing"]["nRCD"] == 20
    with pytest.raises(ConfigError, match="did you mean 'DDR4_2400R'"):
        core.resolve("DDR4", organization="DDR4_8Gb_x8", timing="DDR4_240R")
