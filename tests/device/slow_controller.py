"""Ramulator 2.0's loop, LoadStoreTrace, mappers, queues, FRFCFS, refresh and row policies, plain and slow.

Written from the description of the core; imports nothing of moeram. Every queue is looked through in every cycle.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from slow_device import SlowDevice
from slow_standard import Resolved, calculate

PLACES = 33  # nominal size 32 and one more
READ, WRITE = 0, 1


@dataclass
class Wish:
    kind: str
    final: str
    byte_address: int
    address: list[int]
    arrive: int = -1
    depart: int = -1
    counted: bool = False


@dataclass
class Channel:
    device: SlowDevice
    number: int
    refresh: bool
    cap: int  # 0: rows stay open
    low: float
    high: float
    clock: int = 0
    reads: list[Wish] = field(default_factory=list)
    writes: list[Wish] = field(default_factory=list)
    active: list[Wish] = field(default_factory=list)
    priority: list[Wish] = field(default_factory=list)
    pending: list[Wish] = field(default_factory=list)
    write_mode: bool = False
    issued: list[str] = field(default_factory=list)
    accesses: dict = field(default_factory=dict)
    statistics: dict = field(default_factory=dict)

    def __post_init__(self):
        self.standard = self.device.standard
        behaviour, values = self.standard.data["behaviour"], self.standard.values
        rule = behaviour.get("refresh", {})
        self.refresh_command = self.standard.data["requests"].get(rule.get("request"))
        self.has_ranks = rule.get("level") in self.standard.levels
        self.interval = calculate(rule["interval"], self.standard.names, values["tCK_ps"]) if rule else None
        self.next_refresh = self.interval
        self.read_latency = calculate(
            self.standard.data["timing"]["read_latency"], self.standard.names, values["tCK_ps"]
        )
        self.finals = list(self.standard.data["requests"].values())

    def add(self, name: str, amount: int = 1) -> None:
        self.statistics[name] = self.statistics.get(name, 0) + amount

    def send(self, kind: int, byte_address: int, address: list[int]) -> bool:
        self.add("num_read_reqs" if kind == READ else "num_write_reqs")
        wish = Wish("read" if kind == READ else "write", self.finals[kind], byte_address, address)
        if kind == READ and any(write.byte_address == byte_address for write in self.writes):
            wish.depart = self.clock + 1
            self.pending.append(wish)
            return True
        queue = self.reads if kind == READ else self.writes
        if len(queue) == PLACES:
            return False
        wish.arrive = self.clock
        queue.append(wish)
        return True

    def tick(self) -> None:
        self.clock += 1
        self.add("queue_len", len(self.reads) + len(self.writes) + len(self.priority) + len(self.pending))
        if self.pending and self.pending[0].depart <= self.clock:
            done = self.pending.pop(0)
            if done.depart - done.arrive > 1:
                self.add("read_latency", done.depart - done.arrive)
        self.ask_for_refresh()
        queue, wish, command = self.choose()
        if wish is None:
            return
        self.close_rows(wish, command)
        self.issue(queue, wish, command)

    def ask_for_refresh(self) -> None:
        if not (self.refresh and self.has_ranks and self.clock == self.next_refresh):
            return
        self.next_refresh += self.interval
        for rank in range(self.standard.counts[1]):
            address = [self.number, rank] + [-1] * (len(self.standard.levels) - 2)
            self.priority.append(Wish("refresh", self.refresh_command, -1, address))

    def next_command(self, wish: Wish) -> tuple[str, bool]:
        command = self.device.prerequisite(wish.final, wish.address)
        return command, self.device.ready_at(command, wish.address) <= self.clock

    def best(self, queue: list[Wish]) -> tuple[Wish | None, str, bool]:
        found, key = (None, "", False), None
        for position, wish in enumerate(queue):
            command, ready = self.next_command(wish)
            if key is None or (not ready, wish.arrive, position) < key:
                found, key = (wish, command, ready), (not ready, wish.arrive, position)
        return found

    def choose(self):
        queue = self.active
        wish, command, ready = self.best(queue)
        if not ready and self.priority:
            queue = self.priority
            wish = queue[0]
            command, ready = self.next_command(wish)
        elif not ready:
            self.update_mode()
            queue = self.writes if self.write_mode else self.reads
            wish, command, ready = self.best(queue)
        if not ready:
            return None, None, None
        if self.device.commands[command].get("closing") and any(self.meets(wish, other) for other in self.active):
            return None, None, None
        return queue, wish, command

    def update_mode(self) -> None:
        waiting, reads = len(self.writes), len(self.reads)
        nominal = np.float32(32)
        if not self.write_mode and (waiting > np.float32(self.high) * nominal or reads == 0):
            self.write_mode = True
        elif self.write_mode and waiting < np.float32(self.low) * nominal and reads != 0:
            self.write_mode = False

    def meets(self, wish: Wish, other: Wish) -> bool:
        pairs = list(zip(wish.address, other.address, strict=True))[: self.standard.bank_level + 1]
        return all(first == second or -1 in (first, second) for first, second in pairs)

    def close_rows(self, wish: Wish, command: str) -> None:
        """ClosedRowPolicy: counts accesses of each bank and asks for a PRE when there were `cap` of them."""
        if not self.cap:
            return
        flags, address = self.device.commands[command], wish.address
        levels = self.standard.levels
        group, bank = address[levels.index("bankgroup")], address[levels.index("bank")]
        if flags.get("closing") or flags.get("refreshing"):
            for key in [
                key for key in self.accesses if key[0] == address[1] and group in (-1, key[1]) and bank in (-1, key[2])
            ]:
                self.accesses[key] = 0
        elif flags.get("accessing"):
            key = (address[1], group, bank)
            self.accesses[key] = self.accesses.get(key, 0) + 1
            if self.accesses[key] >= self.cap:
                self.accesses[key] = 0
                self.add("num_close_reqs")
                self.priority.append(Wish("close", self.standard.data["requests"]["close-row"], -1, list(address)))

    def issue(self, queue: list[Wish], wish: Wish, command: str) -> None:
        if wish.kind in ("read", "write") and not wish.counted:
            wish.counted = True
            bank, row = (
                tuple(wish.address[1 : self.standard.bank_level + 1]),
                wish.address[self.standard.bank_level + 1],
            )
            opened = self.device.state[bank] == "opened"
            self.add("row_misses" if not opened else "row_hits" if row in self.device.rows[bank] else "row_conflicts")
        self.device.issue(command, wish.address, self.clock)
        self.issued.append(f"{self.clock}, {command}, " + ", ".join(map(str, wish.address)))
        if command == wish.final:
            queue.remove(wish)
            if wish.kind == "read":
                wish.depart = self.clock + self.read_latency
                self.pending.append(wish)
        elif self.device.commands[command].get("opening") and len(self.active) < PLACES and queue is not self.active:
            queue.remove(wish)
            self.active.append(wish)


def fields(standard: Resolved) -> tuple[list[int], int]:
    """Address bits of each level and of a transaction."""
    bits = [int(np.floor(np.log2(count))) for count in standard.counts]
    organization = standard.data["organization"]
    bits[-1] -= int(np.log2(organization["prefetch"]))
    return bits, int(np.log2(organization["prefetch"] * organization["channel_width_bits"] // 8))


def map_address(standard: Resolved, mapper: str, byte_address: int) -> list[int]:
    bits, offset = fields(standard)
    rest, address = byte_address >> offset, [0] * len(bits)
    last, row = len(bits) - 1, len(bits) - 2

    def take(count: int) -> int:
        nonlocal rest
        value, rest = rest & ((1 << count) - 1), rest >> count
        return value

    if mapper == "RoBaRaCoCh":
        order = [0, last, *range(1, last)]
        for level in order:
            address[level] = take(bits[level])
    elif mapper == "ChRaBaRoCo":
        for level in reversed(range(len(bits))):
            address[level] = take(bits[level])
    else:
        low = take(2)
        for level in range(row):
            address[level] = take(bits[level])
        address[last] = low | take(bits[last] - 2) << 2
        address[row] = rest
        used = 0
        for level in range(row + 1):
            if bits[level] > 0:
                address[level] ^= (address[last] >> used) & ((1 << bits[level]) - 1)
                used += bits[level]
    return address


def simulate(standard: Resolved, lines: list[tuple[int, int]], options: dict) -> list[Channel]:
    """Run a trace of (kind, byte address) to its end; options: mapper, ratios, refresh, cap, low, high."""
    channels = [
        Channel(SlowDevice(standard), number, options["refresh"], options["cap"], options["low"], options["high"])
        for number in range(standard.counts[0])
    ]
    front, memory = options["ratios"]
    step = accepted = clock = 0
    while True:
        if step % memory == 0:
            kind, byte_address = lines[accepted % len(lines)]
            address = map_address(standard, options["mapper"], byte_address)
            accepted += channels[address[0]].send(kind, byte_address, address)
        if accepted >= len(lines):
            return channels
        if step % front == 0:
            clock += 1
            for channel in channels:
                channel.device.tick(clock)
            for channel in channels:
                channel.tick()
        step += 1
