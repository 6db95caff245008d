"""A few items of a long stream, evenly spread over it, for holding one level of detail against another."""

from __future__ import annotations

from typing import Generic, TypeVar

Item = TypeVar("Item")


class Spread(Generic[Item]):
    """At most `most` items: every n-th of all that were added, n doubling when there is no more room."""

    def __init__(self, most: int) -> None:
        self.items: list[Item] = []
        self._most, self._every, self._added = most, 1, 0

    def add(self, item: Item) -> None:
        """Add the next item of the stream."""
        if self._added % self._every == 0 and len(self.items) == self._most:
            self.items, self._every = self.items[::2], 2 * self._every
        if self._added % self._every == 0:
            self.items.append(item)
        self._added += 1
