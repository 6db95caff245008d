"""No option of an experiment on single steps is read and then forgotten: each one, changed alone, changes the result or is refused by name."""

from __future__ import annotations

import json

import pytest
from option_walk import OF_GENERATED_ROUTING, leaves

from moeram.errors import ConfigError
from moeram.experiment import load, run
from moeram.experiment.options import Experiment

FEW = {
    "samples": 2, "batch": [4], "placements": ["no_tiering", "topic_aware"], "routing.synthetic.topics": 3, "routing.synthetic.topic_sigma": [0.5],
}  # fmt: skip
# What never changes a result, and what is only said (a name, a figure of a paper in the title of a table on the terminal).
INDIFFERENT = {"threads", "kernel_memo", "name", "description", "paper_hit_rate"}
MIXED = {"batch_topics.requests": {"topic_0": 1.0, "topic_1": 2.0}}
FILE = "FILE"
CHANGES: dict[str, tuple[object, dict[str, object]]] = {
    "model": ("mixtral-8x7b", {"hardware": "stratum_l"}),
    "hardware": ("stratum_xl", {}),
    "hardware_values": ({"unit": {"unit_clock_ps": 900}}, {}),
    "precision": ("experts=fp8", {}),
    "routing.source": ("trace", {}),
    "routing.path": (FILE, {}),
    "routing.format": ("counts-npz", {}),
    **OF_GENERATED_ROUTING,
    "routing.synthetic.popularity_sigma": ([2.0], {}),
    "batch": ([5], {}),
    "placements": (["no_tiering", "static_hot"], {}),
    "phi": ("full", {}),
    "kv_requests": (64, {}),
    "context_tokens": (4096, {}),
    "samples": (3, {}),
    "topics": (["topic_1"], {}),
    "batch_topics.requests": ({"topic_0": 5.0, "topic_2": 1.0}, MIXED),
    "batch_topics.composition": ("drawn", {**MIXED, "samples": 6}),
    "topic_prediction.accuracy": (0.0, {}),
    "topic_prediction.confusion": (FILE, {}),
    "seed": (3, {}),
    "overlap.all_gather": (False, {}),
    "overlap.silu": (False, {}),
    "overlap.reduce_scatter": (False, {}),
    "overlap.weighted_sum": (False, {}),
    # The same times, fewer of them simulated: another label.
    "reuse_identical_channels": (False, {"kernel_memo": False, "reuse_experts": False}),
    "reuse_experts": (False, {"kernel_memo": False, "reuse_identical_channels": False}),
    "paper_gain": (9.0, {}),
}
NEVER_ALONE = {"routing.source", "routing.path", "routing.format"}


def test_every_option_has_its_change_here():
    assert set(leaves(Experiment)) == CHANGES.keys() | INDIFFERENT


def result(values):
    record = run(load("quickstart", values={**FEW, **values}))
    tables = {name: [list(map(str, row.values())) for row in table.rows()] for name, table in record.tables.items()}
    return json.dumps([tables, record.notes, record.fidelity])


@pytest.mark.parametrize("option", CHANGES)
def test_an_option_changes_the_result_or_is_refused_by_name(tmp_path, option):
    value, beside = CHANGES[option]
    if value == FILE:
        value = str(tmp_path / "confusion.json")
        names = [f"topic_{topic}" for topic in range(3)]
        wrong = {"topics": names, "confusion": [[0, 1, 0], [0, 0, 1], [1, 0, 0]]}
        (tmp_path / "confusion.json").write_text(json.dumps(wrong), encoding="utf-8")
    before = result(beside)
    try:
        after = result({**beside, option: value})
    except ConfigError as error:
        assert option in NEVER_ALONE
        assert option in str(error)
    else:
        assert option not in NEVER_ALONE
        assert before != after
