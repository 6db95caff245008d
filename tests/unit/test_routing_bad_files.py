"""Broken recordings: one TraceError that names file, place and rule, and nothing loaded by halves."""

from __future__ import annotations

import base64
import gzip
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_recordings import SHAPE, canonical, line, lines, pass_row

from moeram.errors import ConfigError, TraceError
from moeram.routing import TraceShape, open_routing, open_tokens, open_trace, write_trace
from moeram.routing.describe import check_recording


def array(values, dtype=None):
    stream = io.BytesIO()
    np.save(stream, np.array(values, dtype=dtype), allow_pickle=True)
    return stream.getvalue()


def vllm(experts):
    return lines({"choices": [{"routed_experts": experts}]})


GATES = "layer_id,token_id," + ",".join(f"expert_{e}" for e in range(6)) + "\n"
BAD = {
    "lines: wrong k": ("t.jsonl", lines(line(ids=(0, 1, 2)), line(layer=3)), "t.jsonl:1: .*small uses 2 experts"),
    "lines: id": ("t.jsonl", lines(line(), line(layer=3, ids=(0, 6))), "t.jsonl:2: expert 6 is out of range"),
    "lines: twice": ("t.jsonl", lines(line(), line(layer=3, ids=(4, 4))), "t.jsonl:2: an expert occurs twice"),
    "lines: missing layer": (
        "t.jsonl",
        lines(line(), line(layer=3), line(token=1)),
        "request 0, token 1 has 1 of 2 layers; layer 3 is missing",
    ),
    "lines: same layer twice": (
        "t.jsonl",
        lines(line(), line(), line(layer=3)),
        "t.jsonl:2: layer 1 .*stands there twice",
    ),
    "lines: foreign layer": ("t.jsonl", lines(line(layer=2)), "layer 2 is no layer with experts of small"),
    "lines: NaN": (
        "t.jsonl",
        lines(line(topk_weights=[0.5, float("nan")]), line(layer=3)),
        "t.jsonl:1: topk_weights .*finite",
    ),
    "lines: key": (
        "t.jsonl",
        lines({"req_id": 0, "token_idx": 0, "topk_ids": [0, 1], "layer_id": 1}),
        "no line names a layer",
    ),
    "lines: request": ("t.jsonl", lines(line(request=[1]), line(layer=3)), r"t.jsonl:1: req_id \[1\] is neither"),
    "lines: not JSON": ("t.jsonl", lines(line(), '{"topk_ids": [0, '), r"t.jsonl:2:\d+: not JSON"),
    "lines: top_k of the meta line": ("t.jsonl", lines({"type": "meta", "top_k": 4}, line()), "recorded with top_k 4"),
    "vllm: wrong k": ("r.jsonl", vllm([[[0], [1]]]), "1 experts a token, but small uses 2"),
    "vllm: layers": ("r.jsonl", vllm([[[0, 1]] * 3]), "3 layers; small has 4 layers, 2 of them with experts"),
    "vllm: id": ("r.jsonl", vllm([[[0, 1], [0, 9]]]), "token 0, layer 3: expert 9 is out of range"),
    "vllm: ragged": ("r.jsonl", vllm([[[0, 1], [0]]]), "no array of expert ids"),
    "vllm: pickled": (
        "r.jsonl",
        vllm(base64.b64encode(array([{"a": 1}], object)).decode()),
        "no array of expert ids .*allow_pickle",
    ),
    "vllm: none": ("r.jsonl", lines({"choices": [{"text": "x"}]}), "--enable-return-routed-experts"),
    "llama: missing layer": ("t.csv", b"layer,expert\n1,0\n1,1\n1,2\n1,3\n", "rows 1..4 .*layer 3 is missing"),
    "llama: half a token": ("t.csv", b"layer,expert\n1,0\n1,1\n3,0\n", "layer 3 has 1 rows, no multiple of top_k = 2"),
    "llama: id": ("t.csv", b"layer,expert\n1,0\n1,1\n3,0\n3,6\n", "expert 6 is out of range"),
    "llama: layer": ("t.csv", b"layer,expert\n0,0\n0,1\n3,0\n3,5\n", "layer 0 is no layer with experts"),
    "llama: word": ("t.csv", b"layer,expert\n1,0\n1,x\n3,0\n3,5\n", "t.csv: row 2, column 2: 'x' is no whole number"),
    "llama: huge": (
        "t.csv",
        b"layer,expert\n1,0\n1,9999999999\n",
        "row 2, column 2: '9999999999' is no whole number that fits",
    ),
    "llama: two lines in one": ("t.csv", b'layer,expert\n1,0\n1,"2\n', "row 2, column 2: '2' is no whole number"),
    "dynande: word": ("t.csv", (GATES + "1,0,.1,zz,0,0,0,0\n").encode(), "row 1, column 4: 'zz' is no number"),
    "llama: ragged": ("t.csv", b"layer,expert\n1,0\n1,1,2\n", "t.csv: row 2: 3 fields, 2 are needed"),
    "dynande: gates": ("t.csv", (GATES + "1,0,.1,.2,.3,0,0,0\n").encode(), "row 1: 3 gates above 0, but small uses 2"),
    "dynande: NaN": ("t.csv", (GATES + "1,0,.1,nan,0,0,0,0\n").encode(), "row 1: gate nan of expert 1"),
    "dynande: experts": (
        "t.csv",
        b"layer_id,token_id,expert_0,expert_1\n1,0,.1,.2\n",
        "2 experts in the header, but small has 6",
    ),
    "dynande: unequal": (
        "t.csv",
        (GATES + "1,0,.1,.2,0,0,0,0\n1,1,.1,.2,0,0,0,0\n3,0,.1,.2,0,0,0,0\n").encode(),
        "layer 3 ends after 1 tokens, layer 1 has more",
    ),
    "dynande: swapped tokens": (
        "t.csv",
        (GATES + "1,0,.1,.2,0,0,0,0\n1,1,.1,.2,0,0,0,0\n3,1,.1,.2,0,0,0,0\n3,0,.1,.2,0,0,0,0\n").encode(),
        "row 3: token_id 1, but layer 1 starts with 0",
    ),
    "dynande: token twice": (
        "t.csv",
        (GATES + "1,0,.1,.2,0,0,0,0\n1,0,.1,.2,0,0,0,0\n3,0,.1,.2,0,0,0,0\n3,1,.1,.2,0,0,0,0\n").encode(),
        "row 2: token_id 0, but 1 comes next",
    ),
    "moe-cap: too few": ("t.jsonl", lines(pass_row(expert_activation=1.5)), "2 tokens of small use 2 to 4 experts"),
    "moe-cap: too many": ("t.jsonl", lines(pass_row(expert_activation=5.5)), "2 tokens of small use 2 to 4 experts"),
    "moe-cap: NaN": ("t.jsonl", lines(pass_row(expert_activation=float("nan"))), "t.jsonl:1: expert_activation nan"),
    "moe-cap: mode": ("t.jsonl", lines(pass_row(forward_mode="both")), "forward_mode 'both'; allowed: prefill"),
    "eplb: NaN": (
        "w.npy",
        array([[1.0, 2, 3, 4, 5, 6], [1, 2, float("nan"), 4, 5, 6]]),
        "layer 3, expert 2: count nan",
    ),
    "eplb: negative": ("w.npy", array([[1, 2, 3, 4, 5, 6], [1, 2, -3, 4, 5, 6]]), "layer 3, expert 2: count -3"),
    "eplb: huge": (
        "w.npy",
        array([[1, 2, 3, 4, 5, 6], [1e308] * 6]),
        "layer 3, expert 0: count 1e.308 is out of range",
    ),
    "eplb: tiny": (
        "w.npy",
        array([[1, 2, 3, 4, 5, 6], [5e-324] * 6]),
        "layer 3, expert 0: count 5e-324 is out of range",
    ),
    "eplb: layers": ("w.npy", array(np.ones((3, 6))), "3 layers; small has 4 layers"),
    "eplb: experts": ("w.npy", array(np.ones((2, 8))), "is this the file of another model"),
    "eplb: pickled": ("w.npy", array([[{"a": 1}]], object), "pickled objects are refused"),
    "eplb: zero": ("w.npy", array(np.zeros((2, 6))), "every count is zero"),
    "gzip": (
        "t.jsonl.gz",
        gzip.compress(lines(*[line(token=t, layer=k) for t in range(99) for k in (1, 3)]))[:150],
        "truncated",
    ),
    "csv gzip": (
        "t.csv.gz",
        gzip.compress(b"layer,expert\n" + b"1,0\n1,1\n3,0\n3,1\n" * 999)[:60],
        "truncated|not a whole",
    ),
    "tar": ("t.tar.gz", b"hello", "not a whole tar archive"),
    "parquet": ("t.parquet", b"PAR1 cut", "not a whole Parquet file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file(tmp_path, case):
    name, content, words = BAD[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TraceError, match=words) as caught:
        check_recording(open_trace(tmp_path / name, SHAPE))
    assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(TraceError):
        open_routing(tmp_path / name, SHAPE)


# ---- canonical files


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"experts": pa.array([[0, 1], [2], [4, 5], [0, 5]], pa.list_(pa.int16()))}, "row 1: a list of 1, 2 values"),
        ({"experts": pa.array([[0, 1], [2, 3], None, [0, 5]], pa.list_(pa.int16()))}, "row 2: no list"),
        (
            {"experts": pa.array([[0, 1], [2, 3], [4, 6], [0, 5]], pa.list_(pa.int16()))},
            "token 1, layer 1: expert 6 is out",
        ),
        (
            {"experts": pa.array([[0, 1], [2, 3], [4, 4], [0, 5]], pa.list_(pa.int16()))},
            "token 1, layer 1: expert 4 occurs twice",
        ),
        ({"experts": pa.array([[0.5, 1]] * 4)}, "holds double, whole numbers"),
        ({"layer": pa.array([1, 3, 1, 1], pa.int16())}, "layer 1 stands there twice"),
        ({"layer": pa.array([1, 3, 1, 2], pa.int16())}, "layer 2 is not among the covered layers"),
        ({"request": pa.array([0, 0, None, 0], pa.int32())}, "'request', row 2: no value"),
        ({"token": pa.array([0, 0, -1, -1], pa.int32())}, "token -1 below 0"),
        ({"phase": ["decode", "decode", "later", "later"]}, "'phase': 'later' is unknown; allowed: prefill, decode"),
        (
            {"weights": pa.array([[0.1, 0.2], [float("nan"), 0.2], [0.1, 0.2], [0.1, 0.2]])},
            "token 0, layer 3: weight nan",
        ),
        ({"weights": pa.array([[0.1, 0.2], [0.1, 0.2], [0.1, -0.2], [0.1, 0.2]])}, "token 1, layer 1: weight -0.2"),
        ({"step": None}, "column 'step' is missing"),
        ({"step": pa.array([1.5, 1.5, 2, 2])}, "'step' holds double, whole numbers"),
        ({"step": pa.array([1, 1, 1 << 40, 1 << 40])}, "'step', row 2: 1099511627776 is out of range"),
        ({"step": pa.array([1, 1, -1, -1])}, "'step', row 2: -1 is below 0; an unknown step has no value"),
        ({"step": pa.array([0, 0, 1, 1])}, "token 0: step 0 of a decode token; .*decode steps count from 1"),
        (
            {"token": pa.array([0, 1, 0, 1], pa.int32()), "layer": pa.array([1, 1, 3, 3], pa.int16())},
            "token 2: token 0 of request 0 stands there after the same or a later one; .*rows of a token together",
        ),
        ({"facts": {"version": 2}}, "version 2, this moeram reads 1"),
        ({"facts": {"experts": "6"}}, "metadata 'moeram.routing' are damaged"),
        ({"facts": {"covered_layers": [1, 2]}}, "covered_layers"),
        ({"facts": {"experts": 8}}, "recorded of small with experts 8, but small has 6"),
    ],
)
def test_bad_canonical_file(tmp_path, change, words):
    path = canonical(tmp_path, **change)
    with pytest.raises(TraceError, match=words) as caught:
        check_recording(open_trace(path, SHAPE))
    assert str(path) in str(caught.value)


