"""Writing a run's folder, all of it or nothing."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from moeram.errors import ConfigError
from moeram.experiment import Record
from moeram.options import dump_yaml
from moeram.report import decomposition_figure
from moeram.runs.provenance import provenance

CONFIG, PROVENANCE = "config.yaml", "provenance.json"


def check_folder(folder: str | Path) -> Path:
    """Return the folder's path if a run may be written there: new, empty, or an earlier run (which is replaced).

    Raises:
        ConfigError: it is a file or holds something else.
    """
    path = Path(folder).expanduser().absolute()
    if path.is_dir() and any(path.iterdir()) and not (path / PROVENANCE).is_file():
        raise ConfigError(
            f"{path}: the output folder holds files that are no moeram run; choose another with -o, or empty it"
        )
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{path}: the output folder is a file; choose another with -o")
    above = next(parent for parent in path.parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ConfigError(
            f"{path}: cannot be made, since {above} is not a folder that may be written to; choose another with -o"
        )
    return path


def save(record: Record, folder: str | Path, version: str) -> Path:
    """Write the resolved config, the tables (CSV and Parquet), the figure and the provenance of a record.

    Everything goes into a temporary folder beside the target, which then takes its name.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path = check_folder(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            _fill(record, scratch, version)
            scratch.chmod(0o777 & ~_umask())
            _replace(scratch, path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise ConfigError(f"{path}: the run cannot be written: {error}") from error
    return path


def _fill(record: Record, folder: Path, version: str) -> None:
    (folder / CONFIG).write_text(dump_yaml(record.experiment.resolved()), encoding="utf-8")
    text = json.dumps(provenance(record, version), indent=1, ensure_ascii=False)
    (folder / PROVENANCE).write_text(text + "\n", encoding="utf-8")
    for name, table in record.tables.items():
        table.to_csv(folder / f"{name}.csv")
        table.to_parquet(folder / f"{name}.parquet")
    title = record.experiment.description or record.experiment.name
    decomposition_figure(record["decomposition"], folder / "decomposition.png", title=title)


def _replace(scratch: Path, path: Path) -> None:
    if not path.exists():
        scratch.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    path.rename(old / path.name)
    try:
        scratch.rename(path)
    except OSError:
        (old / path.name).rename(path)
        raise
    finally:
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
