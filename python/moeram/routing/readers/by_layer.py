"""Formats with one file (or stretch of a file) per layer: read side by side so that the layers of a token meet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from moeram.errors import TraceError

LAYER_IN_NAME = re.compile(r"layer[_-]?(\d+)", re.IGNORECASE)  # as in ..._layer12_...
Rows = tuple[np.ndarray, np.ndarray | None]  # ids int16 [rows, top_k], weights float32 of the same shape


@dataclass
class LayerStream:
    """Rows of one layer in the order of tokens."""

    layer: int
    place: str
    batches: Iterator[Rows]
    left: list[Rows] = field(default_factory=list)

    def available(self, wanted: int) -> int:
        """Rows at hand, after reading until there are ``wanted`` or the layer ends."""
        have = sum(len(ids) for ids, _ in self.left)
        while have < wanted:
            rows = next(self.batches, None)
            if rows is None:
                break
            self.left.append(rows)
            have += len(rows[0])
        return have

    def take(self, count: int) -> Rows:
        """The next ``count`` rows, which are at hand."""
        ids = np.concatenate([ids for ids, _ in self.left])
        weights = None
        if all(values is not None for _, values in self.left):
            weights = np.concatenate([values for _, values in self.left])
        self.left = [(ids[count:], None if weights is None else weights[count:])] if len(ids) > count else []
        return ids[:count], None if weights is None else weights[:count]


def side_by_side(streams: list[LayerStream], rows: int) -> Iterator[Rows]:
    """Tokens [tokens, layers, top_k] of all ``streams``, at most ``rows`` at a time.

    Raises:
        TraceError: The layers have different numbers of tokens.
    """
    done = 0
    while True:
        counts = [stream.available(rows) for stream in streams]
        if len(set(counts)) > 1:
            few = counts.index(min(counts))
            raise TraceError(
                f"{streams[few].place}: layer {streams[few].layer} ends after {done + counts[few]} tokens, layer "
                f"{streams[counts.index(max(counts))].layer} has more; every layer must hold the same tokens"
            )
        count = min(counts[0], rows)
        if not count:
            return
        parts = [stream.take(count) for stream in streams]
        weighted = all(weights is not None for _, weights in parts)
        weights = np.stack([weights for _, weights in parts], axis=1) if weighted else None
        yield np.stack([ids for ids, _ in parts], axis=1), weights
        done += count
