"""Writing a run's folder, all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from moeram.errors import ConfigError
from moeram.experiment import Record, ServingResult
from moeram.options import dump_yaml
from moeram.report import decomposition_figure, serving_figure
from moeram.runs.provenance import provenance

CONFIG, PROVENANCE = "config.yaml", "provenance.json"
FIGURES = ("decomposition.png", "serving.png")
TABLES = {
    "step": ("points", "decomposition", "layers", "tiers", "energy", "resources", "power", "tier_power", "refresh"),
    "serving": (
        "latencies", "throughput", "utilisation", "time_series", "requests", "energy", "s_mbu", "s_mfu", "cost", "fidelity",
    ),
}  # fmt: skip
_NAMES = frozenset(TABLES["step"] + TABLES["serving"])


def check_folder(folder: str | Path) -> Path:
    """Return the folder's path if a run may be written there: new, empty, or holding an earlier run and nothing else.

    Raises:
        ConfigError: it is a file, holds something that is no part of a run, or may not be written to.
    """
    path = Path(folder).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path}: the output folder is a file; choose another with -o")
    if path.is_dir():
        foreign = sorted(entry.name for entry in path.iterdir() if not _is_ours(entry))
        if foreign or (any(path.iterdir()) and not _is_run(path)):
            what = f"holds {foreign[0]!r}" if foreign else "holds files"
            raise ConfigError(f"{path}: the output folder {what}, which is no moeram run; choose another with -o")
    above = path if path.is_dir() else next(parent for parent in path.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ConfigError(f"{path}: {above} is not a folder that may be written to; choose another with -o")
    return path


def _is_ours(entry: Path) -> bool:
    named = entry.name in (CONFIG, PROVENANCE, *FIGURES) or (
        entry.suffix in (".csv", ".parquet") and entry.stem in _NAMES
    )
    return named and entry.is_file()


def _is_run(folder: Path) -> bool:
    try:
        return "moeram" in json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def save(record: Record | ServingResult, folder: str | Path, version: str) -> Path:
    """Write the resolved config, the tables (CSV and Parquet), the figure and the provenance of a record.

    Everything is made in a temporary folder inside the target first and then moved to its names, provenance last.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path = check_folder(folder)
    made = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".moeram-", dir=path))
        try:
            _fill(record, scratch, version)
            for old in (entry for entry in path.iterdir() if _is_ours(entry) and not (scratch / entry.name).exists()):
                old.unlink()
            for new in sorted(scratch.iterdir(), key=lambda entry: entry.name == PROVENANCE):
                os.replace(new, path / new.name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            if made and not any(path.iterdir()):
                path.rmdir()
    except OSError as error:
        raise ConfigError(f"{path}: the run cannot be written: {error}") from error
    return path


def _fill(record: Record | ServingResult, folder: Path, version: str) -> None:
    (folder / CONFIG).write_text(dump_yaml(record.experiment.resolved()), encoding="utf-8")
    assert set(record.tables) <= set(TABLES["serving" if isinstance(record, ServingResult) else "step"])
    for name, table in record.tables.items():
        table.to_csv(folder / f"{name}.csv")
        table.to_parquet(folder / f"{name}.parquet")
    title = record.experiment.description or record.experiment.name
    if isinstance(record, ServingResult):
        serving_figure(record["time_series"], record["requests"], folder / "serving.png", title=title)
    else:
        decomposition_figure(record["decomposition"], folder / "decomposition.png", title=title)
    # Last, so that the peak memory is that of all the work.
    text = json.dumps(provenance(record, version), indent=1, ensure_ascii=False)
    (folder / PROVENANCE).write_text(text + "\n", encoding="utf-8")
