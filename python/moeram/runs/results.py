"""A content-addressed store of results: a Parquet file for each, named by the key of its run, and an SQLite index.

Files come first and by renaming, index entries second, so that a process may be killed at any time. A result counts when its
file has the length and digest that the index states; any other is computed again. A broken index is put aside and made anew from
the files, whose pages carry checksums of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moeram.errors import ConfigError, MoeramError
from moeram.metrics import Table

INDEX, POINTS = "index.sqlite", "points"
_ABOUT = b"moeram"
_WAIT_S = 60.0
_SCHEMA = """CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, experiment TEXT NOT NULL, fidelity TEXT NOT NULL,
    wall_time_s REAL) WITHOUT ROWID"""


@dataclass(frozen=True, kw_only=True)
class StoredResult:
    """tables: by name. about: key, experiment (resolved options), fidelity, routing_fidelity, notes, version."""

    tables: dict[str, Table]
    about: dict[str, Any]


class ResultStore:
    """Results below a folder; any number of processes may use it at once.

    Raises:
        ConfigError: the folder holds something else, or cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser().absolute()
        try:
            if self.folder.exists() and not self.folder.is_dir():
                raise ConfigError(f"{self.folder}: the folder for results is a file; choose another with -o")
            foreign = self.folder.is_dir() and any(self.folder.iterdir()) and not (self.folder / POINTS).is_dir()
            if foreign:
                raise ConfigError(f"{self.folder}: holds files that are no sweep's; choose another with -o")
            (self.folder / POINTS).mkdir(parents=True, exist_ok=True)
            self._check_index()
        except (OSError, sqlite3.OperationalError) as error:
            raise ConfigError(f"{self.folder}: results cannot be kept there: {error}") from error

    def find(self, key: str) -> bool:
        """Return whether a sound result of this key is there."""
        with closing(self._open()) as index:
            row = index.execute("SELECT sha256, bytes FROM results WHERE key = ?", (key,)).fetchone()
        if row is None:
            return False
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return False
        return len(content) == row[1] and hashlib.sha256(content).hexdigest() == row[0]

    def get(self, key: str) -> StoredResult:
        """Return a result.

        Raises:
            MoeramError: it is not there or not sound.
        """
        if not self.find(key):
            raise MoeramError(f"{self._path(key)}: the result is missing or damaged; run the sweep again")
        return _read(self._path(key))

    def put(self, key: str, tables: Mapping[str, Table], about: Mapping[str, Any], *, wall_time_s: float) -> None:
        """Keep a result; an older one of the same key is replaced."""
        about = {**about, "key": key}
        handle, partial = tempfile.mkstemp(prefix=f"{key}.", suffix=".partial", dir=self.folder / POINTS)
        os.close(handle)
        try:
            _write(Path(partial), tables, about)
            content = Path(partial).read_bytes()
            os.replace(partial, self._path(key))
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        with closing(self._open()) as index:
            _enter(index, key, content, about, wall_time_s)

    def keys(self) -> list[str]:
        """Return the keys of all indexed results, sorted."""
        with closing(self._open()) as index:
            return [row[0] for row in index.execute("SELECT key FROM results ORDER BY key")]

    def _path(self, key: str) -> Path:
        return self.folder / POINTS / f"{key}.parquet"

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / INDEX, timeout=_WAIT_S, isolation_level=None)

    def _check_index(self) -> None:
        try:
            with closing(self._open()) as index:
                sound = index.execute("PRAGMA quick_check").fetchone() == ("ok",)
                if sound:
                    index.execute(_SCHEMA)
                    index.execute("SELECT key, sha256, bytes, experiment, fidelity, wall_time_s FROM results LIMIT 1")
        except sqlite3.OperationalError as error:
            if "no such column" not in str(error):
                raise
            sound = False
        except sqlite3.DatabaseError:
            sound = False
        if not sound:
            self._rebuild()

    def _rebuild(self) -> None:
        for name in (INDEX, f"{INDEX}-journal"):
            if (self.folder / name).exists():
                os.replace(self.folder / name, self.folder / f"{name}.damaged")
        with closing(self._open()) as index:
            index.execute(_SCHEMA)
            for path in sorted((self.folder / POINTS).glob("*.parquet")):
                try:
                    about = _read(path).about
                except MoeramError:
                    continue
                if about.get("key") == path.stem:
                    _enter(index, path.stem, path.read_bytes(), about, None)


def _enter(
    index: sqlite3.Connection, key: str, content: bytes, about: Mapping[str, Any], wall_time_s: float | None
) -> None:
    row = (
        key, hashlib.sha256(content).hexdigest(), len(content), json.dumps(about["experiment"], sort_keys=True),
        about["fidelity"], wall_time_s,
    )  # fmt: skip
    index.execute("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)", row)


def _write(path: Path, tables: Mapping[str, Table], about: Mapping[str, Any]) -> None:
    """Write all tables as one row: a list column for each column, named TABLE/COLUMN."""
    import pyarrow
    from pyarrow import parquet

    arrays, fields = [], []
    for name, table in tables.items():
        for column in table.columns:
            values = pyarrow.array(table[column], from_pandas=True)
            arrays.append(pyarrow.ListArray.from_arrays(pyarrow.array([0, len(values)], pyarrow.int32()), values))
            unit = {"unit": table.units[column]}
            fields.append(pyarrow.field(f"{name}/{column}", arrays[-1].type, metadata=unit))
    schema = pyarrow.schema(fields, metadata={_ABOUT: json.dumps(about, sort_keys=True).encode()})
    parquet.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), path, write_page_checksum=True)


def _read(path: Path) -> StoredResult:
    import pyarrow
    from pyarrow import parquet

    try:
        whole = parquet.read_table(path, page_checksum_verification=True)
        about = json.loads(whole.schema.metadata[_ABOUT])
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise MoeramError(f"{path}: the result cannot be read: {str(error).splitlines()[0]}") from error
    columns: dict[str, dict[str, Any]] = {}
    units: dict[str, dict[str, str]] = {}
    for field in whole.schema:
        table, _, column = field.name.partition("/")
        values = whole.column(field.name).chunk(0).flatten()
        plain = pyarrow.types.is_floating(values.type) or pyarrow.types.is_integer(values.type)
        array = values.to_numpy(zero_copy_only=False) if plain else np.asarray(values.to_pylist())
        columns.setdefault(table, {})[column] = array
        units.setdefault(table, {})[column] = field.metadata[b"unit"].decode()
    tables = {name: Table(name, found, units[name]) for name, found in columns.items()}
    return StoredResult(tables=tables, about=about)
