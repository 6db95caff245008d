"""Counts: a NumPy archive with ``domains`` [D], ``layers`` [M], ``top_k`` and ``counts`` [D, M, experts]."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.model import MoEModel
from moeram.routing.chunks import UNKNOWN, CountChunk
from moeram.routing.counts import CountsRouting, CountTable
from moeram.routing.readers.limits import check_size
from moeram.routing.recording import CountTrace
from moeram.routing.shape import TraceShape

_MEMBERS = ("domains", "layers", "top_k", "counts")
_MOST_SELECTIONS = 10**9  # numpy splits no larger counts
# What zipfile, zlib and numpy raise when a header or a member is not what it should be.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    TypeError,
    RuntimeError,
    KeyError,
    OSError,
    MemoryError,
)


def read_counts(path: Path, model: MoEModel, seed: int = 0) -> CountsRouting:
    """Read counts of selections; ``seed`` decides the split and the permutations of unmeasured layers.

    Raises:
        TraceError: The archive is missing, damaged, incomplete or does not fit ``model``.
    """
    return CountsRouting(read_count_table(path, model), model, seed=seed)


def counts_npz(path: Path, shape: TraceShape) -> CountTrace:
    """The same counts as a recording, one entry per domain.

    Raises:
        TraceError: As in ``read_counts``.
    """
    table = read_count_table(path, shape)
    size = len(table.topics)

    def read() -> Iterator[CountChunk]:
        yield CountChunk(
            counts=table.counts,
            topic=np.arange(size, dtype=np.int16),
            topics=table.topics,
            phase=np.full(size, UNKNOWN, dtype=np.int8),
            passes=False,
            place=str(path),
        )

    return CountTrace(place=str(path), format="counts", shape=shape, layers=table.layers, read=read)


def read_count_table(path: Path, model: MoEModel | TraceShape) -> CountTable:
    """The counts as stored, checked against ``model``; other members of the archive are not read.

    Raises:
        TraceError: As in ``read_counts``.
    """
    arrays = _load(path)
    domains, layers, top_k, counts = (arrays[member] for member in _MEMBERS)
    if domains.dtype.kind != "U" or domains.ndim != 1 or len(set(domains.tolist())) != domains.size:
        raise TraceError(f"{path}: domains must be a list of distinct names")
    for name, array in (("layers", layers), ("top_k", top_k), ("counts", counts)):
        if array.dtype.kind not in "iu":
            raise TraceError(f"{path}: {name} must hold integers, got {array.dtype}")
    if layers.ndim != 1 or top_k.size != 1 or counts.ndim != 3 or counts.shape[:2] != (domains.size, layers.size):
        raise TraceError(
            f"{path}: counts has shape {counts.shape}; with {domains.size} domains and {layers.size} layers "
            "it must be [domains, layers, experts]"
        )
    table = CountTable(
        place=str(path),
        topics=tuple(domains.tolist()),
        layers=tuple(layers.tolist()),
        counts=counts.astype(np.int64),
    )
    _check_model(table, int(top_k.ravel()[0]), model)
    _check_counts(table, model)
    return table


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream, np.lib.npyio.NpzFile(stream, allow_pickle=False) as archive:
            missing = [member for member in _MEMBERS if member not in archive.files]
            if missing:
                raise TraceError(
                    f"{path}: array {missing[0]!r} is missing; counts need {', '.join(_MEMBERS)}, "
                    f"the archive holds {', '.join(archive.files) or 'nothing'}"
                )
            for member in _MEMBERS:
                check_size(archive.zip.getinfo(f"{member}.npy").file_size, f"{path}: array {member!r}")
            return {member: archive[member] for member in _MEMBERS}
    except FileNotFoundError:
        raise TraceError(f"{path}: no such file") from None
    except _DAMAGE as error:
        raise TraceError(f"{path}: not a readable .npz archive of plain arrays ({error})") from None


def _check_model(table: CountTable, top_k: int, model: MoEModel) -> None:
    experts = table.counts.shape[2]
    if (experts, top_k) != (model.experts, model.top_k):
        raise TraceError(
            f"{table.place}: counts of {experts} experts, {top_k} a token; {model.name} has {model.experts} experts, "
            f"{model.top_k} a token: is this the file of another model?"
        )
    if not table.layers or list(table.layers) != sorted(set(table.layers)):
        raise TraceError(f"{table.place}: layers {table.layers} must be ascending and distinct, at least one")
    foreign = [layer for layer in table.layers if layer not in model.moe_layers]
    if foreign:
        raise TraceError(f"{table.place}: layer {foreign[0]} is no layer with experts of {model.name}")


def _check_counts(table: CountTable, model: MoEModel) -> None:
    if not table.topics:
        raise TraceError(f"{table.place}: no domain")
    for topic, layer in np.ndindex(table.counts.shape[:2]):
        row = table.counts[topic, layer]
        place = f"{table.place}: domain {table.topics[topic]}, layer {table.layers[layer]}"
        if row.min() < 0:
            raise TraceError(f"{place}: expert {int(row.argmin())} has a negative count ({row.min()})")
        if row.astype(np.float64).sum() >= _MOST_SELECTIONS:
            raise TraceError(f"{place}: {_MOST_SELECTIONS} or more selections; divide the counts by a common factor")
        if row.sum() < 2 * model.top_k:
            raise TraceError(f"{place}: {row.sum()} selections; at least two tokens ({2 * model.top_k}) are needed")
        if row.max() * model.top_k > row.sum():
            raise TraceError(
                f"{place}: expert {int(row.argmax())} was selected {row.max()} times by "
                f"{row.sum() / model.top_k:g} tokens of {model.top_k} experts; a token selects an expert at most once"
            )
