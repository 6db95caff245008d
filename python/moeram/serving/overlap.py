"""What may run beside what: work as a graph of tasks with explicit dependencies and resources, for many layers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError, did_you_mean

Times = float | NDArray[np.float64]


class Task(NamedTuple):
    """A task starts when everything it comes after has ended and its resource is free.

    together: all copies along the last axis start together (a collective waits for everybody).
    """

    name: str
    after: tuple[str, ...] = ()
    resource: str | None = None
    together: bool = False


class GraphTimes(NamedTuple):
    """end_ps: when each task ends. busy_ps: how long each resource works in all."""

    end_ps: Mapping[str, Times]
    busy_ps: Mapping[str, Times]


class TaskGraph:
    """Tasks of n independent copies of a graph (layers, GPUs); those of one resource run in the order in which they are given.

    Raises:
        EngineError: two tasks of one name, or one after something that was not given before it.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._steps: list[tuple[Task, tuple[str, ...]]] = []
        before: dict[str, set[str]] = {}  # task -> all that have ended when it starts
        last: dict[str, str] = {}
        for task in tasks:
            if task.name in before:
                raise EngineError(f"task {task.name!r} is there twice")
            for name in task.after:
                if name not in before:
                    raise EngineError(f"no task {name!r} was added before{did_you_mean(name, before)}")
            waits = dict.fromkeys(task.after)
            if task.resource is not None:
                if task.resource in last:
                    waits[last[task.resource]] = None
                last[task.resource] = task.name
            # No time is negative: what ends before something else that is waited for needs no look.
            known = set().union(*(before[name] for name in waits))
            self._steps.append((task, tuple(name for name in waits if name not in known)))
            before[task.name] = known | set(waits)

    def run(self, durations_ps: Mapping[str, Times]) -> GraphTimes:
        """Return the times of all tasks; durations of each in picoseconds, their shapes broadcast."""
        end: dict[str, Times] = {}
        busy: dict[str, Times] = {}
        for task, waits in self._steps:
            duration, start = durations_ps[task.name], end[waits[0]] if waits else 0.0
            for name in waits[1:]:
                start = np.maximum(start, end[name])
            # Alone on its axis every copy is together with itself.
            if task.together and isinstance(start, np.ndarray) and start.ndim and start.shape[-1] > 1:
                start = start.max(axis=-1, keepdims=True)
            end[task.name] = start + duration
            if task.resource is not None:
                busy[task.resource] = busy[task.resource] + duration if task.resource in busy else duration
        return GraphTimes(end, busy)
