"""``torch.save`` archives without torch: a zip of ``data.pkl`` and raw storages, read by a small machine of our own.

The machine knows only the instructions that plain data need and only the names in ``_ALLOWED``; nothing it reads is
ever called or imported. Storages are read when a tensor is asked for. The legacy form (a bare pickle or a tar) is
refused.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moeram.errors import TraceError

_MOST_PICKLE_BYTES = 1 << 28
_MOST_DEPTH = 64
_MOST_ELEMENTS = 1 << 33

_STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_ORDERED_DICT, _SIZE, _REBUILD = "collections OrderedDict", "torch Size", "torch._utils _rebuild_tensor_v2"
_ALLOWED = {_ORDERED_DICT, _SIZE, _REBUILD, *(f"torch {name}" for name in _STORAGES)}


class _Damage(Exception):
    """What is wrong with an archive, without its name."""


@dataclass(frozen=True)
class _Name:
    name: str


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    elements: int


@dataclass(frozen=True, kw_only=True)
class LazyTensor:
    """A tensor whose values still lie in the archive; strides in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class TorchFile:
    """An open archive: ``data`` holds its dicts, lists, numbers and ``LazyTensor``s."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        names = [name for name in archive.namelist() if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(names) != 1:
            raise _Damage("no torch archive: it needs exactly one NAME/data.pkl")
        self._root = names[0].removesuffix("data.pkl")
        if f"{self._root}byteorder" in archive.namelist() and archive.read(f"{self._root}byteorder") != b"little":
            raise _Damage("its numbers are not little endian")
        if archive.getinfo(names[0]).compress_type != zipfile.ZIP_STORED:
            raise _Damage("data.pkl is packed, which torch.save never does")
        if archive.getinfo(names[0]).file_size > _MOST_PICKLE_BYTES:
            raise _Damage(f"data.pkl has more than {_MOST_PICKLE_BYTES} bytes")
        self.data = _Machine(archive.read(names[0])).run()

    def array(self, tensor: object, what: str) -> np.ndarray:
        """Values of a tensor.

        Raises:
            TraceError: ``tensor`` is none, or the archive is damaged.
        """
        if not isinstance(tensor, LazyTensor):
            raise TraceError(f"{self._path}: {what} is no tensor")
        storage = tensor.storage
        try:
            info = self._archive.getinfo(f"{self._root}data/{storage.key}")
            if info.compress_type != zipfile.ZIP_STORED or info.file_size < storage.elements * storage.dtype.itemsize:
                raise _Damage("a storage is packed or too short")
            values = np.frombuffer(self._archive.read(info), dtype=storage.dtype, count=storage.elements)
        except (KeyError, _Damage, *_ZIP_DAMAGE) as error:
            raise TraceError(f"{self._path}: {what}: storage {storage.key} cannot be read ({error})") from None
        if not values.size or 0 in tensor.shape:
            return np.empty(tensor.shape, dtype=storage.dtype)
        strides = [stride * storage.dtype.itemsize for stride in tensor.strides]
        return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, strides, writeable=False)


_ZIP_DAMAGE = (
    zipfile.BadZipFile,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
    struct.error,
    zlib.error,
    MemoryError,
)


@contextmanager
def open_torch(path: Path) -> Iterator[TorchFile]:
    """The archive at ``path``, closed at the end.

    Raises:
        TraceError: Missing, damaged, of the legacy form, or with a name or instruction that plain data never have.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(512)
            if head[:2] != b"PK":
                raise _Damage(_not_a_zip(head))
            with zipfile.ZipFile(stream) as archive:
                yield TorchFile(path, archive)
    except FileNotFoundError:
        raise TraceError(f"{path}: no such file") from None
    except _Damage as error:
        raise TraceError(f"{path}: {error}") from None
    except _ZIP_DAMAGE as error:
        raise TraceError(f"{path}: not a whole torch archive ({error})") from None


def _not_a_zip(head: bytes) -> str:
    if head[:1] == b"\x80" or head[257:262] == b"ustar":
        return (
            "the legacy form of torch.save (a bare pickle or a tar) is refused; load and save it again with a torch "
            "of 1.6 or later"
        )
    return "not a torch archive (it is no zip)"


