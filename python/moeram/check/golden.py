"""Run one reference case and leave what the comparison tool of its kind reads.

A case is a folder with `config.yaml` in a reference simulator's own syntax and the traces it names, plain or `.gz`. A
new kind of case is one entry in KINDS.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import yaml

from moeram.errors import ConfigError, MoeramError
from moeram.hardware.cycle import load_core

CONFIG = "config.yaml"


def cases_in(folder: Path) -> list[Path]:
    """Return the case folders directly in a folder that is none itself, by name."""
    if (folder / CONFIG).exists() or not folder.is_dir():
        return []
    return sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))


def run_case(case: Path, out: Path) -> list[str]:
    """Run the case in `case` and write its results to `out`; return the engine's warnings.

    The case folder is not touched: everything runs in a scratch copy, and `out` is written only after success. For a
    Ramulator 2.0 case `out` then holds `stats.yaml` and the files its plug-ins wrote, such as `out/cmd.ch0`; for a case of
    the AttAcc or AiM simulator also `result.json` and `cmds.csv`, every command of all channels.

    Raises:
        ConfigError: no case there, or a kind that is not known. Any error of the run itself.
    """
    if not (case / CONFIG).is_file():
        raise ConfigError(f"{case / CONFIG}: no such file; a case is a folder with {CONFIG} and its traces")
    if out.resolve() == case.resolve() or case.resolve() in out.resolve().parents:
        raise ConfigError(f"-o {out}: lies in the case folder, which stays as it is")
    run = _kind_of(case / CONFIG)
    with tempfile.TemporaryDirectory(prefix="moeram-case-") as name:
        scratch = Path(name) / "run"
        _unpack(case, scratch)
        for path in scratch.rglob("*"):
            os.utime(path, (0, 0))  # whatever is younger afterwards was written by the run
        try:
            warnings = [warning.replace(str(scratch), str(case)) for warning in run(scratch)]
        except MoeramError as error:
            raise type(error)(str(error).replace(str(scratch), str(case))) from None
        for path in sorted(scratch.rglob("*")):
            if path.is_file() and path.stat().st_mtime_ns != 0:
                target = out / path.relative_to(scratch)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    return warnings


def _unpack(case: Path, scratch: Path) -> None:
    """Copy the case; a file `x.gz` becomes `x` unless `x` itself is there."""
    for path in sorted(case.rglob("*")):
        if not path.is_file():
            continue
        target = scratch / path.relative_to(case)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".gz":
            shutil.copyfile(path, target)
        elif not path.with_suffix("").exists():
            try:
                with gzip.open(path) as packed, target.with_suffix("").open("wb") as plain:
                    shutil.copyfileobj(packed, plain)
            except (OSError, EOFError, zlib.error) as error:
                raise ConfigError(f"{path}: not readable as gzip: {error}") from error


def _ramulator(folder: Path) -> list[str]:
    statistics, warnings = load_core().run_ramulator(str(folder / CONFIG), folder=str(folder))
    (folder / "stats.yaml").write_text(statistics)
    return warnings


def _queued(folder: Path) -> list[str]:
    prefix = folder / "commands"
    result = load_core().run_queued(str(folder / CONFIG), folder=str(folder), command_trace=str(prefix))
    warnings = result.pop("warnings")
    (folder / "stats.yaml").write_text(result.pop("text"))
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    with (folder / "cmds.csv").open("wb") as joined:
        for channel in sorted(result["command_counts_by_channel"]):
            part = folder / f"{prefix.name}.ch{channel}"
            with part.open("rb") as commands:
                shutil.copyfileobj(commands, joined)
            part.unlink()
    return warnings


# MemorySystem implementation that a case's configuration names: how to run it.
KINDS: dict[str, Callable[[Path], list[str]]] = {
    "GenericDRAM": _ramulator,
    "BHDRAMSystem": _ramulator,
    "PIMDRAM": _queued,
    "AiMDRAM": _queued,
}


def _kind_of(config: Path) -> Callable[[Path], list[str]]:
    try:
        name = yaml.safe_load(config.read_text())["MemorySystem"]["impl"]
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise ConfigError(f"{config}: MemorySystem.impl cannot be read: {error}") from error
    if name not in KINDS:
        raise ConfigError(f"{config}: MemorySystem.impl: cases of {name!r} are not known; known: {', '.join(KINDS)}")
    return KINDS[name]
