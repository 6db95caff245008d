"""One table of a whole sweep: the swept keys as columns, then those of one table of every point, then the error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from moeram.errors import ConfigError, did_you_mean
from moeram.metrics import Table
from moeram.metrics.serving import THROUGHPUT_COLUMNS
from moeram.metrics.tables import POINT_COLUMNS
from moeram.runs.points import Sweep, kind_and_name
from moeram.runs.store import TABLES

if TYPE_CHECKING:
    from moeram.runs.sweep import SweepResult

_MOST_OF_AN_ERROR = 24
DEFAULT_TABLES = {"serving": "throughput", "step": "points"}
# Columns that are known before anything runs.
_COLUMNS = {"throughput": THROUGHPUT_COLUMNS, "points": POINT_COLUMNS}
# What stands behind the keys where there is no room for everything.
_FIRST = {
    "throughput": (
        "tokens_per_s", "bound_tokens_per_s", "goodput_requests_per_s", "met_share", "tokens_per_s_per_user", "run_energy_per_token_uj",
    ),
    "points": (
        "placement", "batch", "step_time_us", "tokens_per_s", "hit_rate_held_out", "bandwidth_utilisation", "energy_per_token_uj",
    ),
}  # fmt: skip


def check_choice(sweep: Sweep, table: str | None = None, columns: Sequence[str] = ()) -> None:
    """Refuse a table that no run has, and columns that the joined table will not have, before anything runs.

    Columns of other tables than the default ones are known with the first result; see `check_result`.

    Raises:
        ConfigError: names the nearest.
    """
    wanted = _table_of(sweep, table)
    allowed = TABLES[kind_and_name(sweep.experiment)[0]]
    if wanted not in allowed:
        raise ConfigError(f"--table: the points have no table {wanted!r}{did_you_mean(wanted, allowed)}")
    if wanted in _COLUMNS:
        _check_columns(sweep, wanted, _COLUMNS[wanted], columns)


def check_result(sweep: Sweep, tables: Mapping[str, Table], table: str | None, columns: Sequence[str]) -> None:
    """Refuse a table or columns that the tables of a point do not have.

    Raises:
        ConfigError: names the nearest.
    """
    wanted = _table_of(sweep, table)
    if wanted not in tables:
        raise ConfigError(f"the points have no table {wanted!r}{did_you_mean(wanted, tables)}")
    _check_columns(sweep, wanted, tables[wanted].columns, columns)


def _check_columns(sweep: Sweep, table: str, of_table: Sequence[str], columns: Sequence[str]) -> None:
    known = [*sweep.keys, *_titles(table, of_table, sweep.keys).values()]
    for column in columns:
        if column not in known:
            raise ConfigError(f"table {table} of this sweep has no column {column!r}{did_you_mean(column, known)}")


def _table_of(sweep: Sweep, table: str | None) -> str:
    return table or DEFAULT_TABLES[kind_and_name(sweep.experiment)[0]]


def shown(result: SweepResult, joined: Table, columns: Sequence[str] = ()) -> Table:
    """Return a joined table for the terminal: keys that vary, then the wanted columns, or all with the most telling ones first.

    Errors, shortened, follow the keys where there are any. What tells the rows of one point apart stands before wanted columns.
    """
    keys = [key for key in result.sweep.keys if len(set(map(str, joined[key].tolist()))) > 1]
    titles = _titles(joined.name, _FIRST.get(joined.name, ()), result.sweep.keys)
    first = [*_labels(result, joined), *columns] if columns else [*titles.values(), *(name for name in joined.columns if name not in (*result.sweep.keys, "error"))]
    names = dict.fromkeys([*keys, *(["error"] if result.failed else []), *(name for name in first if name in joined.columns)])
    if not result.failed:
        names.pop("error", None)
    values = {name: joined[name] for name in names}
    if result.failed:
        values["error"] = np.asarray([_shortened(text) for text in joined["error"].tolist()])
    return Table(joined.name, values, joined.units)


def _labels(result: SweepResult, joined: Table) -> list[str]:
    """Columns of words that differ between rows, where points have several."""
    if len(joined) <= len(result.outcomes):
        return []
    words = {name: set(map(str, joined[name].tolist())) for name in joined.columns if joined[name].dtype.kind in "UO"}
    return [name for name, found in words.items() if len(found) > 1 and name not in (*result.sweep.keys, "error", "fidelity")]


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_OF_AN_ERROR else f"{text[:_MOST_OF_AN_ERROR - 3]}..."


def _titles(table: str, columns: Sequence[str], keys: Sequence[str]) -> dict[str, str]:
    """Return column -> its name in the joined table."""
    return {column: f"{table}.{column}" if column in (*keys, "error") else column for column in columns}


def joined_table(result: SweepResult, table: str | None = None) -> Table:
    """Return the rows of one table of every point, with what was swept.

    Args:
        table: its name; None: `throughput` of serving experiments, `points` of the others.

    A column of the table that is named like a swept key becomes TABLE.COLUMN. A failed point has one row with its error.

    Raises:
        ConfigError: no point has such a table; names the nearest.
    """
    stored = {outcome.key: None for outcome in result.outcomes if outcome.key}
    tables = {key: result.store.get(key).tables for key in stored}
    names = sorted({name for found in tables.values() for name in found})
    wanted = _table_of(result.sweep, table)
    if names and wanted not in names:
        raise ConfigError(f"the points have no table {wanted!r}{did_you_mean(wanted, names)}")
    keys = result.sweep.keys
    columns = list(dict.fromkeys(c for found in tables.values() if wanted in found for c in found[wanted].columns))
    titles = _titles(wanted, columns, keys)
    units = {titles[c]: unit for found in tables.values() if wanted in found for c, unit in found[wanted].units.items()}
    rows: list[dict[str, Any]] = []
    for values, outcome in zip(result.values, result.outcomes, strict=True):
        swept = {key: _plain(values.get(key)) for key in keys}
        of_point = list(tables[outcome.key][wanted].rows()) if outcome.key and wanted in tables[outcome.key] else [{}]
        rows += [{**swept, **{titles[c]: row.get(c) for c in columns}, "error": outcome.error} for row in of_point]
    names_of_columns = [*keys, *titles.values(), "error"]
    return Table(wanted, {name: column([row[name] for row in rows]) for name in names_of_columns}, units)


def column(values: Sequence[Any]) -> np.ndarray:
    """Return values as an array; missing ones (None) are nan among numbers and None among words."""
    present = [value for value in values if value is not None]
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in present)
    if len(present) == len(values) and (numbers or len({type(value) for value in present}) == 1):
        return np.asarray(values)
    if numbers and present:
        return np.asarray([np.nan if value is None else value for value in values], dtype=float)
    mixed = len({type(value) for value in present}) > 1
    return np.asarray([json.dumps(v) if mixed and v is not None else v for v in values], dtype=object)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else json.dumps(value)
