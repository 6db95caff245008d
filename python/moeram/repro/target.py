"""What a target is made of: a setting of the assumptions goes in, ours for every published value comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from moeram.errors import CapacityError, EngineError, MoeramError
from moeram.repro.assumptions import Value, configured, load_assumptions
from moeram.repro.targets import Ours, load_targets

# The reading in which GPUs take the times of measured kernels.
MEASURED = "measured"


class NotAvailable(MoeramError):
    """What a reading needs is not at hand."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Values of a paper's assumptions; hashable, so that what was computed for equal settings is found again.

    changed: parameters that are not nominal, sorted by name. routing: recorded routing by model, (model, path). reading: how it is computed
    other than at nominal (`repro.readings`); measured: the files of GPU kernel times that the reading of that name takes.
    """

    paper: str
    changed: tuple[tuple[str, Value], ...] = ()
    routing: tuple[tuple[str, str], ...] = ()
    reading: str = ""
    measured: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        """Return the value of a parameter."""
        found = dict(self.changed)
        return found[name] if name in found else load_assumptions(self.paper).parameters[name].nominal

    def only(self, *names: str) -> Setting:
        """Return the setting with all parameters but these at nominal, and without its reading unless named, for what depends on no others."""
        changed = tuple(item for item in self.changed if item[0] in names)
        if self.reading in names:
            return self.replaced(changed)
        return Setting(paper=self.paper, changed=changed, routing=self.routing)

    def changed_to(self, **values: Value) -> Setting:
        """Return the setting with some values changed; nominal ones are left out, so that equal settings compare equal.

        Raises:
            ConfigError: no such parameter, or a value outside its range.
        """
        assumptions = load_assumptions(self.paper)
        every = assumptions.values({**dict(self.changed), **values})
        nominal = assumptions.nominal()
        return self.replaced(tuple(sorted((name, value) for name, value in every.items() if value != nominal[name])))

    def replaced(self, changed: tuple[tuple[str, Value], ...]) -> Setting:
        """Return the setting with other changes."""
        return replace(self, changed=changed)

    def config(self, name: str) -> Any:
        """Return the options of a shipped config ("hardware/stratum_l") under this setting."""
        assumptions = load_assumptions(self.paper)
        return configured(name, assumptions, assumptions.nominal() | dict(self.changed))

    def recorded(self, model: str) -> str | None:
        """Return the path of a model's recorded routing, if it was given."""
        return dict(self.routing).get(model)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Ours for one published value.

    ours None: not testable here, for the reason. bound: what closed form or hardware's peaks say of the same. fidelity: of the least sure part.
    """

    ours: Ours | None
    fidelity: str = "analytic"
    bound: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.ours is None and not self.reason:
            raise EngineError("a value that is not testable needs a reason")


def not_testable(reason: str) -> Found:
    """Return a value that cannot be compared here."""
    return Found(ours=None, fidelity="none", reason=reason)


def where_available(compute: Callable[[], Found]) -> Found:
    """Return what is computed, or why a reading has nothing to say of it."""
    try:
        return compute()
    except NotAvailable as error:
        return not_testable(str(error))


@dataclass(frozen=True, kw_only=True)
class Target:
    """How one target is computed.

    parameters: those that it depends on; all others are nominal when `evaluate` runs. evaluate: every published value of the target. readings:
    those of `repro.readings` that change it, a column each. beside: what else to print beside ours at nominal, value -> label -> number or
    words. note: what a reader must know.
    """

    id: str
    parameters: tuple[str, ...]
    evaluate: Callable[[Setting], dict[str, Found]] = field(repr=False)
    beside: Callable[[Setting], Mapping[str, Mapping[str, float | str]]] | None = field(default=None, repr=False)
    readings: tuple[str, ...] = ()
    note: str = ""

    def __call__(self, setting: Setting) -> dict[str, Found]:
        """Return ours under a setting; where something does not fit or is not at hand, nothing is testable there."""
        try:
            return self.evaluate(setting.only(*self.parameters, *self.readings))
        except (CapacityError, NotAvailable) as error:
            return {name: not_testable(str(error)) for name in load_targets(setting.paper)[self.id].values}