class _Machine:
    """Runs the instructions of protocol 2 to 5 that plain data need."""

    def __init__(self, code: bytes) -> None:
        self.code, self.at = code, 0
        self.stack: list = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        try:
            while True:
                instruction = self.code[self.at]
                self.at += 1
                if instruction == 0x2E:  # STOP
                    return self.stack.pop()
                self.step(instruction)
        except (IndexError, struct.error, KeyError, ValueError, TypeError) as error:
            raise _Damage(f"data.pkl is damaged at byte {self.at} ({error})") from None

    def step(self, instruction: int) -> None:
        """Carry out one instruction, found by its byte in the tables below."""
        if instruction in _CONSTANTS:
            self.stack.append(_CONSTANTS[instruction])
        elif instruction in _NUMBERS:
            self.stack.append(self.number(_NUMBERS[instruction]))
        elif instruction in _TEXTS:
            self.stack.append(self.take(self.number(_TEXTS[instruction])).decode())
        elif instruction in _ACTIONS:
            _ACTIONS[instruction](self)
        else:
            raise _Damage(f"data.pkl holds instruction 0x{instruction:02x}, which plain data never need")

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.code) - self.at:
            raise IndexError("it ends too early")
        self.at += count
        return self.code[self.at - count : self.at]

    def number(self, form: str) -> int | float:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def mark(self) -> None:
        if len(self.marks) >= _MOST_DEPTH:
            raise _Damage(f"data.pkl nests deeper than {_MOST_DEPTH}")
        self.marks.append(len(self.stack))

    def since_mark(self) -> list:
        begin = self.marks.pop()
        values = self.stack[begin:]
        del self.stack[begin:]
        return values

    def append(self, values: list) -> None:
        if type(self.stack[-1]) is not list:
            raise TypeError("append to no list")
        self.stack[-1].extend(values)

    def set_items(self, values: list) -> None:
        if type(self.stack[-1]) is not dict or len(values) % 2:
            raise TypeError("items of no dict")
        if any(type(key) not in (str, int) for key in values[::2]):  # hashing deep tuples overflows the stack
            raise TypeError("a key that is no text or whole number")
        self.stack[-1].update(zip(values[::2], values[1::2], strict=True))

    def tuple_of(self, count: int) -> None:
        values = tuple(self.stack[-count:])
        if len(values) != count:
            raise IndexError("the stack is empty")
        del self.stack[-count:]
        self.stack.append(values)

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def whole_number(self) -> None:
        self.stack.append(int.from_bytes(self.take(self.number("<B")), "little", signed=True))

    def global_name(self) -> None:
        module, name = (self.line() for _ in range(2))
        self.name(module, name)

    def stack_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.name(module, name)

    def name(self, module: object, name: object) -> None:
        if f"{module} {name}" not in _ALLOWED:
            raise _Damage(f"data.pkl names {module}.{name}, which is not allowed; only plain tensors are read")
        self.stack.append(_Name(f"{module} {name}"))

    def line(self) -> str:
        end = self.code.index(b"\n", self.at)
        text = self.take(end - self.at).decode()
        self.at += 1
        return text

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if function == _Name(_ORDERED_DICT) and arguments == ():
            self.stack.append({})
        elif function == _Name(_SIZE) and type(arguments) is tuple and len(arguments) == 1:
            self.stack.append(tuple(arguments[0]))
        elif function == _Name(_REBUILD) and type(arguments) is tuple and len(arguments) >= 4:
            self.stack.append(_tensor(*arguments[:4]))
        else:
            raise _Damage("data.pkl calls something other than a tensor or an ordered dict")

    def storage(self) -> None:
        reference = self.stack.pop()
        if type(reference) is not tuple or len(reference) != 5 or reference[0] != "storage":
            raise _Damage("data.pkl refers to something other than a storage")
        _, kind, key, _, elements = reference
        dtype = _STORAGES.get(kind.name.removeprefix("torch ")) if isinstance(kind, _Name) else None
        if dtype is None or type(key) is not str or type(elements) is not int or not 0 <= elements <= _MOST_ELEMENTS:
            raise _Damage("data.pkl refers to a storage of unknown type or size")
        self.stack.append(_Storage(key, dtype, elements))


def _tensor(storage: object, offset: object, shape: object, strides: object) -> LazyTensor:
    plain = all(type(values) is tuple and all(type(v) is int and v >= 0 for v in values) for values in (shape, strides))
    if not isinstance(storage, _Storage) or type(offset) is not int or offset < 0 or not plain:
        raise _Damage("a tensor has no storage or no plain shape")
    if len(shape) != len(strides) or len(shape) > 8:
        raise _Damage("a tensor has more strides than dimensions, or more than 8 of them")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= storage.elements:
        raise _Damage("a tensor reaches beyond its storage")
    if math.prod(shape) > storage.elements:
        raise _Damage("a tensor has more elements than its storage")
    return LazyTensor(storage=storage, offset=offset, shape=shape, strides=strides)


_CONSTANTS = {0x4E: None, 0x88: True, 0x89: False, 0x29: ()}
_NUMBERS = {0x4A: "<i", 0x4B: "<B", 0x4D: "<H", 0x47: ">d"}
_TEXTS = {0x58: "<I", 0x8C: "<B"}
_ACTIONS = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    0x28: _Machine.mark,
    0x7D: lambda m: m.stack.append({}),
    0x5D: lambda m: m.stack.append([]),
    0x61: lambda m: m.append([m.stack.pop()]),
    0x65: lambda m: m.append(m.since_mark()),
    0x73: lambda m: m.set_items([m.stack.pop(-2), m.stack.pop()]),
    0x75: lambda m: m.set_items(m.since_mark()),
    0x74: lambda m: m.stack.append(tuple(m.since_mark())),
    0x85: lambda m: m.tuple_of(1),
    0x86: lambda m: m.tuple_of(2),
    0x87: lambda m: m.tuple_of(3),
    0x71: lambda m: m.remember(m.number("<B")),
    0x72: lambda m: m.remember(m.number("<I")),
    0x94: lambda m: m.remember(len(m.memo)),
    0x68: lambda m: m.stack.append(m.memo[m.number("<B")]),
    0x6A: lambda m: m.stack.append(m.memo[m.number("<I")]),
    0x8A: _Machine.whole_number,
    0x63: _Machine.global_name,
    0x93: _Machine.stack_name,
    0x52: _Machine.reduce,
    0x51: _Machine.storage,
}
