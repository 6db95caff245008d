"""Reading tables of measured times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import TraceError, did_you_mean
from moeram.hardware.measured.tables import OPERATIONS, MeasuredTables

_UNNAMED = "unnamed"


def read_tables(paths: Iterable[str | Path]) -> MeasuredTables:
    """Read tables (.csv or .parquet) of one device.

    Raises:
        TraceError: unreadable, not one of the layouts, times that are not positive, or files of several devices.
    """
    tables: dict[str, dict[tuple[Any, ...], NDArray[np.float64]]] = {}
    devices: dict[str, Path] = {}
    for path in map(Path, paths):
        columns = _read(path)
        for device in np.unique(columns.get("device", np.array([_UNNAMED]))):
            devices[str(device)] = path
        if len(devices) > 1:
            named = ", ".join(f"{device} ({place.name})" for device, place in sorted(devices.items()))
            raise TraceError(f"tables of several devices: {named}")
        for operation, shapes in _group(path, columns).items():
            known = tables.setdefault(operation, {})
            twice = known.keys() & shapes.keys()
            if twice:
                raise TraceError(f"{path}: {operation} of {', '.join(map(str, next(iter(twice))))} is in another file already")
            known.update(shapes)
    if not tables:
        raise TraceError("no measured tables are given")
    (device,) = devices
    return MeasuredTables(tables, f"the measured table of {device}", None if device == _UNNAMED else device)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        if path.suffix == ".parquet":
            from pyarrow import parquet

            table = parquet.read_table(path)
        elif path.suffix == ".csv":
            from pyarrow import csv

            table = csv.read_csv(path)
        else:
            raise TraceError(f"{path}: measured tables are .csv or .parquet files")
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise TraceError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    for name in ("op_name", "latency"):
        if name not in columns:
            raise TraceError(f"{path}: no column {name!r}{did_you_mean(name, columns)}")
    if {"isl", "step"} <= columns.keys():
        columns["context"] = columns["isl"] + columns["step"]
    return columns


def _group(path: Path, columns: Mapping[str, NDArray[Any]]) -> dict[str, dict[tuple[Any, ...], NDArray[np.float64]]]:
    times_ms = np.asarray(columns["latency"], dtype=float)
    wrong = ~(np.isfinite(times_ms) & (times_ms > 0))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise TraceError(f"{path}: row {row + 1}: latency {times_ms[row]} is no positive time in ms")
    result: dict[str, dict[tuple[Any, ...], NDArray[np.float64]]] = {}
    for operation in np.unique(columns["op_name"].astype(str)).tolist():
        if operation not in OPERATIONS:
            raise TraceError(f"{path}: operation {operation!r} is unknown{did_you_mean(operation, OPERATIONS)}")
        shape_columns, axes = OPERATIONS[operation]
        missing = [name for name in (*shape_columns, *axes) if name not in columns]
        if missing:
            raise TraceError(f"{path}: {operation}: no column {missing[0]!r}{did_you_mean(missing[0], columns)}")
        rows = np.flatnonzero(columns["op_name"].astype(str) == operation)
        sizes = np.stack(
            [np.asarray(columns[axis], dtype=float)[rows] for axis in axes] + [times_ms[rows] * 1e9], axis=1
        )
        result[operation] = _by_shape([columns[name][rows] for name in shape_columns], sizes)
    return result


def _by_shape(keys: list[NDArray[Any]], points: NDArray[np.float64]) -> dict[tuple[Any, ...], NDArray[np.float64]]:
    codes = np.stack([np.unique(key.astype(str), return_inverse=True)[1] for key in keys])
    # Sorted by shape, then by the axes from the outer to the inner, then by time: the first of equals is the fastest.
    order = np.lexsort((points[:, -1], *points[:, :-1].T, *codes))
    codes, points = codes[:, order], points[order]
    fastest = np.ones(len(order), dtype=bool)
    fastest[1:] = (codes[:, 1:] != codes[:, :-1]).any(axis=0) | (points[1:, :-1] != points[:-1, :-1]).any(axis=1)
    codes, points, order = codes[:, fastest], points[fastest], order[fastest]
    begins = np.flatnonzero(np.r_[True, (codes[:, 1:] != codes[:, :-1]).any(axis=0)])
    ends = np.r_[begins[1:], len(order)]
    return {
        tuple(
            key[order[begin]].item() if hasattr(key[order[begin]], "item") else key[order[begin]] for key in keys
        ): points[begin:end]
        for begin, end in zip(begins, ends, strict=True)
    }
