"""All settings that a paper's targets are computed for: nominal, single changes, trajectories; on several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from moeram.errors import EngineError, MoeramError
from moeram.repro.assumptions import Value, load_assumptions
from moeram.repro.screening import design, single_changes
from moeram.repro.target import Found, Setting, Target
from moeram.repro.targets import Ours, load_targets
from moeram.runs.workers import Died, work_through

Changed = tuple[tuple[str, Value], ...]
Key = tuple[str, Changed]  # target, what is changed of its own parameters
Progress = Callable[[int, int, str], None]
_CHUNK = 12
_HALVINGS = 10
_MOST_MOVED = 3


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """Every value of every target at every setting that was computed.

    single, paths: the settings, reduced to nothing; found: (target, changes of its own parameters) -> value -> what was found.
    """

    nominal: Setting
    single: tuple[Setting, ...]
    paths: tuple[tuple[Setting, ...], ...]
    found: dict[Key, dict[str, Found]]

    def at(self, target: Target, setting: Setting) -> dict[str, Found]:
        """Return what a target came to under a setting."""
        return self.found[key_of(target, setting)]

    def settings(self, target: Target) -> list[Setting]:
        """Return the different settings of a target's own parameters, nominal left out."""
        keys = dict.fromkeys(
            setting.only(*target.parameters)
            for setting in (*self.single, *(point for path in self.paths for point in path))
        )
        return [setting for setting in keys if setting.changed]


def key_of(target: Target, setting: Setting) -> Key:
    """Return what decides a target's values."""
    return target.id, setting.only(*target.parameters).changed


def targets_of(paper: str) -> tuple[Target, ...]:
    """Return the targets of a paper."""
    from moeram.repro import sieve, stratum

    return {"stratum": stratum.TARGETS, "sieve": sieve.TARGETS}[paper]


def routed_models(paper: str) -> tuple[str, ...]:
    """Return the models whose recorded routing some target of a paper reads."""
    from moeram.repro import sieve, stratum

    return {"stratum": stratum.ROUTED, "sieve": sieve.ROUTED}[paper]


def evaluate_all(
    nominal: Setting,
    targets: Sequence[Target],
    *,
    trajectories: int,
    seed: int,
    workers: int,
    progress: Progress | None = None,
) -> Evaluated:
    """Compute the targets at nominal, at every single change of their parameters and along random trajectories.

    Args:
        trajectories: of Morris' design; 0 leaves only single changes. workers: processes; 1 computes in this one.

    Raises:
        MoeramError: a target cannot be computed. EngineError: a process died.
    """
    # Of all targets, so that a target meets the same settings whether it is computed alone or not.
    used = {name for target in targets_of(nominal.paper) for name in target.parameters}
    every = load_assumptions(nominal.paper).parameters
    parameters = {name: one for name, one in every.items() if name in used}
    single = tuple(nominal.changed_to(**point) for point in single_changes(parameters))
    paths = tuple(
        tuple(nominal.changed_to(**point) for point in path) for path in design(parameters, trajectories, seed)
    )
    tasks, known = [], set()
    groups = [(nominal,), *(single[start : start + _CHUNK] for start in range(0, len(single), _CHUNK)), *paths]
    for group in groups:
        wanted = [(target.id, setting.only(*target.parameters)) for setting in group for target in targets]
        new = [item for item in dict.fromkeys(wanted) if (item[0], item[1].changed) not in known]
        known.update((target, setting.changed) for target, setting in new)
        tasks.append(tuple(new))
    found = _work(tasks, workers, progress)
    return Evaluated(nominal=nominal, single=single, paths=paths, found=found)


Task = tuple[tuple[str, Setting], ...]


def _work(tasks: list[Task], workers: int, progress: Progress | None) -> dict[Key, dict[str, Found]]:
    total, done = sum(map(len, tasks)), 0
    found: dict[Key, dict[str, Found]] = {}
    tasks = [task for task in tasks if task]
    answers = (
        work_through(_compute, tasks, workers) if workers > 1 else ((at, _compute(one)) for at, one in enumerate(tasks))
    )
    for index, answer in answers:
        if isinstance(answer, Died):
            raise EngineError(f"a process that computed targets ended with exit code {answer.exit_code}")
        if isinstance(answer, MoeramError):
            raise answer
        found.update(answer)
        done += len(tasks[index])
        if progress:
            progress(done, total, "settings")
    return found


def _compute(task: Task) -> dict[Key, dict[str, Found]] | MoeramError:
    try:
        by_id = {target.id: target for target in targets_of(task[0][1].paper)}
        return {(name, setting.changed): by_id[name](setting) for name, setting in task}
    except MoeramError as error:  # handed to the parent, which raises it
        return error


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """A setting that meets a value, or lies on its other side than nominal. order: its changed parameters, those first that alone move
    the value most.
    """

    target: str
    value: str
    setting: Setting
    order: tuple[str, ...]


