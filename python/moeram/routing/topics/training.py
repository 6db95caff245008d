"""Training of the default classifier, the only place that needs scikit-learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moeram.errors import MoeramError
from moeram.options import Options
from moeram.routing.topics.classifier import LinearClassifier, count_words, words_of
from moeram.routing.topics.windows import WINDOW_WORDS, Windows

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class TrainingOptions(Options):
    """How the default classifier is made.

    window_words, held_out: see `split_windows`. most_words: vocabulary, the words in most windows. least_windows: a word
    in fewer windows is left out. strength: inverse regularisation of the logistic regression (C).
    """

    window_words: int = Field(default=WINDOW_WORDS, ge=1)
    held_out: float = Field(default=0.3, gt=0, lt=1)
    most_words: int = Field(default=20_000, ge=1)
    least_windows: int = Field(default=2, ge=1)
    strength: float = Field(default=10.0, gt=0)


def train(windows: Windows, options: TrainingOptions | None = None) -> LinearClassifier:
    """Fit a logistic regression on TF-IDF; idf(w) = 1 + ln((1 + windows) / (1 + windows with w)).

    Raises:
        MoeramError: scikit-learn is missing, or no word is in enough windows.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MoeramError(
            "training a topic classifier needs scikit-learn; install it with: pip install 'moeram[topics]' (a trained one "
            "works without it)"
        ) from error
    options = options or TrainingOptions()
    found = Counter(word for text in windows.texts for word in set(words_of(text)))
    frequent = sorted((word for word in found if found[word] >= options.least_windows), key=lambda w: (-found[w], w))
    vocabulary = tuple(sorted(frequent[: options.most_words]))
    if not vocabulary:
        raise MoeramError(f"topics: no word occurs in {options.least_windows} windows; give more text")
    count = len(windows.texts)
    idf = 1 + np.log((1 + count) / (1 + np.array([found[word] for word in vocabulary], dtype=np.float64)))
    features = _features(windows.texts, vocabulary, idf)
    model = LogisticRegression(C=options.strength, max_iter=1000).fit(features, np.array(windows.labels))
    weights, intercepts = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(windows.topics) == 2:  # scikit-learn keeps one row for two classes: the score of the second
        weights, intercepts = np.concatenate([-weights, weights]) / 2, np.concatenate([-intercepts, intercepts]) / 2
    return LinearClassifier(
        topics=windows.topics,
        vocabulary=vocabulary,
        idf=idf,
        coefficients=np.ascontiguousarray(weights, dtype=np.float64),
        intercepts=np.ascontiguousarray(intercepts, dtype=np.float64),
        training={**options.model_dump(), "windows": count},
    )


def _features(texts: Sequence[str], vocabulary: tuple[str, ...], idf: NDArray[np.float64]) -> csr_matrix:
    """TF-IDF values of all texts, [texts, words], each row of length 1 (or 0 without a known word)."""
    from scipy.sparse import csr_matrix

    index = {word: position for position, word in enumerate(vocabulary)}
    columns, values, starts = [], [], [0]
    for text in texts:
        position, times = count_words(text, index)
        value = (1 + np.log(times)) * idf[position]
        columns.append(position)
        values.append(value / np.sqrt(value @ value) if len(value) else value)
        starts.append(starts[-1] + len(position))
    return csr_matrix((np.concatenate(values), np.concatenate(columns), starts), shape=(len(texts), len(vocabulary)))
