"""Synthetic routing with topics: seeded, fitted to the expert use of OLMoE (docs/routing.md)."""

from __future__ import annotations

import numpy as np
from pydantic import Field, field_validator

from moeram.model import MoEModel
from moeram.options import Options
from moeram.routing.source import check_draw, read_only
from moeram.routing.statistics import count_selections

_WEIGHT_STREAM, _RANKING_STREAM, _HELD_OUT_STREAM = 1, 2, 3


class SyntheticOptions(Options):
    """Parameters of the generator; the defaults are fitted to OLMoE-1B-7B by benchmarks/fit_synthetic_routing.py.

    The two sigmas are standard deviations of the logarithm of an expert's weight: of its popularity, common to all
    topics, and of its tilt, drawn anew per topic. Each is a list of values at evenly spaced depths from the first to
    the last layer with experts, interpolated linearly between them.
    """

    topics: int = Field(default=6, ge=1, le=1000)
    popularity_sigma: tuple[float, ...] = (0.37, 0.54, 0.59)
    topic_sigma: tuple[float, ...] = (0.49, 0.84, 0.85)
    sample_tokens: int = Field(default=1024, ge=2)

    @field_validator("popularity_sigma", "topic_sigma")
    @classmethod
    def _sigmas(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 <= sigma <= 10 for sigma in value):
            raise ValueError("at least one number, each in 0..10")
        return value


class SyntheticRouting:
    """A ``RoutingSource`` of random tokens.

    The weight of expert e of layer l under topic t is exp(p_l g_le + s_l h_tle) with standard normal g, h and the
    sigmas p, s of the layer. A token takes ``top_k`` experts one after the other without replacement, each with
    probability in proportion to its weight (Plackett-Luce, that is Gumbel top-k): the ``top_k`` smallest of
    E_e / weight with independent exponentials E_e. Tokens are independent, and so are a token's layers. Both usages are
    counts of ``sample_tokens`` tokens per topic, drawn independently of each other and of all draws.
    """

    fidelity = "synthetic"
    measured_layers: tuple[int, ...] = ()

    def __init__(self, model: MoEModel, options: SyntheticOptions | None = None, *, seed: int = 0) -> None:
        self.options = options or SyntheticOptions()
        self.topics = tuple(f"topic_{topic}" for topic in range(self.options.topics))
        self.layers = model.moe_layers
        self.experts, self.top_k = model.experts, model.top_k
        self._seed = seed
        self._mean_wait = _mean_waits(model, self.options, np.random.default_rng([seed, _WEIGHT_STREAM]))
        self._usage: dict[int, np.ndarray] = {}
        what = (
            f"synthetic routing, seed {seed}, {len(self.topics)} topics: popularity sigma "
            f"{_numbers(self.options.popularity_sigma)}, topic sigma {_numbers(self.options.topic_sigma)} "
            "(first to last layer); tokens and layers are independent"
        )
        how = f"rankings see {self.options.sample_tokens} random tokens per topic that no draw repeats"
        self.notes = (what, how)

    def ranking_usage(self) -> np.ndarray:
        """Selections of one sample of tokens, float64 [topics, layers, experts]."""
        return self._sample_usage(_RANKING_STREAM)

    def held_out_usage(self) -> np.ndarray:
        """Selections of another sample of tokens, float64 [topics, layers, experts]."""
        return self._sample_usage(_HELD_OUT_STREAM)

    def draw(self, topic: int, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Experts of ``batch`` new tokens, int16 [batch, layers, top_k]."""
        check_draw(self, topic, batch)
        shape = (batch, len(self.layers), self.experts)
        waits = rng.standard_exponential(shape, dtype=np.float32) * self._mean_wait[topic]
        return np.argpartition(waits, self.top_k - 1, axis=-1)[..., : self.top_k].astype(np.int16)

    def _sample_usage(self, stream: int) -> np.ndarray:
        if stream not in self._usage:
            rng = np.random.default_rng([self._seed, stream])
            tokens = self.options.sample_tokens
            samples = (self.draw(topic, tokens, rng) for topic in range(len(self.topics)))
            usage = np.stack([count_selections(sample, self.experts) for sample in samples])
            self._usage[stream] = read_only(usage.astype(np.float64))
        return self._usage[stream]


def _mean_waits(model: MoEModel, options: SyntheticOptions, rng: np.random.Generator) -> np.ndarray:
    """1 / weight of each expert, float32 [topics, layers, experts]."""
    layers = len(model.moe_layers)
    popularity, tilt = (_by_layer(sigma, layers)[:, None] for sigma in (options.popularity_sigma, options.topic_sigma))
    common = popularity * rng.standard_normal((layers, model.experts))
    own = tilt * rng.standard_normal((options.topics, layers, model.experts))
    return read_only(np.exp(-(common + own)).astype(np.float32))


def _by_layer(sigma: tuple[float, ...], layers: int) -> np.ndarray:
    return np.interp(np.linspace(0, 1, layers), np.linspace(0, 1, len(sigma)), sigma)


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
