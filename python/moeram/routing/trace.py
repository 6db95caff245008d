"""Routing from a trace: every token's experts in every layer are known."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from moeram.errors import TraceError
from moeram.model import MoEModel
from moeram.routing.source import check_draw, read_only
from moeram.routing.statistics import count_selections


class TraceRouting:
    """A ``RoutingSource`` of recorded tokens: a draw takes distinct held-out tokens of one topic.

    Args:
        model: Shape that the tokens fit.
        ranking: Tokens of each topic that rankings may see, int16 [tokens, layers, top_k].
        held_out: Tokens of the same topics that they may not see.
        notes: Sentences for the record.
        place: File or folder that the tokens come from, for messages.
        measured_layers: Layers that were recorded, if not all.

    Raises:
        TraceError: A topic has no token in one of the halves.
    """

    fidelity = "measured"

    def __init__(
        self,
        model: MoEModel,
        ranking: Mapping[str, np.ndarray],
        held_out: Mapping[str, np.ndarray],
        *,
        notes: tuple[str, ...],
        place: str,
        measured_layers: tuple[int, ...] | None = None,
    ) -> None:
        assert list(ranking) == list(held_out)
        for topic in ranking:
            if not len(ranking[topic]) or not len(held_out[topic]):
                raise TraceError(
                    f"{place}: topic {topic} has {len(ranking[topic])} tokens to rank by and {len(held_out[topic])} "
                    "held out; both halves need at least one"
                )
        self.topics = tuple(ranking)
        self.layers = model.moe_layers
        self.measured_layers = model.moe_layers if measured_layers is None else measured_layers
        self.experts, self.top_k = model.experts, model.top_k
        self.notes = notes
        self._place = place
        self._held_out = [read_only(held_out[topic]) for topic in self.topics]
        self._ranking_usage = self._usage(ranking[topic] for topic in self.topics)
        self._held_out_usage = self._usage(self._held_out)

    def ranking_usage(self) -> np.ndarray:
        """Selections of the ranking half, float64 [topics, layers, experts]."""
        return self._ranking_usage

    def held_out_usage(self) -> np.ndarray:
        """Selections of the held-out half, float64 [topics, layers, experts]."""
        return self._held_out_usage

    def draw(self, topic: int, batch: int, rng: np.random.Generator) -> np.ndarray:
        """Experts of ``batch`` distinct held-out tokens, int16 [batch, layers, top_k]."""
        check_draw(self, topic, batch)
        tokens = self._held_out[topic]
        if batch > len(tokens):
            raise TraceError(
                f"{self._place}: topic {self.topics[topic]} holds out {len(tokens)} tokens, "
                f"too few for a batch of {batch} distinct ones"
            )
        return tokens[rng.choice(len(tokens), batch, replace=False)]

    def _usage(self, halves) -> np.ndarray:
        return read_only(np.stack([count_selections(half, self.experts) for half in halves]).astype(np.float64))
