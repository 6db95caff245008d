"""Measured kernels of GPUs in a reproduction: tables of the user's (`--measured DIR`), which moeram does not ship."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

from moeram.errors import ConfigError
from moeram.hardware.measured import MeasuredTables, read_tables
from moeram.repro.target import MEASURED, NotAvailable, Setting
from moeram.serving.step import Origin


def tables_of(setting: Setting, gpu: str) -> MeasuredTables | None:
    """Return the tables of a GPU if the setting reads measured kernels; their names begin with its short name, as in h100_moe.parquet.

    Raises:
        NotAvailable: no tables were given, or none of this GPU.
    """
    if setting.reading != MEASURED:
        return None
    if not setting.measured:
        raise NotAvailable("no tables given (--measured)")
    found = _read(setting.measured, gpu.partition("_")[0])
    if found is None:
        raise NotAvailable(f"no table ({gpu})")
    return found


@contextmanager
def fitting(tables: MeasuredTables | None, model: str) -> Iterator[None]:
    """Say of a machine that tables with none of its model's kernels cannot price, that there is no table."""
    try:
        yield
    except ConfigError as error:
        if tables is None:
            raise
        raise NotAvailable(f"no table ({model})") from error


@lru_cache(maxsize=8)
def _read(files: tuple[str, ...], short: str) -> MeasuredTables | None:
    mine = [path for path in files if path.rpartition("/")[2].startswith(f"{short}_")]
    return read_tables(mine) if mine else None


def measured_parts(origins: Sequence[Origin]) -> str:
    """Return which kernels of GPUs are measured and which are not, in words; what no GPU does is left out."""
    by_label: dict[str, list[str]] = {}
    for origin in origins:
        if origin.fidelity.startswith("measured") or origin.how == "roofline":
            by_label.setdefault(origin.fidelity, []).append(origin.part.removesuffix(" on GPUs"))
    return "; ".join(f"{label}: {', '.join(parts)}" for label, parts in by_label.items())
