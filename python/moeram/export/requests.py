"""Streams of reads and writes of byte addresses, in pieces, and the trace files that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moeram.errors import TraceError
from moeram.export.lines import MOST_REQUESTS, read_lines, unsigned

_PIECE = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Consecutive requests. address: int64 bytes. write: bool. cycle: int64 cycles at which they are made, or None."""

    address: NDArray[np.int64]
    write: NDArray[np.bool_]
    cycle: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class RequestStream:
    """Pieces of requests, made anew at every iteration; pieces have cycles in all of them or in none."""

    pieces: Callable[[], Iterable[Requests]]
    origin: str

    def __iter__(self) -> Iterator[Requests]:
        """Yield the pieces.

        Raises:
            TraceError: more than 100,000,000 requests.
        """
        total = 0
        for piece in self.pieces():
            total += len(piece.address)
            if total > MOST_REQUESTS:
                raise TraceError(f"{self.origin}: more than {MOST_REQUESTS:,} requests; take fewer layers or a smaller batch")
            yield piece


def read_requests(path: Path, syntax: str) -> RequestStream:
    """Open a trace of requests: "ramulator2" (`LD|ST ADDRESS`) or "dramsim3" (`ADDRESS READ|WRITE CYCLE`).

    Raises:
        TraceError: while it is iterated; names file, line and the form of a good line.
    """
    parse, form = _PARSERS[syntax]
    return RequestStream(lambda: _pieces(path, parse, form), str(path))


def _pieces(path: Path, parse: Callable[[list[str]], tuple[int, bool, int] | None], form: str) -> Iterator[Requests]:
    rows: list[tuple[int, bool, int]] = []
    for number, text in read_lines(path):
        row = parse(text.split(" "))
        if row is None:
            raise TraceError(f"{path}:{number}: {text[:64]!r}; a line is {form}")
        rows.append(row)
        if len(rows) == _PIECE:
            yield _requests(rows)
            rows = []
    if rows:
        yield _requests(rows)


def _requests(rows: list[tuple[int, bool, int]]) -> Requests:
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    timed = bool((table[:, 2] >= 0).all())
    return Requests(address=table[:, 0], write=table[:, 1] == 1, cycle=table[:, 2] if timed else None)


def _load_store(parts: list[str]) -> tuple[int, bool, int] | None:
    if len(parts) != 2 or parts[0] not in ("LD", "ST"):
        return None
    address = unsigned(parts[1])
    return None if address is None else (address, parts[0] == "ST", -1)


def _dramsim3(parts: list[str]) -> tuple[int, bool, int] | None:
    parts = [part for part in parts if part]
    if len(parts) != 3 or parts[1] not in ("READ", "WRITE") or parts[0][:2] not in ("0x", "0X"):
        return None
    address, cycle = unsigned(parts[0]), unsigned(parts[2])
    return None if address is None or cycle is None else (address, parts[1] == "WRITE", cycle)


_PARSERS: dict[str, tuple[Callable[[list[str]], tuple[int, bool, int] | None], str]] = {
    "ramulator2": (_load_store, "'LD ADDRESS' or 'ST ADDRESS' with one space, the address decimal or 0x hexadecimal"),
    "dramsim3": (_dramsim3, "'0xADDRESS READ CYCLE' or '0xADDRESS WRITE CYCLE'"),
}


def ramulator2_lines(stream: RequestStream, _: int) -> Iterator[str]:
    """Lines `LD 0x..` and `ST 0x..` of Ramulator 2.0's LoadStoreTrace and of the AttAcc simulator; cycles are dropped."""
    for piece in stream:
        pairs = zip(piece.address.tolist(), piece.write.tolist(), strict=True)
        yield "".join(f"{'ST' if write else 'LD'} {address:#x}\n" for address, write in pairs)


def dramsim3_lines(stream: RequestStream, interval_cycles: int) -> Iterator[str]:
    """Lines `0xADDRESS READ|WRITE CYCLE`; without cycles of its own request i is made at i x interval_cycles."""
    begin = 0
    for piece in stream:
        count = len(piece.address)
        cycle = (np.arange(begin, begin + count) * interval_cycles) if piece.cycle is None else piece.cycle
        rows = zip(piece.address.tolist(), piece.write.tolist(), cycle.tolist(), strict=True)
        yield "".join(f"{address:#x} {'WRITE' if write else 'READ'} {at}\n" for address, write, at in rows)
        begin += count


def aim_lines(stream: RequestStream, _: int) -> Iterator[str]:
    """Lines `R|W MEM channel bank row` of the AiM simulator, one for each access of 32 bytes, and the end it asks for.

    Addresses are laid out with the access in the row (64) lowest, then channel (32), bank (16) and row (16384): 16 GiB.

    Raises:
        TraceError: an address beyond that.
    """
    for piece in stream:
        access = piece.address >> 5
        row = access >> 15
        if len(row) and int(row.max()) >= 1 << 14:
            raise TraceError(f"{stream.origin}: address {int(piece.address.max()):#x} is beyond the 16 GiB of 32 channels")
        columns = (access >> 6 & 31, access >> 11 & 15, row)
        rows = zip(piece.write.tolist(), *(column.tolist() for column in columns), strict=True)
        yield "".join(f"{'W' if write else 'R'} MEM {channel} {bank} {at}\n" for write, channel, bank, at in rows)
    yield "AiM EOC\n"
