"""What an instruction can mean: one function for each word of `unit.operations`, on the state of a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, MoeramError, TraceError
from moeram.pim.design import Meaning
from moeram.pim.instructions import Instruction
from moeram.pim.machine import Machine
from moeram.pim.numbers import Values
from moeram.pim.reference import FUNCTIONS
from moeram.pim.rows import Bank

Payload = NDArray[np.floating] | None


def _buffer(meaning: Meaning) -> str:
    assert meaning.buffer is not None  # the design was checked
    return meaning.buffer


def _from_host(machine: Machine, instruction: Instruction, payload: Payload) -> list[Values]:
    """The accesses that an instruction takes from the host, or from the general registers that it names."""
    if instruction.general:
        return [machine.general_values(instruction.general[0] + index) for index in range(instruction.opsize)]
    if payload is None:
        raise TraceError("the host sends nothing")
    if len(payload) != instruction.opsize:
        raise TraceError(f"the host sends {len(payload)} accesses, {instruction.opsize} are taken")
    return list(machine.number.round(payload))


def _to_host(machine: Machine, instruction: Instruction, values: list[Values]) -> Values:
    """Of each channel, in order, what it sends; to general registers, one access a channel, where the instruction names one."""
    if instruction.general:
        for index, one in enumerate(values):
            machine.general[instruction.general[0] + index] = one
    return np.stack(values)


def _nothing(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    pass


def _open(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    for channel in instruction.channels:
        machine.open(instruction, channel, machine.banks(instruction)[0])


def _load(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    accesses = _from_host(machine, instruction, payload)
    part = machine.only(instruction.bank or (), meaning.by) if instruction.bank else _shared(machine)
    for channel in range(machine.design.counts["channel"]) if meaning.broadcast else instruction.channels:
        for index, values in enumerate(accesses):
            machine.load_buffer(channel, _buffer(meaning), part, machine.entry(instruction) + index, values)


def _shared(machine: Machine) -> Bank:
    return (0,) * len(machine.design.bank_levels)


def _multiply(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    banks = machine.banks(instruction)
    name, row = _buffer(meaning), machine.row(instruction)
    parts = [machine.only(bank, meaning.by) for bank in banks]
    units = [machine.unit_of(bank, meaning) for bank in banks]
    for channel in instruction.channels:
        for column in machine.columns(instruction, channel, banks[0]):
            position = machine.position(instruction, channel, meaning.numbered_by) if meaning.numbered_by else None
            entry, turn = machine.next_entry(channel, name, parts[0], column, instruction.vectors, position)
            weights = machine.rows.read_banks(channel, banks, row, column)
            terms = np.empty((len(banks), instruction.vectors), np.float32)
            for vector in range(instruction.vectors):
                held = {part: machine.read_buffer(channel, name, part, entry + vector) for part in set(parts)}
                terms[:, vector] = (weights * np.stack([held[part] for part in parts])).sum(axis=1, dtype=np.float32)
            for unit, own in zip(units, terms, strict=True):
                machine.accumulate(channel, unit, own, turn)


def _read(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> Values:
    """Results as they lie in the answer: the first of all units, the second of all units, and so on."""
    out = []
    for channel in instruction.channels:
        if meaning.source == "activated":
            held = {unit: value[None] for unit, value in machine.activated.get(channel, {}).items()}
        else:
            held = machine.results(channel)
        out.append(_flat(machine, instruction, held))
        if meaning.source == "accumulators":
            machine.clear(channel, held)
    return _to_host(machine, instruction, out)


def _flat(machine: Machine, instruction: Instruction, held: dict[Bank, Values]) -> Values:
    unit = machine.design.unit
    counts = {len(results) for results in held.values()}
    if len(counts) != 1:
        raise TraceError("the units hold no results" if not counts else f"units hold {sorted(counts)} results each")
    values = np.stack([held[name] for name in sorted(held)], axis=1).ravel()
    room = instruction.opsize * unit.access_bytes // unit.accumulator_bytes
    if len(values) > room:
        raise TraceError(f"{len(values)} results do not fit {instruction.opsize} accesses of {unit.access_bytes} bytes")
    return values if unit.accumulator_bytes == 4 else machine.number.round(values)


def _set(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    values = _from_host(machine, instruction, payload)[0]
    units = machine.units()
    if len(units) != len(values):
        raise TraceError(f"{len(values)} values for {len(units)} units")
    for channel in instruction.channels:
        machine.set_accumulators(channel, dict(zip(units, values, strict=True)))


def _activate(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    number = machine.registers[meaning.chosen_by] if machine.registers else 0
    if number >= len(meaning.functions):
        raise TraceError(f"function {number} is unknown; there are {', '.join(meaning.functions)}")
    function = FUNCTIONS[meaning.functions[number]]
    for channel in instruction.channels:
        held = machine.results(channel)
        if not held:
            raise TraceError(f"the units of channel {channel} hold no results")
        machine.activated[channel] = {
            unit: machine.number.round(function(np.float32(results[0]))) for unit, results in held.items()
        }


def _bank_to_buffer(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    bank, row = machine.banks(instruction)[0], machine.row(instruction)
    for channel in instruction.channels:
        for column in machine.columns(instruction, channel, bank):
            values = machine.rows.read(channel, bank, row, column)
            machine.load_buffer(channel, _buffer(meaning), _shared(machine), column, values)


def _buffer_to_bank(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    bank, row = machine.banks(instruction)[0], machine.row(instruction)
    for channel in instruction.channels:
        for column in machine.columns(instruction, channel, bank):
            values = machine.read_buffer(channel, _buffer(meaning), _shared(machine), column)
            machine.rows.write(channel, bank, row, column, values)


def _multiply_banks(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    """In every group, one bank's columns become the products of two others'."""
    groups, row = {bank[:-1] for bank in machine.banks(instruction)}, machine.row(instruction)
    for channel in instruction.channels:
        for group in sorted(groups):
            for column in machine.columns(instruction, channel, group):
                left, right = (machine.rows.read(channel, (*group, bank), row, column) for bank in meaning.factors)
                machine.rows.write(channel, (*group, meaning.product), row, column, left * right)


def _add_general(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    first, second = instruction.general
    for index in range(instruction.opsize):
        total = machine.general_values(first + index) + machine.general_values(second + index)
        machine.general[second + index] = machine.number.round(total)


def _write_bank(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    values = _from_host(machine, instruction, payload)[0]
    for channel in instruction.channels:
        for bank in machine.banks(instruction):
            machine.rows.write(channel, bank, machine.row(instruction), instruction.column or 0, values)


def _read_bank(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> Values:
    bank, row = machine.banks(instruction)[0], machine.row(instruction)
    values = [machine.rows.read(channel, bank, row, instruction.column or 0) for channel in instruction.channels]
    return _to_host(machine, instruction, values)


def _results_to_buffer(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> Values:
    """The results of the named unit, or the sums over units that differ at the levels of `adds`; entry: the row named."""
    lanes, named = machine.rows.lanes, instruction.bank or ()
    free = {machine.design.bank_levels.index(level) for level in meaning.adds}
    out = []
    for channel in instruction.channels:
        held = {
            unit: results for unit, results in machine.results(channel).items()
            if all(digit == name or place in free for place, (digit, name) in enumerate(zip(unit, named, strict=True)))
        }  # fmt: skip
        counts = {len(results) for results in held.values()}
        if len(counts) != 1 or max(counts) > lanes:
            raise TraceError(f"units {list(held)} hold {sorted(counts)} results each; one access takes up to {lanes}")
        values = np.zeros(lanes, np.float32)
        values[: max(counts)] = np.sum(list(held.values()), axis=0, dtype=np.float32)
        machine.clear(channel, held)
        machine.write_buffer(channel, _buffer(meaning), _shared(machine), machine.entry(instruction), values)
        out.append(machine.number.round(values[: max(counts)]))
    return np.stack(out)


def _buffer_to_buffer(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    """One access; where the target has parts, source entries go around them."""
    if meaning.to is None:
        raise ConfigError("unit.operations: buffer_to_buffer needs `to`")
    part, entry = machine.only(instruction.bank or (), meaning.by), machine.entry(instruction)
    number, parts = 0, 1
    for level, digit in zip(machine.design.bank_levels, part, strict=True):
        if level in meaning.by:
            number, parts = number * machine.design.counts[level] + digit, parts * machine.design.counts[level]
    for channel in instruction.channels:
        values = machine.read_buffer(channel, _buffer(meaning), _shared(machine), entry * parts + number)
        machine.load_buffer(channel, meaning.to, part, entry, values)


def _softmax(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    lanes = machine.rows.lanes
    for channel in instruction.channels:
        tokens = machine.tokens.get(channel)
        if not tokens:
            raise TraceError(f"channel {channel} was not told how many tokens there are")
        entries = range(-(-tokens // lanes))
        scores = np.concatenate([machine.read_buffer(channel, _buffer(meaning), _shared(machine), e) for e in entries])
        powers = np.exp(scores[:tokens] - scores[:tokens].max())
        scores[:] = 0
        scores[:tokens] = powers / powers.sum(dtype=np.float32)
        for entry in entries:
            machine.write_buffer(channel, _buffer(meaning), _shared(machine), entry, scores[entry * lanes : (entry + 1) * lanes])


def _write_general(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    _from_host(machine, instruction, payload)


def _read_general(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> Values:
    return machine.general_values(instruction.general[0])[None, :]


def _set_register(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    if instruction.register >= len(machine.registers):
        raise TraceError(f"register {instruction.register} is unknown; there are {len(machine.registers)}")
    operations = machine.design.unit.operations.values()
    held = machine.registers[instruction.register]
    if instruction.data != held and instruction.register not in {one.chosen_by for one in operations if one.does == "activate"}:
        raise TraceError(f"register {instruction.register} is {held}; no other value has a meaning on values")
    machine.registers[instruction.register] = instruction.data


def _set_first_row(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    for channel in instruction.channels:
        machine.first_row[channel] = machine.row(instruction)


def _set_tokens(machine: Machine, instruction: Instruction, meaning: Meaning, payload: Payload) -> None:
    for channel in instruction.channels:
        machine.tokens[channel] = machine.entry(instruction)


MEANINGS: dict[str, Callable[[Machine, Instruction, Meaning, Payload], Values | None]] = {
    "nothing": _nothing,
    "open": _open,
    "load": _load,
    "multiply": _multiply,
    "read": _read,
    "set": _set,
    "activate": _activate,
    "bank_to_buffer": _bank_to_buffer,
    "buffer_to_bank": _buffer_to_bank,
    "multiply_banks": _multiply_banks,
    "add_general": _add_general,
    "write_general": _write_general,
    "read_general": _read_general,
    "write_bank": _write_bank,
    "read_bank": _read_bank,
    "results_to_buffer": _results_to_buffer,
    "buffer_to_buffer": _buffer_to_buffer,
    "softmax": _softmax,
    "set_register": _set_register,
    "set_first_row": _set_first_row,
    "set_tokens": _set_tokens,
}


@dataclass(frozen=True)
class Sent:
    """What the host sends with an instruction: accesses [n, lanes], into general registers from `general` on where it says so."""

    values: NDArray[np.floating]
    general: int | None = None


def execute(
    machine: Machine,
    program: Iterable[Instruction],
    sent: Mapping[int, Sent] | None = None,
    fetched: Mapping[int, int] | None = None,
) -> dict[int, Values]:
    """Execute instructions in order.

    Args:
        sent: by position of the instruction. fetched: general register from which on the host takes what an instruction answers.

    Returns:
        What instructions sent to the host, by position: [channels, values].

    Raises:
        TraceError: names the program line: a buffer that overflows, a place that does not exist or holds nothing.
    """
    answers: dict[int, Values] = {}
    for position, instruction in enumerate(program):
        try:
            meaning = machine.design.unit.operations.get(instruction.operation)
            if meaning is None:
                raise ConfigError(f"{machine.design.standard} does not say what it does (unit.operations)")
            payload = _send(machine, (sent or {}).get(position))
            answer = MEANINGS[meaning.does](machine, instruction, meaning, payload)
            if answer is not None and position in (fetched or {}):
                first = (fetched or {})[position]
                answer = np.stack([machine.general_values(first + index) for index in range(len(answer))])
        except MoeramError as error:
            raise TraceError(f"{instruction.place}: {instruction.operation}: {error}") from None
        if answer is not None:
            answers[position] = answer
    return answers


def _send(machine: Machine, sent: Sent | None) -> Payload:
    if sent is None or sent.general is None:
        return None if sent is None else sent.values
    for index, values in enumerate(sent.values):
        machine.general[sent.general + index] = machine.number.round(values)
    return None
