"""Experts and decode attention of a Mono3D stack on values, by the rows that the engine's commands and the lowered caches name.

Weights, activations and caches are 16-bit values. Sums of the processing elements, of the reducer and of the ring are fp32; what is
kept for a next product (SiLU times up, probabilities) and what is written to a row is rounded to the format.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import ConfigError, TraceError
from moeram.hardware import AttentionWork, CycleOptions, NmpWork, System, cycle
from moeram.pim.numbers import NumberFormat, Values
from moeram.pim.rows import RowStore

_READ, _WRITTEN = "ROWRDab", "ROWWRab"


class Expert(NamedTuple):
    """Matrices of one expert: gate and up [hidden, inner], down [inner, hidden]."""

    gate: Values
    up: Values
    down: Values


class RowCommands(NamedTuple):
    """Rows that one channel's whole-row commands name, in their order."""

    read: list[int]
    written: list[int]


@dataclass(frozen=True, kw_only=True)
class Slices:
    """How matrices of a shape are cut (stratum.md 2.5): inner over the units of all chips, hidden over a unit's elements."""

    system: System
    hidden: int
    inner: int

    def __post_init__(self) -> None:
        if self.inner % self.units or self.hidden % self.system.device.banks_per_channel:
            raise ConfigError(
                f"an expert of {self.hidden} x {self.inner}: on values, the inner size is a multiple of the {self.units} units, "
                f"the hidden size of their {self.system.device.banks_per_channel} elements"
            )

    @property
    def units(self) -> int:
        """Units of all chips, one a channel."""
        return self.system.chips * self.system.device.channels

    @property
    def rows(self) -> int:
        """Rows of every bank that an expert takes."""
        elements = 3 * self.hidden * self.inner // (self.units * self.system.device.banks_per_channel)
        return -(-elements // row_elements(self.system))

    def stream(self, expert: Expert) -> Values:
        """What every bank holds, one matrix after the other: [units, banks, elements], zeros behind the last."""
        units, banks = self.units, self.system.device.banks_per_channel
        wide = [
            matrix.reshape(banks, self.hidden // banks, units, -1).transpose(2, 0, 1, 3)
            for matrix in (expert.gate, expert.up)
        ]
        down = expert.down.reshape(units, -1, banks, self.hidden // banks).transpose(0, 2, 1, 3)
        flat = np.concatenate([part.reshape(units, banks, -1) for part in (*wide, down)], axis=2)
        return np.pad(flat, ((0, 0), (0, 0), (0, self.rows * row_elements(self.system) - flat.shape[2])))

    def matrices(self, streamed: Values) -> tuple[Values, Values, Values]:
        """A unit's slices from its banks' stream [banks, elements]: gate, up [hidden, inner / units] and down [inner / units, hidden]."""
        banks, columns = len(streamed), self.inner // self.units
        size = self.hidden // banks * columns
        gate, up = (streamed[:, n * size : (n + 1) * size].reshape(self.hidden, columns) for n in (0, 1))
        down = streamed[:, 2 * size : 3 * size].reshape(banks, columns, -1).transpose(1, 0, 2).reshape(columns, self.hidden)
        return gate, up, down


def row_elements(system: System) -> int:
    """16-bit values of a row."""
    return system.device.row_bytes // 2


def empty_rows(system: System, number: NumberFormat) -> RowStore:
    """Return the rows of all chips; a column is a whole row."""
    device = system.device
    counts = {"channel": system.chips * device.channels, "bank": device.banks_per_channel, "row": device.rows, "column": 1}
    return RowStore(counts, row_elements(system), number)


def place_expert(rows: RowStore, slices: Slices, expert: Expert, first_row: int) -> None:
    """Write an expert's matrices into its interval of rows, the same in every bank.

    Raises:
        CapacityError: it does not fit, or another operand lies there.
    """
    stream = slices.stream(expert)
    for unit, bank, row in np.ndindex(*stream.shape[:2], slices.rows):
        rows.place_column(unit, (bank,), first_row + row, 0, stream[unit, bank, row * rows.lanes : (row + 1) * rows.lanes])


def issued_rows(work: NmpWork, system: System, options: CycleOptions) -> list[list[RowCommands]]:
    """Run work on the engine and return the rows that its commands name: of every layer and channel of a chip."""
    with tempfile.TemporaryDirectory() as folder:
        cycle.run(work, system, replace(options, trace_dir=folder))
        return [
            [_commands(Path(folder, f"layer{layer}.ch{channel}")) for channel in range(system.device.channels)]
            for layer in range(work.layers)
        ]


def _commands(path: Path) -> RowCommands:
    rows = RowCommands([], [])
    for line in path.read_text(encoding="ascii").splitlines():
        _, command, _, _, row, _ = line.split(", ")
        if command in (_READ, _WRITTEN):
            (rows.read if command == _READ else rows.written).append(int(row))
    return rows


def run_experts(
    rows: RowStore,
    slices: Slices,
    work: NmpWork,
    issued: Sequence[Sequence[RowCommands]],
    activations: ArrayLike,
    shares: Sequence[Mapping[int, Mapping[int, float]]],
    *,
    result_row: int,
) -> Values:
    """Execute layers of experts on the rows that the engine's commands name.

    Args:
        issued: as of `issued_rows`; all chips do the same on their rows. activations: [layers, batch, hidden]. shares: of every
            layer, expert -> token -> weight in the token's sum. result_row: where the host finds the results.

    Returns:
        [layers, batch, hidden], as the host reads them and adds up the chips.

    Raises:
        TraceError: commands that do not read every row of the work, or a row that holds nothing.
    """
    given = rows.number.round(activations)
    out = np.zeros(given.shape, np.float32)
    channels = slices.system.device.channels
    for layer in range(work.layers):
        own = slice(int(work.layer_begin[layer]), int(work.layer_begin[layer + 1]))
        experts = work.expert[own].tolist()
        for chip in range(slices.system.chips):
            total = np.zeros(given.shape[1:], np.float32)
            for channel in range(channels):
                unit = chip * channels + channel
                total += _unit_sum(rows, slices, unit, experts, issued[layer][channel].read, given[layer], shares[layer])
            out[layer] += _through_result_rows(rows, slices, chip, total, issued[layer], result_row)
    return out


def _unit_sum(
    rows: RowStore,
    slices: Slices,
    unit: int,
    experts: list[int],
    read: list[int],
    tokens: Values,
    shares: Mapping[int, Mapping[int, float]],
) -> Values:
    """What one unit's slices of all experts add to the layer's output [batch, hidden]; the ring adds up the units in fp32."""
    if len(read) != len(experts) * slices.rows:
        raise TraceError(f"channel {unit}: {len(read)} rows are read for {len(experts)} experts of {slices.rows} rows")
    banks = [(bank,) for bank in range(rows.counts["bank"])]
    total = np.zeros(tokens.shape, np.float32)
    for index, expert in enumerate(experts):
        own = read[index * slices.rows : (index + 1) * slices.rows]
        streamed = np.concatenate([rows.read_banks(unit, banks, row, 0) for row in own], axis=1)
        gate, up, down = slices.matrices(streamed)
        chosen = sorted(shares[expert])
        x = tokens[chosen]
        first = x @ gate
        between = rows.number.round(first / (1 + np.exp(-first)) * (x @ up))
        weights = np.asarray([shares[expert][token] for token in chosen], np.float32)
        total[chosen] += weights[:, None] * (between @ down)
    return total


def _through_result_rows(
    rows: RowStore, slices: Slices, chip: int, total: Values, issued: Sequence[RowCommands], result_row: int
) -> Values:
    """Every unit writes its share of the columns to the rows that its commands name; the host reads from the result row on."""
    banks, channels = rows.counts["bank"], slices.system.device.channels
    back = np.empty_like(total)
    for channel, columns in enumerate(np.array_split(np.arange(total.shape[1]), channels)):
        part = total[:, columns].ravel()
        per_row = banks * rows.lanes
        count = -(-part.size // per_row)
        written = issued[channel].written
        if len(written) != count:
            raise TraceError(f"channel {channel}: {len(written)} rows are written; the result takes {count}")
        pieces = np.pad(part, (0, count * per_row - part.size)).reshape(count, banks, rows.lanes)
        unit = chip * channels + channel
        for row, piece in zip(written, pieces, strict=True):
            for bank in range(banks):
                rows.write(unit, (bank,), row, 0, piece[bank])
        found = [rows.read_banks(unit, [(bank,) for bank in range(banks)], result_row + n, 0) for n in range(count)]
        back[:, columns] = np.concatenate(found).ravel()[: part.size].reshape(len(total), -1)
    return back


@dataclass(frozen=True, kw_only=True)
class HeadRows:
    """How a head's tokens lie in a group of units: token t in unit t mod group, around its banks, row after row (stratum.md 2.6)."""

    system: System
    work: AttentionWork

    def at(self, head: int, first_row: int) -> dict[str, NDArray[np.int64]]:
        """Digits of a head's keys or values [tokens, head size], from their first row on."""
        device, size = self.system.device, self.work.units_per_group
        group, tokens = (int(self.work.head[head, index]) for index in (0, 1))
        per_bank = row_elements(self.system) // self.work.head_size
        token, element = np.ogrid[:tokens, : self.work.head_size]
        place = token // size
        in_row = place % (device.banks_per_channel * per_bank)
        return {
            "channel": group * size + token % size,
            "bank": in_row % device.banks_per_channel,
            "row": first_row + place // (device.banks_per_channel * per_bank),
            "column": 0 * token,
            "lane": in_row // device.banks_per_channel * self.work.head_size + element,
        }


def place_caches(rows: RowStore, system: System, work: AttentionWork, keys: Sequence[Values], values: Sequence[Values]) -> None:
    """Write keys and values [tokens, head size] of every head of the work where its lowering has them.

    Raises:
        CapacityError: two caches in one place.
    """
    layout = HeadRows(system=system, work=work)
    for head in range(len(work.head)):
        for cache, first in ((keys[head], work.head[head, 3]), (values[head], work.head[head, 4])):
            at = layout.at(head, int(first))
            rows.place(np.asarray(cache, np.float32), {name: np.broadcast_to(digits, cache.shape) for name, digits in at.items()})


def run_attention_on_values(rows: RowStore, system: System, work: AttentionWork, queries: Sequence[Values]) -> list[Values]:
    """Decode attention of every head of the work: queries [queries, head size] (scaled) to outputs of that shape.

    Units of a group exchange two scalars a query: the maximum, then the sum of the exponentials.

    Raises:
        TraceError: a row that holds nothing.
    """
    layout = HeadRows(system=system, work=work)
    return [_head(rows, layout, head, rows.number.round(queries[head])) for head in range(len(work.head))]


def _head(rows: RowStore, layout: HeadRows, head: int, queries: Values) -> Values:
    group, tokens, _, key_row, value_row = (int(value) for value in layout.work.head[head])
    units = [group * layout.work.units_per_group + unit for unit in range(min(layout.work.units_per_group, tokens))]
    scores = [queries @ _cache(rows, layout, head, unit, key_row).T for unit in units]
    most = np.max([local.max(axis=1) for local in scores], axis=0)  # first exchange
    powers = [np.exp(local - most[:, None]) for local in scores]
    total = np.sum([local.sum(axis=1, dtype=np.float32) for local in powers], axis=0, dtype=np.float32)  # second
    out = np.zeros(queries.shape, np.float32)
    for unit, local in zip(units, powers, strict=True):
        out += rows.number.round(local / total[:, None]) @ _cache(rows, layout, head, unit, value_row)
    return rows.number.round(out)


def _cache(rows: RowStore, layout: HeadRows, head: int, unit: int, first_row: int) -> Values:
    """A unit's tokens of a head, from the rows that its pass streams: [tokens, head size]."""
    device, size = layout.system.device, layout.work.units_per_group
    tokens = len(range(unit % size, int(layout.work.head[head, 1]), size))
    per_row = device.banks_per_channel * (row_elements(layout.system) // layout.work.head_size)
    found = []
    for n in range(-(-tokens // per_row)):
        for place in range(min(per_row, tokens - n * per_row)):
            bank, slot = place % device.banks_per_channel, place // device.banks_per_channel
            found.append(rows.read_part(unit, (bank,), first_row + n, slot * layout.work.head_size, layout.work.head_size))
    return np.stack(found)