def where_met(crossings: Sequence[tuple[Crossing, ...]], workers: int) -> list[tuple[Changed, Ours] | None]:
    """Return for each value the few changes that meet it, on the way from nominal to the first setting where that succeeds; else None.

    The changes of a setting are made one after the other; where one of a range steps over the value, it is halved until it meets it. Then
    every change that is not needed is taken back.

    Raises:
        MoeramError: a setting cannot be computed.
    """
    answers: Iterable[tuple[int, Any]]
    if workers > 1:
        answers = work_through(_first_met, list(crossings), workers)
    else:
        answers = ((at, _first_met(one)) for at, one in enumerate(crossings))
    found: dict[int, tuple[Changed, Ours] | None] = {}
    for index, answer in answers:
        if isinstance(answer, Died):
            raise EngineError(f"a process that computed targets ended with exit code {answer.exit_code}")
        if isinstance(answer, MoeramError):
            raise answer
        found[index] = answer
    return [found[index] for index in range(len(crossings))]


def _first_met(crossings: tuple[Crossing, ...]) -> tuple[Changed, Ours] | None | MoeramError:
    try:
        return next(filter(None, map(_walk, crossings)), None)
    except MoeramError as error:
        return error


def _walk(crossing: Crossing) -> tuple[Changed, Ours] | None:
    way = _Way(crossing)
    values: dict[str, Value] = {}
    for name in crossing.order:
        further = values | {name: way.wanted[name]}
        if not way.met(further) and way.is_above(further) != way.is_above(values):
            further = way.between(further, name, crossing.order) or further
        values = further
        if way.met(values):
            break
    if not way.met(values):
        values = way.wanted
    if not way.met(values):
        return None
    for name in crossing.order:
        fewer = {key: value for key, value in values.items() if key != name}
        if name in values and fewer and way.met(fewer):
            values = fewer
    ours = way.ours(values)
    assert ours is not None
    return tuple(sorted(values.items())), ours


class _Way:
    """From nominal to a crossing's setting."""

    def __init__(self, crossing: Crossing) -> None:
        self._setting, self._value = crossing.setting, crossing.value
        self._target = next(one for one in targets_of(crossing.setting.paper) if one.id == crossing.target)
        self._published = load_targets(crossing.setting.paper)[crossing.target].values[crossing.value]
        self._parameters = load_assumptions(crossing.setting.paper).parameters
        self.wanted = dict(crossing.setting.changed)

    def ours(self, values: dict[str, Value]) -> Ours | None:
        """Return ours with these changes from nominal."""
        return self._target(self._setting.replaced(tuple(sorted(values.items()))))[self._value].ours

    def met(self, values: dict[str, Value]) -> bool:
        """Return whether these changes meet the value."""
        ours = self.ours(values)
        return ours is not None and self._published.met_by(ours)

    def is_above(self, values: dict[str, Value]) -> bool:
        """Return on which side of the value ours lies."""
        ours = self.ours(values)
        return ours is not None and float(ours) > float(self._published.published)

    def between(self, further: dict[str, Value], name: str, order: Sequence[str]) -> dict[str, Value] | None:
        """Return changes that meet a value which the change of `name` stepped over: part of it, or, beside it, another place in the range
        of a parameter that moves the value far.
        """
        if isinstance(self._published.published, bool):
            return None
        ranges = [one for one in order if self._parameters[one].range is not None]
        for one in dict.fromkeys([*(other for other in ranges if other == name), *ranges[:_MOST_MOVED]]):
            parameter = self._parameters[one]
            assert parameter.range is not None
            for start in dict.fromkeys([further.get(one, parameter.nominal), parameter.nominal, *parameter.range]):
                for end in dict.fromkeys([parameter.nominal, *parameter.range]):
                    found = self._halved(further, one, float(start), float(end))  # type: ignore[arg-type]
                    if found is not None:
                        return found
        return None

    def _halved(self, values: dict[str, Value], name: str, near: float, far: float) -> dict[str, Value] | None:
        """Return the values with a parameter between two places where the published value is met, if halving between them finds it."""
        whole = self._parameters[name].whole

        def at(place: float) -> dict[str, Value]:
            return values | {name: round(place) if whole else place}

        side = self.is_above(at(near))
        if self.is_above(at(far)) == side:
            return None
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            if self.met(at(middle)):
                return at(middle)
            near, far = (middle, far) if self.is_above(at(middle)) == side else (near, middle)
        return None
