"""Tables: named columns with their units, as CSV, Parquet or a pandas DataFrame."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, MoeramError, did_you_mean

if TYPE_CHECKING:
    import pandas


class Table:
    """Ordered named columns of equal length.

    Args:
        name: what the table is called.
        columns: name -> values. A name ends with its unit (`_us`, `_bytes`, `_uj` ...) unless it is a count, a share or
            a word.
        units: name -> unit for columns whose unit the name does not tell ("1" is a plain number).
    """

    def __init__(
        self, name: str, columns: Mapping[str, Sequence[Any] | NDArray[Any]], units: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._columns = {key: np.asarray(values) for key, values in columns.items()}
        lengths = {key: len(values) for key, values in self._columns.items()}
        assert len(set(lengths.values())) <= 1, f"columns of table {name} differ in length: {lengths}"
        self.units = {key: (units or {}).get(key, unit_of(key)) for key in self._columns}

    @classmethod
    def from_rows(cls, name: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
        """Make a table from one mapping per row; `columns` orders the columns and stands if there are no rows."""
        return cls(name, {key: [row[key] for row in rows] for key in columns})

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(self._columns)

    def __len__(self) -> int:
        return len(next(iter(self._columns.values()))) if self._columns else 0

    def __getitem__(self, column: str) -> NDArray[Any]:
        if column not in self._columns:
            raise ConfigError(f"table {self.name} has no column {column!r}{did_you_mean(column, self._columns)}")
        return self._columns[column]

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {len(self)} rows: {', '.join(self._columns)})"

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each row as plain Python values."""
        values = [column.tolist() for column in self._columns.values()]
        for row in zip(*values, strict=True):
            yield dict(zip(self._columns, row, strict=True))

    def where(self, **wanted: Any) -> Table:
        """Return the rows whose columns equal the given values."""
        mask = np.ones(len(self), dtype=bool)
        for column, value in wanted.items():
            mask &= self[column] == value
        return Table(self.name, {key: values[mask] for key, values in self._columns.items()}, self.units)

    def to_csv(self, path: str | Path) -> None:
        """Write the table as CSV; an empty field is "no value"."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self._columns)
            for row in self.rows():
                writer.writerow("" if _is_missing(value) else value for value in row.values())

    def to_parquet(self, path: str | Path) -> None:
        """Write the table as Parquet, with the unit of each column in its metadata.

        Raises:
            MoeramError: pyarrow is missing.
        """
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MoeramError(
                f"writing Parquet needs pyarrow ({error}); install it with `pip install pyarrow`"
            ) from error
        arrays, fields = [], []
        for key, values in self._columns.items():
            array = pyarrow.array(values, from_pandas=True)
            arrays.append(array)
            fields.append(pyarrow.field(key, array.type, metadata={"unit": self.units[key]}))
        pyarrow.parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=pyarrow.schema(fields)), path)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a DataFrame.

        Raises:
            MoeramError: pandas is missing; moeram does not install it.
        """
        try:
            import pandas
        except ImportError as error:
            raise MoeramError(f"to_pandas needs pandas ({error}); install it with `pip install pandas`") from error
        return pandas.DataFrame(dict(self._columns))


_UNITS = {
    "_per_s": "1/s",
    "_ps": "ps",
    "_ns": "ns",
    "_us": "us",
    "_s": "s",
    "_bytes": "byte",
    "_uj": "uJ",
    "_pj": "pJ",
}


def unit_of(column: str) -> str:
    """Return the unit that a column's name ends with, or "1" for counts, shares and words."""
    return next((unit for suffix, unit in _UNITS.items() if column.endswith(suffix)), "1")


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
