"""Layer lists and selection traces: what is read, how it is split, and every message about a bad file."""

from __future__ import annotations

import dataclasses
import gzip
import json

import numpy as np
import pytest

from moeram.errors import TraceError
from moeram.model import load_model
from moeram.routing import RoutingSource, open_routing

MODEL = dataclasses.replace(
    load_model("llama-4-maverick"), name="small", layers=4, moe_layers=(1, 3), experts=6, top_k=2
)
GOOD = [[0, 1], [2, 3], [4, 5], [5, 0]]


def write(path, content):
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def layer_lists(rows=None, **changes):
    return {"0": None, "1": rows or GOOD, "3": GOOD} | changes


def step(*rows, **changes):
    return {"0": None, "1": list(rows), "2": None, "3": [row[::-1] for row in rows]} | changes


def request(*decode):
    return [step([0, 1], [0, 1]), *(step(row) for row in decode)]


# ---- layer lists


def test_halves_of_layer_lists_do_not_mix(tmp_path):
    write(tmp_path / "b.json.gz", layer_lists([[0, 1], [0, 1], [2, 3], [4, 3], [2, 3]], **{"3": [[0, 1]] * 5}))
    write(tmp_path / "a.json", layer_lists())
    write(tmp_path / "README.txt", b"not a trace")
    source = open_routing(tmp_path, MODEL)
    assert isinstance(source, RoutingSource)
    assert (source.topics, source.layers, source.measured_layers) == (("a", "b"), (1, 3), (1, 3))
    assert (source.experts, source.top_k, source.fidelity) == (6, 2, "measured")
    assert source.ranking_usage()[1, 0].tolist() == [2, 2, 0, 0, 0, 0]
    assert source.held_out_usage()[1, 0].tolist() == [0, 0, 2, 3, 1, 0]
    drawn = source.draw(1, 3, np.random.default_rng(0))
    assert (drawn.dtype, drawn.shape) == (np.int16, (3, 2, 2))
    assert sorted(map(tuple, drawn[:, 0].tolist())) == [(2, 3), (2, 3), (4, 3)], "each held-out token once"


def test_draws_repeat_with_the_state_of_the_generator(tmp_path):
    rng = np.random.default_rng(5)
    rows = [rng.permutation(6)[:2].tolist() for _ in range(400)]
    source = open_routing(write(tmp_path / "t.json", layer_lists(rows, **{"3": rows})), MODEL)
    draws = [source.draw(0, 8, np.random.default_rng([1, seed])) for seed in (0, 0, 1)]
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()
    assert (draws[0][:, 0] == draws[0][:, 1]).all(), "a token's layers stay together"


def test_usage_cannot_be_changed_by_its_user(tmp_path):
    source = open_routing(write(tmp_path / "t.json", layer_lists()), MODEL)
    with pytest.raises(ValueError, match="read-only"):
        source.ranking_usage()[0, 0, 0] = 7


