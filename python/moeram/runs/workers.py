"""A pool of processes that survives the death of any of them.

Each process has a pipe of its own, so that it is known what a dead one was at, and a process whose parent dies finds its pipe closed
and ends. Processes are started afresh ("spawn"): nothing of the parent's threads or locks comes along.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

_MOST_DEATHS = 2  # of one task: the first may have been another's fault
_PATIENCE_S = 5.0


@dataclass(frozen=True)
class Died:
    """The answer of a task whose process died each time: killed from outside, out of memory, or a fault in native code."""

    exit_code: int | None


def work_through(function: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Iterator[tuple[int, Any]]:
    """Yield (index of the task, answer or Died) in the order in which they come.

    Args:
        function: of a module, called with one task in another process; whatever it raises kills that process.
    """
    pool = _Pool(function)
    waiting, deaths = deque(range(len(tasks))), Counter[int]()
    try:
        while waiting or pool.busy:
            while waiting and len(pool.busy) < workers:
                index = waiting.popleft()
                pool.give(index, tasks[index])
            for index, answer in pool.answers():
                if isinstance(answer, Died):
                    deaths[index] += 1
                    if deaths[index] < _MOST_DEATHS:
                        waiting.appendleft(index)
                        continue
                yield index, answer
    finally:
        pool.end()


class _Pool:
    """Processes by their pipes; busy: pipe -> index of the task that it is at."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function, self._context = function, multiprocessing.get_context("spawn")
        self._processes: dict[Connection, SpawnProcess] = {}
        self._idle: list[Connection] = []
        self.busy: dict[Connection, int] = {}

    def give(self, index: int, task: Any) -> None:
        """Hand a task to an idle process, or to a new one."""
        pipe = self._idle.pop() if self._idle else self._start()
        self.busy[pipe] = index
        try:
            pipe.send(task)
        except OSError:
            pass  # it has died; that is seen where its answer is awaited

    def answers(self) -> list[tuple[int, Any]]:
        """Wait for at least one answer or death."""
        result: list[tuple[int, Any]] = []
        for pipe in wait(list(self.busy)):
            assert isinstance(pipe, Connection)
            index = self.busy.pop(pipe)
            try:
                result.append((index, pipe.recv()))
                self._idle.append(pipe)
            except (EOFError, OSError):
                process = self._processes.pop(pipe)
                pipe.close()
                process.join(_PATIENCE_S)
                result.append((index, Died(process.exitcode)))
        return result

    def end(self) -> None:
        """Stop every process, whatever it is at."""
        for pipe, process in self._processes.items():
            process.terminate()
            pipe.close()
        for process in self._processes.values():
            process.join(_PATIENCE_S)
            if process.is_alive():
                process.kill()

    def _start(self) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._function), daemon=True)
        process.start()
        theirs.close()
        self._processes[ours] = process
        return ours


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    # An interrupt from the keyboard reaches the whole group; the parent alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        answer = function(task)
        try:
            pipe.send(answer)
        except OSError:
            return
