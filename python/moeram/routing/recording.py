"""Recorded routing, read as a stream of chunks as often as one likes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar
from zipfile import BadZipFile

import numpy as np

from moeram.errors import TraceError
from moeram.routing.chunks import CountChunk, TokenChunk, TokenOrder, check_counts, check_tokens, merged
from moeram.routing.shape import TraceShape

Item = TypeVar("Item")

# What reading a damaged or hostile file can raise where no reader foresaw it.
DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    OSError,
    EOFError,
    zlib.error,
    BadZipFile,
)


def unreadable(place: object, format: str, error: BaseException) -> TraceError:
    """The one message for damage that no reader foresaw."""
    return TraceError(f"{place}: not readable as {format}: {type(error).__name__}: {str(error)[:200]}")


def guarded(place: str, format: str, read: Callable[[], Iterator[Item]]) -> Iterator[Item]:
    """What ``read`` yields; damage becomes a TraceError."""
    try:
        yield from read()
    except DAMAGE as error:
        raise unreadable(place, format, error) from error


@dataclass(frozen=True, kw_only=True)
class RoutingTrace:
    """Tokens with the experts that they used: the canonical form of every token-carrying format.

    Args:
        place: File or folder.
        format: Name of the reader.
        shape: Model that was recorded.
        layers: Ids of the layers that the trace covers, ascending, a subset of ``shape.moe_layers``.
        read: Starts a new pass over the tokens, in the order of the source; all layers of a token stand together.
        notes: What the reader had to assume.
    """

    place: str
    format: str
    shape: TraceShape
    layers: tuple[int, ...]
    read: Callable[[], Iterator[TokenChunk]]
    notes: tuple[str, ...] = ()

    kind = "tokens"

    def chunks(self) -> Iterator[TokenChunk]:
        """All tokens in order, in checked chunks of about a million selections.

        Raises:
            TraceError: The source is damaged or breaks a rule; the message names file, token and rule.
        """
        empty, order = True, TokenOrder()
        for chunk in merged(
            order.check(check_tokens(chunk, self.shape, self.layers))
            for chunk in guarded(self.place, self.format, self.read)
            if len(chunk)
        ):
            empty = False
            yield chunk
        if empty:
            raise TraceError(f"{self.place}: the trace holds no token")


@dataclass(frozen=True, kw_only=True)
class CountTrace:
    """Counts of selections without tokens; fields as in ``RoutingTrace``."""

    place: str
    format: str
    shape: TraceShape
    layers: tuple[int, ...]
    read: Callable[[], Iterator[CountChunk]]
    notes: tuple[str, ...] = ()

    kind = "counts"

    def chunks(self) -> Iterator[CountChunk]:
        """All counts in order, checked.

        Raises:
            TraceError: As in ``RoutingTrace.chunks``; or every count is zero.
        """
        total = 0.0
        for chunk in guarded(self.place, self.format, self.read):
            total += float(check_counts(chunk, self.shape, self.layers).counts.sum())
            yield chunk
        if not total:
            raise TraceError(f"{self.place}: every count is zero")


@dataclass(frozen=True, kw_only=True)
class PassTrace:
    """Only how many different experts each forward pass used.

    Args:
        phase: Index into ``PHASES`` of each pass, int8 [passes].
        tokens: Tokens of each pass, int64 [passes].
        distinct: Different experts of a layer, mean over layers, float64 [passes].
    """

    place: str
    format: str
    shape: TraceShape
    phase: np.ndarray
    tokens: np.ndarray
    distinct: np.ndarray
    layers: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    kind = "passes"


Recording = RoutingTrace | CountTrace | PassTrace


def covered_layers(count: int, shape: TraceShape, place: str) -> tuple[tuple[int, ...], slice | list[int]]:
    """Layers that an array with ``count`` layers covers, and the index of their rows in it.

    Sources count either all layers (dense ones unused) or only those with experts.

    Raises:
        TraceError: ``count`` is neither.
    """
    if count == len(shape.moe_layers):
        return shape.moe_layers, slice(None)
    if count == shape.layers:
        return shape.moe_layers, list(shape.moe_layers)
    raise TraceError(
        f"{place}: {count} layers; {shape.name} has {shape.layers} layers, {len(shape.moe_layers)} of them with experts: "
        "is this the file of another model?"
    )


def all_or_one(layers: list[int], shape: TraceShape, place: str) -> tuple[int, ...]:
    """``layers`` of formats with a file per layer: all layers with experts, or one alone.

    Raises:
        TraceError: Some are missing, as after a broken download.
    """
    if 1 < len(layers) < len(shape.moe_layers):
        lacking = sorted(set(shape.moe_layers) - set(layers))
        raise TraceError(
            f"{place}: layer {lacking[0]} is missing; {shape.name} has {len(shape.moe_layers)} layers with experts, here are "
            f"{len(layers)} (all of them are needed, or one alone)"
        )
    return tuple(layers)
