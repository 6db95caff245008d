"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moeram.errors import ConfigError


def check_target(path: str | Path, *endings: str) -> None:
    """Refuse (ConfigError) a file that cannot be written or does not end with one of the endings, before anything is computed."""
    place = Path(path)
    if endings and place.suffix not in endings:
        raise ConfigError(f"{place}: given {place.suffix!r}, allowed: a file that ends with {' or '.join(endings)}")
    folder = place.absolute().parent
    if place.is_dir():
        raise ConfigError(f"{place}: this is a folder; give a file")
    if place.exists() and not place.is_file():
        raise ConfigError(f"{place}: cannot be written: a device or pipe, which a whole file would replace")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"{place}: cannot be written: {folder} is not a folder that may be written to")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A file beside ``path`` to write to, which takes its place when the block ends without an error.

    Raises:
        ConfigError: It cannot be written; ``path`` stays as it was.
    """
    check_target(path)
    place = Path(path)
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, place)
    except OSError as error:
        raise ConfigError(f"{place}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
