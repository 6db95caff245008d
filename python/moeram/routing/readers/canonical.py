"""Canonical traces: Parquet written by ``moeram routing convert`` or by anyone after the schema of docs/routing.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.canonical import METADATA_KEY, VERSION, load_pyarrow
from moeram.routing.chunks import CHUNK_SELECTIONS, NO_EXPERT, NO_STEP, PHASES, TokenChunk
from moeram.routing.readers.tables import check_lists, check_names, int_column, list_column, open_parquet
from moeram.routing.recording import RoutingTrace
from moeram.routing.shape import TraceShape

_COLUMNS = ("request", "token", "layer", "phase", "step", "topic", "experts", "weights")


def trace_canonical(path: Path, shape: TraceShape | None) -> RoutingTrace:
    """A canonical file; without ``shape`` the one that the file states is taken.

    Raises:
        TraceError: No canonical file, or one of another model.
    """
    with open_parquet(path) as file:
        missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise TraceError(f"{path}: column {missing[0]!r} is missing; a canonical trace has {', '.join(_COLUMNS)}")
        facts = _facts(path, file.schema_arrow.metadata or {})
    stated = TraceShape(
        name=facts["model"],
        layers=facts["layers"],
        moe_layers=tuple(facts["moe_layers"]),
        experts=facts["experts"],
        top_k=facts["top_k"],
    )
    if shape is None:
        shape = stated
    for name in ("layers", "moe_layers", "experts", "top_k"):
        if getattr(shape, name) != getattr(stated, name):
            raise TraceError(
                f"{path}: recorded of {stated.name} with {name} {getattr(stated, name)}, but {shape.name} has "
                f"{getattr(shape, name)}: is this the file of another model?"
            )
    layers = tuple(facts["covered_layers"])
    if not layers or not set(layers) <= set(shape.moe_layers) or list(layers) != sorted(set(layers)):
        raise TraceError(f"{path}: covered_layers {layers} must be ascending layers with experts of {shape.name}")
    return RoutingTrace(
        place=str(path),
        format="canonical",
        shape=shape,
        layers=layers,
        read=lambda: _read(path, shape, layers),
        notes=tuple(facts["notes"]),
    )


def _facts(path: Path, metadata: dict[bytes, bytes]) -> dict:
    if METADATA_KEY not in metadata:
        raise TraceError(f"{path}: the Parquet metadata lack {METADATA_KEY.decode()!r}; is this a canonical trace?")
    try:
        facts = json.loads(metadata[METADATA_KEY])
        if facts["version"] != VERSION:
            raise TraceError(f"{path}: canonical trace of version {facts['version']}, this moeram reads {VERSION}")
        for name, kind in {"model": str, "layers": int, "experts": int, "top_k": int}.items():
            assert type(facts[name]) is kind
        for name, kind in {"moe_layers": int, "covered_layers": int, "notes": str}.items():
            assert all(type(value) is kind for value in facts[name])
    except (ValueError, KeyError, TypeError, AssertionError):
        raise TraceError(f"{path}: the Parquet metadata {METADATA_KEY.decode()!r} are damaged") from None
    return facts


def _read(path: Path, shape: TraceShape, layers: tuple[int, ...]) -> Iterator[TokenChunk]:
    rows_wanted = max(CHUNK_SELECTIONS // shape.top_k, len(layers))
    topics: list[str] = []
    first_row, first_token = 0, 0
    left: dict[str, np.ndarray] = {}
    with open_parquet(path, read_dictionary=["phase", "topic"]) as file:
        check_lists(file, "experts", shape.top_k, path)
        check_lists(file, "weights", shape.top_k, path)
        check_names(file, "phase", path)
        check_names(file, "topic", path)
        for batch in file.iter_batches(rows_wanted, columns=list(_COLUMNS), use_threads=False):
            columns = _columns(batch, path, first_row, shape, topics)
            if left and len(left["request"]) and (left["weights"] is None) != (columns["weights"] is None):
                raise TraceError(
                    f"{path}: row {first_row}: weights begin or end in the middle of a trace; all or none are expected"
                )
            columns = {name: _joined(left.get(name), values) for name, values in columns.items()}
            cut = _last_token(columns)
            left = {name: None if values is None else values[cut:] for name, values in columns.items()}
            whole = {name: None if values is None else values[:cut] for name, values in columns.items()}
            if cut:
                chunk = _tokens(whole, path, shape, layers, tuple(topics), first_token)
                first_token += len(chunk)
                yield chunk
            first_row += batch.num_rows
    if left and len(left["request"]):
        yield _tokens(left, path, shape, layers, tuple(topics), first_token)


def _joined(left: np.ndarray | None, values: np.ndarray | None) -> np.ndarray | None:
    if values is None or left is None or not len(left):
        return values
    return np.concatenate([left, values])


def _columns(batch, path: Path, first_row: int, shape: TraceShape, topics: list[str]) -> dict[str, np.ndarray | None]:
    place = f"{path}: row"
    columns = {
        name: int_column(batch.column(name), np.int32, f"{path}: column {name!r}", first_row)
        for name in ("request", "token", "layer")
    }
    columns["step"] = _steps(batch.column("step"), f"{path}: column 'step'", first_row)
    for name, names in (("phase", list(PHASES)), ("topic", topics)):
        columns[name] = _codes(batch.column(name), names, name == "topic", f"{path}: column {name!r}")
    columns["experts"] = list_column(batch.column("experts"), shape.top_k, np.int16, place, first_row)
    weights = batch.column("weights")
    has_weights = weights.null_count < len(weights)
    columns["weights"] = list_column(weights, shape.top_k, np.float32, place, first_row) if has_weights else None
    return columns


def _steps(column, place: str, first_row: int) -> np.ndarray:
    pa, _ = load_pyarrow()
    if pa.types.is_null(column.type):
        return np.full(len(column), NO_STEP, dtype=np.int32)
    known = column.is_valid().to_numpy(zero_copy_only=False)
    steps = int_column(column.fill_null(0) if pa.types.is_integer(column.type) else column, np.int32, place, first_row)
    if (steps < 0).any():
        row = int((steps < 0).argmax())
        raise TraceError(f"{place}, row {first_row + row}: {steps[row]} is below 0; an unknown step has no value")
    return np.where(known, steps, np.int32(NO_STEP))


def _codes(column, names: list[str], open_end: bool, place: str) -> np.ndarray:
    """Index of each value in ``names``, which grows by new ones if ``open_end``."""
    pa, _ = load_pyarrow()
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    if column.null_count or not pa.types.is_string(column.type.value_type):
        raise TraceError(f"{place}: a name is missing or no text")
    values = column.dictionary.to_pylist()
    for value in values:
        if value not in names:
            if not open_end:
                raise TraceError(f"{place}: {value!r} is unknown; allowed: {', '.join(names)}")
            names.append(value)
    table = np.array([names.index(value) for value in values] or [0], dtype=np.int16)
    return table[column.indices.to_numpy(zero_copy_only=False)]


def _last_token(columns: dict[str, np.ndarray | None]) -> int:
    """First row of the last token, which may go on in the next batch."""
    request, token = columns["request"], columns["token"]
    same = (request == request[-1]) & (token == token[-1])
    return len(same) - int(np.argmin(same[::-1])) if not same.all() else 0


def _tokens(
    columns: dict[str, np.ndarray | None],
    path: Path,
    shape: TraceShape,
    layers: tuple[int, ...],
    topics: tuple[str, ...],
    first_token: int,
) -> TokenChunk:
    request, token, layer = columns["request"], columns["token"], columns["layer"]
    new = np.ones(len(request), dtype=bool)
    new[1:] = (request[1:] != request[:-1]) | (token[1:] != token[:-1])
    start = np.flatnonzero(new)
    covered = len(layers)
    dense = len(start) * covered == len(request) and bool(
        (layer.reshape(-1, covered) == np.asarray(layers, dtype=layer.dtype)).all()
        and (np.diff(start) == covered).all()
    )
    if dense:
        experts = columns["experts"].reshape(-1, covered, shape.top_k)
        weights = None if columns["weights"] is None else columns["weights"].reshape(experts.shape)
    else:
        experts, weights = _scatter(columns, new, layers, f"{path}: token {first_token}")
    firsts = {name: columns[name][start] for name in ("request", "token", "phase", "step", "topic")}
    firsts["phase"] = firsts["phase"].astype(np.int8, copy=False)
    return TokenChunk(**firsts, experts=experts, weights=weights, topics=topics, place=str(path), first_row=first_token)


def _scatter(
    columns: dict, new: np.ndarray, layers: tuple[int, ...], place: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows of tokens that lack layers or name them in another order."""
    index = np.searchsorted(layers, columns["layer"])
    index = np.minimum(index, len(layers) - 1)
    foreign = np.asarray(layers)[index] != columns["layer"]
    if foreign.any():
        row = int(foreign.argmax())
        raise TraceError(f"{place} and following: layer {columns['layer'][row]} is not among the covered layers")
    owner = np.cumsum(new) - 1
    cell = owner * len(layers) + index
    if len(np.unique(cell)) < len(cell):
        ordered = np.sort(cell)
        twice = int(ordered[:-1][ordered[1:] == ordered[:-1]][0])
        raise TraceError(f"{place} + {twice // len(layers)}: layer {layers[twice % len(layers)]} stands there twice")
    shape = (int(owner[-1]) + 1, len(layers), columns["experts"].shape[1])
    experts = np.full(shape, NO_EXPERT, dtype=np.int16)
    experts.reshape(-1, shape[2])[cell] = columns["experts"]
    weights = None
    if columns["weights"] is not None:
        weights = np.zeros(shape, dtype=np.float32)
        weights.reshape(-1, shape[2])[cell] = columns["weights"]
    return experts, weights
