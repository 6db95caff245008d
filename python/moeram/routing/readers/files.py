"""Reading and checking what all trace readers share: JSON files and rows of expert ids."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np

from moeram.errors import TraceError
from moeram.model import MoEModel
from moeram.routing.readers.limits import check_size, read_limited

_SUFFIXES = (".json", ".json.gz")
_BLOCK_BYTES = 1 << 22


def topic_name(path: Path) -> str:
    """File name without ``.json`` or ``.json.gz``."""
    return path.name.removesuffix(".gz").removesuffix(".json")


def entries(folder: Path) -> list[Path]:
    """What lies directly in ``folder``, by name.

    Raises:
        TraceError: A link leads nowhere: a part of the recording would be missing without a word.
    """
    found = sorted(folder.iterdir())
    for path in found:
        if path.is_symlink() and not path.exists():
            raise TraceError(f"{path}: this link leads nowhere ({path.readlink()}); mend it or take it away")
    return found


def json_files(folder: Path) -> list[Path]:
    """JSON files directly in ``folder``; numbered ones first in numeric order, then the others by name.

    Raises:
        TraceError: A name occurs both packed and unpacked, or a link leads nowhere.
    """
    files = [path for path in entries(folder) if path.name.endswith(_SUFFIXES) and path.is_file()]
    names = Counter(map(topic_name, files))
    for name, count in names.items():
        if count > 1:
            raise TraceError(f"{folder}: {name}.json and {name}.json.gz are both there; remove one of them")
    return sorted(files, key=_numeric_first)


def _numeric_first(path: Path) -> tuple[int, int, str]:
    name = topic_name(path)
    return (0, int(name), name) if name.isdecimal() and name.isascii() else (1, 0, name)


def read_bytes(path: Path) -> bytes:
    """Content of a file, unpacked if it ends in ``.gz``.

    Raises:
        TraceError: The file is missing, unreadable, truncated, no gzip file, or larger than ``document_limit``.
    """
    with reading(path), _open(path) as stream:
        return read_limited(stream, path)


def read_head(path: Path, size: int = 1 << 16) -> bytes:
    """The first ``size`` bytes of a file, unpacked if it ends in ``.gz``; raises like ``read_bytes``."""
    with reading(path), _open(path) as stream:
        return stream.read(size)


def line_blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines of a text file (unpacked if it ends in ``.gz``) in blocks of a few megabytes, each with the number of
    its first line from 1.

    Raises:
        TraceError: As ``read_bytes``; the limit holds for a line.
    """
    number, left = 1, b""
    with reading(path), _open(path) as stream:
        while block := stream.read(_BLOCK_BYTES):
            cut = block.rfind(b"\n") + 1
            if not cut:
                left += block
                check_size(len(left), f"{path}:{number}")
                continue
            whole = left + block[:cut]
            yield number, whole
            number += whole.count(b"\n")
            left = block[cut:]
        if left:
            yield number, left


def text_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines of a text file that are not empty, each with its number from 1; raises like ``line_blocks``."""
    for number, block in line_blocks(path):
        yield from lines_of(block, number)


def lines_of(block: bytes, number: int) -> Iterator[tuple[int, bytes]]:
    """Lines of a block that are not empty, the first of which has ``number``."""
    for i, line in enumerate(block.split(b"\n"), start=number):
        if line.strip():
            yield i, line


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what can go wrong while ``path`` is read into a ``TraceError`` that names it."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except FileNotFoundError:
        raise TraceError(f"{path}: no such file") from None
    except EOFError:
        raise TraceError(f"{path}: the gzip file is truncated") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(f"{path}: not a whole gzip file ({error})") from None
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror})") from None


def read_json(path: Path) -> object:
    """Parsed content of a JSON file, ``.gz`` or not.

    Raises:
        TraceError: Besides ``read_bytes``, the file is not JSON or repeats a key.
    """
    return parse_json(read_bytes(path), path)


def unpacked(content: bytes, path: Path | str) -> bytes:
    """``content``, unpacked if it is packed; ``path`` stands in messages.

    Raises:
        TraceError: It is no whole gzip file, or beyond ``document_limit``.
    """
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        with gzip.open(io.BytesIO(content)) as stream:
            return read_limited(stream, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(f"{path}: not a whole gzip file ({error})") from None


def parse_json(content: bytes, path: Path | str) -> object:
    """Parsed ``content``; ``path`` stands in messages.

    Raises:
        TraceError: It is not JSON or repeats a key.
    """
    try:
        return json.loads(content.decode(), object_pairs_hook=unique_keys)
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise TraceError(f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise TraceError(f"{path}: nested too deeply for a trace") from None
    except RepeatedKeyError as error:
        raise TraceError(f"{path}: key {error} occurs twice in one object") from None


class RepeatedKeyError(Exception):
    """A key that occurs twice in one JSON object."""


def unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The object of ``pairs``, for the hook of ``json.loads``; raises ``RepeatedKeyError``."""
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        raise RepeatedKeyError(repr(next(key for key in keys if keys.count(key) > 1)))
    return result


