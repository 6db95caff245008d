"""Each reader on files that a writer of our own made after the documented layout, and the way through the canonical file.

The writers know nothing of the readers: they take the same random tokens and write them as the sheet describes.
"""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moeram.routing import TraceShape, open_tokens, open_trace, write_trace
from moeram.routing.chunks import DECODE, NO_EXPERT, PREFILL, UNKNOWN

LAYERS, EXPERTS, TOP_K = 4, 6, 2
MOE = (1, 3)
SHAPE = TraceShape(name="small", layers=LAYERS, moe_layers=MOE, experts=EXPERTS, top_k=TOP_K)


def tokens(count, layers=2, seed=0):
    """Random distinct ids int16 [count, layers, top_k]."""
    rng = np.random.default_rng(seed)
    return rng.random((count, layers, EXPERTS)).argsort(axis=2)[:, :, :TOP_K].astype(np.int16)


def weights_of(count, layers=2, seed=1):
    return np.random.default_rng(seed).random((count, layers, TOP_K)).astype(np.float32)


def gathered(trace):
    """All chunks of a trace as one dict of arrays."""
    chunks = list(trace.chunks())
    names = ("request", "token", "phase", "step", "topic", "experts")
    found = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in names}
    found["weights"] = None if chunks[0].weights is None else np.concatenate([chunk.weights for chunk in chunks])
    found["topics"] = chunks[-1].topics
    return found


def assert_same(one, other):
    for name, values in one.items():
        if values is None:
            assert other[name] is None
        else:
            assert np.array_equal(values, other[name]), name


def by_set(ids):
    return np.sort(ids, axis=2)


# ---- writers


def write_requests(folder, requests):
    """requests: {subject: {number: (prompt ids, decode ids)}} in the layout of the selection-trace dataset."""
    for subject, entries in requests.items():
        for number, (prompt, decode) in entries.items():
            (folder / subject).mkdir(parents=True, exist_ok=True)
            (folder / subject / f"{number}.json").write_text(json.dumps(steps_of(prompt, decode)))


def steps_of(prompt, decode):
    def step(rows):
        return {str(i): rows[:, MOE.index(i)].tolist() if i in MOE else None for i in range(LAYERS)}

    return [step(prompt), *(step(row[None]) for row in decode)]


