"""Generated routing whose large samples outlast the process: drawing them takes longer than simulating a step."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from moeram.hardware.memo import KernelMemo, memo_key, shared_memo
from moeram.model import MoEModel
from moeram.routing import SyntheticOptions, SyntheticRouting, synthetic
from moeram.routing.source import read_only


class KeptRouting(SyntheticRouting):
    """The same routing; usages and samples are found again in the kernel memo, also by other processes."""

    def __init__(
        self, model: MoEModel, options: SyntheticOptions | None = None, *, seed: int = 0, memo: KernelMemo | None = None
    ) -> None:
        super().__init__(model, options, seed=seed)
        self._memo = memo or shared_memo()
        # What decides a draw.
        self._identity = (_code(), np.__version__, self.layers, self.experts, self.top_k, self.options.model_dump(), seed)

    def sample(self, topic: int, tokens: int, seed: Sequence[int]) -> np.ndarray:
        """Return what ``draw`` gives a generator that begins with this seed, numbered over all layers, [tokens, layers * top_k]. Read-only."""
        draw = super().sample
        return self._kept(memo_key("routed sample", *self._identity, topic, tokens, list(seed)), lambda: draw(topic, tokens, seed))

    def _sample_usage(self, stream: int) -> np.ndarray:
        count = super()._sample_usage
        return self._kept(memo_key("routed usage", *self._identity, stream), lambda: count(stream))

    def _kept(self, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        found = self._memo.get(key)
        if found is None:
            found = {"array": make()}
            self._memo.put(key, found)
        return read_only(found["array"])


@lru_cache(maxsize=1)
def _code() -> str:
    """Return the SHA-256 (hex) of the generator: another one may draw other tokens."""
    return hashlib.sha256(Path(synthetic.__file__).read_bytes()).hexdigest()
