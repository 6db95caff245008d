"""One pass over a trace: how often each expert was used, and a sample of requests for what needs tokens side by side."""

from __future__ import annotations

import numpy as np

from moeram.routing.chunks import DECODE, NO_EXPERT, PHASES, TokenChunk
from moeram.routing.recording import RoutingTrace
from moeram.routing.sample import SAMPLE_SELECTIONS, RequestSample


class UsageCounter:
    """Selections per topic, phase, layer and expert, and tokens per phase, of the chunks added so far."""

    def __init__(self, layers: int, experts: int) -> None:
        self.layers, self.experts = layers, experts
        self.usage = np.zeros((0, len(PHASES), layers, experts), dtype=np.int64)
        self.tokens = np.zeros(len(PHASES), dtype=np.int64)
        self.topics: tuple[str, ...] = ()
        self._base = (np.arange(layers, dtype=np.int32) * experts)[:, None]

    def add(self, chunk: TokenChunk) -> None:
        """Count a chunk."""
        if len(chunk.topics) > len(self.topics):
            more = np.zeros((len(chunk.topics) - len(self.topics), *self.usage.shape[1:]), dtype=np.int64)
            self.usage, self.topics = np.concatenate([self.usage, more]), chunk.topics
        group = chunk.topic.astype(np.int32) * len(PHASES) + chunk.phase
        cells = chunk.experts + self._base
        if chunk.experts.min() == NO_EXPERT:
            cells = np.where(chunk.experts == NO_EXPERT, self.layers * self.experts, cells)
        flat = self.usage.reshape(-1, self.layers * self.experts)
        present = np.unique(group) if group.min() != group.max() else group[:1]
        for one in present.tolist():
            part = cells if len(present) == 1 else cells[group == one]
            flat[one] += np.bincount(part.ravel(), minlength=flat.shape[1] + 1)[: flat.shape[1]]
        self.tokens += np.bincount(chunk.phase, minlength=len(PHASES))


def read_usage(
    trace: RoutingTrace, *, seed: int = 0, sample_selections: int = SAMPLE_SELECTIONS
) -> tuple[UsageCounter, RequestSample, tuple[str, ...]]:
    """One pass over ``trace``: counts of use, a sample of requests (only decode tokens, if any), remarks of the reader.

    Raises:
        TraceError: The trace is damaged.
    """
    usage = UsageCounter(len(trace.layers), trace.shape.experts)
    sample = RequestSample(seed=seed, selections=sample_selections)
    notes: dict[str, None] = dict.fromkeys(trace.notes)
    decode_only = False
    for chunk in trace.chunks():
        usage.add(chunk)
        notes.update(dict.fromkeys(chunk.notes))
        decode = chunk.phase == DECODE
        if not decode_only and decode.any():
            decode_only = True  # whatever was sampled until here are prompts
            sample = RequestSample(seed=seed, selections=sample_selections, requests_seen=sample.requests_seen)
        if decode_only and not decode.all():
            sample.requests_seen.update(np.unique(chunk.request).tolist())
            chunk = _only(chunk, decode)
        if len(chunk):
            sample.add(chunk)
    return usage, sample, tuple(notes)


def _only(chunk: TokenChunk, rows: np.ndarray) -> TokenChunk:
    names = ("request", "token", "phase", "step", "topic", "experts")
    return TokenChunk(**{name: getattr(chunk, name)[rows] for name in names}, topics=chunk.topics)
