"""Policies of outside packages, found by entry point: groups `moeram.placement` (rows), `moeram.placement.parts`, `moeram.schedule`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from moeram.errors import ConfigError, MoeramError, PolicyError, did_you_mean
from moeram.placement.code import module_sha256

Policy = TypeVar("Policy")
Plan = TypeVar("Plan")
_LONGEST_CAUSE = 300


def find_policy(name: str, shipped: Mapping[str, Policy], group: str) -> Policy:
    """Return the policy called `name`, shipped with moeram or announced by an installed package.

    A shipped name is always moeram's own, whatever is installed (`clashes` says who else takes it).

    Raises:
        ConfigError: there is none, or two packages claim the name.
        PolicyError: it does not load.
    """
    if name in shipped:
        return shipped[name]
    outside = _announced(name, group)
    if len(outside) > 1:
        raise PolicyError(f"{_kind(group)} {name!r}: {_origin(outside[0])} and {_origin(outside[1])} take the same name")
    if not outside:
        raise ConfigError(f"no {_kind(group)} {name!r}{did_you_mean(name, policy_names(shipped, group))}")
    return _load(outside[0])


def clashes(shipped: Mapping[str, Policy], group: str) -> tuple[str, ...]:
    """One sentence for each outside policy that is left out because its name is one of moeram's own."""
    return tuple(
        f"{_kind(group)} {name!r} of {_origin(point)} is left out: the name is one of moeram's own"
        for name in shipped
        for point in _announced(name, group)
    )


def call_outside(name: str, group: str, place: Callable[[], Plan], failed: str = "failed") -> Plan:
    """Return what `place` makes with the outside policy `name`; whatever goes wrong there is one PolicyError, which says that it `failed`."""
    try:
        return place()
    except (Exception, SystemExit) as error:  # an outside function may fail in any way
        if isinstance(error, PolicyError):
            raise
        raise PolicyError(
            f"{_kind(group)} {name!r} of {_origin(_announced(name, group)[0])} {failed}: {_cause(error)}"
        ) from error


def policy_names(shipped: Mapping[str, Policy], group: str) -> tuple[str, ...]:
    """Names of all policies, shipped ones first; nothing is loaded."""
    outside = sorted({point.name for point in _points(group)} - set(shipped))
    return (*shipped, *outside)


def outside_code(name: str, shipped: Mapping[str, Policy], group: str) -> dict[str, str | None] | None:
    """Return what decides an outside policy's results: package, version and a SHA-256 (hex) of its code; None for one of moeram's own.

    The hash is None where the code that runs cannot be told: it is not in readable files, or those have changed since this process first
    asked, and may have been loaded before.
    """
    if name in shipped:
        return None
    points = _announced(name, group)
    if not points:
        raise ConfigError(f"no {_kind(group)} {name!r}{did_you_mean(name, policy_names(shipped, group))}")
    point = points[0]
    return {"policy": name, "from": point.value, "package": _origin(point), "code_sha256": module_sha256(point.module)}


def _points(group: str) -> tuple[EntryPoint, ...]:
    return _points_on(group, tuple(sys.path))


# Every look at them reads the metadata of all installed packages, milliseconds each time.
@lru_cache(maxsize=8)
def _points_on(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=group))


def _announced(name: str, group: str) -> list[EntryPoint]:
    """Entry points of that name; the same one seen twice (a package on two paths) counts once."""
    found = {(point.value, _origin(point)): point for point in _points(group) if point.name == name}
    return list(found.values())


def _load(point: EntryPoint) -> Any:
    # What is loaded must be known before it can change.
    module_sha256(point.module)
    try:
        policy = point.load()
    except (Exception, SystemExit) as error:  # an outside module may fail in any way
        raise PolicyError(
            f"{_kind(point.group)} {point.name!r} of {_origin(point)} cannot be loaded from {point.value!r}: {_cause(error)}"
        ) from error
    if not callable(policy):
        what = "class" if _kind(point.group) == "schedule" else "function"
        raise PolicyError(f"{_kind(point.group)} {point.name!r} of {_origin(point)}: {point.value!r} is no {what}")
    return policy


def _kind(group: str) -> str:
    return "schedule" if group == "moeram.schedule" else "placement"


def _origin(point: EntryPoint) -> str:
    return f"package {point.dist.name} {point.dist.version}" if point.dist else "a package without name"


def _cause(error: BaseException) -> str:
    """The first line of an error, with its class unless it is one of moeram's."""
    first = (str(error).strip().splitlines() or ["no message"])[0][:_LONGEST_CAUSE]
    return first if isinstance(error, MoeramError) else f"{type(error).__name__}: {first}"
