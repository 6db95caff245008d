"""Pieces of a recording that fit memory, and the rules that each of them must keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from moeram.errors import TraceError
from moeram.routing.shape import TraceShape

PHASES = ("prefill", "decode", "unknown")
PREFILL, DECODE, UNKNOWN = range(3)
NO_STEP = -1
NO_EXPERT = -1
CHUNK_SELECTIONS = 1 << 20
MOST_COUNT = 1e15  # sums of more are no longer exact in float64


@dataclass(frozen=True, kw_only=True)
class TokenChunk:
    """Successive tokens of a trace, each with its experts in all layers that the trace covers.

    Args:
        request: Number of each token's request in order of appearance, int32 [tokens].
        token: Position of the token in its request, int32 [tokens].
        phase: Index into ``PHASES``, int8 [tokens].
        step: 0 for prefill, 1, 2, ... for decode steps, ``NO_STEP`` where the source does not tell; int32 [tokens].
        topic: Index into ``topics``, int16 [tokens].
        topics: Names of the topics met so far; the index of a topic never changes within a trace.
        experts: Expert ids, int16 [tokens, layers, top_k]; a layer of a token that was not recorded is ``NO_EXPERT``.
        weights: Router weights of the same shape, float32, or None.
        place: File that the tokens come from, for messages.
        first_row: Number of the first token in that file, for messages.
        notes: What the reader had to assume.
    """

    request: np.ndarray
    token: np.ndarray
    phase: np.ndarray
    step: np.ndarray
    topic: np.ndarray
    topics: tuple[str, ...]
    experts: np.ndarray
    weights: np.ndarray | None = None
    place: str = ""
    first_row: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.request)

    def part(self, begin: int, end: int) -> TokenChunk:
        """Tokens ``begin`` to ``end``."""
        columns = {name: getattr(self, name)[begin:end] for name in _COLUMNS}
        weights = None if self.weights is None else self.weights[begin:end]
        return replace(self, **columns, weights=weights, first_row=self.first_row + begin)


_COLUMNS = ("request", "token", "phase", "step", "topic", "experts")


@dataclass(frozen=True, kw_only=True)
class CountChunk:
    """Counts of selections of successive forward passes, or of a whole recording.

    Args:
        counts: Selections, int64 or float64 [passes, layers, experts].
        topic: Index into ``topics``, int16 [passes].
        topics: Names of the topics met so far.
        phase: Index into ``PHASES``, int8 [passes].
        passes: Whether each entry is one forward pass; otherwise an entry sums many.
        place: File, for messages.
        first_row: Number of the first entry in that file, for messages.
    """

    counts: np.ndarray
    topic: np.ndarray
    topics: tuple[str, ...]
    phase: np.ndarray
    passes: bool
    place: str = ""
    first_row: int = 0


def token_chunk(experts: np.ndarray, *, topics: tuple[str, ...] = ("all",), **columns) -> TokenChunk:
    """A chunk from arrays or numbers: a number fills its column; ``token`` counts from 0 where it is not given."""
    count = len(experts)
    kinds = {"request": np.int32, "token": np.int32, "phase": np.int8, "step": np.int32, "topic": np.int16}
    defaults = {"request": 0, "token": np.arange(count), "phase": UNKNOWN, "step": NO_STEP, "topic": 0}
    made = {
        name: np.broadcast_to(np.asarray(columns.pop(name, defaults[name]), dtype=kind), (count,))
        for name, kind in kinds.items()
    }
    return TokenChunk(experts=experts, topics=topics, **made, **columns)


def merge(chunks: list[TokenChunk]) -> TokenChunk:
    """One chunk of all ``chunks``.

    Raises:
        TraceError: only some of them have weights.
    """
    if len(chunks) == 1:
        return chunks[0]
    columns = {name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in _COLUMNS}
    weights = None
    with_weights = [chunk for chunk in chunks if chunk.weights is not None]
    if with_weights and len(with_weights) < len(chunks):
        raise TraceError(f"{chunks[0].place}: some tokens have weights and others have none; all or none are expected")
    if with_weights:
        weights = np.concatenate([chunk.weights for chunk in chunks])
    notes = tuple(dict.fromkeys(note for chunk in chunks for note in chunk.notes))
    return replace(chunks[-1], **columns, weights=weights, notes=notes, place=chunks[0].place, first_row=0)


def merged(chunks: Iterable[TokenChunk], selections: int = CHUNK_SELECTIONS) -> Iterator[TokenChunk]:
    """The same tokens in chunks of about ``selections`` expert ids, so that small pieces cost little."""
    waiting: list[TokenChunk] = []
    size = 0
    for chunk in chunks:
        for begin in range(0, len(chunk), max(selections // max(chunk.experts[0].size, 1), 1)):
            part = chunk.part(begin, begin + max(selections // max(chunk.experts[0].size, 1), 1))
            waiting.append(part)
            size += part.experts.size
            if size >= selections:
                yield merge(waiting)
                waiting, size = [], 0
    if waiting:
        yield merge(waiting)


def check_tokens(chunk: TokenChunk, shape: TraceShape, layers: tuple[int, ...]) -> TokenChunk:
    """Return ``chunk`` if it keeps every rule of a trace of ``shape``.

    Rules: ``top_k`` distinct ids in 0..experts-1 in each recorded layer of each token, at least one recorded layer,
    finite weights that are not negative, tokens and requests numbered from 0, decode steps from 1.

    Raises:
        TraceError: Names file, token, layer and rule.
    """
    experts = chunk.experts
    if experts.shape[1:] != (len(layers), shape.top_k):
        raise TraceError(
            f"{chunk.place}: tokens of {experts.shape[1]} layers with {experts.shape[2]} experts, but {shape.name} has "
            f"{len(layers)} layers here and uses {shape.top_k} a token"
        )
    if len(chunk) and (experts.min() < 0 or experts.max() >= shape.experts):
        _check_range(chunk, shape, layers)
    if shape.top_k > 1:
        _check_distinct(chunk, shape, layers)
    if chunk.weights is not None:
        wrong = ~(chunk.weights >= 0) | np.isinf(chunk.weights)
        wrong &= experts != NO_EXPERT
        if wrong.any():
            token, layer, slot = np.argwhere(wrong)[0]
            what = f"weight {chunk.weights[token, layer, slot]} is no finite number of 0 or more"
            raise TraceError(f"{_place(chunk, token, layers[layer])}: {what}")
    if len(chunk) and (chunk.request.min() < 0 or chunk.token.min() < 0):
        token = int(np.argmax((chunk.request < 0) | (chunk.token < 0)))
        raise TraceError(
            f"{_place(chunk, token)}: request {chunk.request[token]} or token {chunk.token[token]} below 0"
        )
    wrong = (chunk.step < NO_STEP) | ((chunk.phase == DECODE) & (chunk.step == 0))
    if wrong.any():
        token = int(wrong.argmax())
        what = f"step {chunk.step[token]} of a {PHASES[chunk.phase[token]]} token"
        raise TraceError(f"{_place(chunk, token)}: {what}; prefill is step 0, decode steps count from 1")
    return chunk


class TokenOrder:
    """Watches that the tokens of each request come in ascending order, none twice, over all chunks of a trace."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}  # request -> its last token so far

    def check(self, chunk: TokenChunk) -> TokenChunk:
        """Return ``chunk`` if its tokens go on after those seen before.

        Raises:
            TraceError: A token stands twice or behind a later one of its request.
        """
        request, token, rows = chunk.request, chunk.token, None
        if (request[1:] < request[:-1]).any():
            rows = np.argsort(request, kind="stable")
            request, token = request[rows], token[rows]
        same = request[1:] == request[:-1]
        wrong = np.flatnonzero(same & (token[1:] <= token[:-1])) + 1
        starts = np.concatenate([[0], np.flatnonzero(~same) + 1])
        ends = np.append(starts[1:], len(request)) - 1
        for begin, end, number in zip(starts.tolist(), ends.tolist(), request[starts].tolist(), strict=True):
            if token[begin] <= self._last.get(number, -1):
                wrong = np.append(wrong, begin)
            self._last[number] = int(token[end])
        if len(wrong):
            at = int(wrong.min())
            raise TraceError(
                f"{_place(chunk, at if rows is None else int(rows[at]))}: token {token[at]} of request {request[at]} stands there "
                "after the same or a later one; the tokens of a request come in ascending order, the rows of a token together"
            )
        return chunk


