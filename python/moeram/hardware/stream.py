"""Streams of plain reads and writes over the channels of memory stacks, priced cycle by cycle by the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, EngineError
from moeram.hardware.cycle import engine_and_standard, load_core, usable_threads
from moeram.hardware.memo import Arrays, KernelMemo, memo_key

_KINDS = {"read": 0, "write": 1}


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Requests of one transaction each at base, base + stride, ... below base + extent, all in bytes.

    stride_bytes None: one transaction after the other. Streams of equal group that follow each other in a list take
    turns in every channel, one request each; group None: a group of its own. Groups follow each other without a pause.
    """

    base_bytes: int
    extent_bytes: int
    stride_bytes: int | None = None
    kind: Literal["read", "write"] = "read"
    group: int | None = None


@dataclass(frozen=True, kw_only=True)
class StreamMemory:
    """Stacks of one standard ("HBM3", "DDR5@2.0" or the path of a standard's file) and their controllers.

    Addresses spread over the channels of all stacks one transaction each (RoBaRaCoCh, the channel is the lowest digit)
    or channel after channel (ChRaBaRoCo). interleave: the level down to which neighbouring transactions of a channel
    alternate ("bankgroup", as around GPUs) before they go on in a row; empty: they go on in a row. sizes and timing_cycles override the presets. energy: count it, with the presets
    `voltage` and `current`; only standards with an energy model.
    """

    standard: str
    organization: str
    timing: str
    sizes: dict[str, int] = field(default_factory=dict)
    timing_cycles: dict[str, int] = field(default_factory=dict)
    stacks: int = 1
    mapper: str = "RoBaRaCoCh"
    interleave: str = ""
    scheduler: str = "FRFCFS"
    refresh: str = "AllBank"
    row_policy: str = "OpenRowPolicy"
    row_policy_cap: int = 10_000_000
    energy: bool = False
    voltage: str = ""
    current: str = ""


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """How a run is driven, and the switches of exact reuse, none of which changes a result.

    interval_cycles: at least so many cycles between two requests of a channel (0: one may come every cycle).
    refresh_phase_cycles: how much of the refresh interval has passed before the first request. fold: repetitions are
    found and added up. reuse_identical_channels: channels with equal programs are simulated once. threads None: all cores.
    """

    interval_cycles: int = 0
    refresh_phase_cycles: int = 0
    skip: bool = True
    fold: bool = True
    reuse_identical_channels: bool = True
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class StreamTimes:
    """What the engine found, per kind of channel (K kinds, channels of a kind did exactly the same).

    cycles: until the last channel got its last datum, of a clock of tck_ps. kind_of_channel: int32 [channels], -1 where
    nothing was asked of a channel. Per kind, int64 [K]: kind_cycles, reads, writes, simulated (requests that were not
    taken from a repetition), statistics (named as Ramulator 2.0 names them), commands. energy_nj: float64 [K, ranks] in nJ,
    and the cycles of the background model; empty without an energy model.
    """

    cycles: int
    tck_ps: int
    transaction_bytes: int
    kind_of_channel: NDArray[np.int32]
    kind_cycles: NDArray[np.int64]
    reads: NDArray[np.int64]
    writes: NDArray[np.int64]
    simulated: NDArray[np.int64]
    statistics: dict[str, NDArray[np.int64]]
    commands: dict[str, NDArray[np.int64]]
    energy_nj: dict[str, NDArray[np.float64]]

    @property
    def time_ps(self) -> int:
        """The time of the slowest channel."""
        return self.cycles * self.tck_ps

    @property
    def channels_of_kind(self) -> NDArray[np.int64]:
        """How many channels did the work of each kind: [K]."""
        used = self.kind_of_channel[self.kind_of_channel >= 0]
        return np.bincount(used, minlength=len(self.reads)).astype(np.int64)

    @property
    def requests(self) -> int:
        """Reads and writes of all channels."""
        return int(self.channels_of_kind @ (self.reads + self.writes))

    @property
    def total_bytes(self) -> int:
        """Bytes read and written by all channels."""
        return self.requests * self.transaction_bytes

    @property
    def gb_per_s(self) -> float:
        """Bytes over time."""
        return self.total_bytes / self.time_ps * 1e3

    @property
    def folded_share(self) -> float:
        """Requests of the simulated channels that repetitions stood for, 0 to 1."""
        return 1 - float(self.simulated.sum()) / float((self.reads + self.writes).sum())

    def total(self, table: dict[str, NDArray[np.int64]]) -> dict[str, int]:
        """Sum statistics or commands over all channels."""
        return {name: int(self.channels_of_kind @ values) for name, values in table.items()}


