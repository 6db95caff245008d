"""Synthetic routing with topics: seeded, fitted to the expert use of OLMoE (docs/routing.md)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from moeram.model import MoEModel
from moeram.options import Options
from moeram.routing.shape import TraceShape
from moeram.routing.source import check_draw, read_only
from moeram.routing.statistics import count_selections, number_over_layers

_WEIGHT_STREAM, _RANKING_STREAM, _HELD_OUT_STREAM = 1, 2, 3

_ONLY_OF = {
    "zipf_exponent": "zipf", "popularity_sigma": "lognormal", "bimodal_sigma": "bimodal", "cold_share": "bimodal",
    "cold_depth": "bimodal",
}  # fmt: skip


class SyntheticOptions(Options):
    """Parameters of the generator; the defaults are fitted to OLMoE-1B-7B by benchmarks/fit_synthetic_routing.py.

    The two sigmas are standard deviations of the logarithm of an expert's weight: of its popularity, common to all
    topics, and of its tilt, drawn anew per topic. Each is a list of values at evenly spaced depths from the first to
    the last layer with experts, interpolated linearly between them.

    popularity: distribution of the logarithm of an expert's popularity. "lognormal": normal with `popularity_sigma`;
    "uniform": all alike; "zipf": -`zipf_exponent` x log of the expert's rank, ranks in random order; "bimodal": normal with
    `bimodal_sigma`, less `cold_depth` for a random share `cold_share` of the experts (the published shares of the Sieve paper, SIEVE_FITS).
    """

    popularity: Literal["lognormal", "uniform", "zipf", "bimodal"] = "lognormal"
    zipf_exponent: float = Field(default=1.0, ge=0, le=10)
    bimodal_sigma: float = Field(default=1.3, ge=0, le=10)
    cold_share: float = Field(default=0.41, ge=0, le=1)
    cold_depth: float = Field(default=5.28, ge=0, le=50)
    topics: int = Field(default=6, ge=1, le=1000)
    popularity_sigma: tuple[float, ...] = (0.37, 0.54, 0.59)
    topic_sigma: tuple[float, ...] = (0.49, 0.84, 0.85)
    sample_tokens: int = Field(default=1024, ge=2, le=1_000_000)

    @field_validator("popularity_sigma", "topic_sigma")
    @classmethod
    def _sigmas(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(0 <= sigma <= 10 for sigma in value):
            raise ValueError("at least one number, each in 0..10")
        return value

    @model_validator(mode="after")
    def _of_this_popularity(self) -> SyntheticOptions:
        for name, popularity in _ONLY_OF.items():
            if popularity != self.popularity and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} is given but popularity is {self.popularity}; allowed: popularity: {popularity}")
        return self


# Fits to the shares that the Sieve paper publishes; for models of 128 experts and top-8, 128 and top-4, 512 and
# top-10. Topics play no part there.
SIEVE_FITS: dict[str, dict[str, object]] = {
    "qwen3": {"bimodal_sigma": 1.30, "cold_share": 0.41, "cold_depth": 5.28},
    "gpt-oss": {"bimodal_sigma": 2.12, "cold_share": 0.41, "cold_depth": 4.46},
    "qwen3-next": {"bimodal_sigma": 0.63, "cold_share": 0.54, "cold_depth": 1.94},
}


_TOKENS_AT_ONCE = 32


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
        self._model = model
        what = (
            f"synthetic routing, seed {seed}, {len(self.topics)} topics: {_popularity_words(self.options)}, topic sigma "
            f"{_numbers(self.options.topic_sigma)} (first to last layer); tokens and layers are independent"
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
        drawn = np.empty((batch, len(self.layers), self.top_k), dtype=np.int16)
        # Piece by piece: the waits of all experts are many times larger than the experts drawn.
        for begin in range(0, batch, _TOKENS_AT_ONCE):
            piece = drawn[begin : begin + _TOKENS_AT_ONCE]
            waits = rng.standard_exponential((len(piece), len(self.layers), self.experts), dtype=np.float32)
            waits *= self._mean_wait[topic]
            if self.top_k == 1:
                piece[:] = waits.argmin(axis=-1, keepdims=True)
            else:
                piece[:] = np.argpartition(waits, self.top_k - 1, axis=-1)[..., : self.top_k]
        return drawn

    def sample(self, topic: int, tokens: int, seed: Sequence[int]) -> np.ndarray:
        """Return what ``draw`` gives a generator that begins with this seed, experts numbered over all layers, [tokens, layers * top_k]."""
        return number_over_layers(self.draw(topic, tokens, np.random.default_rng(seed)), self.experts)

    def _sample_usage(self, stream: int) -> np.ndarray:
        return _usage(self._model, self.options, self._seed, stream)


# The same for all generators with the same parameters, and dearer than a whole simulated step.
@lru_cache(maxsize=16)
def _usage(model: MoEModel, options: SyntheticOptions, seed: int, stream: int) -> np.ndarray:
    source = SyntheticRouting(model, options, seed=seed)
    rng = np.random.default_rng([seed, stream])
    samples = (source.draw(topic, options.sample_tokens, rng) for topic in range(len(source.topics)))
    usage = np.stack([count_selections(sample, model.experts) for sample in samples])
    return read_only(usage.astype(np.float64))


def _mean_waits(model: MoEModel, options: SyntheticOptions, rng: np.random.Generator) -> np.ndarray:
    """1 / weight of each expert, float32 [topics, layers, experts]."""
    return read_only(np.exp(-log_weights(model, options, rng)).astype(np.float32))


def log_weights(model: MoEModel | TraceShape, options: SyntheticOptions, rng: np.random.Generator) -> np.ndarray:
    """Logarithm of each expert's weight, float64 [topics, layers, experts]: popularity plus the tilt of the topic."""
    layers = len(model.moe_layers)
    common = _popularity(layers, model.experts, options, rng)
    tilt = _by_layer(options.topic_sigma, layers)[:, None]
    return common + tilt * rng.standard_normal((options.topics, layers, model.experts))


def _popularity(layers: int, experts: int, options: SyntheticOptions, rng: np.random.Generator) -> np.ndarray:
    """Logarithm of the popularity of each expert, float64 [layers, experts]."""
    if options.popularity == "uniform":
        return np.zeros((layers, experts))
    if options.popularity == "zipf":
        ranks = rng.permuted(np.tile(np.arange(1.0, experts + 1), (layers, 1)), axis=1)
        return -options.zipf_exponent * np.log(ranks)
    if options.popularity == "bimodal":
        cold = rng.permuted(np.tile(np.arange(experts) < round(options.cold_share * experts), (layers, 1)), axis=1)
        return options.bimodal_sigma * rng.standard_normal((layers, experts)) - options.cold_depth * cold
    return _by_layer(options.popularity_sigma, layers)[:, None] * rng.standard_normal((layers, experts))


def _popularity_words(options: SyntheticOptions) -> str:
    return {
        "lognormal": f"popularity sigma {_numbers(options.popularity_sigma)}",
        "uniform": "all experts alike",
        "zipf": f"Zipf popularity with exponent {options.zipf_exponent:g}",
        "bimodal": (
            f"bimodal popularity with sigma {options.bimodal_sigma:g}, {options.cold_share:.0%} of the experts "
            f"{options.cold_depth:g} below"
        ),
    }[options.popularity]


def _by_layer(sigma: tuple[float, ...], layers: int) -> np.ndarray:
    return np.interp(np.linspace(0, 1, layers), np.linspace(0, 1, len(sigma)), sigma)


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