def _check_range(chunk: TokenChunk, shape: TraceShape, layers: tuple[int, ...]) -> None:
    missing = (chunk.experts == NO_EXPERT).all(axis=2)
    wrong = (chunk.experts < 0) | (chunk.experts >= shape.experts)
    wrong &= ~missing[:, :, None]
    if wrong.any():
        token, layer, slot = np.argwhere(wrong)[0]
        expert = chunk.experts[token, layer, slot]
        where = _place(chunk, token, layers[layer])
        raise TraceError(f"{where}: expert {expert} is out of range; {shape.name} has experts 0..{shape.experts - 1}")
    if missing.all(axis=1).any():
        raise TraceError(f"{_place(chunk, int(missing.all(axis=1).argmax()))}: no layer has experts")


def _check_distinct(chunk: TokenChunk, shape: TraceShape, layers: tuple[int, ...]) -> None:
    ordered = np.sort(chunk.experts, axis=2)
    twice = (ordered[:, :, 1:] == ordered[:, :, :-1]) & (ordered[:, :, 1:] != NO_EXPERT)
    if twice.any():
        token, layer, slot = np.argwhere(twice)[0]
        row = chunk.experts[token, layer].tolist()
        where = _place(chunk, token, layers[layer])
        raise TraceError(f"{where}: expert {ordered[token, layer, slot]} occurs twice in {row}; ids must be distinct")


