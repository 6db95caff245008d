"""Text per topic, cut into windows of words; parts to train on and to test on are split by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moeram.errors import ConfigError, TraceError

WINDOW_WORDS = 512


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Texts with the index of their topic."""

    topics: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[int, ...]

    def count(self, topic: int) -> int:
        """Number of windows of one topic."""
        return self.labels.count(topic)


def read_texts(folder: str | Path) -> dict[str, str]:
    """Text of each topic: files TOPIC.txt, or the .txt files (sorted by name) of a folder TOPIC.

    Raises:
        TraceError: the folder is missing, a file is empty or no UTF-8, or there are fewer than two topics.
    """
    place = Path(folder)
    if not place.is_dir():
        raise TraceError(
            f"{place}: no such folder; allowed: a folder with one .txt file, or one folder of them, per topic"
        )
    texts: dict[str, str] = {}
    for entry in sorted(place.iterdir()):
        files = sorted(entry.glob("*.txt")) if entry.is_dir() else [entry] if entry.suffix == ".txt" else []
        if not files:
            continue
        topic = entry.name if entry.is_dir() else entry.stem
        if topic in texts:
            raise TraceError(f"{place}: topic {topic!r} is both a file and a folder")
        texts[topic] = "\n".join(read_text(file) for file in files)
    if len(texts) < 2:
        raise TraceError(f"{place}: {len(texts)} topics; at least two .txt files (or folders of them) are needed")
    return texts


def read_text(path: str | Path) -> str:
    """One text file.

    Raises:
        TraceError: it is missing, empty or not UTF-8.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise TraceError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise TraceError(f"{path}: cannot be read ({error.strerror})") from None
    if not text.strip():
        raise TraceError(f"{path}: no words in this file")
    return text


def windows(words: Sequence[str], size: int) -> tuple[str, ...]:
    """Successive windows of exactly `size` words; what is left over at the end is dropped."""
    return tuple(" ".join(words[start : start + size]) for start in range(0, len(words) - size + 1, size))


def split_windows(texts: dict[str, str], *, size: int = WINDOW_WORDS, held_out: float = 0.3) -> tuple[Windows, Windows]:
    """Windows to train on and windows to test on.

    A topic's words are split by position, the first 1 - held_out of them to train on, and each side is cut into windows
    of its own, so no window straddles the split.

    Args:
        size: words of a window.
        held_out: share of each topic's words, between 0 and 1.

    Raises:
        ConfigError: size or held_out is out of range.
        TraceError: a topic has no whole window on one of the sides.
    """
    if size < 1 or not 0 < held_out < 1:
        raise ConfigError(f"windows: given {size} words and a held-out share of {held_out}; allowed: >= 1, and 0 to 1")
    sides: tuple[list[tuple[str, int]], list[tuple[str, int]]] = ([], [])
    for label, (topic, text) in enumerate(texts.items()):
        words = text.split()
        cut = round(len(words) * (1 - held_out))
        for side, part in zip(sides, (words[:cut], words[cut:]), strict=True):
            found = windows(part, size)
            if not found:
                raise TraceError(
                    f"topic {topic!r}: {len(words)} words, {len(part)} of them on one side of the split, are less than a "
                    f"window of {size}; give more text or smaller windows"
                )
            side += [(window, label) for window in found]
    train, test = (
        Windows(topics=tuple(texts), texts=tuple(text for text, _ in side), labels=tuple(label for _, label in side))
        for side in sides
    )
    return train, test
