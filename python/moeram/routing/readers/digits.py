"""Fast reading of JSON that is nothing but nested lists of whole numbers in a known frame.

A text is split into its numbers and its skeleton: the text without blanks and digits. If the skeleton is the expected one, as
many numbers as places were found, right behind each stands a comma, a bracket or a quote (so no place has two) and none stands
behind the end of a list or half in quotes (where no place is), the numbers are all there is to read; whatever differs is left to the exact reader, which also finds the words for what is wrong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

_ZERO, _QUOTE, _LIST_END = (np.uint8(ord(character)) for character in '0"]')
_LEFT_OUT = b"0123456789 \t\r\n"
_IS_DIGIT = np.isin(np.arange(256), list(b"0123456789"))
_IS_SPACE = np.isin(np.arange(256), list(b" \t\r\n"))
_BEHIND_A_LIST = re.compile(rb"\]\s+[0-9]")
_ENDS = np.isin(np.arange(256), list(b',]"'))
_MOST_DIGITS = 9
_PIECE_BYTES = 1 << 18


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

    None if it begins or ends with a number, or one has a leading zero, more than nine digits, another end than a comma,
    a bracket or a quote, or stands where no number may.
    """
    raw = np.frombuffer(text, dtype=np.uint8)
    if not len(raw) or _IS_DIGIT[raw[0]] or _IS_DIGIT[raw[-1]]:
        return None
    parts, at = [], 0
    while at < len(raw):  # in pieces that stay in the cache of a core
        cut = min(at + _PIECE_BYTES, len(raw))
        while _IS_DIGIT[raw[cut - 1]]:
            cut += 1
        found = _piece(raw[at:cut], at)
        if found is None:
            return None
        parts.append(found)
        at = cut
    values, begin, end = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if _misplaced(raw, begin, end, text):
        return None
    return Numbers(values=values, skeleton=text.translate(None, _LEFT_OUT), raw=raw, begin=begin, end=end)


def _misplaced(raw: np.ndarray, begin: np.ndarray, end: np.ndarray, text: bytes) -> bool:
    """Does a number stand behind the end of a list, or have one quote?"""
    before = raw[begin - 1]
    half_quoted = (before == _QUOTE) != (raw[end] == _QUOTE)
    behind_a_list = (before == _LIST_END).any() or (_IS_SPACE[before].any() and _BEHIND_A_LIST.search(text))
    return bool(half_quoted.any() or behind_a_list)


def _piece(piece: np.ndarray, at: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Values, begins and ends of the numbers of ``piece``, which lies at ``at``, ends with no digit and cuts no number."""
    digit = (piece - _ZERO) < 10
    edges = np.flatnonzero(digit[1:] != digit[:-1]).astype(np.int32) + 1
    if digit[0]:
        edges = np.insert(edges, 0, 0)
    begin, end = edges[::2], edges[1::2]
    if not _ENDS[piece[end]].all():
        return None
    length = end - begin
    first = piece[begin] - _ZERO
    most = int(length.max(initial=0))
    if most > _MOST_DIGITS or ((first == 0) & (length > 1)).any():
        return None
    values = first.astype(np.int32)
    for place in range(1, most):
        following = piece[np.minimum(begin + place, len(piece) - 1)] - _ZERO
        values = np.where(length > place, values * 10 + following, values)
    return values, begin + at, end + at


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
