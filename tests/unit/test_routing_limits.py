"""Small files that unpack to large ones, long lines and missing parts: refused in little memory with one message."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moeram.errors import ConfigError, TraceError
from moeram.routing import RoutingTrace, TraceShape, limit_documents, open_routing, open_tokens, open_trace
from moeram.routing.canonical import write_trace
from moeram.routing.chunks import token_chunk
from moeram.routing.describe import check_recording

SHAPE = TraceShape(name="small", layers=2, moe_layers=(0, 1), experts=6, top_k=2)
MEGABYTE = 1 << 20
STEP = {"0": [[0, 1]], "1": [[2, 3]]}


@pytest.fixture(autouse=True)
def little_room():
    """Documents of 4 MB, so that the tests stay small too."""
    limit_documents(4)
    yield
    limit_documents()


def refused_in_little_memory(path, format="auto", megabytes=48):
    tracemalloc.start()
    try:
        with pytest.raises(TraceError, match="more than 4 MB in one piece .*--max-document-mb") as caught:
            check_recording(open_trace(path, SHAPE, format=format))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < megabytes * MEGABYTE


def packed(path, head, size):
    """A gzip file of ``head`` and ``size`` megabytes of blanks, a thousandth of that on disk."""
    with gzip.open(path, "wb") as stream:
        stream.write(head)
        for _ in range(size):
            stream.write(b" " * MEGABYTE)
    assert path.stat().st_size < MEGABYTE
    return path


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("bomb.json.gz", b'[{"0": [[0, 1]], "1": [[2, 3]]}'),
        ("lists.json.gz", b'{"0": [[0, 1]]'),
        ("bomb.jsonl.gz", b'{"req_id": 0, "token_idx": 0, "layer": 0, "topk_ids": [0, 1]}\n{"req_id": 0'),
        ("vllm.jsonl.gz", b'{"choices": [{"routed_experts": [[[0, 1], [2, 3]]]}]}\n{"choices"'),
        ("cap.jsonl.gz", b'{"expert_activation": 2'),
    ],
)
def test_gzip_bombs(tmp_path, name, head):
    refused_in_little_memory(packed(tmp_path / name, head, 200))


def test_a_plain_file_beyond_the_limit_and_the_option_that_allows_it(tmp_path):
    path = tmp_path / "0.json"
    path.write_text(json.dumps([STEP] * 3) + " " * (5 * MEGABYTE))
    refused_in_little_memory(path)
    limit_documents(6)
    assert check_recording(open_trace(path, SHAPE))["tokens"] == 3
    with pytest.raises(ConfigError, match="max_document_mb is 0, allowed: 1 or more"):
        limit_documents(0)


def test_many_short_lines_are_no_bomb(tmp_path):
    """Streams are not limited: 16 MB of lines with 4 MB of room for each."""
    line = b'{"req_id": 0, "token_idx": %d, "layer": %d, "topk_ids": [0, 1], "note": "' + b"x" * 4000 + b'"}\n'
    (tmp_path / "t.jsonl").write_bytes(b"".join(line % (token, layer) for token in range(2000) for layer in (0, 1)))
    assert check_recording(open_trace(tmp_path / "t.jsonl", SHAPE))["tokens"] == 2000


def test_a_bomb_in_an_archive(tmp_path):
    path = tmp_path / "t.tar.gz"
    inner = packed(tmp_path / "0.json.gz", b"[", 50).read_bytes()
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("maths/0.json.gz")
        member.size = len(inner)
        archive.addfile(member, io.BytesIO(inner))
    refused_in_little_memory(path)
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("maths/0.json")
        member.size = 100 * MEGABYTE
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    refused_in_little_memory(path)


def test_a_bomb_in_the_header_of_an_archive(tmp_path):
    path = tmp_path / "t.tar.gz"
    with gzip.open(path, "wb") as stream:
        header = tarfile.TarInfo("x")
        header.type, header.size = tarfile.GNUTYPE_LONGNAME, 200 * MEGABYTE
        stream.write(header.tobuf())
        for _ in range(200):
            stream.write(b"a" * MEGABYTE)
    tracemalloc.start()
    try:
        with pytest.raises(TraceError, match=r"t\.tar\.gz: .*header of 209715200 bytes"):
            check_recording(open_trace(path, SHAPE))
        assert tracemalloc.get_traced_memory()[1] < 48 * MEGABYTE
    finally:
        tracemalloc.stop()


def test_a_bomb_of_counts(tmp_path):
    path = tmp_path / "c.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in {
            "domains": np.array(["a"]),
            "layers": np.array([0, 1]),
            "top_k": np.array(2),
            "counts": np.zeros((1, 2, 5 * MEGABYTE), dtype=np.int64),
        }.items():
            with archive.open(f"{name}.npy", "w") as stream:
                np.save(stream, array)
    refused_in_little_memory(path)


def test_a_bomb_of_lists(tmp_path):
    """Twenty million equal values take a few kilobytes of Parquet."""
    ids = pa.ListArray.from_arrays(pa.array([0, 20_000_000], pa.int32()), pa.array(np.zeros(20_000_000, np.int16)))
    table = pa.table({"scores": pa.array([[0.5, 0.5]], pa.list_(pa.float32())), "indices": ids})
    (tmp_path / "0").mkdir()
    pq.write_table(table, tmp_path / "0" / "a.parquet", compression="zstd")
    refused_in_little_memory(tmp_path / "0" / "a.parquet", "flame_moe")


def test_a_request_that_stands_in_an_archive_twice(tmp_path):
    path, content = tmp_path / "t.tar.gz", json.dumps([STEP] * 2).encode()
    for other in ("maths/0.json", "./maths/0.json", "maths/0.json.gz"):
        with tarfile.open(path, "w:gz") as archive:
            for name in ("maths/0.json", other):
                body = gzip.compress(content) if name.endswith(".gz") else content
                member = tarfile.TarInfo(name)
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))
        with pytest.raises(TraceError, match=r"t\.tar\.gz:.*maths/0\.json.*: this request stands in the archive twice"):
            check_recording(open_trace(path, SHAPE))


def test_a_link_in_an_archive_is_no_request(tmp_path):
    with tarfile.open(tmp_path / "t.tar", "w") as archive:
        member = tarfile.TarInfo("maths/0.json")
        member.type, member.linkname = tarfile.SYMTYPE, "1.json"
        archive.addfile(member)
    with pytest.raises(TraceError, match=r"maths/0\.json: a link or device, not a file"):
        check_recording(open_trace(tmp_path / "t.tar", SHAPE))


@pytest.mark.parametrize("where", ["data/maths/1.json", "data/physics", "data/maths/sub.json.gz"])
def test_a_broken_link_is_not_passed_over(tmp_path, where):
    (tmp_path / "data" / "maths").mkdir(parents=True)
    for number in (0, 2):
        (tmp_path / "data" / "maths" / f"{number}.json").write_text(json.dumps([STEP] * 2))
    (tmp_path / where).symlink_to(tmp_path / "gone")
    for opened in (lambda path: check_recording(open_trace(path, SHAPE)), lambda path: open_routing(path, SHAPE)):
        with pytest.raises(TraceError, match=f"{where}: this link leads nowhere"):
            opened(tmp_path / "data")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '{"req_id": 0, "token_idx": 0, "layer": 0, "topk_ids": [0, 1], "topk_ids": [2, 3]}',
            "'topk_ids' occurs twice",
        ),
        ('{"choices": [{"routed_experts": [[[0, 1], [2, 3]]], "routed_experts": [[[0, 1], [2, 3]]]}]}', "occurs twice"),
    ],
)
def test_keys_that_occur_twice_in_a_line(tmp_path, text, words):
    good = text.replace(', "topk_ids": [2, 3]', "").replace(', "routed_experts": [[[0, 1], [2, 3]]]', "")
    (tmp_path / "t.jsonl").write_text(good + "\n" + text + "\n")
    with pytest.raises(TraceError, match=rf"t\.jsonl:2: key .*{words}"):
        check_recording(open_tokens(tmp_path / "t.jsonl", SHAPE))


def test_blank_lines_count_as_lines(tmp_path):
    line = '{"req_id": 0, "token_idx": 0, "layer": 0, "topk_ids": [0, 9]}'
    (tmp_path / "t.jsonl").write_text("\n\r\n  \n" + line)
    with pytest.raises(TraceError, match=r"t\.jsonl:4: expert 9 is out of range"):
        check_recording(open_tokens(tmp_path / "t.jsonl", SHAPE))


def test_a_bomb_of_topic_names(tmp_path):
    """A canonical file of four rows whose topics, four texts of 16 MB, are packed to nothing."""
    ids = np.array([[[0, 1], [2, 3]]] * 2, dtype=np.int16)
    trace = RoutingTrace(
        place="made", format="made", shape=SHAPE, layers=(0, 1), read=lambda: iter([token_chunk(ids, place="made")])
    )
    path = tmp_path / "t.parquet"
    write_trace(trace, path)
    table = pq.read_table(path)
    names = pa.array([str(i) * 16 * MEGABYTE for i in range(4)])
    pq.write_table(table.set_column(table.schema.get_field_index("topic"), "topic", names), path, compression="zstd")
    assert path.stat().st_size < MEGABYTE
    with pytest.raises(TraceError, match="texts of column 'topic' beyond 256 bytes a row: more than 4 MB"):
        check_recording(open_trace(path, SHAPE))