def npy_base64(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return base64.b64encode(stream.getvalue()).decode()


def vllm_array(ids, form, all_layers):
    """The forms in which versions of vLLM return an array, of all layers or of those with experts."""
    if all_layers:
        full = np.zeros((len(ids), LAYERS, TOP_K), dtype=np.int16)
        full[:, MOE] = ids
        ids = full
    if form == "npy":
        return npy_base64(ids)
    if form == "object":
        data = base64.b64encode(ids.astype("<i2").tobytes()).decode()
        return {"encoding": "base64", "dtype": "int16", "shape": list(ids.shape), "data": data}
    return ids.tolist()


def csv_rows(path, header, rows):
    opener = gzip.open if path.name.endswith(".gz") else open
    with opener(path, "wt", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


# ---- formats with tokens


@pytest.fixture(params=["folder", "subject", "archive", "file"])
def selection_files(request, tmp_path):
    prompt, decode = tokens(3, seed=1), tokens(4, seed=2)
    write_requests(tmp_path / "data", {"maths": {10: (prompt, decode), 9: (prompt[:1], decode[:2])}})
    place = {"folder": tmp_path / "data", "subject": tmp_path / "data" / "maths"}.get(request.param)
    if request.param == "file":
        place = tmp_path / "data" / "maths" / "10.json"
    if request.param == "archive":
        place = tmp_path / "data.tar.gz"
        with tarfile.open(place, "w:gz") as archive:
            for number in (9, 10):
                archive.add(tmp_path / "data" / "maths" / f"{number}.json", f"data/maths/{number}.json")
    return request.param, place, prompt, decode


def test_selections(selection_files):
    kind, place, prompt, decode = selection_files
    trace = open_tokens(place, SHAPE)
    assert (trace.format, trace.layers) == ("selections", MOE)
    found = gathered(trace)
    first = [] if kind == "file" else [prompt[:1], decode[:2]]
    assert np.array_equal(found["experts"], np.concatenate([*first, prompt, decode])), "request 9 before request 10"
    tail = found["phase"][-7:], found["step"][-7:], found["token"][-7:]
    assert [part.tolist() for part in tail] == [
        [PREFILL] * 3 + [DECODE] * 4,
        [0, 0, 0, 1, 2, 3, 4],
        list(range(7)),
    ]
    assert found["topics"] == ("maths",)


def test_layer_lists(tmp_path):
    ids = {topic: tokens(5 + i, seed=i) for i, topic in enumerate(("code", "prose"))}
    for topic, rows in ids.items():
        table = {str(layer): rows[:, i].tolist() for i, layer in enumerate(MOE)}
        (tmp_path / f"{topic}.json").write_text(json.dumps(table))
    found = gathered(open_tokens(tmp_path, SHAPE))
    assert np.array_equal(found["experts"], np.concatenate(list(ids.values())))
    assert found["topic"].tolist() == [0] * 5 + [1] * 6 and found["topics"] == ("code", "prose")
    assert set(found["phase"]) == {UNKNOWN} and set(found["step"]) == {-1}


@pytest.mark.parametrize("form", ["lists", "npy", "object", "one array"])
@pytest.mark.parametrize("layers", ["all", "moe"])
def test_vllm(tmp_path, form, layers):
    prompt, decode = tokens(4, seed=3), tokens(3, seed=4)

    def coded(ids):
        return vllm_array(ids, form, all_layers=layers == "all")

    response = {
        "id": "x",
        "prompt_routed_experts": coded(prompt),
        "choices": [{"index": 0, "routed_experts": coded(decode)}, {"index": 1, "routed_experts": coded(decode[:1])}],
    }
    if form == "one array":  # without a prompt part nothing tells where decoding starts
        response = {"id": "x", "choices": [{"routed_experts": coded(np.concatenate([prompt, decode]))}]}
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(response) + "\n" + json.dumps(response) + "\n")
    trace = open_tokens(path, SHAPE)
    assert trace.format == "vllm"
    found = gathered(trace)
    if form == "one array":
        assert found["experts"].shape[0] == 14
        assert set(found["phase"]) == {UNKNOWN}
        return
    assert np.array_equal(found["experts"][:7], np.concatenate([prompt, decode]))
    assert np.array_equal(found["experts"][7:12], np.concatenate([prompt, decode[:1]]))
    assert found["request"].tolist() == [0] * 7 + [1] * 5 + [2] * 7 + [3] * 5
    assert found["phase"][:7].tolist() == [PREFILL] * 4 + [DECODE] * 3 and found["token"][:7].tolist() == list(range(7))
    single = tmp_path / "r.json.gz"
    single.write_bytes(gzip.compress(json.dumps(response).encode()))
    assert np.array_equal(gathered(open_tokens(single, SHAPE))["experts"], found["experts"][:12])


@pytest.mark.parametrize("order", ["token", "layer"])
def test_json_lines(tmp_path, order):
    ids, weights = tokens(6), weights_of(6)
    lines = []
    for token, layer in np.ndindex(6, 2) if order == "token" else ((t, i) for i in range(2) for t in range(6)):
        row = {"req_id": f"r{token // 3}", "token_idx": token % 3, "layer": MOE[layer]}
        row |= {"topk_ids": ids[token, layer].tolist(), "topk_weights": [float(w) for w in weights[token, layer]]}
        lines.append(json.dumps(row))
    path = tmp_path / "log.jsonl.gz"
    meta = json.dumps({"type": "meta", "model_id": "m", "top_k": TOP_K, "layers_logged": list(MOE)})
    path.write_bytes(gzip.compress("\n".join([meta, *lines]).encode()))
    trace = open_tokens(path, SHAPE)
    found = gathered(trace)
    assert trace.format == "json_lines" and np.array_equal(found["experts"], ids)
    assert np.array_equal(found["weights"], weights)
    assert found["request"].tolist() == [0, 0, 0, 1, 1, 1] and found["token"].tolist() == [0, 1, 2] * 2


def test_json_lines_whose_token_index_starts_over(tmp_path):
    ids = tokens(5)
    positions = [0, 1, 2, 0, 1]
    rows = [
        {"req_id": "r1", "token_idx": positions[i], "layer": layer, "topk_ids": ids[i, MOE.index(layer)].tolist()}
        for part in ((0, 1, 2), (3, 4))
        for layer in MOE
        for i in part
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    chunk = next(open_tokens(path, SHAPE).chunks())
    assert np.array_equal(chunk.experts, ids) and chunk.request.tolist() == [0, 0, 0, 1, 1]
    assert any("starts over" in note for note in chunk.notes)


def test_llama_cpp(tmp_path):
    prompt, first, other, last = tokens(4, seed=5), tokens(3, seed=6), tokens(2, seed=7), tokens(1, seed=8)
    rows = []
    passes = [(prompt, 4), (first[:1], 1), (first[1:2], 1), (first[2:], 1), (other, 1), (last, 1)]
    for ids, in_last_layer in passes:  # the last layer of `other` computes its last token only
        for i, layer in enumerate(MOE):
            kept = ids if i == 0 else ids[len(ids) - in_last_layer :]
            rows += [(layer, expert) for token in kept for expert in token[i]]
    csv_rows(tmp_path / "log.csv.gz", ("layer", "expert"), rows)
    found = gathered(open_tokens(tmp_path / "log.csv.gz", SHAPE))
    wanted = np.concatenate([prompt, first, other, last])
    wanted[7, 1] = NO_EXPERT
    assert np.array_equal(found["experts"], wanted)
    assert found["phase"].tolist() == [PREFILL] * 4 + [DECODE] * 3 + [PREFILL] * 2 + [DECODE]
    assert found["request"].tolist() == [0] * 7 + [1] * 3
    assert found["token"].tolist() == [*range(7), 0, 1, 2] and found["step"].tolist() == [0] * 4 + [1, 2, 3, 0, 0, 1]


def gate_rows(ids, weights, layer):
    for token, (chosen, gates) in enumerate(zip(ids, weights, strict=True)):
        row = np.zeros(EXPERTS)
        row[chosen] = gates
        yield [layer, token, *(f"{gate:.6f}" for gate in row)]


@pytest.mark.parametrize("files", ["one", "per layer", "packed", "positions"])
def test_dynande(tmp_path, files):
    ids, weights = tokens(8), np.maximum(weights_of(8), 0.01)
    header = ["layer_id", "token_id", *(f"expert_{e}" for e in range(EXPERTS))]
    if files == "one":
        place = tmp_path / "trace.csv"
        rows = [row for i, layer in enumerate(MOE) for row in gate_rows(ids[:, i], weights[:, i], layer)]
        csv_rows(place, header, rows)
    else:  # as published: 0 in the column, the layer in the names, statistics beside
        place = tmp_path
        packed = ".gz" if files == "packed" else ""
        halves = {"1st": slice(0, 8)} if files != "positions" else {"1st": slice(0, 3), "2nd": slice(3, 8)}
        for name, part in halves.items():
            for i, layer in enumerate(MOE):
                folder = tmp_path / name / f"Layer_{layer}"
                folder.mkdir(parents=True)
                csv_rows(folder / f"m_layer{layer}_x.csv{packed}", header, gate_rows(ids[part, i], weights[part, i], 0))
                csv_rows(folder / f"m_layer{layer}_x_top2_stats.csv", ["expert", "count"], [[0, 1]])
    trace = open_tokens(place, SHAPE)
    found = gathered(trace)
    assert trace.format == "dynande" and trace.layers == MOE
    assert np.array_equal(found["experts"], by_set(ids))
    order = np.argsort(ids, axis=2)
    assert found["weights"] == pytest.approx(np.take_along_axis(weights, order, axis=2), abs=1e-6)
    assert found["request"].tolist() == ([0] * 3 + [1] * 5 if files == "positions" else [0] * 8)


@pytest.mark.parametrize("scores", ["chosen", "all"])
def test_flame_moe(tmp_path, scores):
    ids, weights = tokens(7), weights_of(7)
    for i, layer in enumerate(MOE):
        (tmp_path / str(layer)).mkdir()
        gates = weights[:, i]
        if scores == "all":
            gates = np.zeros((7, EXPERTS), dtype=np.float32)
            np.put_along_axis(gates, ids[:, i].astype(int), weights[:, i], axis=1)
        for shard, part in enumerate((slice(0, 3), slice(3, 7))):
            table = pa.table({"scores": list(gates[part]), "indices": [row.tolist() for row in ids[part, i]]})
            pq.write_table(table, tmp_path / str(layer) / f"0-{shard}.parquet")
    trace = open_tokens(tmp_path, SHAPE)
    found = gathered(trace)
    assert trace.format == "flame_moe" and np.array_equal(found["experts"], ids)
    assert np.array_equal(found["weights"], weights)
    one = open_tokens(tmp_path / "3" / "0-1.parquet", SHAPE)
    assert one.layers == (3,) and np.array_equal(gathered(one)["experts"], ids[3:, 1:])


# ---- the canonical file


def test_round_trip(tmp_path, selection_files):
    _, place, _, _ = selection_files
    trace = open_tokens(place, SHAPE)
    rows = write_trace(trace, tmp_path / "t.parquet")
    back = open_tokens(tmp_path / "t.parquet", None)
    assert (back.shape, back.layers, back.notes) == (SHAPE, MOE, trace.notes)
    assert_same(gathered(trace), gathered(back))
    assert rows == 2 * len(gathered(trace)["token"])
    assert_same(gathered(back), gathered(open_tokens(tmp_path / "t.parquet", SHAPE)))


def test_canonical_file_keeps_weights_and_missing_layers(tmp_path):
    prompt, rows = tokens(2, seed=5), []
    for i, layer in enumerate(MOE):
        rows += [(layer, expert) for token in prompt[i:] for expert in token[i]]
    csv_rows(tmp_path / "log.csv", ("layer", "expert"), rows)
    trace = open_tokens(tmp_path / "log.csv", SHAPE)
    assert write_trace(trace, tmp_path / "t.parquet") == 3, "the row of the layer that was not computed is absent"
    assert_same(gathered(trace), gathered(open_tokens(tmp_path / "t.parquet", None)))


def test_canonical_schema_as_documented(tmp_path, selection_files):
    _, place, _, _ = selection_files
    write_trace(open_tokens(place, SHAPE), tmp_path / "t.parquet")
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.column_names == ["request", "token", "layer", "phase", "step", "topic", "experts", "weights"]
    row = table.to_pylist()[-1]
    assert (row["layer"], row["phase"], row["topic"], len(row["experts"]), row["weights"]) == (
        3,
        "decode",
        "maths",
        2,
        None,
    )


def test_canonical_file_of_a_foreign_writer_in_other_row_order(tmp_path):
    """Layers of a token in any order, small row groups, plain strings, unsigned ids: still the schema."""
    ids, weights = tokens(50), weights_of(50)
    facts = {"version": 1, "model": "small", "layers": 4, "moe_layers": [1, 3], "experts": 6, "top_k": 2}
    facts |= {"covered_layers": [1, 3], "notes": []}
    rows = [(token, layer) for token in range(50) for layer in (1, 0)]
    table = pa.table(
        {
            "request": pa.array([token // 10 for token, _ in rows], pa.int64()),
            "token": [token % 10 for token, _ in rows],
            "layer": pa.array([MOE[layer] for _, layer in rows], pa.int8()),
            "phase": ["decode" for _ in rows],
            "step": pa.nulls(len(rows), pa.int32()),
            "topic": ["a" if token < 20 else "b" for token, _ in rows],
            "experts": pa.array([ids[row].tolist() for row in rows], pa.list_(pa.uint16())),
            "weights": pa.array([weights[row].tolist() for row in rows], pa.large_list(pa.float64())),
        }
    ).replace_schema_metadata({"moeram.routing": json.dumps(facts)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=7)
    found = gathered(open_tokens(tmp_path / "t.parquet", None))
    assert np.array_equal(found["experts"], ids) and np.array_equal(found["weights"], weights)
    assert found["topic"].tolist() == [0] * 20 + [1] * 30 and found["topics"] == ("a", "b")


# ---- formats without tokens


def test_eplb(tmp_path):
    weights = np.arange(LAYERS * EXPERTS, dtype=np.float32).reshape(LAYERS, EXPERTS)
    np.save(tmp_path / "w.npy", weights)
    trace = open_trace(tmp_path / "w.npy", SHAPE)
    assert (trace.format, trace.kind, trace.layers) == ("eplb", "counts", MOE)
    assert np.array_equal(next(trace.chunks()).counts[0], weights[list(MOE)])
    np.save(tmp_path / "moe.npy", weights[list(MOE)])
    assert np.array_equal(next(open_trace(tmp_path / "moe.npy", SHAPE).chunks()).counts[0], weights[list(MOE)])


def test_moe_cap(tmp_path):
    path = tmp_path / "expert_distribution_record.jsonl"
    rows = [
        {"forward_pass_id": 1, "batch_size": 2, "latency": 0.1, "seq_lens_sum": 9, "forward_mode": "prefill"},
        {"forward_pass_id": 2, "batch_size": 2, "latency": 0.1, "seq_lens_sum": 11, "forward_mode": "decode"},
    ]
    path.write_text("\n".join(json.dumps(row | {"expert_activation": 5.5 - i * 2}) for i, row in enumerate(rows)))
    trace = open_trace(path, SHAPE)
    assert (trace.format, trace.kind) == ("moe_cap", "passes")
    assert (trace.tokens.tolist(), trace.distinct.tolist()) == ([9, 2], [5.5, 3.5])
    assert trace.phase.tolist() == [PREFILL, DECODE]
