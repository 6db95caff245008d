"""Other readings of a paper's targets, beside ours at nominal: they move no assumption, enter no interval and decide no outcome.

One reading changes how something is computed (measured kernels instead of a roofline, the engine instead of a closed form) or what an
assumption without a number could also mean (`assumption`, docs/repro.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from moeram.errors import EngineError, MoeramError
from moeram.repro.assumptions import Value
from moeram.repro.evaluation import targets_of
from moeram.repro.target import MEASURED, Found, Setting, Target
from moeram.runs.workers import Died, work_through


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One reading. title: of its column. assumption: whose other meaning it is. changes: parameters that it sets, where it is made of them."""

    name: str
    title: str
    assumption: str = ""
    changes: Mapping[str, Value] = field(default_factory=dict)

    def of(self, nominal: Setting, measured: Sequence[str]) -> Setting:
        """Return the setting of this reading; measured: files of GPU kernel times."""
        if self.changes:
            return nominal.changed_to(**self.changes)
        return replace(nominal, reading=self.name, measured=tuple(measured) if self.name == MEASURED else ())


READINGS = {
    one.name: one
    for one in (
        Reading(name=MEASURED, title="GPU measured"),
        Reading(name="pimoe_by_stack", title="PIMoE by stack (X13b)", changes={"pimoe_layout": "expert"}),
        Reading(name="engine", title="near memory by engine"),
        Reading(name="exclusive", title="one side at a time (X16)", assumption="X16"),
        Reading(name="contended", title="sides slow each other (X16)", assumption="X16"),
        Reading(name="random_rows", title="over random rows"),
    )
}


def read_all(
    targets: Sequence[Target], nominal: Setting, measured: Sequence[str], workers: int
) -> dict[tuple[str, str], dict[str, Found]]:
    """Return (target, reading) -> value -> what was found, for every reading that a target has.

    Raises:
        MoeramError: a target cannot be computed. EngineError: a process died.
    """
    asked = [(target.id, name) for target in targets for name in target.readings]
    tasks = [(target, READINGS[name].of(nominal, measured)) for target, name in asked]
    answers: Iterable[tuple[int, Any]]
    answers = work_through(_read, tasks, workers) if workers > 1 else ((at, _read(one)) for at, one in enumerate(tasks))
    found: dict[tuple[str, str], dict[str, Found]] = {}
    for index, answer in answers:
        if isinstance(answer, Died):
            raise EngineError(f"a process that computed targets ended with exit code {answer.exit_code}")
        if isinstance(answer, MoeramError):
            raise answer
        found[asked[index]] = answer
    return {key: found[key] for key in asked}


def _read(task: tuple[str, Setting]) -> dict[str, Found] | MoeramError:
    target_id, setting = task
    try:
        return next(one for one in targets_of(setting.paper) if one.id == target_id)(setting)
    except MoeramError as error:  # handed to the parent, which raises it
        return error
