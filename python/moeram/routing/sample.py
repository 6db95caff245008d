"""A uniform sample of whole requests of a stream, of bounded size."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from moeram.routing.chunks import NO_EXPERT, TokenChunk

SAMPLE_SELECTIONS = 1 << 25
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True, kw_only=True)
class RequestTokens:
    """Tokens of one sampled request in the order of the stream: positions, steps (or ``NO_STEP``) and expert ids."""

    token: np.ndarray
    step: np.ndarray
    experts: np.ndarray


@dataclass
class RequestSample:
    """Keeps the requests with the smallest hash of their number, as many as fit ``selections``.

    Which requests are kept depends on ``seed`` and their numbers only, so each is kept with the same probability and two
    reads of a trace keep the same ones. A request that alone exceeds a quarter of the room is cut there. Tokens with a
    layer that was not recorded are left out.
    """

    seed: int = 0
    selections: int = SAMPLE_SELECTIONS
    size: int = 0
    requests_seen: set[int] = field(default_factory=set)
    cut_requests: int = 0
    _parts: dict[int, list[TokenChunk]] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict)
    _heap: list[tuple[int, int]] = field(default_factory=list)
    _limit: int = (1 << 64) - 1

    def add(self, chunk: TokenChunk) -> None:
        """Take what belongs to the sample from the next tokens of the stream."""
        if chunk.experts.min(initial=0) == NO_EXPERT:
            whole = (chunk.experts != NO_EXPERT).all(axis=(1, 2))
            chunk = _rows(chunk, np.flatnonzero(whole))
        if not len(chunk):
            return
        request = chunk.request
        if len(request) > 1 and (request[1:] < request[:-1]).any():
            chunk = _rows(chunk, np.argsort(request, kind="stable"))
            request = chunk.request
        starts = np.concatenate([[0], np.flatnonzero(np.diff(request)) + 1, [len(request)]])
        hashes = _hash(request[starts[:-1]], self.seed)
        for i in np.flatnonzero(hashes <= np.uint64(self._limit)).tolist():
            self._keep(int(request[starts[i]]), int(hashes[i]), chunk.part(int(starts[i]), int(starts[i + 1])))
        self.requests_seen.update(request[starts[:-1]].tolist())

    def _keep(self, request: int, order: int, part: TokenChunk) -> None:
        if order > self._limit:
            return
        have = self._sizes.get(request, 0)
        room = max((self.selections // 4 - have) // part.experts[0].size, 0)
        if len(part) > room:
            self.cut_requests += have <= self.selections // 4
            part = part.part(0, room)
        if request not in self._parts:
            self._parts[request] = []
            heapq.heappush(self._heap, (-order, request))
        if len(part):
            # A copy, so that a small part does not keep a whole chunk alive.
            self._parts[request].append(_rows(part, np.arange(len(part))))
            self._sizes[request] = have + part.experts.size
            self.size += part.experts.size
        while self.size > self.selections and len(self._heap) > 1:
            worst, request = heapq.heappop(self._heap)
            self._limit = -worst - 1
            self.size -= self._sizes.pop(request, 0)
            del self._parts[request]

    def requests(self) -> list[RequestTokens]:
        """The sampled requests in order of their hash: any number of first ones is a uniform sample too."""
        ordered = [request for _, request in sorted((-order, request) for order, request in self._heap)]
        result = []
        for request in ordered:
            parts = self._parts[request]
            if parts:
                joined = {
                    name: np.concatenate([getattr(part, name) for part in parts])
                    for name in ("token", "step", "experts")
                }
                result.append(RequestTokens(**joined))
        return result


def in_steps(requests: list[RequestTokens]) -> bool:
    """Whether every sampled request is an unbroken run of decode steps."""
    runs = (request.step[0] > 0 and (np.diff(request.step) == 1).all() for request in requests)
    return bool(requests) and all(runs)


def _rows(chunk: TokenChunk, rows: np.ndarray) -> TokenChunk:
    names = ("request", "token", "phase", "step", "topic", "experts")
    return TokenChunk(**{name: getattr(chunk, name)[rows] for name in names}, topics=chunk.topics)


def _hash(values: np.ndarray, seed: int) -> np.ndarray:
    """A well-mixed 64-bit number of each value (the finaliser of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = values.astype(np.uint64) * _MIX[0] + np.uint64(seed) * _MIX[1] + _MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[1]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[2]
        return mixed ^ (mixed >> np.uint64(31))
