"""Policies of outside packages, found by entry point: groups `moeram.placement` (rows), `moeram.placement.parts` (parts)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from moeram.errors import ConfigError, did_you_mean

Policy = TypeVar("Policy")


def find_policy(name: str, shipped: Mapping[str, Policy], group: str) -> Policy:
    """Return the policy called `name`, shipped with moeram or announced by an installed package.

    Raises:
        ConfigError: there is none, it does not load, or two claim the name.
    """
    outside = _announced(name, group)
    if name in shipped and outside:
        raise ConfigError(f"placement {name!r} is one of moeram's own, but {_origin(outside[0])} takes the same name")
    if len(outside) > 1:
        raise ConfigError(f"placement {name!r}: {_origin(outside[0])} and {_origin(outside[1])} take the same name")
    if outside:
        return _load(outside[0])
    if name not in shipped:
        raise ConfigError(f"no placement {name!r}{did_you_mean(name, policy_names(shipped, group))}")
    return shipped[name]


def policy_names(shipped: Mapping[str, Policy], group: str) -> tuple[str, ...]:
    """Names of all policies, shipped ones first; nothing is loaded."""
    outside = sorted({point.name for point in entry_points(group=group)} - set(shipped))
    return (*shipped, *outside)


def _announced(name: str, group: str) -> list[EntryPoint]:
    """Entry points of that name; the same one seen twice (a package on two paths) counts once."""
    found = {(point.value, _origin(point)): point for point in entry_points(group=group) if point.name == name}
    return list(found.values())


def _load(point: EntryPoint) -> Any:
    try:
        policy = point.load()
    except Exception as error:  # an outside module may fail in any way
        raise ConfigError(
            f"placement {point.name!r} of {_origin(point)} cannot be loaded from {point.value!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(policy):
        raise ConfigError(f"placement {point.name!r} of {_origin(point)}: {point.value!r} is no function")
    return policy


def _origin(point: EntryPoint) -> str:
    return f"package {point.dist.name} {point.dist.version}" if point.dist else "a package without name"
