"""SGLang dumps written by CPython's own pickler in the layout of torch.save; no torch, and nothing else than data read."""

from __future__ import annotations

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from moeram.errors import TraceError
from moeram.routing import TraceShape, open_routing, open_trace
from moeram.routing.chunks import DECODE, PREFILL
from moeram.routing.readers.torch_file import open_torch

SHAPE = TraceShape(name="small", layers=3, moe_layers=(1, 2), experts=4, top_k=2)
KINDS = {"int32": "IntStorage", "int64": "LongStorage", "float32": "FloatStorage", "float16": "HalfStorage"}


class _Tensor:
    def __init__(self, array):
        self.array = array

    def __reduce__(self):
        torch = sys.modules["torch"]
        base = self.array if self.array.base is None else self.array.base
        storage = torch.Storage(base)
        offset = (self.array.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // base.itemsize
        strides = tuple(stride // base.itemsize for stride in self.array.strides)
        arguments = (storage, offset, self.array.shape, strides, False, OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments


def _named(module, name, made):
    made.__module__, made.__qualname__, made.__name__ = module, name, name
    return made


@pytest.fixture
def save(monkeypatch):
    """torch.save of plain data and arrays: save(path, data, protocol=2)."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in KINDS.values():
        setattr(torch, name, _named("torch", name, type(name, (), {})))
    torch.Storage = type("Storage", (), {"__init__": lambda self, array: setattr(self, "array", array)})
    utils._rebuild_tensor_v2 = _named("torch._utils", "_rebuild_tensor_v2", lambda *arguments: None)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    def write(path, data, protocol=2, packed=zipfile.ZIP_STORED):
        storages = []

        class Pickler(pickle.Pickler):
            def persistent_id(self, value):
                if not isinstance(value, torch.Storage):
                    return None
                storages.append(np.ascontiguousarray(value.array))
                kind = getattr(torch, KINDS[value.array.dtype.name])
                return ("storage", kind, str(len(storages) - 1), "cuda:0", value.array.size)

        stream = io.BytesIO()
        Pickler(stream, protocol=protocol).dump(data)
        with zipfile.ZipFile(path, "w", packed) as archive:
            archive.writestr("dump/data.pkl", stream.getvalue())
            archive.writestr("dump/byteorder", "little")
            for key, array in enumerate(storages):
                archive.writestr(f"dump/data/{key}", array.tobytes())
            archive.writestr("dump/version", "3\n")

    return write


def tensor(values, dtype="int32"):
    return _Tensor(np.array(values, dtype=dtype))


MAPPING = [[0, 1, 2, 3, 0], [3, 2, 1, 0, 3], [1, 0, 2, 3, 2]]  # physical -> logical of each layer


# ---- the archive


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_data_and_tensors_come_back(tmp_path, save, protocol):
    grid = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    data = {
        "rank": 3,
        "big": 1 << 40,
        "negative": -7,
        "rate": 0.25,
        "none": None,
        "flags": [True, False],
        "pair": (1, "two"),
        "long": list(range(3000)),
        "ordered": OrderedDict(),
        "grid": _Tensor(grid),
        "view": _Tensor(grid[1, ::2, 1:3]),
        "half": _Tensor(np.array([0.5, 2.0], dtype=np.float16)),
        "empty": _Tensor(np.empty((0, 3), dtype=np.int32)),
    }
    save(tmp_path / "d.pt", data, protocol)
    with open_torch(tmp_path / "d.pt") as file:
        found = file.data
        for name in ("rank", "big", "negative", "rate", "none", "flags", "pair", "long"):
            assert found[name] == data[name]
        assert found["ordered"] == {}
        for name in ("grid", "view", "half", "empty"):
            assert np.array_equal(file.array(found[name], name), data[name].array)


class _Evil:
    def __reduce__(self):
        return eval, ("1 + 1",)


def test_only_plain_data_are_read(tmp_path, save):
    save(tmp_path / "evil.pt", {"logical_count": _Evil()})
    with pytest.raises(TraceError, match=r"evil\.pt: data\.pkl names .*builtin.*eval, which is not allowed"):
        open_trace(tmp_path / "evil.pt", SHAPE)
    deep = b"\x80\x02" + b"(" * 100 + b"."
    with zipfile.ZipFile(tmp_path / "marks.pt", "w") as archive:
        archive.writestr("dump/data.pkl", deep)
    with pytest.raises(TraceError, match="nests deeper than 64"):
        open_trace(tmp_path / "marks.pt", SHAPE)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps({"logical_count": 1}), "legacy form of torch.save"),
        (b"\0" * 257 + b"ustar" + b"\0" * 250, "legacy form of torch.save"),
        (b"hello", "not a torch archive"),
        (b"PK\x03\x04 cut", "not a whole torch archive"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    (tmp_path / "d.pt").write_bytes(content)
    with pytest.raises(TraceError, match=rf"d\.pt: .*{words}"):
        open_trace(tmp_path / "d.pt", SHAPE)


def test_damaged_archives(tmp_path, save):
    path = tmp_path / "d.pt"
    save(path, {"logical_count": tensor(np.ones((2, 3, 4)))}, packed=zipfile.ZIP_DEFLATED)
    with pytest.raises(TraceError, match="data.pkl is packed"):
        open_trace(path, SHAPE)
    save(path, {"logical_count": tensor(np.ones((2, 3, 4)))})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(TraceError, match="not a whole torch archive"):
        open_trace(path, SHAPE)
    for code, words in (
        (b"\x80\x02}", "damaged at byte"),
        (b"\x80\x02\x81.", "instruction 0x81"),
        (b"\x80\x02X\xff\xff\xff\x7f.", "damaged at byte"),
        (b"\x80\x02}K\x01a.", "damaged at byte"),
        # A key of three million tuples in each other: hashing it would overflow the interpreter's stack.
        (b"\x80\x02}()" + b"\x85" * 3_000_000 + b"K\x01u.", "a key that is no text or whole number"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("dump/data.pkl", code)
        with pytest.raises(TraceError, match=words):
            open_trace(path, SHAPE)


def test_a_tensor_beyond_its_storage_is_refused(tmp_path, save):
    path = tmp_path / "d.pt"
    save(path, {"logical_count": tensor(np.ones((2, 3, 4)))})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    shape = b"K\x02K\x03K\x04\x87"
    assert shape in members["dump/data.pkl"]
    members["dump/data.pkl"] = members["dump/data.pkl"].replace(shape, b"K\x63K\x03K\x04\x87", 1)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(TraceError, match="beyond its storage"):
        open_trace(path, SHAPE)


# ---- the recorder's modes


def test_stat(tmp_path, save):
    counts = np.zeros((5, 3, 4), dtype=np.int32)
    counts[1, 1:] = [[4, 2, 1, 1], [2, 2, 2, 2]]
    counts[3, 1:] = [[0, 0, 1, 1], [1, 0, 1, 0]]
    save(tmp_path / "d.pt", {"rank": 0, "logical_count": tensor(counts), "average_utilization_rate_over_window": None})
    trace = open_trace(tmp_path / "d.pt", SHAPE)
    assert (trace.format, trace.layers) == ("sglang_stat", (1, 2))
    chunk = next(trace.chunks())
    assert np.array_equal(chunk.counts, counts[[1, 3], 1:]), (
        "unused rows of the buffer and the dense layer are left out"
    )


def test_per_pass_sums_ranks_and_maps_physical_experts(tmp_path, save):
    rng = np.random.default_rng(0)
    counts = np.zeros((2, 2, 3, 5), dtype=int)  # rank, pass, layer, physical
    for rank, i, layer in np.ndindex(2, 2, 3):
        for _ in range(rng.integers(1, 9)):
            for logical in rng.permutation(4)[:2]:
                counts[rank, i, layer, rng.choice(np.flatnonzero(np.array(MAPPING[layer]) == logical))] += 1
    for rank in range(2):
        records = [
            {
                "forward_pass_id": 7 + i,
                "rank": rank,
                "gatherer_key": "primary",
                "global_physical_count": tensor(counts[rank, i]),
            }
            for i in (1, 0)
        ]
        save(tmp_path / f"r_1.5_{rank}.pt", {"records": records, "last_physical_to_logical_map": tensor(MAPPING)})
    trace = open_trace(tmp_path, SHAPE)
    assert trace.format == "sglang_per_pass"
    found = np.concatenate([chunk.counts for chunk in trace.chunks()])
    wanted = np.zeros((2, 3, 4), dtype=int)
    for i, layer, physical in np.ndindex(2, 3, 5):
        wanted[i, layer, MAPPING[layer][physical]] += counts[:, i, layer, physical].sum()
    assert np.array_equal(found, wanted[:, 1:])


def per_token(ids, positions, lengths, mode, number):
    """A record: physical ids [tokens, layers, 2] padded to the recorder's eight slots."""
    padded = np.full((3, len(ids), 8), -1, dtype=np.int32)
    padded[:, :, :2] = np.asarray(ids).transpose(1, 0, 2)
    return {
        "forward_pass_id": number,
        "rank": 0,
        "input_ids": [0] * len(positions),
        "positions": positions,
        "extend_seq_lens": lengths,
        "forward_mode": mode,
        "topk_ids_of_layer": _Tensor(padded),
    }


def test_per_token_rebuilds_requests(tmp_path, save):
    rng = np.random.default_rng(0)
    physical = [rng.random((n, 3, 5)).argsort(axis=2)[:, :, :2] for n in (5, 2, 2, 1)]
    for ids in physical:  # two replicas of one logical expert never serve the same token
        for layer in range(3):
            copies = (ids[:, layer] == MAPPING[layer].index(MAPPING[layer][4])).any(1) & (ids[:, layer] == 4).any(1)
            ids[copies, layer] = [1, 2] if layer == 0 else [1, 3] if layer == 2 else [1, 2]
    physical[2][1] = -1  # padding of a captured graph
    records = [
        per_token(physical[0], [0, 1, 2, 0, 1], [3, 2], 1, 1),
        per_token(physical[1], [3, 2], None, 2, 2),
        per_token(physical[2], [4, 0], None, 2, 3),
        per_token(physical[3], [3], None, 2, 4),
    ]
    save(tmp_path / "d.pt", {"records": records, "last_physical_to_logical_map": tensor(MAPPING)})
    trace = open_trace(tmp_path / "d.pt", SHAPE)
    assert trace.format == "sglang_per_token"
    chunk = next(trace.chunks())
    assert chunk.request.tolist() == [0, 0, 0, 1, 1, 0, 1, 0, 1]
    assert chunk.token.tolist() == [0, 1, 2, 0, 1, 3, 2, 4, 3]
    assert chunk.phase.tolist() == [PREFILL] * 5 + [DECODE] * 4
    assert chunk.step.tolist() == [0] * 5 + [1, 1, 2, 2]
    rows = np.concatenate([physical[0], physical[1], physical[2][:1], physical[3]])
    wanted = np.array([[[MAPPING[layer][p] for p in row[layer]] for layer in (1, 2)] for row in rows])
    assert np.array_equal(chunk.experts, wanted)
    assert open_routing(tmp_path / "d.pt", SHAPE).topics == ("all",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"topk_ids_of_layer": np.zeros((3, 1, 8), dtype=np.int32)}, "8 experts a token, but small uses 2"),
        ({"topk_ids_of_layer": np.zeros((2, 1, 8), dtype=np.int32)}, r"must be \[3, tokens, slots\]"),
        ({"topk_ids_of_layer": np.full((3, 1, 2), 9, dtype=np.int32)}, "expert 9 is out of range 0..4"),
        ({"topk_ids_of_layer": np.zeros((3, 1, 2), dtype=np.int32)}, "occurs twice"),
        ({"extend_seq_lens": [4], "forward_mode": 1}, "extend_seq_lens sum to 4, but there are 1 tokens"),
        ({"positions": None}, "'positions' is missing"),
    ],
)
def test_bad_per_token_records(tmp_path, save, change, words):
    record = per_token(np.array([[[0, 1]] * 3]), [0], None, 2, 1)
    record |= {name: _Tensor(value) if isinstance(value, np.ndarray) else value for name, value in change.items()}
    if record["positions"] is None:
        del record["positions"]
    save(tmp_path / "d.pt", {"records": [record], "last_physical_to_logical_map": tensor(MAPPING)})
    with pytest.raises(TraceError, match=words) as caught:
        list(open_trace(tmp_path / "d.pt", SHAPE).chunks())
    assert "d.pt" in str(caught.value)