def test_the_good_canonical_file_is_good(tmp_path):
    facts = check_recording(open_trace(canonical(tmp_path), None))
    assert (facts["tokens"], facts["selections"], facts["layers"]) == (2, 8, 2)


def test_shuffled_rows_of_many_chunks_are_refused(tmp_path):
    """The second row of a token comes hundreds of thousands of rows after the first: in another chunk."""
    count = 600_000
    facts = {"version": 1, "model": "one", "layers": 2, "moe_layers": [0, 1], "experts": 4, "top_k": 1}
    token = np.concatenate([np.arange(count), np.arange(count)])
    table = pa.table(
        {
            "request": np.zeros(2 * count, dtype=np.int32),
            "token": token.astype(np.int32),
            "layer": np.repeat([0, 1], count).astype(np.int16),
            "phase": pa.array(["decode"] * (2 * count)),
            "step": (token + 1).astype(np.int32),
            "topic": pa.array(["a"] * (2 * count)),
            "experts": pa.array(np.zeros((2 * count, 1), dtype=np.int16).tolist(), pa.list_(pa.int16())),
            "weights": pa.nulls(2 * count, pa.list_(pa.float32())),
        }
    )
    facts |= {"covered_layers": [0, 1], "notes": []}
    pq.write_table(table.replace_schema_metadata({"moeram.routing": json.dumps(facts)}), tmp_path / "t.parquet")
    with pytest.raises(TraceError, match=r"token 600000: token 0 of request 0 stands there after"):
        check_recording(open_trace(tmp_path / "t.parquet", None))


