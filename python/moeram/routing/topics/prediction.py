"""What a wrong prediction does: with which probability a batch of one topic is taken for one of another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, TraceError, did_you_mean
from moeram.routing.readers.files import read_json

_STREAM = 0x746F7069  # keeps these draws apart from all other uses of the experiment's seed


def confusion_of_accuracy(topics: int, accuracy: float) -> NDArray[np.float64]:
    """Right with probability `accuracy`, else any other topic alike: [true topic, predicted topic], rows sum to 1.

    Raises:
        ConfigError: accuracy is no probability, or there is only one topic, which nothing can be mistaken for.
    """
    if not 0 <= accuracy <= 1:
        raise ConfigError(f"accuracy of topic prediction: given {accuracy}, allowed: 0 to 1")
    if topics == 1 and accuracy < 1:
        raise ConfigError(f"accuracy of topic prediction: given {accuracy}, but there is only one topic; allowed: 1")
    matrix = np.full((topics, topics), (1 - accuracy) / max(topics - 1, 1))
    np.fill_diagonal(matrix, accuracy)
    return matrix


def read_confusion(path: str | Path, topics: Sequence[str]) -> NDArray[np.float64]:
    """Probabilities of `topics` from a JSON file {"topics": [names], "confusion": [[counts by predicted topic] by true]}.

    `moeram topics evaluate --json` writes such a file. Topics of the file beyond `topics` must not occur as predictions of
    these.

    Returns:
        [true topic, predicted topic] in the order of `topics`, rows sum to 1.

    Raises:
        TraceError: the file is missing or malformed, lacks a topic, or a topic was never seen.
    """
    place = Path(path)
    content = read_json(place)
    if not isinstance(content, dict) or not {"topics", "confusion"} <= content.keys():
        raise TraceError(f'{place}: expected an object {{"topics": [names], "confusion": [[counts]]}}')
    names = content["topics"]
    try:
        counts = np.asarray(content["confusion"], dtype=np.float64)
    except (TypeError, ValueError):
        raise TraceError(f"{place}: confusion is no table of numbers") from None
    if not isinstance(names, list) or counts.shape != (len(names), len(names)):
        raise TraceError(f"{place}: confusion has shape {counts.shape}, but there are {len(names)} topics")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise TraceError(f"{place}: confusion has a negative or missing (NaN) count")
    for topic in topics:
        if topic not in names:
            raise TraceError(f"{place}: no topic {topic!r} of this routing{did_you_mean(topic, map(str, names))}")
    index = [names.index(topic) for topic in topics]
    kept = counts[np.ix_(index, index)]
    for topic, row, all_counts in zip(topics, kept, counts[index], strict=True):
        if not row.sum() > 0:
            raise TraceError(f"{place}: topic {topic!r} was never seen among the topics of this routing")
        if row.sum() < all_counts.sum():
            raise TraceError(f"{place}: topic {topic!r} is mistaken for a topic that this routing does not have")
    return kept / kept.sum(axis=1, keepdims=True)


def predict_topic(probabilities: NDArray[np.float64], key: Sequence[int]) -> int:
    """Draw the topic that a batch is taken for, an index into `probabilities`, which sum to 1.

    Equal keys (such as seed, batch, topic, sample; 0 or more) give equal answers.
    """
    likeliest = int(probabilities.argmax())
    if probabilities[likeliest] == 1:
        return likeliest
    return int(np.random.default_rng([_STREAM, *key]).choice(len(probabilities), p=probabilities))
