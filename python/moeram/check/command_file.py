"""Reading command traces: lines "cycle, COMMAND, v0, v1, ..." as plug-in TraceRecorder writes them, plain or gzipped."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moeram.check.rulebook import Rulebook
from moeram.errors import TraceError, did_you_mean

_SHOWN = 60


@dataclass(frozen=True, kw_only=True)
class CommandTrace:
    """n commands in file order: cycles int64 [n], command int16 [n] (index into names), address int64 [n, levels]."""

    path: Path
    names: tuple[str, ...]
    cycles: NDArray[np.int64]
    command: NDArray[np.int16]
    address: NDArray[np.int64]

    def line(self, index: int) -> str:
        """Return a command as "FILE:7: ACT at cycle 12 (0, 0, 1, 2, 5, 0)"."""
        name = self.names[self.command[index]]
        where = ", ".join(str(entry) for entry in self.address[index])
        return f"{self.path}:{index + 1}: {name} at cycle {self.cycles[index]} ({where})"


def read_commands(path: Path, book: Rulebook) -> CommandTrace:
    """Read a trace of a device with `book`'s levels and commands.

    Raises:
        TraceError: no file, nothing in it, no text, or a line that is no command of that device; names file and line.
    """
    table = _table(path, len(book.levels) + 2, book)
    names = tuple(book.commands)
    number = {name: index for index, name in enumerate(names)}
    given = table.column(1).dictionary_encode().combine_chunks()
    known = []
    for name in given.dictionary.to_pylist():
        if name.strip() not in number or book.commands[name.strip()].internal:
            row = int(np.flatnonzero(given.indices.to_numpy() == len(known))[0])
            known_names = [name for name in names if not book.commands[name].internal]
            raise TraceError(
                f"{path}:{row + 1}: {book.standard} has no command {name.strip()!r}{did_you_mean(name.strip(), known_names)}"
            )
        known.append(number[name.strip()])
    trace = CommandTrace(
        path=path,
        names=names,
        cycles=table.column(0).to_numpy(),
        command=np.array(known, dtype=np.int16)[given.indices.to_numpy()],
        address=np.stack([table.column(2 + level).to_numpy() for level in range(len(book.levels))], axis=1),
    )
    _check_ranges(trace, book)
    return trace


def _table(path: Path, columns: int, book: Rulebook):
    import pyarrow as pa
    from pyarrow import csv

    content = _content(path)
    names = [str(column) for column in range(columns)]
    types = {name: pa.string() if name == "1" else pa.int64() for name in names}
    try:
        return csv.read_csv(
            io.BytesIO(content),
            read_options=csv.ReadOptions(column_names=names, block_size=1 << 24),
            parse_options=csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(column_types=types, null_values=[], strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise TraceError(_complaint(path, content, columns, book) or f"{path}: not a command trace: {error}") from None


def _content(path: Path) -> bytes:
    if path.is_dir():
        raise TraceError(f"{path}: is a folder, a command trace is expected")
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise TraceError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from None
    if not content.strip():
        raise TraceError(f"{path}: holds no command")
    if b"\0" in content[:4096]:
        raise TraceError(f"{path}: is binary; a line is 'cycle, COMMAND, v0, v1, ...'")
    return content


def _complaint(path: Path, content: bytes, columns: int, book: Rulebook) -> str | None:
    for number, line in enumerate(content.split(b"\n"), start=1):
        text = line.decode("ascii", errors="replace").rstrip("\r")
        parts = [part.strip() for part in text.split(",")]
        if number > 1 and text == "" and line is not content and content.endswith(b"\n" + line):
            return None
        shown = repr(text[:_SHOWN])
        if len(parts) != columns:
            order = ", ".join(book.levels)
            return f"{path}:{number}: {len(parts)} fields in {shown}; {book.standard} has {columns}: cycle, COMMAND, {order}"
        for place, part in enumerate(parts):
            if place != 1 and not part.removeprefix("-").isascii():
                return f"{path}:{number}: {part[:_SHOWN]!r} is not a whole number in {shown}"
            if place != 1 and not (part.removeprefix("-").isdigit() and len(part) < 19):
                return f"{path}:{number}: {part[:_SHOWN]!r} is not a whole number in {shown}"
    return None


def _check_ranges(trace: CommandTrace, book: Rulebook) -> None:
    back = np.flatnonzero(np.diff(trace.cycles) < 0)
    if len(back):
        at = int(back[0]) + 1
        raise TraceError(
            f"{trace.path}:{at + 1}: cycle {trace.cycles[at]} after cycle {trace.cycles[at - 1]}; a trace goes forward"
        )
    for level, name in enumerate(book.levels):
        most = book.counts[level] if 0 < level <= book.bank_level else np.iinfo(np.int32).max
        least = 0 if level == 0 else -1
        entries = trace.address[:, level]
        wrong = np.flatnonzero((entries < least) | (entries >= most))
        if len(wrong):
            at = int(wrong[0])
            raise TraceError(
                f"{trace.path}:{at + 1}: {name} {entries[at]} does not exist in {book.standard}; it has {most}"
            )
