"""Recordings of any format as the source of an experiment: split, draws, layers that were not recorded."""

from __future__ import annotations

import json

import numpy as np

from moeram.routing import GeneratorOptions, TraceShape, open_routing, synthetic_trace, write_trace

EXPERTS, TOP_K, MOE = 6, 2, (1, 3)
SHAPE = TraceShape(name="small", layers=4, moe_layers=MOE, experts=EXPERTS, top_k=TOP_K)


def tokens(count, layers=2, seed=0):
    """Random distinct ids int16 [count, layers, top_k]."""
    rng = np.random.default_rng(seed)
    return rng.random((count, layers, EXPERTS)).argsort(axis=2)[:, :, :TOP_K].astype(np.int16)


def test_a_canonical_file_serves_an_experiment(tmp_path):
    made = synthetic_trace(SHAPE, GeneratorOptions(requests=4, decode_tokens=3, topics=1))
    write_trace(made, tmp_path / "t.parquet")
    source = open_routing(tmp_path / "t.parquet", SHAPE)
    assert (source.fidelity, source.topics, source.measured_layers) == ("measured", ("topic_0",), MOE)
    drawn = source.draw(0, 1, np.random.default_rng(0))
    assert (drawn.shape, drawn.dtype) == ((1, 2, TOP_K), np.int16)


def test_split_of_a_trace_by_requests_and_by_tokens(tmp_path):
    ids = tokens(6)
    rows = [
        {"req_id": i // 2, "token_idx": i % 2, "layer": layer, "topk_ids": ids[i, j].tolist()}
        for i in range(6)
        for j, layer in enumerate(MOE)
    ]
    (tmp_path / "three.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "one.jsonl").write_text("\n".join(json.dumps(row) for row in rows if row["req_id"] == 0))

    def usage(part):
        return np.stack([np.bincount(part[:, i].ravel(), minlength=EXPERTS) for i in range(2)])

    three, one = (open_routing(tmp_path / f"{name}.jsonl", SHAPE) for name in ("three", "one"))
    assert np.array_equal(three.ranking_usage()[0], usage(ids[:2])) and np.array_equal(
        three.held_out_usage()[0], usage(ids[2:])
    )
    assert np.array_equal(one.ranking_usage()[0], usage(ids[:1])) and np.array_equal(
        one.held_out_usage()[0], usage(ids[1:2])
    )


def test_layers_that_were_not_recorded_copy_a_recorded_one(tmp_path):
    ids = tokens(40, layers=1)
    rows = [{"req_id": i // 4, "token_idx": i % 4, "layer": 1, "topk_ids": ids[i, 0].tolist()} for i in range(40)]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = open_routing(tmp_path / "log.jsonl", SHAPE, seed=3)
    assert source.layers == MOE and source.measured_layers == (1,)
    usage = source.held_out_usage()[0]
    assert sorted(usage[0]) == sorted(usage[1]), "the copy has the same skew"
    assert any("only layers 1 were recorded" in note for note in source.notes)


def test_balancer_weights_serve_an_experiment(tmp_path):
    np.save(tmp_path / "w.npy", np.random.default_rng(0).random((2, EXPERTS)) + 0.5)
    source = open_routing(tmp_path / "w.npy", SHAPE)
    assert source.fidelity == "drawn" and source.draw(0, 4, np.random.default_rng(0)).shape == (4, 2, TOP_K)