@pytest.mark.parametrize("position", [1 << 31, -1, 0.5, True, "0"])
def test_positions_are_whole_numbers_of_31_bits(tmp_path, save, position):
    record = per_token(np.array([[[0, 1]] * 3]), [position], None, 2, 1)
    save(tmp_path / "d.pt", {"records": [record], "last_physical_to_logical_map": tensor(MAPPING)})
    with pytest.raises(TraceError, match=r"d\.pt: record 0: position 0 is .*whole number of 0 or more"):
        list(open_trace(tmp_path / "d.pt", SHAPE).chunks())


def stat(tmp_path, save, rows, dtype="int32"):
    counts = np.zeros((2, 3, 4))
    counts[1, 1:] = rows
    save(tmp_path / "d.pt", {"rank": 0, "logical_count": tensor(counts, dtype)})
    return open_trace(tmp_path / "d.pt", SHAPE)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[2, 1, 1, 0], [2, 1, 0.5, 0.5]], "logical_count: 0.5 is no whole number"),
        ([[2, 1, 1, 0], [2, 1, float("nan"), 1]], "logical_count: nan is no whole number"),
        ([[2, 1, 1, 0], [2, 1, float("inf"), 1]], "logical_count: inf is no whole number"),
        ([[2, 1, 1, 0], [2, 1, 0, 0]], "layer 2: 3.* no multiple of top_k = 2"),
        ([[2, 1, 1, 0], [3, 1, 0, 0]], "layer 2: 4.* more than one for each token"),
    ],
)
def test_counts_that_no_tokens_can_make(tmp_path, save, rows, words):
    with pytest.raises(TraceError, match=rf"d\.pt: .*{words}"):
        list(stat(tmp_path, save, rows, "float32").chunks())


def test_whole_numbers_may_be_stored_as_floats(tmp_path, save):
    chunk = next(stat(tmp_path, save, [[2, 1, 1, 0], [1, 0, 0, 1]], "float32").chunks())
    assert chunk.counts.dtype == np.int64 and chunk.counts.sum() == 6


def test_a_pass_that_stands_twice_in_one_rank_is_refused(tmp_path, save):
    counts = np.zeros((3, 5), dtype=np.int32)
    counts[:, :2] = 1
    records = [{"forward_pass_id": 3, "rank": 0, "global_physical_count": tensor(counts)} for _ in range(2)]
    save(tmp_path / "d.pt", {"records": records, "last_physical_to_logical_map": tensor(MAPPING)})
    with pytest.raises(TraceError, match=r"d\.pt: records 0 and 1 have the same forward_pass_id 3"):
        list(open_trace(tmp_path / "d.pt", SHAPE).chunks())
    records[1] |= {"forward_pass_id": 3.5}
    save(tmp_path / "d.pt", {"records": records, "last_physical_to_logical_map": tensor(MAPPING)})
    with pytest.raises(TraceError, match="record 1: forward_pass_id 3.5 is no whole number"):
        list(open_trace(tmp_path / "d.pt", SHAPE).chunks())
