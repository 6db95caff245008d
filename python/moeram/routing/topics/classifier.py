"""The contract of a topic classifier, and the default: TF-IDF with a linear model, which predicts with numpy alone."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from moeram.errors import TraceError
from moeram.files import whole_file

VERSION = 1
_WORD = re.compile(r"\w\w+")
_ARRAYS = ("meta", "vocabulary", "idf", "coefficients", "intercepts")


@runtime_checkable
class TopicClassifier(Protocol):
    """Says which topic a text is of. Equal texts give equal answers, whatever else is asked along with them.

    topics: names, in the order of the scores. A classifier may be trained on anything; whoever compares it with routing
    matches topics by name.
    """

    topics: tuple[str, ...]

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return a number for each text and topic, [texts, topics]; the largest is the prediction."""
        ...


def predict(classifier: TopicClassifier, texts: Sequence[str]) -> NDArray[np.intp]:
    """Index of the predicted topic of each text; the lower topic wins a tie."""
    return classifier.scores(texts).argmax(axis=1)


@dataclass(frozen=True, kw_only=True)
class LinearClassifier:
    """TF-IDF and a linear model.

    A word is two or more letters, digits or underscores, in lower case. A text's value for word w is
    (1 + ln count) x idf[w], scaled to Euclidean length 1; its score for a topic is the product with the topic's
    coefficients plus its intercept. Words outside the vocabulary do not count.

    vocabulary: words, ascending. idf: [words]. coefficients: [topics, words]. intercepts: [topics]. training: how it was
    made, plain values.
    """

    topics: tuple[str, ...]
    vocabulary: tuple[str, ...] = field(repr=False)
    idf: NDArray[np.float64] = field(repr=False)
    coefficients: NDArray[np.float64] = field(repr=False)
    intercepts: NDArray[np.float64] = field(repr=False)
    training: dict[str, object] = field(default_factory=dict)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Scores of each text, [texts, topics]."""
        index = {word: position for position, word in enumerate(self.vocabulary)}
        rows = np.tile(self.intercepts, (len(texts), 1))
        for row, text in zip(rows, texts, strict=True):
            position, count = count_words(text, index)
            if len(position):
                value = (1 + np.log(count)) * self.idf[position]
                row += self.coefficients[:, position] @ (value / np.sqrt(value @ value))
        return rows

    def save(self, path: str | Path) -> None:
        """Write an .npz archive of plain arrays (words and settings as UTF-8 text), without pickles.

        Raises:
            ConfigError: it cannot be written; an earlier file stays as it was.
        """
        meta = {
            "format": "moeram topic classifier",
            "version": VERSION,
            "topics": self.topics,
            "training": self.training,
        }
        arrays = {
            "meta": _bytes(json.dumps(meta)),
            "vocabulary": _bytes("\n".join(self.vocabulary)),
            "idf": self.idf,
            "coefficients": self.coefficients,
            "intercepts": self.intercepts,
        }
        with whole_file(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)


def words_of(text: str) -> list[str]:
    """Words of a text, in order."""
    return _WORD.findall(text.lower())


def count_words(text: str, index: dict[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions (ascending) of the known words of a text and how often each occurs."""
    known = [index[word] for word in words_of(text) if word in index]
    return np.unique(np.asarray(known, dtype=np.int64), return_counts=True)


def load_classifier(path: str | Path) -> LinearClassifier:
    """Read what `LinearClassifier.save` wrote; scikit-learn is not needed.

    Raises:
        TraceError: the file is missing, no such archive, of another version, or its arrays do not fit each other.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not set(_ARRAYS) <= set(archive.files):
                raise TraceError(f"{path}: no topic classifier; it lacks {sorted(set(_ARRAYS) - set(archive.files))}")
            arrays = {name: archive[name] for name in _ARRAYS}
        meta = json.loads(_text(arrays["meta"]))
        vocabulary = tuple(_text(arrays["vocabulary"]).split("\n"))
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, zipfile.BadZipFile, AttributeError, EOFError) as error:
        raise TraceError(f"{path}: no topic classifier ({error})") from None
    if not isinstance(meta, dict) or meta.get("version") != VERSION:
        raise TraceError(f"{path}: a topic classifier of another version; this program reads version {VERSION}")
    topics = tuple(map(str, meta.get("topics", ())))
    shapes = {"idf": (len(vocabulary),), "coefficients": (len(topics), len(vocabulary)), "intercepts": (len(topics),)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype != np.float64 or not np.isfinite(arrays[name]).all():
            raise TraceError(f"{path}: {name} is no float64 array {shape} of finite numbers")
    numbers = {name: arrays[name] for name in shapes}
    return LinearClassifier(topics=topics, vocabulary=vocabulary, training=meta.get("training", {}), **numbers)


def _bytes(text: str) -> NDArray[np.uint8]:
    return np.frombuffer(text.encode(), dtype=np.uint8)


def _text(values: NDArray[np.uint8]) -> str:
    return values.astype(np.uint8).tobytes().decode()
