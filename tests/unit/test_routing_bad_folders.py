"""Folders, archives and formats that cannot be told: one TraceError that names file, place and rule."""

from __future__ import annotations

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_recordings import OTHER, SHAPE, canonical, line, lines, pass_row

from moeram.errors import TraceError
from moeram.routing import TraceShape, open_routing, open_tokens, open_trace
from moeram.routing.describe import check_recording


def test_mixed_models_in_a_folder(tmp_path):
    for name, model in (("a", "org/one"), ("b", "org/two")):
        (tmp_path / f"{name}.jsonl").write_bytes(lines({"type": "meta", "model_id": model}, line(), line(layer=3)))
    with pytest.raises(TraceError, match=r"a\.jsonl was recorded of org/one, .*b\.jsonl of org/two; .*one model"):
        open_trace(tmp_path, SHAPE)
    folder = tmp_path / "requests"
    folder.mkdir()
    steps = [{"0": None, "1": [[0, 1]], "2": None, "3": [[0, 1]]}] * 2
    (folder / "0.json").write_text(json.dumps(steps))
    (folder / "1.json").write_text(json.dumps([{str(layer): [[0, 1, 2]] for layer in range(4)}] * 2))
    with pytest.raises(TraceError, match=r"1\.json: step 0: layer 0 has selections, but is a dense layer of small"):
        check_recording(open_trace(folder, SHAPE))


def test_mixed_formats_in_a_folder(tmp_path):
    (tmp_path / "a.csv").write_text("layer,expert\n1,0\n")
    (tmp_path / "b.jsonl").write_bytes(lines(line()))
    with pytest.raises(
        TraceError, match=r"mixes formats \(a.csv looks like llama_cpp, b.jsonl looks like json_lines\)"
    ):
        open_trace(tmp_path, SHAPE)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", b"a,b\n", "unknown kind.*'layer,expert' .llama_cpp. or 'layer_id,token_id,expert_0"),
        ("x.jsonl", b'{"a": 1}\n', r"cannot tell its format: .*topk_ids \(json_lines\), expert_activation \(moe_cap\)"),
        ("x.txt", b"", r"^.{1,200}: unknown kind of routing file; known formats: canonical, .*eplb.{1,100}$"),
    ],
)
def test_formats_that_cannot_be_told(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TraceError, match=words):
        open_trace(tmp_path / name, SHAPE)


def test_unknown_parquet_columns(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(TraceError, match=r"columns a; candidates for .parquet: request.*\(canonical\), scores"):
        open_trace(tmp_path / "x.parquet", SHAPE)


def test_a_format_without_a_model(tmp_path):
    (tmp_path / "t.jsonl").write_bytes(lines(line()))
    with pytest.raises(TraceError, match="does not state its model; name it"):
        open_trace(tmp_path / "t.jsonl", None)


def test_counts_are_no_tokens(tmp_path):
    np.save(tmp_path / "w.npy", np.ones((2, 6)))
    with pytest.raises(TraceError, match="holds counts, no tokens"):
        open_tokens(tmp_path / "w.npy", SHAPE)
    (tmp_path / "t.jsonl").write_bytes(lines(pass_row()))
    with pytest.raises(TraceError, match="how many experts were used, not which"):
        open_routing(tmp_path / "t.jsonl", SHAPE)


def test_archives(tmp_path):
    path = tmp_path / "t.tar.gz"
    steps = [{"0": None, "1": [[0, 1]], "2": None, "3": [[0, 6]]}] * 2
    with tarfile.open(path, "w:gz") as archive:
        content = json.dumps(steps).encode()
        member = tarfile.TarInfo("maths/0.json")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    with pytest.raises(TraceError, match=r"t.tar.gz:maths/0.json: step 0, layer 3, token 0: expert 6 is out of range"):
        check_recording(open_trace(path, SHAPE))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TraceError, match="truncated|not a whole"):
        check_recording(open_trace(path, SHAPE))
    with tarfile.open(path, "w:gz"):
        pass
    with pytest.raises(TraceError, match="the trace holds no token"):
        check_recording(open_trace(path, SHAPE))


def test_an_archive_that_ends_between_two_requests(tmp_path):
    """Without the empty header of the end, the rest may be missing."""
    path = tmp_path / "t.tar"
    content = json.dumps([{"0": None, "1": [[0, 1]], "2": None, "3": [[0, 5]]}] * 2).encode()
    with tarfile.open(path, "w") as archive:
        for number in range(2):
            member = tarfile.TarInfo(f"maths/{number}.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        end = archive.offset
    whole = path.read_bytes()
    assert check_recording(open_trace(path, SHAPE))["tokens"] == 4
    for size in (end, end // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(TraceError, match=r"t\.tar: the archive is truncated"):
            check_recording(open_trace(path, SHAPE))


def test_the_other_model_is_named(tmp_path):
    with pytest.raises(TraceError, match="recorded of small with experts 6, but other has 8"):
        open_trace(canonical(tmp_path), OTHER)


def test_weights_of_half_the_tokens_are_refused(tmp_path):
    """All or none: dropping them without a word would lose data, and a file with a part could not be read again."""
    shape = TraceShape(name="m", layers=1, moe_layers=(0,), experts=4, top_k=1)
    path = tmp_path / "half.jsonl"
    lines = [
        {"req_id": "r", "token_idx": token, "layer": 0, "topk_ids": [token % 4]}
        | ({"topk_weights": [1.0]} if token >= 50 else {})
        for token in range(100)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(TraceError, match="weights"):
        list(open_trace(path, shape, format="json_lines").chunks())


def test_numbers_too_long_to_read_are_one_message(tmp_path):
    shape = TraceShape(name="m", layers=1, moe_layers=(0,), experts=4, top_k=1)
    path = tmp_path / "digits.json"
    path.write_text('[{"0": [[' + "1" * 5000 + "]]}]")
    with pytest.raises(TraceError, match="digits.json: not readable as selections"):
        list(open_trace(path, shape, format="selections").chunks())
