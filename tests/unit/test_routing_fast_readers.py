"""The fast readers of JSON take exactly what the exact ones take: on good files, odd ones and damaged ones alike."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moeram.errors import TraceError
from moeram.routing import TraceShape
from moeram.routing.readers import json_lines, layer_lists, line_columns, selections, vllm
from moeram.routing.readers.digits import numbers_of

SHAPE = TraceShape(name="small", layers=3, moe_layers=(0, 2), experts=12, top_k=2)
SPACES = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")])


def ids_of(draw, rows, layers=2):
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    return rng.random((rows, layers, 12)).argsort(axis=2)[:, :, :2].tolist()


def damaged(draw, text):
    """``text``, perhaps with one character taken out, put in or changed."""
    kind = draw(st.sampled_from(["whole", "whole", "cut", "add", "change"]))
    if kind == "whole":
        return text
    at = draw(st.integers(0, len(text) - 1))
    new = draw(st.sampled_from(list(b'0123456789 []{},:"-.enx\n\xff')))
    return text[:at] + (b"" if kind == "cut" else bytes([new])) + text[at + (kind != "add") :]


@st.composite
def request_texts(draw):
    steps = []
    for rows in (draw(st.integers(1, 4)), *[1] * draw(st.integers(0, 4))):
        ids = ids_of(draw, rows)
        steps.append({"0": [row[0] for row in ids], "1": None, "2": [row[1] for row in ids]})
    return damaged(draw, json.dumps(steps, separators=draw(SPACES)).encode())


@st.composite
def topic_texts(draw):
    ids = ids_of(draw, draw(st.integers(1, 6)))
    table = {"0": [row[0] for row in ids], "2": [row[1] for row in ids]}
    return damaged(draw, json.dumps(table, separators=draw(SPACES)).encode())


@st.composite
def response_texts(draw):
    lists = st.sampled_from([None, 0, 7, [], [[]], [[[]]]])
    choices = [
        {
            "text": draw(st.text(max_size=6)) + '"routed_experts": [[[1]]]',
            "routed_experts": ids_of(draw, draw(st.integers(1, 4))),
        }
        for _ in range(draw(st.integers(1, 2)))
    ]
    response = {"choices": choices, "prompt_routed_experts": draw(st.one_of(lists, st.just(ids_of(draw, 3))))}
    return damaged(draw, json.dumps(response, separators=draw(SPACES)).encode())


@st.composite
def line_texts(draw):
    names = draw(st.sampled_from([[0, 1], ["a", "b"], ["a", 1]]))
    rows = []
    for token in range(draw(st.integers(1, 4))):
        for layer, ids in zip((0, 2), ids_of(draw, 1)[0], strict=True):
            row = {"req_id": names[token % 2], "token_idx": token, "layer": layer, "topk_ids": ids}
            if draw(st.booleans()):
                row["topk_weights"] = draw(st.sampled_from([[0.25, 1], [1e-3, 0.1], None]))
            rows.append({**row, "note": "x"} if draw(st.booleans()) else row)
    if draw(st.booleans()):
        rows.insert(0, {"type": "meta", "top_k": 2})
    return damaged(draw, "\n".join(json.dumps(row) for row in rows).encode() + draw(st.sampled_from([b"", b"\n"])))


@given(request_texts())
@settings(max_examples=400, deadline=None)
def test_requests(text):
    fast = selections._plain(text, SHAPE)
    if fast is not None:
        exact = selections._exact(selections.parse_json(text, "x"), SHAPE, "x")
        assert np.array_equal(fast.prefill, exact.prefill) and np.array_equal(fast.decode, exact.decode)


@given(topic_texts())
@settings(max_examples=400, deadline=None)
def test_topics(text):
    fast = layer_lists._plain(text, SHAPE)
    if fast is not None:
        table = layer_lists.parse_json(text, "x")
        assert list(table) == ["0", "2"]
        assert np.array_equal(fast, np.stack([np.array(table["0"]), np.array(table["2"])], axis=1))
        assert fast.max() < 12 and (fast[..., 0] != fast[..., 1]).all()


@given(response_texts())
@example(b'{"routed_experts":[[[1,2],[3,4]]]0}')
@example(b'{"routed_experts":[[[1,2],[3,4]]].5}')
@example(b'{"routed_experts":[[[]0]]}')
@example(b'{"routed_experts":[[[,1] 0]]}')
@settings(max_examples=400, deadline=None)
def test_responses(text):
    def parse(part):
        return json_lines.parse_line(part, "x")

    try:
        exact = parse(text)
    except TraceError as error:
        with pytest.raises(TraceError) as caught:
            vllm._parsed(text, parse)
        assert str(caught.value) == str(error)
        return
    assert plain(vllm._parsed(text, parse)) == exact


def plain(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list) else value


@given(line_texts())
@settings(max_examples=400, deadline=None)
def test_lines(text):
    fast = line_columns.columns_of(text, SHAPE)
    if fast is None:
        return
    lines = [json_lines.parse_line(line, "x") for line in text.split(b"\n") if line.strip()]
    rows = [row for row in lines if row.get("type") in (None, "route")]
    assert [fast.names[i] for i in fast.name] == [row["req_id"] for row in rows]
    assert fast.token.tolist() == [row["token_idx"] for row in rows]
    assert fast.layer.tolist() == [row["layer"] for row in rows] and fast.ids.tolist() == [
        row["topk_ids"] for row in rows
    ]
    weights = [row.get("topk_weights") for row in rows]
    assert (None if fast.weights is None else fast.weights.tolist()) == (
        None if weights[0] is None else np.array(weights, dtype=np.float32).tolist()
    )


def test_the_fast_readers_are_used():
    """Without this the comparisons above could hold because nothing is ever read fast."""
    row = b'{"0": [[0, 1]], "1": null, "2": [[3, 2]]}'
    assert selections._plain(b"[" + row + b", " + row + b"]", SHAPE).decode.tolist() == [[[0, 1], [3, 2]]]
    lists = b'{"0": [[0, 1], [4, 5]],\n "2": [[11, 2], [7, 6]]}'
    assert layer_lists._plain(lists, SHAPE).tolist() == [[[0, 1], [11, 2]], [[4, 5], [7, 6]]]
    assert vllm._plain(b"[[[1, 2]], [[3, 10]]]").tolist() == [[[1, 2]], [[3, 10]]]
    line = b'{"req_id": "a", "token_idx": 3, "layer": 2, "topk_ids": [1, 0]}\n'
    assert line_columns.columns_of(line * 3, SHAPE).ids.tolist() == [[1, 0]] * 3


def test_numbers_across_the_pieces_of_a_long_text():
    values = np.random.default_rng(0).integers(0, 10**9, 200_000)
    found = numbers_of(json.dumps(values.tolist()).encode())
    assert np.array_equal(found.values, values) and found.skeleton == b"[" + b"," * 199_999 + b"]"
    assert numbers_of(b"[01]") is None and numbers_of(b"[1 2]") is None and numbers_of(b"[1000000000]") is None


def assembled(tmp_path, rows):
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    chunks = list(json_lines.trace_json_lines(tmp_path / "t.jsonl", SHAPE).chunks())
    return [
        np.concatenate([getattr(chunk, name) for chunk in chunks]).tolist() for name in ("request", "token", "experts")
    ]


@pytest.mark.parametrize("order", ["token", "layer", "interleaved", "passes"])
def test_lines_at_once_and_one_by_one_make_the_same_trace(tmp_path, monkeypatch, order):
    rng = np.random.default_rng(0)
    keys = [(request, token, layer) for request in range(6) for token in range(40) for layer in (0, 2)]
    if order == "layer":
        keys.sort(key=lambda key: (key[0], key[2], key[1]))
    elif order == "interleaved":
        keys.sort(key=lambda key: (key[1], key[0], key[2]))
    elif order == "passes":
        keys = [(0, token, layer) for _, token, layer in keys]
    rows = [
        {"req_id": f"r{r}", "token_idx": t, "layer": layer, "topk_ids": rng.permutation(12)[:2].tolist()}
        for r, t, layer in keys
    ]
    monkeypatch.setattr("moeram.routing.readers.files._BLOCK_BYTES", 1000)  # a token's lines end up in two blocks
    fast = assembled(tmp_path, rows)
    monkeypatch.setattr(json_lines, "columns_of", lambda block, shape: None)
    assert assembled(tmp_path, rows) == fast
    assert len(fast[0]) == 240 and sorted(set(fast[0])) == list(range(6))
