"""What readers of tables (Parquet, CSV) share: opening them and turning their columns into arrays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moeram.errors import TraceError
from moeram.routing.canonical import load_pyarrow
from moeram.routing.readers.limits import check_size

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet

CSV_BLOCK_BYTES = 1 << 20  # Arrow reads up to 32 blocks ahead
_LEAST_BLOCK_BYTES = 1 << 18
_NAME_BYTES = 256


@contextmanager
def open_parquet(path: Path, **options) -> Iterator[pyarrow.parquet.ParquetFile]:
    """A Parquet file, closed at the end; damage met on the way becomes a ``TraceError`` that names it."""
    pa, parquet = load_pyarrow()
    try:
        with path.open("rb") as stream:
            file = parquet.ParquetFile(stream, **options)
            with file:
                yield file
    except FileNotFoundError:
        raise TraceError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise TraceError(f"{path}: not a whole Parquet file ({_first_line(error)})") from None


@contextmanager
def open_csv(
    path: Path, types: dict[str, pa.DataType] | None = None, files: int = 1
) -> Iterator[Iterator[pa.RecordBatch]]:
    """Batches of a CSV file with a header (``.gz`` or not), closed at the end; numbers only.

    ``files`` is how many are read side by side: the more, the smaller the blocks.

    Raises:
        TraceError: The file is missing, truncated or a row has another number of fields or no number; names the row,
            counted from 1 without the header and empty lines.
    """
    if path.is_dir():
        raise TraceError(f"{path}: a folder; give one CSV file")
    pa, _ = load_pyarrow()
    from pyarrow import csv

    read = csv.ReadOptions(block_size=max(CSV_BLOCK_BYTES // files, _LEAST_BLOCK_BYTES), use_threads=False)
    convert = csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False)
    try:
        with (
            pa.OSFile(str(path)) as raw,
            pa.CompressedInputStream(raw, "gzip") if path.suffix == ".gz" else raw as stream,
            csv.open_csv(stream, read_options=read, convert_options=convert) as reader,
        ):
            yield iter(reader)
    except FileNotFoundError:
        raise TraceError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise TraceError(f"{path}: {_csv_fault(_first_line(error))}") from None


def check_lists(file: pyarrow.parquet.ParquetFile, column: str, width: int, path: Path) -> None:
    """Refuse a file whose list ``column`` unpacks to far more than ``width`` values a row.

    Raises:
        TraceError: By more than ``document_limit`` allows at 8 bytes a value.
    """
    for group, rows, facts in _column_groups(file, column):
        beyond = (facts.num_values - rows * width) * 8
        check_size(beyond, f"{path}: row group {group}: lists of column {column!r} beyond {width} values a row")


def check_names(file: pyarrow.parquet.ParquetFile, column: str, path: Path) -> None:
    """Refuse a file whose texts in ``column`` are far longer than names.

    Raises:
        TraceError: They have more bytes than ``document_limit`` allows beyond 256 a row.
    """
    for group, rows, facts in _column_groups(file, column):
        beyond = facts.total_uncompressed_size - rows * _NAME_BYTES
        check_size(beyond, f"{path}: row group {group}: texts of column {column!r} beyond {_NAME_BYTES} bytes a row")


def _column_groups(
    file: pyarrow.parquet.ParquetFile, column: str
) -> Iterator[tuple[int, int, pyarrow.parquet.ColumnChunkMetaData]]:
    """Number and rows of each row group, with the facts of ``column`` in it."""
    for group in range(file.metadata.num_row_groups):
        facts = file.metadata.row_group(group)
        for i in range(facts.num_columns):
            if facts.column(i).path_in_schema.split(".")[0] == column:
                yield group, facts.num_rows, facts.column(i)


def int_column(column: pa.Array, kind: type, place: str, first_row: int) -> np.ndarray:
    """A column of whole numbers as an array of ``kind``.

    Raises:
        TraceError: Another type, a missing value or one that does not fit.
    """
    pa, _ = load_pyarrow()
    if not pa.types.is_integer(column.type):
        raise TraceError(f"{place} holds {column.type}, whole numbers are needed")
    if column.null_count:
        row = int(column.is_null().to_numpy(zero_copy_only=False).argmax())
        raise TraceError(f"{place}, row {first_row + row}: no value")
    values = column.to_numpy(zero_copy_only=False)
    limits = np.iinfo(kind)
    if values.dtype != kind and len(values) and (values.min() < limits.min or values.max() > limits.max):
        row = int(((values < limits.min) | (values > limits.max)).argmax())
        raise TraceError(f"{place}, row {first_row + row}: {values[row]} is out of range")
    return values.astype(kind, copy=False)


def list_column(column: pa.Array, width: int, kind: type, place: str, first_row: int) -> np.ndarray:
    """A column of lists of ``width`` numbers as [rows, width] of ``kind``.

    Raises:
        TraceError: A list of another length, a missing one, or values of another type.
    """
    pa, _ = load_pyarrow()
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or _fixed(column.type)):
        raise TraceError(f"{place} {first_row}: {column.type} is no list")
    lengths = column.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    if (lengths != width).any():
        row = int((lengths != width).argmax())
        what = "no list" if lengths[row] < 0 else f"a list of {lengths[row]}"
        raise TraceError(f"{place} {first_row + row}: {what}, {width} values are needed (top_k of the model)")
    flat = column.flatten()
    if flat.null_count:
        row = int(flat.is_null().to_numpy(zero_copy_only=False).argmax()) // width
        raise TraceError(f"{place} {first_row + row}: a value is missing")
    if np.issubdtype(kind, np.integer):
        return int_column(flat, kind, f"{place} {first_row} and following", 0).reshape(-1, width)
    if not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)):
        raise TraceError(f"{place} {first_row}: values of type {flat.type}, numbers are needed")
    return flat.to_numpy(zero_copy_only=False).astype(kind, copy=False).reshape(-1, width)


def _fixed(kind: pa.DataType) -> bool:
    pa, _ = load_pyarrow()
    return pa.types.is_fixed_size_list(kind)


def _csv_fault(said: str) -> str:
    """What pyarrow says about a CSV file, in our words and numbers where it names a row."""
    value = re.search(r"CSV column #(\d+): Row #(\d+): CSV conversion error to (\w+): invalid value '(.*?)'?$", said)
    if value:
        column, row, kind, text = value.groups()
        number = "whole number" if kind.startswith(("int", "uint")) else "number"
        return f"row {int(row) - 1}, column {int(column) + 1}: {text[:40]!r} is no {number}" + (
            " that fits" if text.lstrip("-").isdecimal() else ""
        )
    fields = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", said)
    if fields:
        row, wanted, found = map(int, fields.groups())
        return f"row {row - 1}: {found} fields, {wanted} are needed"
    return f"not a whole CSV file of numbers ({said[:200]})"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