def test_dynande_of_some_layers_only(tmp_path):
    """One layer alone is what a file of the published folders holds; some of the layers are a broken download."""
    three = TraceShape(name="three", layers=3, moe_layers=(0, 1, 2), experts=6, top_k=2)
    rows = "".join(f"{layer},{token},.1,.2,0,0,0,0\n" for layer in (0, 1) for token in (0, 1))
    (tmp_path / "t.csv").write_text(GATES + rows)
    with pytest.raises(TraceError, match=r"t\.csv: layer 2 is missing; three has 3 layers with experts, here are 2"):
        open_trace(tmp_path / "t.csv", three)
    for layer in (0, 1):
        text = GATES + "".join(f"0,{token},.1,.2,0,0,0,0\n" for token in (layer, layer + 1))
        (tmp_path / f"a_layer{layer}_b.csv").write_text(text)
    assert check_recording(open_trace(tmp_path / "a_layer1_b.csv", three))["layers"] == 1
    (tmp_path / "t.csv").unlink()
    with pytest.raises(TraceError, match=r"layer 2 is missing"):
        open_trace(tmp_path, three)
    (tmp_path / "a_layer2_b.csv").write_text(text)
    with pytest.raises(TraceError, match=r"a_layer1_b\.csv: row 1: token_id 1, but .*a_layer0_b\.csv starts with 0"):
        check_recording(open_trace(tmp_path, three))


# ---- by halves


def test_conversion_of_a_broken_trace_leaves_nothing(tmp_path):
    rows = [line(token=t, layer=k) for t in range(5000) for k in (1, 3)]
    rows[-1]["topk_ids"] = [0, 99]
    (tmp_path / "t.jsonl").write_bytes(lines(*rows))
    (tmp_path / "out.parquet").write_text("before")
    with pytest.raises(TraceError, match="t.jsonl:10000: expert 99"):
        write_trace(open_tokens(tmp_path / "t.jsonl", SHAPE), tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "t.jsonl"]
    with pytest.raises(ConfigError, match="cannot be written"):
        write_trace(open_tokens(canonical(tmp_path), SHAPE), tmp_path / "no" / "out.parquet")