def check_counts(chunk: CountChunk, shape: TraceShape, layers: tuple[int, ...]) -> CountChunk:
    """Return ``chunk`` if its counts are 0 or between 1e-15 and 1e15, of ``shape``, and those of a pass whole tokens.

    Raises:
        TraceError: Names file, entry, layer, expert and rule.
    """
    counts = chunk.counts
    if counts.ndim != 3 or counts.shape[1:] != (len(layers), shape.experts):
        raise TraceError(
            f"{chunk.place}: counts of shape {counts.shape[1:]}; {shape.name} has {len(layers)} layers here and "
            f"{shape.experts} experts: is this the file of another model?"
        )
    wrong = ~(counts >= 0) | np.isinf(counts)
    if wrong.any():
        entry, layer, expert = np.argwhere(wrong)[0]
        raise TraceError(
            f"{chunk.place}: entry {chunk.first_row + entry}, layer {layers[layer]}, expert {expert}: count "
            f"{counts[entry, layer, expert]} is no finite number of 0 or more"
        )
    wrong = (counts > MOST_COUNT) | ((counts > 0) & (counts < 1 / MOST_COUNT))
    if wrong.any():
        entry, layer, expert = np.argwhere(wrong)[0]
        raise TraceError(
            f"{chunk.place}: entry {chunk.first_row + entry}, layer {layers[layer]}, expert {expert}: count "
            f"{counts[entry, layer, expert]} is out of range; scale the counts into {1 / MOST_COUNT:g}..{MOST_COUNT:g}"
        )
    if chunk.passes:
        _check_passes(chunk, shape, layers)
    return chunk


def _check_passes(chunk: CountChunk, shape: TraceShape, layers: tuple[int, ...]) -> None:
    """Each token of a pass uses ``top_k`` different experts of a layer."""
    sums = chunk.counts.sum(axis=2)
    most = chunk.counts.max(axis=2) * shape.top_k
    for wrong, what in (
        (sums % shape.top_k != 0, f"selections, no multiple of top_k = {shape.top_k}"),
        (most > sums, "selections, more than one for each token of one expert"),
    ):
        if wrong.any():
            entry, layer = np.argwhere(wrong)[0]
            raise TraceError(
                f"{chunk.place}: entry {chunk.first_row + entry}, layer {layers[layer]}: {sums[entry, layer]} {what}: "
                f"is this a recording of {shape.name}?"
            )


def _place(chunk: TokenChunk, token: int, layer: int | None = None) -> str:
    where = f"{chunk.place}: token {chunk.first_row + int(token)}"
    return where if layer is None else f"{where}, layer {layer}"
