"""Fast reading of JSON that is nothing but nested lists of whole numbers in a known frame.

A text is split into its numbers and its skeleton: the text without blanks and digits. If the skeleton is the expected one, as
many numbers as places were found, and right behind each stands a comma, a bracket or a quote (so no place has two), the
numbers are all there is to read; whatever differs is left to the exact reader, which also finds the words for what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_ZERO, _QUOTE = np.uint8(ord("0")), np.uint8(ord('"'))
_LEFT_OUT = b"0123456789 \t\r\n"
_ENDS = np.isin(np.arange(256), list(b',]"'))
_MOST_DIGITS = 9


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Whole numbers of a text in order (``values`` int32) and what stands around them."""

    values: np.ndarray
    skeleton: bytes
    raw: np.ndarray
    begin: np.ndarray
    end: np.ndarray

    def quoted(self, which: np.ndarray | slice) -> bool:
        """Whether each of the numbers ``which`` stands between quotes, as a key does."""
        before, behind = self.raw[self.begin[which] - 1], self.raw[self.end[which]]
        return bool((before == _QUOTE).all() and (behind == _QUOTE).all())


def numbers_of(text: bytes) -> Numbers | None:
    """Numbers and skeleton of ``text``.

    None if it begins or ends with a number, or one has a leading zero, more than nine digits, or another end than a comma,
    a bracket or a quote.
    """
    raw = np.frombuffer(text, dtype=np.uint8)
    digit = (raw - _ZERO) < 10
    if not len(raw) or digit[0] or digit[-1]:
        return None
    edges = np.flatnonzero(digit[1:] != digit[:-1])
    begin, end = edges[::2] + 1, edges[1::2] + 1
    if not len(begin) or not _ENDS[raw[end]].all():
        return None
    length = (end - begin).astype(np.int32)
    first = raw[begin] - _ZERO
    most = int(length.max())
    if most > _MOST_DIGITS or ((first == 0) & (length > 1)).any():
        return None
    values = first.astype(np.int32)
    for place in range(1, most):
        following = raw[np.minimum(begin + place, len(raw) - 1)] - _ZERO
        values = np.where(length > place, values * 10 + following, values)
    return Numbers(values=values, skeleton=text.translate(None, _LEFT_OUT), raw=raw, begin=begin, end=end)


def rows_skeleton(rows: int, width: int) -> bytes:
    """Skeleton of a list of ``rows`` lists of ``width`` numbers."""
    return b"[" + b",".join([b"[" + b"," * (width - 1) + b"]"] * rows) + b"]"


def sound(ids: np.ndarray, experts: int) -> bool:
    """Whether ids [..., top_k] are in 0..experts-1 and distinct in each row."""
    if ids.size and ids.max() >= experts:
        return False
    if ids.shape[-1] == 1:
        return True
    ordered = np.sort(ids.astype(np.int16), axis=-1)
    return not (ordered[..., 1:] == ordered[..., :-1]).any()
