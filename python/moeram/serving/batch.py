"""The requests that are being served: columns that grow and shrink."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.serving.requests import Requests
from moeram.serving.step import Step

_NONE = np.zeros(0, dtype=np.int64)


class Batch:
    """Running requests in order of admission.

    request: ids; prefilled: prompt tokens done; generated: answer tokens done; last_token_ps: when the newest one came.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self.request = self.prefilled = self.generated = self.last_token_ps = _NONE
        self._decodes = self._prefills = _NONE  # places of the latest step's requests

    def __len__(self) -> int:
        return len(self.request)

    @property
    def believed_topic(self) -> NDArray[np.int64]:
        """Topics that the running requests are taken for."""
        assert self._requests.believed_topic is not None
        return self._requests.believed_topic[self.request]

    @property
    def reserved_tokens(self) -> int:
        """Keys and values reserved for the running requests: their prompts and whole answers."""
        return int((self._requests.prompt_tokens[self.request] + self._requests.output_tokens[self.request]).sum())

    def admit(self, requests: NDArray[np.int64]) -> None:
        """Take requests in."""
        zeros = np.zeros(len(requests), dtype=np.int64)
        self.request = np.concatenate([self.request, requests])
        for name in ("prefilled", "generated", "last_token_ps"):
            setattr(self, name, np.concatenate([getattr(self, name), zeros]))

    def step(self, *, prefill_tokens: int | None, mixed: bool, tokens_per_request: int, now_ps: int) -> Step:
        """Return the next forward pass: every answer, and prompts in order while their budget lasts."""
        left = self._requests.prompt_tokens[self.request] - self.prefilled
        chunks = left
        if prefill_tokens is not None:
            before = np.cumsum(left) - left
            chunks = np.clip(prefill_tokens - before, 0, left)
        prefills = np.flatnonzero(chunks)
        decodes = np.flatnonzero(left == 0) if mixed or not len(prefills) else _NONE
        self._decodes, self._prefills = decodes, prefills
        requests, decoding = self._requests, self.request[decodes]
        return Step(
            decode=decoding,
            context_tokens=requests.prompt_tokens[decoding] + self.generated[decodes] + tokens_per_request - 1,
            topic=requests.topic[decoding],
            prefill=self.request[prefills],
            chunk_tokens=chunks[prefills],
            chunk_start=self.prefilled[prefills],
            prefill_topic=requests.topic[self.request[prefills]],
            believed_topic=self.believed_topic[np.concatenate([decodes, prefills])],
            tokens_per_request=tokens_per_request,
            start_ps=now_ps,
        )

    def advance(self, step: Step, produced: NDArray[np.int64], end_ps: int) -> tuple[NDArray[np.int64], ...]:
        """Take the results of the latest pass.

        Args:
            produced: answer tokens of each decoding request [d]; those beyond an answer's end are dropped.

        Returns:
            first: requests whose first token came; gaps_ps, counts: times between tokens of a request and how often each
            occurred; finished: requests that are done, no longer in the batch.
        """
        decoding, prefilling = self._decodes, np.zeros(len(self), dtype=bool)
        prefilling[self._prefills] = True
        wanted = self._requests.output_tokens[self.request]
        self.prefilled = self.prefilled.copy()
        self.prefilled[prefilling] += step.chunk_tokens
        first = prefilling & (self.prefilled == self._requests.prompt_tokens[self.request])
        new = np.zeros(len(self), dtype=np.int64)
        new[decoding] = np.minimum(produced, (wanted - self.generated)[decoding])
        new[first] = 1
        gaps_ps, counts = self._gaps(new[decoding], self.last_token_ps[decoding], end_ps)
        self.generated = self.generated + new
        self.last_token_ps = np.where(new > 0, end_ps, self.last_token_ps)
        done = (self.generated == wanted) & (new > 0)
        first_requests, finished = self.request[first], self.request[done]
        if len(finished):
            self._keep(~done)
        return first_requests, gaps_ps, counts, finished

    def _gaps(
        self, new: NDArray[np.int64], last_ps: NDArray[np.int64], end_ps: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        # Tokens accepted together arrive together: the first waited, the others did not.
        waited, counts = np.unique(end_ps - last_ps[new > 0], return_counts=True)
        together = int(np.maximum(new - 1, 0).sum())
        if together:
            waited, counts = np.append(waited, 0), np.append(counts, together)
        return waited, counts

    def _keep(self, which: NDArray[np.bool_]) -> None:
        for name in ("request", "prefilled", "generated", "last_token_ps"):
            setattr(self, name, getattr(self, name)[which])
