"""The serving loop: requests arrive, join a batch, pass through the model step by step, and leave."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, EngineError
from moeram.serving.batch import Batch
from moeram.serving.batching import BatchingOptions, Waiting, admitted, make_batching
from moeram.serving.record import Recorder, ServingRecord
from moeram.serving.requests import Requests
from moeram.serving.step import Step, StepPricer


def serve(
    requests: Requests,
    pricer: StepPricer,
    options: BatchingOptions,
    *,
    ttft_limit_ms: float = 1000.0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ServingRecord:
    """Serve all requests to their end.

    A request's first token comes with the last part of its prompt. Keys and values are reserved for prompt and whole answer when a
    request joins, so that none has to be thrown out again.

    Args:
        ttft_limit_ms: what users accept until the first token; batching policies may go by it.
        progress: called as progress(finished, requests).

    Raises:
        CapacityError: a request that can never fit the cache. EngineError: a step without progress.
    """
    need_tokens = requests.prompt_tokens + requests.output_tokens
    check_room(requests, pricer)
    rng = np.random.default_rng([seed, 0])
    batch, recorder, queue = Batch(requests), Recorder(requests, pricer.peaks), _Queue(requests, need_tokens, options, ttft_limit_ms)
    finished, now_ps = 0, 0
    while finished < len(requests):
        joining = queue.joining(batch, pricer.kv_capacity_tokens, now_ps)
        recorder.admitted_ps[joining] = now_ps
        batch.admit(joining)
        if not len(batch):
            now_ps = queue.next_arrival_ps()
            continue
        step = batch.step(
            prefill_tokens=options.prefill_tokens,
            mixed=options.mixed,
            tokens_per_request=1 + options.draft_tokens,
            now_ps=now_ps,
        )
        priced = pricer.price(step)
        now_ps += priced.time_ps
        kv_tokens = batch.reserved_tokens
        first, gaps_ps, counts, done = batch.advance(step, _produced(step, options, rng), now_ps)
        recorder.first_token_ps[first] = recorder.finished_ps[done] = now_ps
        recorder.gaps(gaps_ps, counts)
        out = int(counts.sum()) + len(first)
        recorder.step(step, priced, decode_tokens=out, waiting=len(queue), kv_tokens=kv_tokens)
        finished += len(done)
        if progress and len(done):
            progress(finished, len(requests))
    return recorder.record()


class _Queue:
    """Requests that have arrived and wait."""

    def __init__(
        self, requests: Requests, need_tokens: NDArray[np.int64], options: BatchingOptions, ttft_limit_ms: float
    ) -> None:
        self._requests, self._need_tokens = requests, need_tokens
        assert requests.believed_topic is not None
        self._believed = requests.believed_topic
        self._policy, self._most = make_batching(options, ttft_limit_ms), options.max_requests
        self._waiting = np.zeros(0, dtype=np.int64)
        self._arrived = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def joining(self, batch: Batch, capacity_tokens: int, now_ps: int) -> NDArray[np.int64]:
        """Take those that join now out of the queue."""
        until = int(np.searchsorted(self._requests.arrival_ps, now_ps, side="right"))
        if until > self._arrived:
            self._waiting = np.concatenate([self._waiting, np.arange(self._arrived, until)])
            self._arrived = until
        if not len(self) or len(batch) == self._most:
            return self._waiting[:0]
        waiting = Waiting(
            arrival_ps=self._requests.arrival_ps[self._waiting],
            topic=self._believed[self._waiting],
            need_tokens=self._need_tokens[self._waiting],
            running_topic=batch.believed_topic,
            free_requests=self._most - len(batch),
            free_tokens=capacity_tokens - batch.reserved_tokens,
            now_ps=now_ps,
        )
        places = admitted(self._policy.order(waiting), waiting)
        joining = self._waiting[places]
        self._waiting = np.delete(self._waiting, places)
        return joining

    def next_arrival_ps(self) -> int:
        """Return when somebody arrives next."""
        if len(self) or self._arrived == len(self._requests):
            raise EngineError(f"{len(self)} requests wait and nothing runs: the batching policy admits nobody")
        return int(self._requests.arrival_ps[self._arrived])


def _produced(step: Step, options: BatchingOptions, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return tokens that each decoding request gets: the guesses up to the first wrong one, and one of the model itself."""
    if not options.draft_tokens:
        return np.ones(len(step.decode), dtype=np.int64)
    right = rng.random((len(step.decode), options.draft_tokens)) < options.acceptance
    return 1 + np.cumprod(right, axis=1).sum(axis=1)


def check_room(requests: Requests, pricer: StepPricer) -> None:
    """Refuse requests whose keys and values can never fit.

    Raises:
        CapacityError: names the largest.
    """
    need_tokens = requests.prompt_tokens + requests.output_tokens
    largest = int(np.argmax(need_tokens))
    if need_tokens[largest] > pricer.kv_capacity_tokens:
        raise CapacityError(
            f"request {largest} needs keys and values of {need_tokens[largest]} tokens, the memory has room for {pricer.kv_capacity_tokens}; "
            "cap requests.prompt_tokens and requests.output_tokens, take a larger system or, near memory, reserve more "
            "(placement.kv_requests, placement.context_tokens)"
        )