def test_a_batch_larger_than_the_held_out_half(tmp_path):
    source = open_routing(write(tmp_path / "t.json", layer_lists()), MODEL)
    with pytest.raises(TraceError, match=r"topic t holds out 2 tokens, too few for a batch of 3"):
        source.draw(0, 3, np.random.default_rng(0))
    with pytest.raises(ValueError, match="topic 1 is out of range"):
        source.draw(1, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="batch is 0"):
        source.draw(0, 0, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (layer_lists([[0, 1], [2, 6]]), r"layer 1, token 1: expert 6 is out of range; small has experts 0\.\.5"),
        (layer_lists([[0, 1], [2, -1]]), "token 1: expert -1 is out of range"),
        (layer_lists([[0, 1], [2, 10**30]]), "token 1: expert 10+ is out of range"),
        (layer_lists([[0, 1], [2, 3], [4]]), r"layer 1, token 2: \[4\] has 1 experts, but small uses 2"),
        (layer_lists([[0, 1, 2]] * 4), r"token 0: \[0, 1, 2\] has 3 experts, but small uses 2"),
        (layer_lists([[0, 1], [3, 3]]), r"token 1: expert 3 occurs twice in \[3, 3\]"),
        (layer_lists([[0, 1], ["2", 3]]), "token 1: '2' is no expert id"),
        (layer_lists([[0, 1], [True, 3]]), "token 1: True is no expert id"),
        (layer_lists([[0, 1], [2.0, 3]]), r"token 1: 2\.0 is no expert id"),
        (layer_lists([[0, 1], "23"]), "token 1: '23' is no list of expert ids"),
        (layer_lists([[0, 1], 3]), "token 1: 3 is no list of expert ids"),
        (layer_lists(**{"1": "x"}), "layer 1, token 0: 'x' is no list of"),
        (layer_lists(**{"1": {"0": [0, 1]}}), "layer 1, token 0: .* is no list of"),
        (layer_lists(**{"3": GOOD[:3]}), "layer 3 has 3 tokens, layer 1 has 4"),
        ({"1": GOOD}, "no selections of layer 3; small has experts in 2 layers"),
        (layer_lists(**{"3": None}), "no selections of layer 3"),
        (layer_lists(**{"2": GOOD}), "layer 2 has selections, but is a dense layer of small"),
        (layer_lists(**{"4": GOOD}), r"'4' is no layer of small; allowed: 0\.\.3"),
        ({"1": [], "3": []}, "0 tokens; at least 2 are needed"),
        ({"1": [[0, 1]], "3": [[0, 1]]}, "1 tokens; at least 2 are needed"),
        (b'{"1": [[0, 1],\n [2 3]]}', r"t\.json:2:5: not JSON"),
        (b'{"1": [], "1": []}', "key '1' occurs twice"),
        (b"\xff{}", "not UTF-8|starts with"),
        (b"", "starts with ''"),
        (b"hello", "starts with 'h', not with an object or a list"),
        (b"{" + b'"1":[' * 100_000, "nested too deeply|not JSON"),
    ],
)
def test_bad_layer_lists(tmp_path, content, words):
    path = write(tmp_path / "t.json", content)
    with pytest.raises(TraceError, match=words) as caught:
        open_routing(path, MODEL)
    assert str(path) in str(caught.value)


def test_wrong_model(tmp_path):
    path = write(tmp_path / "t.json", layer_lists())
    with pytest.raises(TraceError, match=r"has 2 experts, but olmoe-1b-7b uses 8|no selections of layer 0, 2, 4"):
        open_routing(path, load_model("olmoe-1b-7b"))


def test_damaged_gzip(tmp_path):
    rows = [np.random.default_rng(0).permutation(6)[:2].tolist() for _ in range(2000)]
    whole = gzip.compress(json.dumps(layer_lists(rows)).encode())
    path = tmp_path / "t.json.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TraceError, match=r"t\.json\.gz: the gzip file is truncated"):
        open_routing(path, MODEL)
    path.write_bytes(json.dumps(layer_lists()).encode())
    with pytest.raises(TraceError, match=r"t\.json\.gz: not a whole gzip file"):
        open_routing(path, MODEL)
    path.write_bytes(whole[:100] + b"\0\0\0\0" + whole[104:])
    with pytest.raises(TraceError, match=r"t\.json\.gz: not a whole gzip file"):
        open_routing(path, MODEL)


# ---- which format


def test_format_is_found_or_given(tmp_path):
    path = write(tmp_path / "lists" / "t.json", layer_lists())
    assert open_routing(path, MODEL).topics == open_routing(path.parent, MODEL, format="layer_lists").topics == ("t",)
    with pytest.raises(TraceError, match="not one file"):
        open_routing(path, MODEL, format="selections")
    with pytest.raises(TraceError, match=r"unknown routing format 'layerlists'; did you mean 'layer_lists'\?"):
        open_routing(path, MODEL, format="layerlists")


def test_unclear_places(tmp_path):
    with pytest.raises(TraceError, match=r"nowhere: no such file or folder"):
        open_routing(tmp_path / "nowhere", MODEL)
    with pytest.raises(TraceError, match="no routing found in this folder; known formats:"):
        open_routing(tmp_path, MODEL)
    with pytest.raises(TraceError, match=r"x\.csv: unknown kind of routing file; known:"):
        open_routing(write(tmp_path / "x.csv", b"1,2"), MODEL)
    with pytest.raises(TraceError, match="no .json or .json.gz file"):
        open_routing(tmp_path, MODEL, format="layer_lists")
    write(tmp_path / "t.json", layer_lists())
    write(tmp_path / "t.json.gz", layer_lists())
    with pytest.raises(TraceError, match=r"t\.json and t\.json\.gz are both there"):
        open_routing(tmp_path, MODEL)


