"""Facts of the real routing data, as stated beside the data; skipped where the data are not there."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from moeram.errors import TraceError
from moeram.model import load_model
from moeram.routing import open_routing
from moeram.routing.readers.counts_npz import read_count_table
from moeram.routing.readers.selections import read_requests
from moeram.routing.statistics import hot_cover, same_expert_next


@pytest.fixture
def routing(shared):
    return shared / "data" / "routing"


@pytest.mark.parametrize(
    ("file", "model", "hot", "topic_aware", "static"),
    [
        ("olmoe-1b-7b.npz", "olmoe-1b-7b", 8, 0.344, 0.254),
        ("olmoe-1b-7b.npz", "olmoe-1b-7b", 16, 0.522, 0.412),
        ("mixtral-8x7b.npz", "mixtral-8x7b", 2, 0.285, 0.276),
    ],
)
def test_cover_of_counts_ranked_and_scored_on_the_same_counts(routing, file, model, hot, topic_aware, static):
    counts = read_count_table(routing / file, load_model(model)).counts
    assert hot_cover(counts, counts, hot, within_layer=True).mean() == pytest.approx(topic_aware, abs=5e-4)
    assert hot_cover(counts.sum(axis=0), counts, hot, within_layer=True).mean() == pytest.approx(static, abs=5e-4)


def test_held_out_cover_of_counts_is_that_of_the_whole(routing):
    """205,000 tokens a domain: ranking by one half and scoring on the other changes the cover by far less than a point."""
    source = open_routing(routing / "olmoe-1b-7b.npz", load_model("olmoe-1b-7b"))
    assert source.measured_layers == (0, 7, 15)
    measured = [source.layers.index(layer) for layer in source.measured_layers]
    rank, test = source.ranking_usage()[:, measured], source.held_out_usage()[:, measured]
    assert hot_cover(rank, test, 8, within_layer=True).mean() == pytest.approx(0.344, abs=0.002)


def test_mixtral_tokens(routing):
    """Top k L = 64 of 256 pairs by the first half cover 30.8 % of the second half per topic, 31.0 % over all topics."""
    source = open_routing(routing / "mixtral-8x7b-mtbench", load_model("mixtral-8x7b"))
    assert source.topics == ("coding", "humanities", "math", "reasoning", "roleplay", "writing")
    rank, test = source.ranking_usage(), source.held_out_usage()
    assert hot_cover(rank, test, 64).mean() == pytest.approx(0.308, abs=5e-4)
    assert hot_cover(rank.sum(axis=0), test, 64).mean() == pytest.approx(0.310, abs=5e-4)
    with gzip.open(routing / "mixtral-8x7b-mtbench" / "math.json.gz") as stream:
        table = json.load(stream)
    tokens = {
        tuple(tuple(table[str(layer)][token]) for layer in range(32)) for token in range(len(table["0"]) // 2, 10307)
    }
    drawn = source.draw(2, 32, np.random.default_rng(0)).tolist()
    assert all(tuple(tuple(row) for row in token) in tokens for token in drawn)


def test_llama_4_requests(routing):
    model = load_model("llama-4-maverick")
    subjects = read_requests(routing / "llama4-maverick-mmlu", model)
    requests = [request for group in subjects.values() for request in group]
    assert len(requests) == 60
    assert same_expert_next(request.decode for request in requests).mean() == pytest.approx(0.329, abs=5e-4)
    source = open_routing(routing / "llama4-maverick-mmlu", model)
    assert source.topics == ("abstract_algebra", "anatomy", "astronomy")
    assert any("layer 45 sends 99." in note and "to expert 40" in note for note in source.notes)
    assert sum("sends" in note for note in source.notes) == 1


@pytest.mark.parametrize(
    ("file", "model", "words"),
    [
        ("mixtral-8x7b.npz", "olmoe-1b-7b", "counts of 8 experts, 2 a token; olmoe-1b-7b has 64"),
        ("mixtral-8x7b-mtbench", "olmoe-1b-7b", "'16' is no layer|is no layer of olmoe-1b-7b"),
        ("llama4-maverick-mmlu", "llama-4-scout", "step 0: no selections of layer 0, 2"),
    ],
)
def test_data_of_another_model_are_refused(routing, file, model, words):
    with pytest.raises(TraceError, match=words):
        open_routing(routing / file, load_model(model))
