"""Trace files line by line, with bounds; output that stands under its name only when it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from moeram.errors import ConfigError, TraceError
from moeram.files import whole_file

_LONGEST_LINE = 4096
MOST_REQUESTS = 100_000_000


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text without its end).

    Raises:
        TraceError: no such file, a folder, empty, a line of more than 4096 characters or of other than ASCII.
    """
    number = 0
    try:
        with path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE + 2):
                number += 1
                text = line.rstrip(b"\r\n")
                if len(text) > _LONGEST_LINE:
                    raise TraceError(f"{path}:{number}: longer than {_LONGEST_LINE} characters")
                if not text.isascii():
                    raise TraceError(f"{path}:{number}: bytes that are no text")
                yield number, text.decode("ascii")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from None
    if number == 0:
        raise TraceError(f"{path}: the trace is empty")


def first_line(path: Path) -> str:
    """Return the first line that is neither blank nor a comment, "" if there is none."""
    return next((text for _, text in read_lines(path) if text.strip() and not text.startswith("#")), "")


def unsigned(text: str) -> int | None:
    """Return a decimal or 0x hexadecimal number, None for anything else or more than 62 bits."""
    digits, base = (text[2:], 16) if text[:2] in ("0x", "0X") else (text, 10)
    allowed = "0123456789abcdefABCDEF" if base == 16 else "0123456789"
    if not digits or len(digits) > 20 or any(digit not in allowed for digit in digits):
        return None
    value = int(digits, base)
    return value if value < 1 << 62 else None


def write_lines(path: Path, pieces: Iterable[str]) -> None:
    """Write pieces of text, whole lines each, to a file that appears when it is whole.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    with whole_file(path) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        for piece in pieces:
            file.write(piece)