# ---- selection traces


def test_requests_split_in_numeric_order_and_only_decode_counts(tmp_path):
    for number, rows in {"9": [[2, 3]], "10": [[4, 5], [5, 4]], "8": [[2, 3]], "11": [[4, 5]]}.items():
        write(tmp_path / "maths" / f"{number}.json.gz", request(*rows))
    source = open_routing(tmp_path, MODEL)
    assert source.topics == ("maths",)
    assert source.ranking_usage()[0, 0].tolist() == [0, 0, 2, 2, 0, 0], "requests 8 and 9, no prefill token"
    assert source.held_out_usage()[0, 0].tolist() == [0, 0, 0, 0, 3, 3], "requests 10 and 11"
    assert set(source.draw(0, 3, np.random.default_rng(0)).ravel().tolist()) == {4, 5}
    assert any("4 requests, 5 decode tokens" in note and "8 prefill tokens" in note for note in source.notes)
    assert open_routing(tmp_path / "maths", MODEL).topics == ("maths",)


def test_layers_with_one_expert_are_reported(tmp_path):
    model = dataclasses.replace(MODEL, top_k=1)
    decode = [[{"1": [[i % 6]], "3": [[4]]} for i in range(9)] for _ in range(2)]
    for number, steps in enumerate(decode):
        write(tmp_path / f"{number}.json", [{"1": [], "3": []}, *steps])
    notes = " ".join(open_routing(tmp_path, model).notes)
    assert "layer 3 sends 100.00% of the decode tokens to expert 4" in notes and "layer 1 sends" not in notes
    assert "probability 0.500 (layer mean)" in notes, "never in layer 1, always in layer 3"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([step([0, 1]), step([0, 6])], "step 1, layer 1: expert 6 is out of range"),
        ([step([0, 9]), step([0, 1])], "step 0, layer 1, token 0: expert 9 is out of range"),
        ([step([0, 1]), step([0, 1]), step([0, 1], [2, 3])], "step 2, layer 1: 2 rows; a decode step holds exactly"),
        ([step([0, 1]), step()], "step 1, layer 1: 0 rows; a decode step holds exactly one"),
        ([step([0, 1]), step([0])], r"step 1, layer 1: \[0\] has 1 experts, but small uses 2"),
        ([step([0, 1]), step([3, 3])], "step 1, layer 1: expert 3 occurs twice"),
        ([step([0, 1]), step([0, 1], **{"3": None})], "step 1: no selections of layer 3"),
        ([step([0, 1]), step([0, 1], **{"2": [[0, 1]]})], "step 1: layer 2 has selections, but is a dense layer"),
        ([step([0, 1]), step([0, 1], x=None)], "step 1: 'x' is no layer of small"),
        ([step([0, 1], **{"3": [[0, 1]] * 2}), step([0, 1])], "step 0: layer 3 has 2 tokens, others 1"),
        ([step([0, 1]), step([0, 1], **{"3": 5})], "step 1, layer 3: no list of rows"),
        ([[0, 1]], "expected a list of steps"),
        ([], "no step"),
    ],
)
def test_bad_requests(tmp_path, content, words):
    path = write(tmp_path / "s" / "1.json", content)
    write(tmp_path / "s" / "2.json", request([0, 1]))
    with pytest.raises(TraceError, match=words) as caught:
        open_routing(tmp_path, MODEL)
    assert str(path) in str(caught.value)


def test_too_few_requests_or_decode_tokens(tmp_path):
    write(tmp_path / "s" / "1.json", request([0, 1]))
    with pytest.raises(TraceError, match="subject s has 1 request; at least 2"):
        open_routing(tmp_path, MODEL)
    write(tmp_path / "s" / "2.json", request())
    with pytest.raises(TraceError, match="topic s has 1 tokens to rank by and 0 held out"):
        open_routing(tmp_path, MODEL)
