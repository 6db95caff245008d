"""Results of kernels that were simulated before: in memory, and in files that several processes may share."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zlib
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

_MAGIC = b"moeram kernel memo 3\n"
_SUFFIX = ".kernel"
_DIGEST_BYTES = 32
_ALIGNMENT = 16  # of arrays in a file, as in memory: what reads them may ask for it


@dataclass
class MemoCounts:
    """What a memo was asked for.

    stored: results added. failures: files that could not be read or written. commands_of_misses: DRAM commands of what
    the memo did not know and the engine played, those of the equal channels that it played for included.
    """

    memory_hits: int = 0
    disk_hits: int = 0
    misses: int = 0
    stored: int = 0
    failures: int = 0
    commands_of_misses: int = 0

    def since(self, before: MemoCounts) -> MemoCounts:
        """Return what was added to an earlier copy of these counts."""
        return MemoCounts(**{name: value - getattr(before, name) for name, value in asdict(self).items()})

    @property
    def hits(self) -> int:
        """Results that needed no simulation."""
        return self.memory_hits + self.disk_hits

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name, hits first."""
        return {"hits": self.hits, **asdict(self)}


@dataclass
class KernelMemo:
    """A store from keys to named arrays.

    folder: where results outlast the process, None for nowhere. A file's name is its key, so it never changes; it is written
    beside its place and moved there whole, and one that is damaged counts as absent. Nothing in it is ever executed.
    memory_bytes, folder_bytes: bounds; beyond them the oldest go.
    """

    folder: Path | None = None
    memory_bytes: int = 64 << 20
    folder_bytes: int = 1 << 30
    counts: MemoCounts = field(default_factory=MemoCounts)
    _held: dict[str, Arrays] = field(default_factory=dict, repr=False)
    _held_bytes: int = 0
    _swept: bool = False

    def get(self, key: str, *, disk: bool = True) -> Arrays | None:
        """Return the arrays stored under a key (not to be changed), or None."""
        found = self._held.get(key)
        if found is not None:
            self.counts.memory_hits += 1
            return found
        found = self._read(key) if disk else None
        if found is None:
            self.counts.misses += 1
            return None
        self.counts.disk_hits += 1
        self._hold(key, found)
        return found

    def put(self, key: str, arrays: Arrays, *, disk: bool = True) -> None:
        """Store arrays; never fails, a folder that cannot be written is counted as a failure."""
        self.counts.stored += 1
        self._hold(key, arrays)
        if disk and self.folder is not None:
            try:
                self._write(key, arrays)
            except OSError:
                self.counts.failures += 1

    def clear(self) -> None:
        """Forget everything, on disk too."""
        self._held.clear()
        self._held_bytes = 0
        for path in self._files():
            path.unlink(missing_ok=True)

    def _hold(self, key: str, arrays: Arrays) -> None:
        size = _bytes_of(arrays)
        if key in self._held or size > self.memory_bytes:
            return
        self._held[key] = arrays
        self._held_bytes += size
        while self._held_bytes > self.memory_bytes:
            oldest = next(iter(self._held))
            self._held_bytes -= _bytes_of(self._held.pop(oldest))

    def _path(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / key[:2] / (key + _SUFFIX)

    def _read(self, key: str) -> Arrays | None:
        if self.folder is None:
            return None
        try:
            content = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError:
            self.counts.failures += 1
            return None
        arrays = _unpack(content)
        if arrays is None:
            self.counts.failures += 1
        return arrays

    def _write(self, key: str, arrays: Arrays) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self._swept:
            self._swept = True
            self._sweep()
        handle, partial = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_pack(arrays))
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise

    def _files(self) -> list[Path]:
        return [] if self.folder is None else list(self.folder.glob(f"??/*{_SUFFIX}"))

    def _sweep(self) -> None:
        """Once in a process: the oldest files go where there are too many."""
        ages = []
        for path in self._files():
            try:
                facts = path.stat()
            except OSError:
                continue
            ages.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in ages)
        for _, size, path in sorted(ages):
            if total <= self.folder_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size


def memo_key(*parts: object) -> str:
    """Return the key (hex) of what decides a result: plain values, bytes and arrays, in order."""
    result = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            head, body = f"{part.dtype.str} {part.shape}".encode(), np.ascontiguousarray(part).tobytes()
        elif isinstance(part, bytes):
            head, body = b"bytes", part
        else:
            head, body = b"plain", json.dumps(part, sort_keys=True).encode()
        result.update(b"%b %d\n" % (head, len(body)))
        result.update(body)
    return result.hexdigest()


def default_folder() -> Path:
    """Return $MOERAM_MEMO_DIR, or moeram/kernels in the user's cache folder."""
    given = os.environ.get("MOERAM_MEMO_DIR")
    if given:
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "moeram" / "kernels"


@lru_cache(maxsize=4)
def _memo_in(folder: Path) -> KernelMemo:
    return KernelMemo(folder)


def shared_memo() -> KernelMemo:
    """Return this process's memo of default_folder()."""
    return _memo_in(default_folder())


def _bytes_of(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values()) + 256


def _pack(arrays: Arrays) -> bytes:
    head = [[name, array.dtype.str, list(array.shape)] for name, array in arrays.items()]
    body = b"".join(_padded(np.ascontiguousarray(array).tobytes(), b"\0") for array in arrays.values())
    packed = _pays(body)
    before = len(_MAGIC) + _DIGEST_BYTES + 1
    first_line = _padded(json.dumps([packed, head]).encode(), b" ", before) + b"\n"
    payload = first_line + (zlib.compress(body, 1) if packed else body)
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def _padded(text: bytes, filler: bytes, before: int = 0) -> bytes:
    """Return the text with so much behind it that what follows it, and `before` bytes of something else, is aligned."""
    return text + filler * (-(len(text) + before) % _ALIGNMENT)


def _pays(body: bytes) -> bool:
    """Return whether compressing does, by a sample: unpacking what hardly shrinks takes longer than what was saved."""
    sample = body[: 1 << 16]
    return 2 * len(zlib.compress(sample, 1)) < len(sample)


def _unpack(content: bytes) -> Arrays | None:
    start = len(_MAGIC) + _DIGEST_BYTES
    payload = memoryview(content)[start:]  # large results are not copied
    if content[: len(_MAGIC)] != _MAGIC or hashlib.sha256(payload).digest() != content[len(_MAGIC) : start]:
        return None
    body_begin = content.index(b"\n", start) + 1
    packed, head = json.loads(content[start:body_begin])
    body = zlib.decompress(content[body_begin:]) if packed else memoryview(content)[body_begin:]
    arrays, at = {}, 0
    for name, dtype, shape in head:
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(body, dtype=dtype, count=count, offset=at).reshape(shape)
        at += arrays[name].nbytes + -arrays[name].nbytes % _ALIGNMENT
    return arrays
