"""Scheduling: which expert runs on the GPU and which on the memory side, decided anew for each layer of each step.

A policy of one's own is a class with the contract of `policy.SchedulePolicy`; an installed package offers it by an entry point of the
group `moeram.schedule`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moeram.errors import ConfigError
from moeram.options import Options, build, tree_of
from moeram.placement.outside import clashes, find_policy, policy_names
from moeram.schedule.duplex import Duplex
from moeram.schedule.fixed import AllExperts, AttAcc, GpuOnly, NoExperts
from moeram.schedule.oracle import Oracle, OracleOptions
from moeram.schedule.outside import GROUP, OutsideSchedule
from moeram.schedule.papi import Papi, PapiOptions
from moeram.schedule.pimoe import Pimoe, PimoeOptions
from moeram.schedule.policy import ExpertCosts, Observation, Plan, SchedulePolicy, gpu_ps, objective_ps
from moeram.schedule.sieve import Sieve, SieveOptions

POLICIES: dict[str, Any] = {
    policy.name: policy for policy in (GpuOnly, NoExperts, AllExperts, AttAcc, Duplex, Papi, Pimoe, Sieve, Oracle)
}
_OPTIONS: dict[Any, type[Options]] = {
    Oracle: OracleOptions,
    Papi: PapiOptions,
    Pimoe: PimoeOptions,
    Sieve: SieveOptions,
}

__all__ = [
    "GROUP", "POLICIES", "ExpertCosts", "Observation", "Plan", "SchedulePolicy", "gpu_ps", "make_schedule", "objective_ps",
    "schedule_clashes", "schedule_names",
]  # fmt: skip


def schedule_names() -> tuple[str, ...]:
    """Return the names of all policies, shipped ones first."""
    return policy_names(POLICIES, GROUP)


def schedule_clashes() -> tuple[str, ...]:
    """Sentences on outside policies that take a name of moeram's own; those are left out."""
    return clashes(POLICIES, GROUP)


def make_schedule(name: str, options: Mapping[str, Any] | None = None) -> SchedulePolicy:
    """Return a fresh policy that has learnt nothing yet.

    Args:
        options: of the policy; an outside policy gets them as keyword arguments.

    Raises:
        ConfigError: unknown policy (names the nearest), or options that it does not have.
        PolicyError: an outside policy cannot be loaded or made; later, whatever goes wrong in it (`OutsideSchedule`).
    """
    policy = find_policy(name, POLICIES, GROUP)
    given = dict(options or {})
    if name in POLICIES and policy in _OPTIONS:
        return policy(build(_OPTIONS[policy], tree_of(given, f"schedule {name}"))) if given else policy()
    if name not in POLICIES:
        return OutsideSchedule(name, policy, given)
    if given:
        raise ConfigError(f"schedule {name!r} has no options, given {', '.join(sorted(given))}")
    return policy()
