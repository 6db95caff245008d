"""FLAME-MoE activations: Parquet with ``scores`` and ``indices``, a row per token, a file (or folder) per layer.

``indices`` lists the ``top_k`` experts of the token; ``scores`` their gates, or the gates of all experts. The layer is a
column ``layer``, the name of the folder (``.../12/0-0.parquet``) or part of the file name (``...layer12...``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.chunks import CHUNK_SELECTIONS, TokenChunk, token_chunk
from moeram.routing.readers.by_layer import LAYER_IN_NAME, LayerStream, Rows, side_by_side
from moeram.routing.readers.tables import check_lists, list_column, open_parquet
from moeram.routing.recording import RoutingTrace, all_or_one
from moeram.routing.shape import TraceShape

_BATCH_ROWS = 1 << 14


def trace_flame_moe(path: Path, shape: TraceShape) -> RoutingTrace:
    """One file of one layer, or a folder with all files of all layers; shards of a layer follow each other by name.

    Raises:
        TraceError: A file is damaged, its layer is unclear or foreign, some layers are missing, or it does not fit ``shape``.
    """
    files: dict[int, list[Path]] = {}
    for file in sorted(path.rglob("*.parquet")) if path.is_dir() else [path]:
        files.setdefault(_layer(file), []).append(file)
    if not files:
        raise TraceError(f"{path}: no .parquet file in this folder")
    foreign = sorted(set(files) - set(shape.moe_layers))
    if foreign:
        raise TraceError(f"{files[foreign[0]][0]}: layer {foreign[0]} is no layer with experts of {shape.name}")
    layers = all_or_one(sorted(files), shape, str(path))

    def read() -> Iterator[TokenChunk]:
        streams = [LayerStream(layer, str(files[layer][0]), _rows(files[layer], shape)) for layer in layers]
        position = 0
        for ids, weights in side_by_side(streams, max(CHUNK_SELECTIONS // (len(layers) * shape.top_k), 1)):
            order = position + np.arange(len(ids))
            yield token_chunk(ids, token=order, weights=weights, place=str(path), first_row=position)
            position += len(ids)

    note = "the files name no requests: all tokens are taken as one request"
    return RoutingTrace(place=str(path), format="flame_moe", shape=shape, layers=layers, read=read, notes=(note,))


def _layer(file: Path) -> int:
    named = LAYER_IN_NAME.findall(file.name) or [part for part in file.parts[:-1] if part.isdecimal()][-1:]
    if not named:
        named = LAYER_IN_NAME.findall(file.parent.name)
    if not named:
        raise TraceError(f"{file}: which layer? Its folder must be a number or its name must hold layerN")
    return int(named[-1])


def _rows(files: list[Path], shape: TraceShape) -> Iterator[Rows]:
    for file in files:
        with open_parquet(file) as parquet:
            missing = {"scores", "indices"} - set(parquet.schema_arrow.names)
            if missing:
                raise TraceError(f"{file}: column {min(missing)!r} is missing; scores and indices are needed")
            check_lists(parquet, "indices", shape.top_k, file)
            check_lists(parquet, "scores", shape.experts, file)
            first = 0
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=["scores", "indices"], use_threads=False):
                ids = list_column(batch.column("indices"), shape.top_k, np.int16, f"{file}: indices, row", first)
                yield ids, _scores(batch.column("scores"), ids, shape, file, first)
                first += batch.num_rows


def _scores(column, ids: np.ndarray, shape: TraceShape, file: Path, first: int) -> np.ndarray:
    place = f"{file}: scores, row"
    widths = column.value_lengths().to_numpy(zero_copy_only=False) if hasattr(column, "value_lengths") else [0]
    width = shape.experts if len(widths) and widths[0] == shape.experts else shape.top_k
    scores = list_column(column, width, np.float32, place, first)
    if width == shape.top_k:
        return scores
    if len(ids) and (ids.min() < 0 or ids.max() >= shape.experts):
        row = int(((ids < 0) | (ids >= shape.experts)).any(axis=1).argmax())
        raise TraceError(
            f"{file}: indices, row {first + row}: {ids[row].tolist()} is out of range 0..{shape.experts - 1}"
        )
    return np.take_along_axis(scores, ids.astype(np.int64), axis=1)
