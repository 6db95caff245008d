"""DynaNDE routing traces: CSV ``layer_id,token_id,expert_0,...``, a token's gate of each expert or 0.

The published files hold one layer each, with 0 in the column and the true layer in the name (``..._layer12_...``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.canonical import load_pyarrow
from moeram.routing.chunks import CHUNK_SELECTIONS, TokenChunk, token_chunk
from moeram.routing.readers.by_layer import LAYER_IN_NAME, LayerStream, Rows, side_by_side
from moeram.routing.readers.files import read_head
from moeram.routing.readers.tables import int_column, open_csv
from moeram.routing.recording import RoutingTrace, all_or_one
from moeram.routing.shape import TraceShape

HEADER = "layer_id,token_id,expert_0"


def trace_dynande(path: Path, shape: TraceShape) -> RoutingTrace:
    """One file (of one layer or of several, each layer's rows together), or a folder with a file per layer.

    Files of a folder that differ in more than the layer (another position or batch) are requests of their own. A file with
    several layers is gathered in memory, at about a twelfth of its size. The token ids of a layer count up by one, and all
    layers have the same; either one layer alone or all layers of the model must be there.

    Raises:
        TraceError: A row has another number of gates than ``top_k``, a gate is no number, token ids have gaps or come
            twice, or layers do not match.
    """
    groups = _groups(path)
    layers = _covered(groups, shape)

    def read() -> Iterator[TokenChunk]:
        for number, files in enumerate(groups.values()):
            position = 0
            for ids, weights in _tokens(files, shape):
                yield token_chunk(
                    ids,
                    request=number,
                    token=position + np.arange(len(ids)),
                    weights=weights,
                    place=str(files[0].parent if len(files) > 1 else files[0]),
                    first_row=position,
                )
                position += len(ids)

    return RoutingTrace(place=str(path), format="dynande", shape=shape, layers=layers, read=read)


def is_dynande(path: Path) -> bool:
    """Whether the header of a CSV file is that of a DynaNDE trace."""
    return read_head(path, 64).decode(errors="replace").startswith(HEADER)


def _groups(path: Path) -> dict[str, list[Path]]:
    if not path.is_dir():
        return {str(path): [path]}
    groups: dict[str, list[Path]] = {}
    for file in sorted([*path.rglob("*.csv"), *path.rglob("*.csv.gz")]):
        if is_dynande(file):
            groups.setdefault(LAYER_IN_NAME.sub("layer", str(file.relative_to(path))), []).append(file)
    if not groups:
        raise TraceError(f"{path}: no CSV file that starts with {HEADER!r} in this folder")
    return groups


def _covered(groups: dict[str, list[Path]], shape: TraceShape) -> tuple[int, ...]:
    found = None
    for files in groups.values():
        layers = sorted(_layer_ids(files, shape))
        if found is not None and layers != found:
            raise TraceError(f"{files[0]} and its fellows hold layers {layers}, other files {found}")
        found = layers
    foreign = [layer for layer in found if layer not in shape.moe_layers]
    if foreign:
        raise TraceError(
            f"{next(iter(groups.values()))[0]}: layer {foreign[0]} is no layer with experts of {shape.name}"
        )
    return all_or_one(found, shape, str(next(iter(groups.values()))[0]))


def _layer_ids(files: list[Path], shape: TraceShape) -> set[int]:
    stated = {file: _stated(file) for file in files}
    if len(files) > 1:
        unclear = [file for file, layer in stated.items() if layer is None]
        if unclear:
            raise TraceError(f"{unclear[0]}: the name of a file of one layer must state it, as in ..._layer12_...")
        return set(stated.values())
    inside: set[int] = set()
    for layer, *_ in _rows(files[0], shape):
        inside |= set(np.unique(layer).tolist())
    return {stated[files[0]]} if inside == {0} and stated[files[0]] is not None else inside


def _stated(file: Path) -> int | None:
    found = LAYER_IN_NAME.findall(file.name)
    return int(found[-1]) if found else None


def _tokens(files: list[Path], shape: TraceShape) -> Iterator[Rows]:
    rows = max(CHUNK_SELECTIONS // (max(len(files), 1) * shape.top_k), 1)
    if len(files) > 1:
        starts: dict[int, str] = {}
        streams = [
            LayerStream(_stated(file), str(file), _of_one_layer(file, shape, starts, len(files))) for file in files
        ]
        yield from side_by_side(sorted(streams, key=lambda stream: stream.layer), rows)
        return
    parts: dict[int, list[Rows]] = {}
    numbering: dict[int, _Numbering] = {}
    starts = {}
    for layer, token, ids, weights, first in _rows(files[0], shape):
        for one in np.unique(layer).tolist():
            mine = np.flatnonzero(layer == one)
            numbering.setdefault(one, _Numbering(f"layer {one}", starts)).check(token[mine], files[0], first + mine)
            parts.setdefault(one, []).append((ids[mine], weights[mine]))
    streams = [LayerStream(layer, str(files[0]), iter(parts[layer])) for layer in sorted(parts)]
    yield from side_by_side(streams, rows)


def _of_one_layer(file: Path, shape: TraceShape, starts: dict[int, str], files: int) -> Iterator[Rows]:
    numbering = _Numbering(str(file), starts)
    for _, token, ids, weights, first in _rows(file, shape, files):
        numbering.check(token, file, first + np.arange(len(token)))
        yield ids, weights


class _Numbering:
    """Token ids of one layer: they count up by one from a first id that is the same in all layers (``starts``)."""

    def __init__(self, what: str, starts: dict[int, str]) -> None:
        self.what, self.starts = what, starts
        self.next: int | None = None

    def check(self, token: np.ndarray, file: Path, rows: np.ndarray) -> None:
        """Raise if the next ids, at ``rows`` of ``file``, do not go on."""
        if not len(token):
            return
        if self.next is None:
            self.next = int(token[0])
            if self.next < 0:
                raise TraceError(f"{file}: row {rows[0]}: token_id {self.next} is below 0")
            self.starts.setdefault(self.next, self.what)
            if len(self.starts) > 1:
                start, other = next(iter(self.starts.items()))
                raise TraceError(
                    f"{file}: row {rows[0]}: token_id {self.next}, but {other} starts with {start}; all layers must hold the "
                    "same tokens"
                )
        wanted = self.next + np.arange(len(token))
        if (token != wanted).any():
            i = int((token != wanted).argmax())
            raise TraceError(
                f"{file}: row {rows[i]}: token_id {token[i]}, but {wanted[i]} comes next; the token ids of a layer count up by one"
            )
        self.next += len(token)


def _rows(
    file: Path, shape: TraceShape, files: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]]:
    """Layer, token id, expert ids and gates of batches of rows, and the number of the first of them, counted from 1."""
    pa, _ = load_pyarrow()
    names = ["layer_id", "token_id", *(f"expert_{expert}" for expert in range(shape.experts))]
    types = dict.fromkeys(names[2:], pa.float32()) | {"layer_id": pa.int32(), "token_id": pa.int64()}
    first = 1
    with open_csv(file, types, files) as batches:
        for batch in batches:
            if batch.schema.names != names:
                raise TraceError(
                    f"{file}: {len(batch.schema.names) - 2} experts in the header, but {shape.name} has {shape.experts}: is "
                    "this the file of another model?"
                )
            layer = int_column(batch.column(0), np.int32, f"{file}: layer_id", first)
            gates = np.stack([column.to_numpy() for column in batch.columns[2:]]).T  # column_stack is many times slower
            token = int_column(batch.column(1), np.int64, f"{file}: token_id", first)
            yield layer, token, *_selected(gates, shape, file, first), first
            first += batch.num_rows


def _selected(gates: np.ndarray, shape: TraceShape, file: Path, first: int) -> Rows:
    wrong = ~(gates >= 0) | np.isinf(gates)
    if wrong.any():
        row, expert = np.argwhere(wrong)[0]
        raise TraceError(
            f"{file}: row {first + row}: gate {gates[row, expert]} of expert {expert} is no number of 0 or more"
        )
    rows, experts = np.nonzero(gates)
    counts = np.bincount(rows, minlength=len(gates))
    if (counts != shape.top_k).any():
        row = int((counts != shape.top_k).argmax())
        raise TraceError(
            f"{file}: row {first + row}: {counts[row]} gates above 0, but {shape.name} uses {shape.top_k} a token"
        )
    return experts.astype(np.int16).reshape(-1, shape.top_k), gates[rows, experts].reshape(-1, shape.top_k)
