"""How good a classifier is: accuracy, what it takes for what, and what guessing would reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import TraceError, did_you_mean
from moeram.routing.source import RoutingSource
from moeram.routing.topics.classifier import TopicClassifier, predict
from moeram.routing.topics.windows import Windows


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Counts of windows by [true topic, predicted topic]."""

    topics: tuple[str, ...]
    confusion: NDArray[np.int64]

    @property
    def accuracy(self) -> float:
        """Share of the windows whose topic is predicted right."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def base_rate(self) -> float:
        """Share of the most frequent topic: what always naming it would reach."""
        return float(self.confusion.sum(axis=1).max() / self.confusion.sum())

    def plain(self) -> dict[str, Any]:
        """Return plain values for JSON; `read_confusion` and the experiment option `topic_prediction` take them."""
        return {
            "topics": list(self.topics),
            "confusion": self.confusion.tolist(),
            "accuracy": self.accuracy,
            "base_rate": self.base_rate,
            "windows": int(self.confusion.sum()),
        }


def evaluate(classifier: TopicClassifier, windows: Windows) -> Evaluation:
    """Predict all windows, whose topics must be topics of the classifier.

    Raises:
        TraceError: a topic of the windows is none of the classifier.
    """
    for topic in windows.topics:
        if topic not in classifier.topics:
            raise TraceError(f"the classifier has no topic {topic!r}{did_you_mean(topic, classifier.topics)}")
    own = np.array([classifier.topics.index(topic) for topic in windows.topics])
    true, predicted = own[np.array(windows.labels)], predict(classifier, windows.texts)
    count = len(classifier.topics)
    confusion = np.bincount(true * count + predicted, minlength=count * count).reshape(count, count)
    return Evaluation(topics=tuple(classifier.topics), confusion=confusion)


def usage_tables(source: RoutingSource) -> NDArray[np.float64]:
    """Usage table of each topic and layer: share of the ranking half's selections, [topics, layers, experts].

    Each (topic, layer) sums to 1, or is 0 throughout where nothing was selected.
    """
    usage = source.ranking_usage()
    totals = usage.sum(axis=2, keepdims=True)
    return usage / np.where(totals > 0, totals, 1)