def run_streams(
    streams: Sequence[Stream],
    memory: StreamMemory,
    options: StreamOptions | None = None,
    memo: KernelMemo | None = None,
) -> StreamTimes:
    """Simulate streams from closed banks until the last request is served, or take them from a memo that knows them.

    Raises:
        ConfigError: a standard, preset or policy is unknown, or a stream does not lie on whole transactions.
        CapacityError: a stream ends outside the memory.
    """
    options = options or StreamOptions()
    core = load_core()
    columns = _columns(streams, memory, core)
    settings = asdict(options) | {"threads": usable_threads(options.threads)}
    if memo is None:
        answer = core.run_stream(*columns, **asdict(memory), **settings)
    else:
        answer = _from_memo(
            memo, columns, memory, options, lambda: core.run_stream(*columns, **asdict(memory), **settings)
        )
    times = StreamTimes(**answer)
    asked = int(np.sum(-(-columns[1] // columns[2])))
    if times.requests != asked:
        raise EngineError(f"the core served {times.requests} requests of {asked}")
    return times


def _from_memo(
    memo: KernelMemo,
    columns: tuple[NDArray[np.int64], ...],
    memory: StreamMemory,
    options: StreamOptions,
    simulate: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    decides = {name: value for name, value in asdict(options).items() if name not in ("threads", "skip")}
    key = memo_key("stream", engine_and_standard(memory.standard), asdict(memory), decides, *columns)
    known = memo.get(key)
    if known is None:
        answer = simulate()
        memo.put(key, _flat(answer))
        return answer
    answer: dict[str, Any] = {"statistics": {}, "commands": {}, "energy_nj": {}}
    for name, array in known.items():
        table, _, entry = name.partition("/")
        if entry:
            answer[table][entry] = array
        else:
            answer[name] = int(array) if array.ndim == 0 else array
    return answer


def _flat(answer: dict[str, Any]) -> Arrays:
    flat: Arrays = {}
    for name, value in answer.items():
        if isinstance(value, dict):
            flat |= {f"{name}/{entry}": array for entry, array in value.items()}
        else:
            flat[name] = np.asarray(value)
    return flat


def _columns(streams: Sequence[Stream], memory: StreamMemory, core: object) -> tuple[NDArray[np.int64], ...]:
    unknown = [stream.kind for stream in streams if stream.kind not in _KINDS]
    if unknown:
        raise ConfigError(f"kind of a stream: given {unknown[0]!r}, allowed: read or write")
    transaction = 0
    if any(stream.stride_bytes is None for stream in streams):
        facts = core.resolve(
            memory.standard,
            organization=memory.organization,
            timing=memory.timing,
            sizes=memory.sizes,
            cycles=memory.timing_cycles,
        )
        transaction = facts["transaction_bytes"]
    # Negative numbers for groups of one, so that they never meet a given group.
    rows = [
        (
            stream.base_bytes,
            stream.extent_bytes,
            transaction if stream.stride_bytes is None else stream.stride_bytes,
            _KINDS[stream.kind],
            -1 - index if stream.group is None else stream.group,
        )
        for index, stream in enumerate(streams)
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    return tuple(np.ascontiguousarray(table[:, column]) for column in range(5))
