"""The errors a user can meet. Each message names the file, line or key and what is allowed there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MoeramError(Exception):
    """Base of every error that moeram raises for its user."""


class ConfigError(MoeramError):
    """A configuration, preset or option is wrong."""


class PolicyError(ConfigError):
    """A policy of an outside package fails, or its plan breaks a rule."""


class TraceError(MoeramError):
    """A trace file is malformed or does not fit the model."""


class CapacityError(MoeramError):
    """Something does not fit the memory or a buffer."""


class EngineError(MoeramError):
    """The engine cannot go on: a run without progress or a broken invariant."""


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest allowed name, or the sorted list of allowed names."""
    names = sorted({str(name) for name in allowed})
    nearest = difflib.get_close_matches(str(given), names, n=1, cutoff=0.6)
    if nearest:
        return f"; did you mean {nearest[0]!r}?"
    return f"; allowed: {', '.join(names)}" if names else ""