def expert_layers(table: dict[str, object], model: MoEModel, place: str) -> list[str]:
    """Keys of the model's layers with experts in a ``{layer: rows or null}`` object, in the order of the model.

    Raises:
        TraceError: A layer with experts is missing or null, a dense one has rows, or the model has no such layer.
    """
    allowed = {str(layer) for layer in range(model.layers)}
    for key in table.keys() - allowed:
        raise TraceError(f"{place}: {key!r} is no layer of {model.name}; allowed: 0..{model.layers - 1}")
    wanted = [str(layer) for layer in model.moe_layers]
    missing = [key for key in wanted if table.get(key) is None]
    if missing:
        raise TraceError(
            f"{place}: no selections of layer {', '.join(missing[:8])}{', ...' if len(missing) > 8 else ''}; "
            f"{model.name} has experts in {len(wanted)} layers"
        )
    dense = sorted((key for key in table.keys() - set(wanted) if table[key] is not None), key=int)
    if dense:
        raise TraceError(f"{place}: layer {dense[0]} has selections, but is a dense layer of {model.name}")
    return wanted


def selections(rows: object, model: MoEModel, place: Callable[[int], str]) -> np.ndarray:
    """Rows of expert ids as int16 [rows, top_k].

    Args:
        rows: List with one list of ``top_k`` distinct ids in 0..experts-1 per token.
        model: Shape that the ids must fit.
        place: Gives the words that name row ``i`` in a message.

    Raises:
        TraceError: A row has another length, a word, an id out of range, or an id twice.
    """
    try:
        whole = set(map(type, rows)) <= {list} and set(map(len, rows)) <= {model.top_k}
        if whole and set(map(type, chain.from_iterable(rows))) <= {int}:
            ids = np.fromiter(chain.from_iterable(rows), dtype=np.int64).reshape(len(rows), model.top_k)
            in_range = not ids.size or (ids.min() >= 0 and ids.max() < model.experts)
            ordered = np.sort(ids, axis=1)
            if in_range and not (ordered[:, 1:] == ordered[:, :-1]).any():
                return ids.astype(np.int16)
    except (TypeError, OverflowError):
        pass
    raise TraceError(_complaint(rows, model, place))


def _complaint(rows: object, model: MoEModel, place: Callable[[int], str]) -> str:
    if not isinstance(rows, list):
        return f"{place(0)}: {_short(rows)} is no list of rows"
    for index, row in enumerate(rows):
        if not isinstance(row, list):
            return f"{place(index)}: {_short(row)} is no list of expert ids"
        if len(row) != model.top_k:
            return f"{place(index)}: {_short(row)} has {len(row)} experts, but {model.name} uses {model.top_k} a token"
        problem = _bad_id(row, model)
        if problem:
            return f"{place(index)}: {problem}"
    raise AssertionError("no row is wrong")


def _bad_id(row: list[object], model: MoEModel) -> str:
    for expert in row:
        if type(expert) is not int:
            return f"{_short(expert)} is no expert id; allowed: integers 0..{model.experts - 1}"
        if not 0 <= expert < model.experts:
            return f"expert {expert} is out of range; {model.name} has experts 0..{model.experts - 1}"
    twice = sorted({expert for expert in row if row.count(expert) > 1})
    return f"expert {twice[0]} occurs twice in {_short(row)}; a token uses distinct experts" if twice else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
