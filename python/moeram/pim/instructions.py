"""Lines of a PIM program, read as the section `instructions` of its standard declares them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from moeram.errors import TraceError, did_you_mean
from moeram.pim.design import PimDesign
from moeram.pim.rows import Bank


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One line. bank: its digits between channel and row. column None: columns 0 to opsize - 1, or as many as opsize says.

    entry: of a buffer, the first. vectors: that a multiplication takes at once.
    """

    operation: str
    place: str
    channels: tuple[int, ...] = ()
    bank: Bank | None = None
    row: int | None = None
    column: int | None = None
    opsize: int = 1
    general: tuple[int, ...] = ()
    register: int = 0
    data: int = 0
    entry: int | None = None
    vectors: int = 1


def read_instructions(lines: Iterable[str], design: PimDesign, origin: str = "program") -> Iterator[Instruction]:
    """Yield the instructions of a program; blank lines and comments (#) are none.

    Raises:
        TraceError: names the line and what is wrong with it.
    """
    read = {"fields": _with_fields, "operation_address": _with_address}[design.instructions["syntax"]]
    for number, text in enumerate(lines, 1):
        words = text.split()
        if words and not words[0].startswith("#"):
            yield read(words, design, f"{origin}:{number}")


def _number(text: str, place: str) -> int:
    try:
        return int(text, 16) if text[:2] in ("0x", "0X") else int(text)
    except ValueError:
        raise TraceError(f"{place}: {text[:32]!r} is no number") from None


def _with_address(words: list[str], design: PimDesign, place: str) -> Instruction:
    known = design.instructions["operations"]
    if words[0] not in known:
        raise TraceError(f"{place}: unknown operation {words[0][:32]!r}{did_you_mean(words[0][:32], known)}")
    if len(words) != 2:
        raise TraceError(f"{place}: a line is 'OPERATION ADDRESS'")
    address = _number(words[1], place)
    rest, unaligned = divmod(address, design.unit.access_bytes)
    if unaligned:
        raise TraceError(f"{place}: address {address:#x} is not aligned to an access of {design.unit.access_bytes} bytes")
    digits: dict[str, int] = {}
    for level, count in reversed(design.counts.items()):
        rest, digits[level] = divmod(rest, count)
    if rest:
        raise TraceError(f"{place}: address {address:#x} lies beyond the {design.counts['channel']} channels")
    return Instruction(
        operation=words[0],
        place=place,
        channels=(digits["channel"],),
        bank=tuple(digits[level] for level in design.bank_levels),
        row=digits["row"],
        column=digits["column"],
    )


def address_of(design: PimDesign, digits: dict[str, int]) -> int:
    """Return the byte address of an access at these digits; levels that are left out are 0.

    Raises:
        TraceError: a digit that the memory does not have.
    """
    address = 0
    for level, count in design.counts.items():
        digit = digits.get(level, 0)
        if not 0 <= digit < count:
            raise TraceError(f"{level} {digit} lies outside 0 to {count - 1}")
        address = address * count + digit
    return address * design.unit.access_bytes


def _with_fields(words: list[str], design: PimDesign, place: str) -> Instruction:
    known = design.instructions["operations"]
    name = " ".join((words[0], *(word.removeprefix(design.instructions.get("optional_prefix", "")) for word in words[1:2])))
    if name not in known:
        raise TraceError(f"{place}: unknown operation {name[:32]!r}{did_you_mean(name[:32], known)}")
    fields = known[name]["fields"]
    if len(words) - 2 != len(fields):
        raise TraceError(f"{place}: {name} has {len(fields)} fields, found {len(words) - 2}")
    given: dict[str, list[int]] = {}
    for field, word in zip(fields, words[2:], strict=True):
        given.setdefault(field, []).append(_number(word, place))
    one = {field: values[0] for field, values in given.items()}
    return Instruction(
        operation=name,
        place=place,
        channels=_channels(known[name], one, design, place),
        bank=_bank(one["bank"], design, place) if "bank" in one else None,
        row=one.get("row"),
        column=0 if known[name].get("column", 0) == -1 else one.get("column"),
        opsize=one.get("opsize", 1),
        general=tuple(given.get("gpr", ())),
        register=one.get("register", 0),
        data=one.get("data", 0),
        entry=one.get("entry"),
        vectors=one.get("vectors", 1),
    )


def _channels(operation: dict[str, object], one: dict[str, int], design: PimDesign, place: str) -> tuple[int, ...]:
    count = design.counts["channel"]
    if operation.get("all_channels"):
        return tuple(range(count))
    if "channel" in one:
        if one["channel"] >= count:
            raise TraceError(f"{place}: channel {one['channel']} lies outside 0 to {count - 1}")
        return (one["channel"],)
    mask = one.get("mask")
    if mask is None:
        return ()
    if not 0 < mask < 1 << count:
        raise TraceError(f"{place}: mask {mask:#x} names no channel, or one beyond the {count} channels")
    if operation.get("one_channel") and mask & (mask - 1):
        raise TraceError(f"{place}: a mask of one channel is expected")
    from_top = design.instructions.get("mask_from_top", False)
    return tuple(channel for channel in range(count) if mask >> (count - 1 - channel if from_top else channel) & 1)


def _bank(number: int, design: PimDesign, place: str) -> Bank:
    digits, rest = [], number
    for level in reversed(design.bank_levels):
        rest, digit = divmod(rest, design.counts[level])
        digits.append(digit)
    if rest:
        raise TraceError(f"{place}: bank {number} is not one of the channel's")
    return tuple(reversed(digits))
