"""Routing of the reproduction: recorded where the user gives it, else the seeded generator; one set of tokens for all machines."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from moeram.model import MoEModel, load_model
from moeram.routing import RoutingSource, SyntheticOptions, SyntheticRouting, open_routing
from moeram.serving.step import Step


@lru_cache(maxsize=16)
def model_of(name: str) -> MoEModel:
    """Return a model; a dense one as one expert per layer that every token uses, as the Stratum sheet counts it (3.3)."""
    model = load_model(name)
    if model.moe_layers:
        return model
    return replace(
        model,
        moe_layers=tuple(range(model.layers)),
        experts=1,
        top_k=1,
        expert_intermediate_size=model.dense_intermediate_size,
        dense_intermediate_size=0,
    )


@lru_cache(maxsize=32)
def synthetic(name: str, options: SyntheticOptions, seed: int) -> RoutingSource:
    """Return the generator of a model."""
    return SyntheticRouting(model_of(name), options, seed=seed)


@lru_cache(maxsize=8)
def recorded(name: str, path: str, seed: int) -> RoutingSource:
    """Return recorded routing of a model."""
    return open_routing(path, model_of(name), seed=seed)


@lru_cache(maxsize=256)
def drawn_counts(source: RoutingSource, topic: int, tokens: int, seed: int) -> NDArray[np.int64]:
    """Return the tokens of each expert in a batch of held-out tokens of one topic, [layers, experts]."""
    drawn = source.draw(topic, tokens, np.random.default_rng([seed, topic, tokens])).astype(np.int64)
    layers = drawn.shape[1]
    flat = (drawn + np.arange(layers)[None, :, None] * source.experts).ravel()
    return np.bincount(flat, minlength=layers * source.experts).reshape(layers, source.experts)


class FixedTokens:
    """What pricers ask of routed tokens, answered with the same tokens for every machine and length: differences are the machines'."""

    def __init__(self, source: RoutingSource, *, seed: int) -> None:
        self.layers, self.experts, self.top_k = len(source.layers), source.experts, source.top_k
        self.fidelity = source.fidelity
        self._source, self._seed = source, seed

    def counts(self, step: Step) -> NDArray[np.int64]:
        """Return how many tokens of a step use each expert, int64 [layers, experts]."""
        return self.decode_counts(step) + self.prefill_counts(step)

    def decode_counts(self, step: Step) -> NDArray[np.int64]:
        """Return the counts of the decoding requests' tokens; they are of one topic."""
        return self._of(step.topic[:1], len(step.decode) * step.tokens_per_request)

    def prefill_counts(self, step: Step) -> NDArray[np.int64]:
        """Return the counts of the prompts' tokens; they are of one topic."""
        return self._of(step.prefill_topic[:1], int(step.chunk_tokens.sum()))

    def _of(self, topic: NDArray[np.int64], tokens: int) -> NDArray[np.int64]:
        if not tokens:
            return np.zeros((self.layers, self.experts), dtype=np.int64)
        return drawn_counts(self._source, int(topic[0]), tokens, self._seed)


def decode_step(batch: int, context_tokens: int, topic: int = 0) -> Step:
    """Return a step of a batch of one topic in which every request attends to so many tokens."""
    none = np.zeros(0, dtype=np.int64)
    return Step(
        decode=np.arange(batch),
        context_tokens=np.full(batch, context_tokens, dtype=np.int64),
        topic=np.full(batch, topic, dtype=np.int64),
        prefill=none,
        chunk_tokens=none,
        chunk_start=none,
        prefill_topic=none,
    )


def prompt_step(prompts: int, tokens: int, topic: int = 0, *, decode: int = 0, context_tokens: int = 1) -> Step:
    """Return a step with whole prompts of so many tokens each, beside `decode` answering requests."""
    answering = decode_step(decode, context_tokens, topic)
    return replace(
        answering,
        prefill=decode + np.arange(prompts),
        chunk_tokens=np.full(prompts, tokens, dtype=np.int64),
        chunk_start=np.zeros(prompts, dtype=np.int64),
        prefill_topic=np.full(prompts, topic, dtype=np.int64),
    )
