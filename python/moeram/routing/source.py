"""The contract of routing: which experts tokens use, by topic and layer."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from moeram.errors import ConfigError


@runtime_checkable
class RoutingSource(Protocol):
    """Where the selections of tokens come from.

    Usage comes in two halves that share no selection: a placement may rank experts by the first, and results are
    measured on the second, from which ``draw`` takes its tokens. Layers are those of the model with experts, in
    order; an index into the layer axis is not a layer id.

    Attributes:
        topics: Names of the topics, the first axis of usage.
        layers: Ids of the model's layers with experts.
        experts: Routed experts of one layer.
        top_k: Experts that one token uses in one layer.
        measured_layers: Those of ``layers`` whose selections come from data; none for a synthetic source.
        notes: Sentences that a record must repeat: what was drawn, how it was split, anomalies of the data.
        fidelity: ``"measured"`` (tokens of a trace), ``"drawn"`` (tokens drawn from measured counts) or
            ``"synthetic"``.
    """

    topics: tuple[str, ...]
    layers: tuple[int, ...]
    experts: int
    top_k: int
    measured_layers: tuple[int, ...]
    notes: tuple[str, ...]
    fidelity: str

    def ranking_usage(self) -> np.ndarray:
        """Selections of the half that rankings may see, float64 [topics, layers, experts]. Read-only."""

    def held_out_usage(self) -> np.ndarray:
        """Selections of the half that rankings may not see, float64 [topics, layers, experts]. Read-only."""

    def draw(self, topic: int, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Experts of ``batch`` held-out tokens of one topic, int16 [batch, layers, top_k], distinct in a row.

        The order inside a row means nothing. Equal states of ``rng`` give equal draws.

        Raises:
            TraceError: The topic holds fewer than ``batch`` held-out tokens.
        """


def check_draw(source: RoutingSource, topic: int, batch: int) -> None:
    """Refuse a topic or batch that no source can serve.

    Raises:
        ValueError: ``topic`` is no index of ``source.topics`` or ``batch`` is below 1.
    """
    if not 0 <= topic < len(source.topics):
        raise ValueError(f"topic {topic} is out of range: allowed 0..{len(source.topics) - 1}")
    if batch < 1:
        raise ValueError(f"batch is {batch}, allowed: 1 or more")


def check_seed(seed: int) -> None:
    """Refuse a seed that numpy would not take.

    Raises:
        ConfigError: ``seed`` is no whole number in 0..2^63 - 1.
    """
    if not isinstance(seed, int | np.integer) or not 0 <= seed < 1 << 63:
        raise ConfigError(f"seed is {seed!r}, allowed: a whole number in 0..2^63 - 1")


def read_only(array: np.ndarray) -> np.ndarray:
    """Return ``array`` after forbidding writes to it, so that a source can hand out what it keeps."""
    array.flags.writeable = False
    return array
