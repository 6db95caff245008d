"""Policies of outside packages behind one check: what they are given they cannot change, what they answer is looked at."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError
from moeram.placement.outside import call_outside
from moeram.routing.source import read_only
from moeram.schedule.policy import Observation, Plan, SchedulePolicy, Times

GROUP = "moeram.schedule"


class OutsideSchedule:
    """An outside policy; whatever goes wrong in it is one PolicyError with its name, its package and the cause."""

    def __init__(self, name: str, make: Callable[..., SchedulePolicy], options: Mapping[str, Any]) -> None:
        self.name = name
        given = f" with the options {', '.join(sorted(options))}" if options else ""
        self._policy = call_outside(name, GROUP, lambda: _whole(make(**options)), f"cannot be made{given}")

    def plan(self, observation: Observation) -> Plan:
        """Return its plan, made anew."""
        return call_outside(
            self.name, GROUP, lambda: _checked(self._policy.plan(_locked(observation)), observation.tokens.shape), "failed in plan"
        )

    def observe(self, tokens: NDArray[np.int64], memory_ps: Times) -> None:
        """Tell it what the memory side took."""
        call_outside(
            self.name, GROUP, lambda: self._policy.observe(read_only(tokens.view()), read_only(memory_ps.view())), "failed in observe"
        )


def _whole(policy: Any) -> SchedulePolicy:
    missing = [method for method in ("plan", "observe") if not callable(getattr(policy, method, None))]
    if missing:
        raise EngineError(f"a {type(policy).__name__} has no method {' and no method '.join(missing)}")
    return policy


def _checked(plan: Any, shape: tuple[int, ...]) -> Plan:
    if not isinstance(plan, Plan):
        raise EngineError(f"it returned a {type(plan).__name__} instead of a moeram.schedule.Plan")
    mask, charged, attention = plan.on_memory, plan.charged_ps, plan.attention_on_memory
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        kind = f"an array of {mask.dtype}" if isinstance(mask, np.ndarray) else f"a {type(mask).__name__}"
        raise EngineError(f"on_memory is {kind}, allowed: a numpy array of bool")
    if mask.shape != shape:
        raise EngineError(f"on_memory has the shape {mask.shape}, allowed: {shape}, decisions by experts")
    if not isinstance(attention, bool | np.bool_):
        raise EngineError(f"attention_on_memory is {attention!r}, allowed: True or False")
    number = isinstance(charged, int | float | np.integer | np.floating) and not isinstance(charged, bool)
    if not number or not (math.isfinite(charged) and charged >= 0):
        raise EngineError(f"charged_ps is {charged!r}, allowed: a finite number of at least 0")
    return Plan(on_memory=mask.copy(), attention_on_memory=bool(attention), charged_ps=charged)


def _locked(observation: Observation) -> Observation:
    """The same with read-only arrays, and groups of its own."""
    return replace(observation, **_read_only(observation), costs=replace(observation.costs, **_read_only(observation.costs)), known_groups=None)


def _read_only(one: Any) -> dict[str, Any]:
    values = {each.name: getattr(one, each.name) for each in fields(one)}
    return {name: read_only(value.view()) for name, value in values.items() if isinstance(value, np.ndarray)}
