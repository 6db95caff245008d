"""What may run beside what: work as a graph of tasks with explicit dependencies and resources, for many layers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError, did_you_mean
from moeram.hardware.cycle import load_core

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
        self._names: list[str] = []
        self._resources: list[str] = []
        steps: list[tuple[list[int], int, bool]] = []
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
            if task.resource is not None and task.resource not in self._resources:
                self._resources.append(task.resource)
            number = -1 if task.resource is None else self._resources.index(task.resource)
            steps.append(([self._names.index(name) for name in waits if name not in known], number, task.together))
            self._names.append(task.name)
            before[task.name] = known | set(waits)
        self._graph = load_core().TaskGraph(steps)

    def run(self, durations_ps: Mapping[str, Times]) -> GraphTimes:
        """Return the times of all tasks; durations of each in picoseconds, their shapes broadcast."""
        shape = np.broadcast_shapes(*(np.shape(durations_ps[name]) for name in self._names))
        durations = self._filled(self._names, durations_ps, shape)
        end, busy = self._graph.run(durations.reshape(len(durations), -1, shape[-1] if shape else 1))
        return GraphTimes(
            dict(zip(self._names, end.reshape(durations.shape), strict=True)),
            dict(zip(self._resources, busy.reshape(-1, *shape), strict=True)),
        )

    def rows_ps(
        self,
        durations_ps: Mapping[str, Times],
        shape: tuple[int, int],
        *,
        interleaved: bool,
        also_busy_ps: Mapping[str, Times],
    ) -> NDArray[np.float64]:
        """Return how long each row of copies takes [rows]; durations of each task broadcast to `shape` [rows, copies].

        Args:
            interleaved: two turns of a row are under way: it takes no less than half of its chain, nor than its busiest resource. also_busy_ps:
                how long resources work beside their tasks; those of other names are counted, too.
        """
        resources = [*self._resources, *(name for name in also_busy_ps if name not in self._resources)]
        also = {**dict.fromkeys(resources, 0.0), **also_busy_ps}
        durations, more = self._filled(self._names, durations_ps, shape), self._filled(resources, also, shape)
        return self._graph.rows(durations, more, interleaved)

    @staticmethod
    def _filled(names: Sequence[str], times_ps: Mapping[str, Times], shape: tuple[int, ...]) -> NDArray[np.float64]:
        filled = np.empty((len(names), *shape))
        for place, name in enumerate(names):
            filled[place] = times_ps[name]
        return filled
