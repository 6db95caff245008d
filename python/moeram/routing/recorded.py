"""A ``RoutingSource`` of any recording: split into a half that ranks and one that draws."""

from __future__ import annotations

import numpy as np

from moeram.errors import TraceError
from moeram.model import MoEModel
from moeram.routing.chunks import DECODE, NO_EXPERT
from moeram.routing.counts import CountsRouting, CountTable, copied_layers
from moeram.routing.recording import CountTrace, PassTrace, Recording, RoutingTrace
from moeram.routing.trace import TraceRouting

_WEIGHT_SELECTIONS = 1_000_000


def source_of(recording: Recording, model: MoEModel, *, seed: int) -> TraceRouting | CountsRouting:
    """Draws from ``recording``.

    Tokens: only decode tokens if there are any, else all. A topic of two or more requests is split by requests (the first
    half of them ranks), a topic of one by its tokens. Layers that were not recorded copy the nearest recorded one with
    permuted ids, as for counts. Counts: as ``CountsRouting`` does.

    Raises:
        TraceError: The recording is damaged, holds no selections of single experts, or too few tokens.
    """
    if isinstance(recording, RoutingTrace):
        return _of_tokens(recording, model, seed)
    if isinstance(recording, CountTrace):
        return CountsRouting(_table(recording, model), model, seed=seed)
    assert isinstance(recording, PassTrace)
    raise TraceError(
        f"{recording.place}: a {recording.format} recording tells how many experts were used, not which; an experiment needs "
        "recorded experts or counts"
    )


def _of_tokens(trace: RoutingTrace, model: MoEModel, seed: int) -> TraceRouting:
    topics, decode, dropped, notes = _gather(trace)
    ranking, held_out = {}, {}
    for topic, requests in topics.items():
        pieces = list(requests.values())
        if len(pieces) > 1:
            half = len(pieces) // 2
            ranking[topic], held_out[topic] = np.concatenate(pieces[:half]), np.concatenate(pieces[half:])
        else:
            half = len(pieces[0]) // 2
            ranking[topic], held_out[topic] = pieces[0][:half], pieces[0][half:]
    tokens = sum(len(piece) for requests in topics.values() for piece in requests.values())
    what = (
        f"tokens of {trace.place} ({trace.format}), topics {', '.join(topics)}: {tokens} {'decode tokens' if decode else 'tokens'}"
        f" of {sum(map(len, topics.values()))} requests"
    )
    how = (
        "per topic the first half of the requests ranks (of the tokens, if there is one request), draws take distinct tokens "
        "of the second half"
    )
    said = [what, how, *trace.notes, *notes]
    if dropped:
        said.append(f"{dropped} tokens without a recorded expert in some layer are left out")
    if trace.layers != tuple(model.moe_layers):
        said.append(
            f"only layers {', '.join(map(str, trace.layers))} were recorded; the others copy the nearest of them (tie: the "
            "lower) with expert ids permuted independently per layer (seeded)"
        )
        ranking, held_out = (
            {topic: copied_layers(tokens, model, trace.layers, seed) for topic, tokens in half.items()}
            for half in (ranking, held_out)
        )
    return TraceRouting(model, ranking, held_out, notes=tuple(said), place=trace.place, measured_layers=trace.layers)


def _gather(trace: RoutingTrace) -> tuple[dict[str, dict[int, np.ndarray]], bool, int, dict[str, None]]:
    """Tokens by topic and request, whether only decode tokens are kept, tokens left out, remarks of the reader."""
    pieces: dict[bool, dict[tuple[int, int], list[np.ndarray]]] = {True: {}, False: {}}
    names: tuple[str, ...] = ()
    dropped = {True: 0, False: 0}
    notes: dict[str, None] = {}
    for chunk in trace.chunks():
        names = chunk.topics
        notes.update(dict.fromkeys(chunk.notes))
        whole = (chunk.experts != NO_EXPERT).all(axis=(1, 2))
        code = chunk.topic.astype(np.int64) << 33 | chunk.request.astype(np.int64) << 1 | (chunk.phase == DECODE)
        order = np.argsort(code, kind="stable")
        bounds = np.flatnonzero(np.diff(code[order])) + 1
        for part in np.split(order, bounds):
            first = part[0]
            is_decode = bool(chunk.phase[first] == DECODE)
            kept = part[whole[part]]
            dropped[is_decode] += len(part) - len(kept)
            if len(kept):
                key = (int(chunk.topic[first]), int(chunk.request[first]))
                pieces[is_decode].setdefault(key, []).append(chunk.experts[kept])
    decode = bool(pieces[True])
    topics: dict[str, dict[int, np.ndarray]] = {}
    for topic, request in sorted(pieces[decode]):
        topics.setdefault(names[topic], {})[request] = np.concatenate(pieces[decode].pop((topic, request)))
    return topics, decode, dropped[decode], notes


def _table(recording: CountTrace, model: MoEModel) -> CountTable:
    totals: np.ndarray | None = None
    names: tuple[str, ...] = ()
    for chunk in recording.chunks():
        names = chunk.topics
        sums = np.zeros((len(names), len(recording.layers), model.experts))
        np.add.at(sums, chunk.topic, chunk.counts)
        if totals is not None:
            sums[: len(totals)] += totals
        totals = sums
    if (totals != np.floor(totals)).any():  # weights of a balancer, not counts
        totals = totals / totals.sum(axis=-1, keepdims=True) * _WEIGHT_SELECTIONS
    counts = np.rint(totals).astype(np.int64)
    for topic, layer in np.ndindex(counts.shape[:2]):
        row = counts[topic, layer]
        if row.sum() < 2 * model.top_k or row.max() * model.top_k > row.sum() + model.top_k:
            raise TraceError(
                f"{recording.place}: topic {names[topic]}, layer {recording.layers[layer]}: {row.sum()} selections, {row.max()} "
                f"of one expert; tokens of {model.top_k} different experts cannot make them"
            )
    return CountTable(place=recording.place, topics=names, layers=recording.layers, counts=counts)
