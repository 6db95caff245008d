"""Two runs compared: ours beside a user's own ramulator2 on one configuration, or two folders of results."""

from __future__ import annotations

import fnmatch
import gzip
import os
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

from moeram.check.statistics_text import first_difference, parse_statistics
from moeram.errors import ConfigError, EngineError, MoeramError, TraceError
from moeram.hardware.cycle import load_core

STATISTICS = "stats.yaml"


@dataclass(frozen=True, kw_only=True)
class Parity:
    """difference: the first one as text, None if all is equal. values, files, lines: what was compared.

    warnings: what the engine or the comparison has to say beside it.
    """

    difference: str | None
    values: int = 0
    files: int = 0
    lines: int = 0
    warnings: tuple[str, ...] = ()


def compare_with_ramulator(program: Path, config: Path) -> Parity:
    """Run moeram's engine and `program` (a user's ramulator2) on one configuration and compare what they leave.

    Both run in scratch folders; relative paths of traces count from the current folder, as both programs have it.

    Raises:
        ConfigError: the program or the configuration is missing, or writes to an absolute path. EngineError: the program failed.
        Any error of our own run.
    """
    inputs, traces_commands = _inputs(config)
    if not program.is_file() or not os.access(program, os.X_OK):
        raise ConfigError(f"--ramulator2 {program}: no such program")
    with tempfile.TemporaryDirectory(prefix="moeram-parity-") as name:
        ours, theirs = Path(name) / "moeram", Path(name) / "ramulator2"
        for folder in (ours, theirs):
            _prepare(folder, config, inputs)
        try:
            statistics, warnings = load_core().run_ramulator(str(ours / config.name), folder=str(ours))
        except MoeramError as error:
            raise type(error)(str(error).replace(f"{ours}/", "")) from None
        (ours / STATISTICS).write_text(statistics)
        done = subprocess.run(
            [str(program.resolve()), "-f", config.name], check=False, cwd=theirs, capture_output=True, text=True
        )
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise EngineError(f"{program} ended with status {done.returncode}: {last}")
        (theirs / STATISTICS).write_text(done.stdout)
        given = {config.name, *(str(path) for path in inputs)}
        parity = _compare(ours, theirs, ("moeram", "ramulator2"), lambda name: name in given)
    notes = [warning.replace(f"{ours}/", "") for warning in warnings]
    if not traces_commands:
        notes.append("statistics only: the configuration has no TraceRecorder, so no commands were compared")
    return Parity(**{**vars(parity), "warnings": tuple(notes)})


def compare_folders(first: Path, second: Path, ignore: Sequence[str] = ()) -> Parity:
    """Compare two folders of results file by file: statistics by key, everything else line by line (.gz unpacked).

    Args:
        ignore: patterns of file names that are left out ("provenance.json", "*.png").

    Raises:
        ConfigError: no such folder, or nothing in both.
    """
    for folder in (first, second):
        if not folder.is_dir():
            raise ConfigError(f"{folder}: no such folder")
    return _compare(
        first, second, (str(first), str(second)), lambda name: any(fnmatch.fnmatch(name, pattern) for pattern in ignore)
    )


def _inputs(config: Path) -> tuple[list[Path], bool]:
    """Relative paths of the traces that a configuration reads, and whether it records commands."""
    try:
        tree: Any = yaml.safe_load(config.read_text())
        front, controller = tree["Frontend"], tree["MemorySystem"]["Controller"]
        plugins = [entry["ControllerPlugin"] for entry in controller.get("plugins") or []]
        named = [front["path"]] if "path" in front else list(front.get("traces") or [])
        written = [str(plugin["path"]) for plugin in plugins if "path" in plugin]
    except FileNotFoundError:
        raise ConfigError(f"{config}: no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{config}: cannot be read: {' '.join(str(error).split())}") from None
    except (KeyError, TypeError, AttributeError):
        raise ConfigError(f"{config}: no configuration with Frontend and MemorySystem.Controller") from None
    for path in written:
        if Path(path).is_absolute():
            raise ConfigError(
                f"{config}: plugins: path {path} is absolute, so both runs would write it; make it relative"
            )
    relative = [Path(str(path)) for path in named if not Path(str(path)).is_absolute()]
    for path in relative:
        if ".." in path.parts:
            raise ConfigError(f"{config}: Frontend: path {path} leads out of the folder; give it absolute")
    return relative, any(plugin.get("impl") == "TraceRecorder" for plugin in plugins)


def _prepare(folder: Path, config: Path, inputs: Sequence[Path]) -> None:
    folder.mkdir()
    (folder / config.name).write_bytes(config.read_bytes())
    for path in inputs:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if not (folder / path).exists():
            (folder / path).symlink_to(path.absolute())


def _compare(first: Path, second: Path, names: tuple[str, str], left_out: Any) -> Parity:
    found = [
        {_plain(path, folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
        for folder in (first, second)
    ]
    kept = [{name: path for name, path in files.items() if not left_out(name)} for files in found]
    if not (kept[0] or kept[1]):
        raise ConfigError(f"{names[0]} and {names[1]}: no files to compare")
    values = files = lines = 0
    for name in sorted(kept[0].keys() | kept[1].keys(), key=lambda name: (not name.endswith(STATISTICS), name)):
        for side in (0, 1):
            if name not in kept[side]:
                return Parity(difference=f"{name}: only in {names[1 - side]}", values=values, files=files, lines=lines)
        texts = [_text(files_of[name]) for files_of in kept]
        if name.endswith(STATISTICS):
            tables = [
                parse_statistics(text.decode(errors="replace"), f"{names[i]}/{name}") for i, text in enumerate(texts)
            ]
            values += len(tables[0])
            differs = first_difference(*tables)
            place, pair = (differs[0], differs[1:]) if differs else ("", ())
        else:
            number, pair = _first_line(*texts)
            lines += texts[0].count(b"\n")
            place = f"{name}:{number}"
        if pair:
            text = f"{place}: {pair[0]} ({names[0]}), {pair[1]} ({names[1]})"
            return Parity(difference=text, values=values, files=files, lines=lines)
        files += not name.endswith(STATISTICS)
    return Parity(difference=None, values=values, files=files, lines=lines)


def _plain(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().removesuffix(".gz")


def _text(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from None


def _first_line(first: bytes, second: bytes) -> tuple[int, tuple[str, ...]]:
    """Number and text of the first differing line; (0, ()) if there is none."""
    if first == second:
        return 0, ()
    for number, pair in enumerate(_line_pairs(first, second), start=1):
        if pair[0] != pair[1]:
            return number, tuple(
                "end of file" if line is None else repr(line.decode(errors="replace")[:120]) for line in pair
            )
    return 0, ()


def _line_pairs(first: bytes, second: bytes) -> Iterator[tuple[bytes | None, bytes | None]]:
    return zip_longest(first.splitlines(), second.splitlines())
