"""What may run beside what: work as a graph of tasks with explicit dependencies and resources, for many layers at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import EngineError, did_you_mean

Times = float | NDArray[np.float64]


class TaskGraph:
    """Tasks of n independent copies of a graph (layers, GPUs), times in picoseconds.

    A task starts when everything it comes after has ended and its resource is free; tasks of one resource run in the order in which
    they were added. Shapes broadcast.
    """

    def __init__(self) -> None:
        self._end: dict[str, Times] = {}
        self._free: dict[str, Times] = {}
        self._busy: dict[str, Times] = {}

    def add(
        self,
        name: str,
        duration_ps: ArrayLike,
        *,
        after: Sequence[str] = (),
        resource: str | None = None,
        together: bool = False,
    ) -> None:
        """Add a task.

        Args:
            together: all copies along the last axis start together (a collective waits for everybody).

        Raises:
            EngineError: the name is taken, or something it comes after is unknown.
        """
        if name in self._end:
            raise EngineError(f"task {name!r} is there twice")
        start: Times = 0.0
        for other in after:
            start = _later(start, self._known(other))
        if resource is not None:
            start = _later(start, self._free.get(resource, 0.0))
        # Alone on its axis every copy is together with itself.
        if together and not isinstance(start, float) and start.ndim and start.shape[-1] > 1:
            start = start.max(axis=-1, keepdims=True)
        duration = float(duration_ps) if isinstance(duration_ps, (int, float)) else np.asarray(duration_ps, dtype=float)
        end = start + duration
        self._end[name] = end
        if resource is not None:
            self._free[resource] = end
            self._busy[resource] = self._busy.get(resource, 0.0) + duration

    def end_ps(self, name: str) -> NDArray[np.float64]:
        """Return when a task ends.

        Raises:
            EngineError: no such task.
        """
        return np.asarray(self._known(name))

    def _known(self, name: str) -> Times:
        if name not in self._end:
            raise EngineError(f"no task {name!r} was added before{did_you_mean(name, self._end)}")
        return self._end[name]

    def busy_ps(self, resource: str) -> NDArray[np.float64]:
        """Return how long a resource works in all."""
        return np.asarray(self._busy.get(resource, 0.0))


def _later(one: Times, other: Times) -> Times:
    if isinstance(one, float) and isinstance(other, float):
        return max(one, other)
    # No time is negative.
    if isinstance(one, float) and one == 0.0:
        return other
    return np.maximum(one, other)
