"""The batches that a comparison places for: what rankings see of them and what scores their plans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, did_you_mean
from moeram.placement.pairs import count_pairs, draw_tokens
from moeram.placement.stratum import over_topics
from moeram.routing import RoutingSource


@dataclass(frozen=True, kw_only=True)
class Case:
    """One plan to make. label: names the batch. requests: of each topic, one topic alone or several.

    ranking, held_out, scored: selections [layers, experts] that rankings see, that hit rates and that balances are
    measured on. learn_pairs, score_pairs: as in PartInput, None where only counts are known.
    """

    label: str
    topic: int
    requests: tuple[float, ...]
    ranking: NDArray[np.float64]
    held_out: NDArray[np.float64]
    scored: NDArray[np.float64]
    learn_pairs: NDArray[np.floating] | None
    score_pairs: NDArray[np.floating] | None


def make_cases(source: RoutingSource, plans: str, requests: Mapping[str, float] | None, seed: int) -> list[Case]:
    """Return one case per topic (plans "topic"), one of all topics ("all"), or one of the given requests by topic.

    Raises:
        ConfigError: another word for plans, an unknown topic, or impossible numbers of requests.
    """
    count = len(source.topics)
    if requests is not None:
        for topic in requests:
            if topic not in source.topics:
                raise ConfigError(f"no topic {topic!r} in this routing{did_you_mean(topic, source.topics)}")
        label = ", ".join(f"{topic}={number:g}" for topic, number in requests.items())
        return [_case(source, label, tuple(float(requests.get(topic, 0)) for topic in source.topics), seed)]
    if plans == "all":
        return [_case(source, "all topics", (1.0,) * count, seed)]
    if plans != "topic":
        raise ConfigError(f"plans: given {plans!r}{did_you_mean(plans, ('topic', 'all'))}")
    alone = np.eye(count)
    return [_case(source, topic, tuple(map(float, alone[i])), seed) for i, topic in enumerate(source.topics)]


def _case(source: RoutingSource, label: str, requests: tuple[float, ...], seed: int) -> Case:
    held_out = over_topics(source.held_out_usage(), requests)
    experts = source.experts
    scored, learn, score = np.zeros_like(held_out), 0.0, 0.0
    for topic in np.flatnonzero(requests):
        tokens = draw_tokens(source, int(topic), seed)
        if tokens is None:
            scored, learn, score = held_out, None, None
            break
        weight = requests[topic] / len(tokens.learn)
        learn = learn + weight * count_pairs(tokens.learn, experts)
        score = score + weight * count_pairs(tokens.score, experts)
        scored = scored + weight * np.stack(
            [np.bincount(tokens.score[:, layer].ravel(), minlength=experts) for layer in range(len(source.layers))]
        )
    return Case(
        label=label,
        topic=int(np.argmax(requests)),
        requests=requests,
        ranking=over_topics(source.ranking_usage(), requests),
        held_out=held_out,
        scored=scored,
        learn_pairs=learn,
        score_pairs=score,
    )
