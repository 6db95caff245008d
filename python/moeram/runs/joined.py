"""One table of a whole sweep: the swept keys as columns, then those of one table of every point, then the error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from moeram.errors import ConfigError, did_you_mean
from moeram.metrics import Table

if TYPE_CHECKING:
    from moeram.runs.sweep import SweepResult

DEFAULT_TABLES = ("throughput", "points")


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
    wanted = table or next((name for name in DEFAULT_TABLES if name in names), DEFAULT_TABLES[0])
    if names and wanted not in names:
        raise ConfigError(f"the points have no table {wanted!r}{did_you_mean(wanted, names)}")
    keys = result.sweep.keys
    columns = list(dict.fromkeys(c for found in tables.values() if wanted in found for c in found[wanted].columns))
    titles = {column: f"{wanted}.{column}" if column in (*keys, "error") else column for column in columns}
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
