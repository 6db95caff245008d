"""Dumps of SGLang's expert-distribution recorder (``.pt``): modes stat, per_pass and per_token.

Physical expert ids are turned into logical ones by the map in the file. Layers count dense ones too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.chunks import (
    DECODE,
    MOST_COUNT,
    NO_EXPERT,
    PREFILL,
    UNKNOWN,
    CountChunk,
    TokenChunk,
    token_chunk,
)
from moeram.routing.readers.torch_file import LazyTensor, TorchFile, open_torch
from moeram.routing.recording import CountTrace, RoutingTrace, covered_layers
from moeram.routing.shape import TraceShape

_EXTEND, _DECODE = 1, 2
_MAP = "last_physical_to_logical_map"


def dump_mode(path: Path) -> str | None:
    """``stat``, ``per_pass`` or ``per_token``, by the keys of the dump; None if it is none."""
    with open_torch(path) as file:
        data = file.data
        if isinstance(data, dict) and "logical_count" in data:
            return "stat"
        if not isinstance(data, dict) or not isinstance(data.get("records"), list) or _MAP not in data:
            return None
        records = data["records"]
        return "per_token" if records and "topk_ids_of_layer" in _record(records[0], path, 0) else "per_pass"


def counts_stat(path: Path, shape: TraceShape) -> CountTrace:
    """A dump of mode ``stat`` or ``stat_approx``: ``logical_count`` int [passes, layers, experts]; empty rows are unused.

    Raises:
        TraceError: The dump is damaged or of another model.
    """
    with open_torch(path) as file:
        counts = file.array(_entry(file.data, "logical_count", path), "logical_count")
    if counts.ndim == 2:
        counts = counts[None]
    if counts.ndim != 3:
        raise TraceError(f"{path}: logical_count has shape {counts.shape}; it must be [passes, layers, experts]")
    layers, rows = covered_layers(counts.shape[1], shape, f"{path}: logical_count")
    counts = _whole(counts, f"{path}: logical_count")[:, rows]
    used = counts.any(axis=(1, 2))

    def read() -> Iterator[CountChunk]:
        yield _count_chunk(counts[used], path)

    note = "the recorder's buffer is a ring: its passes are in no order; unused rows are left out"
    return CountTrace(place=str(path), format="sglang_stat", shape=shape, layers=layers, read=read, notes=(note,))


def _whole(counts: np.ndarray, place: str) -> np.ndarray:
    """Counts as int64; a tensor of floats must hold whole numbers."""
    if counts.dtype.kind == "f":
        wrong = ~(np.abs(counts) <= MOST_COUNT) | (counts != np.rint(counts))
        if wrong.any():
            raise TraceError(f"{place}: {counts[wrong][0]} is no whole number of selections")
    elif counts.dtype.kind not in "iu":
        raise TraceError(f"{place} holds {counts.dtype}, whole numbers are needed")
    return counts.astype(np.int64)


def _count_chunk(counts: np.ndarray, path: Path, first_row: int = 0, phase: int = UNKNOWN) -> CountChunk:
    size = len(counts)
    return CountChunk(
        counts=counts,
        topic=np.zeros(size, dtype=np.int16),
        topics=("all",),
        phase=np.full(size, phase, dtype=np.int8),
        passes=True,
        place=str(path),
        first_row=first_row,
    )


def counts_per_pass(path: Path, shape: TraceShape) -> CountTrace:
    """Dumps of mode ``per_pass``: one file, or a folder with a file per rank whose passes are summed by their id.

    Raises:
        TraceError: A dump is damaged or of another model.
    """
    files = dump_files(path)
    with open_torch(files[0]) as file:
        mapping = _logical(file, files[0], shape)
    layers, _ = covered_layers(len(mapping), shape, f"{files[0]}: {_MAP}")

    def read() -> Iterator[CountChunk]:
        with ExitStack() as stack:
            dumps = [stack.enter_context(open_torch(file)) for file in files]
            passes: dict[int, list[tuple[TorchFile, Path, dict, np.ndarray]]] = {}
            for dump, file in zip(dumps, files, strict=True):
                mapping = _logical(dump, file, shape)
                for number, record in _numbered(dump, file):
                    passes.setdefault(number, []).append((dump, file, record, mapping))
            for row, number in enumerate(sorted(passes)):
                total = sum(_pass_counts(*parts, shape) for parts in passes[number])
                yield _count_chunk(total[None], path, row)

    note = f"counts of {len(files)} rank file(s), summed per forward pass"
    return CountTrace(place=str(path), format="sglang_per_pass", shape=shape, layers=layers, read=read, notes=(note,))


def _numbered(dump: TorchFile, file: Path) -> Iterator[tuple[int, dict]]:
    """Records of one rank by the id of their pass."""
    seen: dict[int, int] = {}
    for i, record in enumerate(_entry(dump.data, "records", file)):
        record = _record(record, file, i)
        number = _entry(record, "forward_pass_id", f"{file}: record {i}")
        if type(number) is not int:
            raise TraceError(f"{file}: record {i}: forward_pass_id {number!r} is no whole number")
        if number in seen:
            raise TraceError(f"{file}: records {seen[number]} and {i} have the same forward_pass_id {number}")
        seen[number] = i
        yield number, record


def _pass_counts(dump: TorchFile, file: Path, record: dict, mapping: np.ndarray, shape: TraceShape) -> np.ndarray:
    name = "global_physical_count"
    counts = dump.array(_entry(record, name, file), name)
    if counts.shape != mapping.shape:
        raise TraceError(f"{file}: {name} has shape {counts.shape}, the map of physical experts {mapping.shape}")
    counts = _whole(counts, f"{file}: {name}")
    logical = np.zeros((len(counts), shape.experts), dtype=np.int64)
    np.add.at(logical, (np.arange(len(counts))[:, None], mapping), counts)
    _, rows = covered_layers(len(counts), shape, str(file))
    return logical[rows]


def trace_per_token(path: Path, shape: TraceShape) -> RoutingTrace:
    """Dumps of mode ``per_token``, one file or a folder of rank files (data parallel: each rank its own tokens).

    Requests are rebuilt: an extend pass lists the length of each prompt piece, a decode token goes on with the oldest
    request that waits for its position.

    Raises:
        TraceError: A dump is damaged or of another model.
    """
    files = dump_files(path)
    with open_torch(files[0]) as file:
        layers, _ = covered_layers(len(_logical(file, files[0], shape)), shape, f"{files[0]}: {_MAP}")
    note = "the recorder keeps no request ids: requests are rebuilt from prompt lengths and positions"

    def read() -> Iterator[TokenChunk]:
        requests = _Requests()
        for file in files:
            requests.forget()
            with open_torch(file) as dump:
                mapping = _logical(dump, file, shape)
                row = 0
                for i, record in enumerate(_entry(dump.data, "records", file)):
                    chunk = _pass_tokens(
                        dump, _record(record, file, i), mapping, shape, requests, f"{file}: record {i}"
                    )
                    if len(chunk):
                        yield chunk
                    row += len(chunk)

    return RoutingTrace(
        place=str(path), format="sglang_per_token", shape=shape, layers=layers, read=read, notes=(note,)
    )


def _pass_tokens(
    dump: TorchFile, record: dict, mapping: np.ndarray, shape: TraceShape, requests: _Requests, place: str
) -> TokenChunk:
    name = "topk_ids_of_layer"
    physical = dump.array(_entry(record, name, place), f"{place}: {name}")
    if physical.ndim != 3 or len(physical) != len(mapping):
        raise TraceError(f"{place}: {name} has shape {physical.shape}; it must be [{len(mapping)}, tokens, slots]")
    if physical.shape[2] < shape.top_k or (physical[:, :, shape.top_k :] != NO_EXPERT).any():
        used = int((physical != NO_EXPERT).sum(axis=2).max(initial=0))
        raise TraceError(f"{place}: {name} has {used} experts a token, but {shape.name} uses {shape.top_k}")
    _, rows = covered_layers(len(mapping), shape, place)
    physical, mapping = physical[rows][:, :, : shape.top_k], mapping[rows]
    if physical.size and (physical.min() < NO_EXPERT or physical.max() >= mapping.shape[1]):
        raise TraceError(f"{place}: {name}: expert {physical.max()} is out of range 0..{mapping.shape[1] - 1}")
    logical = mapping[np.arange(len(mapping))[:, None, None], np.maximum(physical, 0)]
    experts = np.where(physical == NO_EXPERT, NO_EXPERT, logical).astype(np.int16).transpose(1, 0, 2)
    positions = _positions(_entry(record, "positions", place), place)
    if len(positions) < len(experts) and (experts[len(positions) :] != NO_EXPERT).any():
        raise TraceError(f"{place}: {len(experts)} tokens, but {len(positions)} positions")
    experts, positions = experts[: len(positions)], positions[: len(experts)]
    request, step, phase = requests.assign(record, positions, place)
    known = (experts != NO_EXPERT).any(axis=(1, 2))  # padding of a captured graph has no experts anywhere
    return token_chunk(
        np.ascontiguousarray(experts[known]),
        request=request[known],
        token=positions[known],
        step=step[known],
        phase=phase,
        place=place,
    )


def _positions(values: object, place: str) -> np.ndarray:
    if not isinstance(values, list | tuple):
        raise TraceError(f"{place}: positions are no list")
    for i, value in enumerate(values):
        if type(value) is not int or not 0 <= value < 1 << 31:
            raise TraceError(f"{place}: position {i} is {value!r}, a whole number of 0 or more is needed (below 2^31)")
    return np.array(values, dtype=np.int64)


class _Requests:
    """Which request a token belongs to, from what the recorder does keep."""

    def __init__(self) -> None:
        self.count = 0
        self.forget()

    def forget(self) -> None:
        """Start another rank: its tokens continue no request met so far."""
        self.waiting: dict[int, list[tuple[int, int]]] = {}  # next position -> (request, decode steps so far)

    def assign(self, record: dict, positions: np.ndarray, place: str) -> tuple[np.ndarray, np.ndarray, int]:
        """Request and step of each token of one pass, and the phase of the pass."""
        lengths = record.get("extend_seq_lens")
        if record.get("forward_mode") == _DECODE or lengths is None:
            pieces, phase = [1] * len(positions), DECODE
        else:
            pieces, phase = list(lengths), PREFILL
        if sum(pieces) > len(positions) or any(type(piece) is not int or piece < 0 for piece in pieces):
            raise TraceError(f"{place}: extend_seq_lens sum to {sum(pieces)}, but there are {len(positions)} tokens")
        request = np.empty(len(positions), dtype=np.int32)
        step = np.zeros(len(positions), dtype=np.int32)
        begin, follow = 0, {}
        for piece in [*pieces, *([1] * (len(positions) - sum(pieces)))]:
            if piece:
                number, steps = self._take(int(positions[begin]))
                steps += phase == DECODE
                request[begin : begin + piece], step[begin : begin + piece] = number, steps
                follow.setdefault(int(positions[begin + piece - 1]) + 1, []).append((number, steps))
                begin += piece
        for position, entries in follow.items():
            self.waiting.setdefault(position, []).extend(entries)
        return request, step, phase

    def _take(self, position: int) -> tuple[int, int]:
        entries = self.waiting.get(position) if position else None
        if entries:
            found = entries.pop(0)
            if not entries:
                del self.waiting[position]
            return found
        self.count += 1
        return self.count - 1, 0


def dump_files(path: Path) -> list[Path]:
    """``path``, or the ``.pt`` files of a folder in the order of their ranks.

    Raises:
        TraceError: The folder has none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(
        path.glob("*.pt"), key=lambda file: (int((re.findall(r"_(\d+)\.pt$", file.name) or [0])[0]), file.name)
    )
    if not files:
        raise TraceError(f"{path}: no .pt file in this folder")
    return files


def _logical(file: TorchFile, path: Path, shape: TraceShape) -> np.ndarray:
    mapping = _entry(file.data, _MAP, path)
    plain = isinstance(mapping, list) and all(
        isinstance(row, list) and all(type(expert) is int for expert in row) for row in mapping
    )
    if not plain and not isinstance(mapping, LazyTensor):
        raise TraceError(f"{path}: {_MAP} is neither a tensor nor lists of whole numbers")
    array = np.array(mapping) if plain else file.array(mapping, _MAP)
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise TraceError(f"{path}: {_MAP} must be whole numbers [layers, physical experts]")
    if array.size and (array.min() < 0 or array.max() >= shape.experts):
        raise TraceError(f"{path}: {_MAP} names expert {array.max()}; {shape.name} has experts 0..{shape.experts - 1}")
    return array.astype(np.int64)


def _entry(table: object, key: str, place: object) -> object:
    if not isinstance(table, dict) or key not in table:
        raise TraceError(f"{place}: {key!r} is missing; is this a dump of SGLang's expert-distribution recorder?")
    return table[key]


def _record(record: object, path: Path, index: int) -> dict:
    if not isinstance(record, dict):
        raise TraceError(f"{path}: record {index} is no dict")
    return record
