"""Running a sweep: every point is found in the store or computed by a process of its own pool, in any order, with equal results."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from moeram.errors import ConfigError, MoeramError
from moeram.experiment import Experiment, ServingExperiment, run, run_serving
from moeram.files import whole_file
from moeram.metrics import Table
from moeram.options import dump_yaml
from moeram.runs.joined import check_choice, check_result, joined_table
from moeram.runs.key import outside_policies, run_key
from moeram.runs.points import Point, Sweep, points_of
from moeram.runs.results import ResultStore
from moeram.runs.workers import Died, work_through

DESCRIPTION = "sweep.yaml"
SweepProgress = Callable[[int, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a point: its key, or an error; found: it was in the store already; note: why it was not looked for there."""

    key: str | None = None
    error: str = ""
    found: bool = False
    note: str = ""
    wall_time_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """A sweep with the values and the outcome of every point, in the sweep's order; wall_time_s: of the whole."""

    sweep: Sweep
    store: ResultStore = field(repr=False)
    values: list[dict[str, Any]] = field(repr=False)
    outcomes: list[Outcome] = field(repr=False)
    wall_time_s: float

    @property
    def failed(self) -> int:
        """Points without a result."""
        return sum(outcome.key is None for outcome in self.outcomes)

    @property
    def found(self) -> int:
        """Points that were in the store already."""
        return sum(outcome.found for outcome in self.outcomes)

    @property
    def notes(self) -> tuple[str, ...]:
        """Why points were computed again although their results may be in the store, each reason once."""
        return tuple(dict.fromkeys(outcome.note for outcome in self.outcomes if outcome.note))

    def table(self, name: str | None = None) -> Table:
        """Return one table of all points, see `joined_table`."""
        return joined_table(self, name)


def run_sweep(
    sweep: Sweep,
    folder: str | Path,
    version: str,
    *,
    workers: int | None = None,
    progress: SweepProgress | None = None,
    table: str | None = None,
    columns: Sequence[str] = (),
) -> SweepResult:
    """Run a sweep; points that the folder's store holds are not run again.

    A point that fails leaves its error in its outcome and does not stop the others. Interrupted or killed, it goes on where it was when
    it is called again: what is lost is at most the point that each worker was at.

    Args:
        workers: processes, None: one for each core. With 1 everything runs in this process.
        progress: called as progress(done, points, failed).
        table, columns: what will be asked for, see `joined_table`; what no result can have is refused before the first point runs, and with
            the first result where columns are not known before.

    Raises:
        ConfigError: nothing varies, the folder cannot be used, no point at all has valid options, or no such table or column.
    """
    begin = time.perf_counter()
    points = points_of(sweep)
    workers = min(workers or os.cpu_count() or 1, len(points))
    if workers < 1:
        raise ConfigError(f"workers: given {workers}, allowed: at least 1")
    check_choice(sweep, table, columns)
    _require_a_valid_point(points)
    store = ResultStore(folder)
    _describe(sweep, store.folder)
    outcomes: list[Outcome] = [Outcome(error="not run")] * len(points)
    failed, unseen = 0, bool(table or columns)
    tasks = [(str(store.folder), point, version) for point in points]
    with closing(_outcomes(tasks, workers)) as answers:
        for done, (index, outcome) in enumerate(answers, start=1):
            outcomes[index] = outcome
            failed += outcome.key is None
            if unseen and outcome.key:
                check_result(sweep, store.get(outcome.key).tables, table, columns)
                unseen = False
            if progress:
                progress(done, len(points), failed)
    return SweepResult(
        sweep=sweep,
        store=store,
        values=[point.values for point in points],
        outcomes=outcomes,
        wall_time_s=time.perf_counter() - begin,
    )


def _outcomes(tasks: list[tuple[str, Point, str]], workers: int) -> Generator[tuple[int, Outcome], None, None]:
    if workers == 1:
        yield from ((index, run_point(task)) for index, task in enumerate(tasks))
        return
    for index, answer in work_through(run_point, tasks, workers):
        if isinstance(answer, Died):
            answer = Outcome(error=f"its process died twice (exit code {answer.exit_code}): killed or out of memory")
        yield index, answer


def run_point(task: tuple[str, Point, str]) -> Outcome:
    """Find or compute one point: (folder of the store, point, version). Never raises but for an interrupt."""
    folder, point, version = task
    begin = time.perf_counter()
    try:
        experiment = point.load().model_copy(update={"threads": 1})
        key, store = run_key(experiment, version), _store(folder)
        note = _not_looked_for(experiment)
        if not note and store.find(key):
            return Outcome(key=key, found=True, wall_time_s=time.perf_counter() - begin)
        record = run_serving(experiment) if isinstance(experiment, ServingExperiment) else run(experiment)
        about = {
            "experiment": experiment.resolved(), "fidelity": record.fidelity, "routing_fidelity": record.routing_fidelity,
            "notes": list(record.notes), "version": version,
        }  # fmt: skip
        store.put(key, record.tables, about, wall_time_s=record.wall_time_s)
    except MoeramError as error:
        return Outcome(error=str(error), wall_time_s=time.perf_counter() - begin)
    except Exception as error:  # noqa: BLE001 - one point's fault must not end the sweep
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"fault in moeram, {Path(where.filename).name}:{where.lineno}: {type(error).__name__}: {error}"
        return Outcome(error=text, wall_time_s=time.perf_counter() - begin)
    return Outcome(key=key, note=note, wall_time_s=time.perf_counter() - begin)


def _not_looked_for(experiment: Experiment | ServingExperiment) -> str:
    unknown = [one for one in outside_policies(experiment) if one["code_sha256"] is None]
    names = ", ".join(f"{one['policy']!r} of {one['package']}" for one in unknown)
    return f"computed anew: the code of {names} cannot be read, or has changed in this process" if unknown else ""


@lru_cache(maxsize=4)
def _store(folder: str) -> ResultStore:
    return ResultStore(folder)


def _require_a_valid_point(points: list[Point]) -> None:
    """Raise the first complaint if every point has one: then the sweep itself is wrong."""
    first: ConfigError | None = None
    for point in points:
        try:
            point.load()
            return
        except ConfigError as error:
            first = first or error
    assert first is not None
    raise first


def _describe(sweep: Sweep, folder: Path) -> None:
    with whole_file(folder / DESCRIPTION) as partial:
        partial.write_text(dump_yaml(sweep.model_dump(mode="python")), encoding="utf-8")
