"""llama.cpp expert logs: CSV ``layer,expert``, one selection a row in the order of computation.

A forward pass runs its layers in ascending order, each with ``top_k`` rows per token; a falling layer starts the next
pass. The last layer may hold fewer tokens: llama.cpp computes there only those whose output is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.canonical import load_pyarrow
from moeram.routing.chunks import DECODE, NO_EXPERT, PREFILL, TokenChunk, token_chunk
from moeram.routing.readers.tables import int_column, open_csv
from moeram.routing.recording import RoutingTrace
from moeram.routing.shape import TraceShape

HEADER = "layer,expert"


def trace_llama_cpp(path: Path, shape: TraceShape) -> RoutingTrace:
    """Tokens of one log. A pass of several tokens is taken as a prompt, one of a single token as a decode step.

    Raises:
        TraceError: A row is no pair of numbers, a pass lacks a layer or rows, or an id does not fit ``shape``.
    """
    note = (
        "the log names no requests: a pass of several tokens is taken as (a part of) a prompt, one of a single token as a "
        "decode step, and a prompt after a decode step as a new request"
    )
    return RoutingTrace(
        place=str(path),
        format="llama_cpp",
        shape=shape,
        layers=shape.moe_layers,
        read=lambda: _Passes(path, shape).chunks(),
        notes=(note,),
    )


class _Passes:
    def __init__(self, path: Path, shape: TraceShape) -> None:
        self.path, self.shape = path, shape
        self.row = 0  # number of the first row that is not yet part of a pass, header not counted
        self.token = 0
        self.request, self.position, self.step = -1, 0, 0

    def chunks(self) -> Iterator[TokenChunk]:
        layer, expert = np.empty(0, np.int32), np.empty(0, np.int32)
        pa, _ = load_pyarrow()
        with open_csv(self.path, dict.fromkeys(HEADER.split(","), pa.int32())) as batches:
            for batch in batches:
                if batch.schema.names != HEADER.split(","):
                    raise TraceError(f"{self.path}: header {','.join(batch.schema.names)!r}; {HEADER!r} is needed")
                first = self.row + len(layer) + 1
                new = (
                    int_column(batch.column(i), np.int32, f"{self.path}: {HEADER.split(',')[i]}", first) for i in (0, 1)
                )
                layer, expert = (np.concatenate(pair) for pair in zip((layer, expert), new, strict=True))
                starts = np.flatnonzero(layer[1:] < layer[:-1]) + 1
                if len(starts):
                    yield from self._whole(layer, expert, np.concatenate([[0], starts]))
                    layer, expert = layer[starts[-1] :], expert[starts[-1] :]
        if len(layer):
            yield from self._whole(layer, expert, np.array([0, len(layer)]))

    def _whole(self, layer: np.ndarray, expert: np.ndarray, bounds: np.ndarray) -> Iterator[TokenChunk]:
        """Passes between successive ``bounds``; runs of single-token passes are taken at once."""
        moe = np.asarray(self.shape.moe_layers)
        single = np.repeat(moe, self.shape.top_k)
        sizes = np.diff(bounds)
        at = 0
        while at < len(sizes):
            end = at
            while end < len(sizes) and sizes[end] == len(single):
                end += 1
            run = slice(bounds[at], bounds[end])
            if end > at and (layer[run].reshape(-1, len(single)) == single).all():
                yield self._decode(expert[run].reshape(end - at, len(moe), self.shape.top_k))
                at = end
                continue
            begin, stop = bounds[at], bounds[at + 1]
            yield self._pass(layer[begin:stop], expert[begin:stop])
            at += 1

    def _decode(self, ids: np.ndarray) -> TokenChunk:
        self.request = max(self.request, 0)
        order = np.arange(len(ids))
        return self._emit(ids, DECODE, self.step + 1 + order, ids.size)

    def _pass(self, layer: np.ndarray, expert: np.ndarray) -> TokenChunk:
        ids = self.shape.moe_layers
        place = f"{self.path}: rows {self.row + 1}..{self.row + len(layer)} (one forward pass)"
        foreign = [int(value) for value in np.unique(layer) if value not in ids]
        if foreign:
            raise TraceError(f"{place}: layer {foreign[0]} is no layer with experts of {self.shape.name}")
        rows = np.bincount(layer, minlength=self.shape.layers)[list(ids)]
        if not rows.all():
            missing = [one for one, count in zip(ids, rows, strict=True) if not count]
            raise TraceError(
                f"{place}: layer {missing[0]} is missing; {self.shape.name} has {len(ids)} layers with experts"
            )
        if (rows % self.shape.top_k).any():
            i = int((rows % self.shape.top_k).argmax())
            raise TraceError(f"{place}: layer {ids[i]} has {rows[i]} rows, no multiple of top_k = {self.shape.top_k}")
        tokens = rows // self.shape.top_k
        if (tokens[:-1] != tokens[0]).any() or tokens[-1] > tokens[0]:
            i = int((tokens != tokens[0]).argmax())
            raise TraceError(f"{place}: layer {ids[i]} has {tokens[i]} tokens, layer {ids[0]} has {tokens[0]}")
        made = np.full((tokens[0], len(ids), self.shape.top_k), NO_EXPERT, dtype=np.int32)
        begin = 0
        for i, count in enumerate(rows):
            made[len(made) - tokens[i] :, i] = expert[begin : begin + count].reshape(-1, self.shape.top_k)
            begin += count
        if len(made) > 1 and (self.step or self.request < 0):
            self.request, self.position, self.step = self.request + 1, 0, 0
        self.request = max(self.request, 0)
        if len(made) == 1:
            return self._emit(made, DECODE, self.step + 1, len(expert))
        return self._emit(made, PREFILL, 0, len(expert))

    def _emit(self, ids: np.ndarray, phase: int, step: np.ndarray | int, rows: int) -> TokenChunk:
        if ids.max(initial=0) >= self.shape.experts or ids.min(initial=0) < NO_EXPERT:
            wrong = int(ids.max()) if ids.max() >= self.shape.experts else int(ids.min())
            raise TraceError(
                f"{self.path}: rows {self.row + 1}..{self.row + rows}: expert {wrong} is out of range; {self.shape.name} has "
                f"experts 0..{self.shape.experts - 1}"
            )
        chunk = token_chunk(
            ids.astype(np.int16),
            request=self.request,
            token=self.position + np.arange(len(ids)),
            phase=phase,
            step=step,
            place=str(self.path),
            first_row=self.token,
        )
        self.row += rows
        self.token += len(ids)
        self.position += len(ids)
        if phase == DECODE:
            self.step += len(ids)
        return chunk
