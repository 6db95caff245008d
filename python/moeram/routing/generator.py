"""Synthetic traces: requests with topics that drift, tokens that resemble their predecessor, layers that follow layers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from moeram.model import MoEModel
from moeram.routing.chunks import DECODE, PREFILL, TokenChunk, token_chunk
from moeram.routing.recording import RoutingTrace
from moeram.routing.shape import TraceShape, shape_of
from moeram.routing.source import check_seed
from moeram.routing.synthetic import SyntheticOptions, log_weights

_WEIGHT_STREAM, _TOPIC_STREAM, _REQUEST_STREAM = 11, 12, 13


class GeneratorOptions(SyntheticOptions):
    """Parameters of a synthetic trace; those of `SyntheticOptions` set popularity and topics.

    requests, prompt_tokens, decode_tokens: size; every request has as many. topic_drift: standard deviation of the step that
    the logarithm of each topic's share takes from one request to the next (0: topics are equally likely throughout).
    request_sigma: of a tilt that each request adds to the logarithm of the weights, the same in all layers for experts of the
    same rank of popularity. repeat: probability that a token keeps
    its predecessor's experts in a layer. cross_layer: probability that a layer takes the experts that correspond to those
    of the layer before (the same rank).
    """

    requests: int = Field(default=256, ge=1)
    prompt_tokens: int = Field(default=0, ge=0)
    decode_tokens: int = Field(default=128, ge=1)
    topic_drift: float = Field(default=0.0, ge=0, le=10)
    request_sigma: float = Field(default=0.0, ge=0, le=10)
    repeat: float = Field(default=0.0, ge=0, le=1)
    cross_layer: float = Field(default=0.0, ge=0, le=1)


def synthetic_trace(
    model: MoEModel | TraceShape,
    options: GeneratorOptions | None = None,
    *,
    seed: int = 0,
    weights: np.ndarray | None = None,
) -> RoutingTrace:
    """A trace that is made while it is read; equal arguments make equal traces, however they are read.

    A token takes ``top_k`` experts in proportion to their weights without replacement (Gumbel top-k). Then a layer may take
    over those of the layer before, then a token those of its predecessor: where it does, the marginal use of a layer stays
    (exactly for the predecessor; for layers as far as their popularities have the same shape).

    Args:
        model: Shape of the model.
        options: Parameters.
        seed: Any whole number of 0 or more.
        weights: Logarithm of the weights, float [topics, layers, experts], in place of those that the options draw.

    Raises:
        ConfigError: ``seed`` is no whole number of 0 or more.
    """
    check_seed(seed)
    shape = shape_of(model)
    options = options or GeneratorOptions()
    if weights is None:
        weights = log_weights(shape, options, np.random.default_rng([seed, _WEIGHT_STREAM]))
    expected = (options.topics, len(shape.moe_layers), shape.experts)
    if weights.shape != expected:
        raise ValueError(f"weights have shape {weights.shape}, allowed: {expected}")
    made = _Generator(shape, options, seed, weights)
    note = f"synthetic trace, seed {seed}: " + ", ".join(
        f"{name} {value}" for name, value in options.model_dump().items()
    )
    return RoutingTrace(
        place="synthetic", format="synthetic", shape=shape, layers=shape.moe_layers, read=made.chunks, notes=(note,)
    )


class _Generator:
    def __init__(self, shape: TraceShape, options: GeneratorOptions, seed: int, weights: np.ndarray) -> None:
        self.shape, self.options, self.seed, self.weights = shape, options, seed, weights
        self.topics = tuple(f"topic_{topic}" for topic in range(options.topics))
        rank = np.argsort(-weights.mean(axis=0), axis=1, kind="stable")  # expert of each rank, [layers, experts]
        self.rank_of = np.argsort(rank, axis=1)
        self.follower = np.empty((max(len(rank) - 1, 0), shape.experts), dtype=np.int16)
        for layer in range(len(rank) - 1):
            self.follower[layer, rank[layer]] = rank[layer + 1]

    def chunks(self) -> Iterator[TokenChunk]:
        prompt, count = self.options.prompt_tokens, self.options.prompt_tokens + self.options.decode_tokens
        order = np.arange(count)
        for request, topic in enumerate(self._topics()):
            yield token_chunk(
                self._request(request, topic, count),
                request=request,
                token=order,
                step=np.maximum(order - prompt + 1, 0),
                phase=np.where(order < prompt, PREFILL, DECODE),
                topic=topic,
                topics=self.topics,
                place="synthetic",
            )

    def _topics(self) -> Iterator[int]:
        """Topic of each request; the shares walk at random, pulled back by a hundredth a step so that none dies out."""
        rng = np.random.default_rng([self.seed, _TOPIC_STREAM])
        share = np.zeros(len(self.topics))
        for _ in range(self.options.requests):
            share = 0.99 * share + self.options.topic_drift * rng.standard_normal(len(share))
            chance = np.exp(share - share.max()).cumsum()
            yield int(np.searchsorted(chance, rng.random() * chance[-1], side="right"))

    def _request(self, request: int, topic: int, count: int) -> np.ndarray:
        options, top_k = self.options, self.shape.top_k
        rng = np.random.default_rng([self.seed, _REQUEST_STREAM, request])
        weight = self.weights[topic]
        if options.request_sigma:
            weight = weight + options.request_sigma * rng.standard_normal(self.shape.experts)[self.rank_of]
        waits = rng.standard_exponential((count, *weight.shape), dtype=np.float32)
        waits *= np.exp(-(weight - weight.max(axis=1, keepdims=True))).astype(np.float32)
        if top_k == 1:
            ids = waits.argmin(axis=2, keepdims=True).astype(np.int16)
        else:
            ids = np.argpartition(waits, top_k - 1, axis=2)[:, :, :top_k].astype(np.int16)
        if options.cross_layer:
            follow = rng.random((count, weight.shape[0])) < options.cross_layer
            for layer in range(1, weight.shape[0]):
                rows = follow[:, layer]
                ids[rows, layer] = self.follower[layer - 1][ids[rows, layer - 1]]
        if options.repeat:
            keep = rng.random((count, weight.shape[0])) < options.repeat
            keep[0] = False
            origin = np.maximum.accumulate(np.where(keep, 0, np.arange(count)[:, None]), axis=0)
            ids = np.take_along_axis(ids, origin[:, :, None], axis=0)
        return ids
