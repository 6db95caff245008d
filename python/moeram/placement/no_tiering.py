"""No tiering: the whole memory at the timing of its slowest tier, the baseline of stratum.md 7.1."""

from __future__ import annotations

from dataclasses import replace

from moeram.placement.plan import Plan
from moeram.placement.policy import PlacementInput
from moeram.placement.static_hot import static_hot


def no_tiering(given: PlacementInput) -> Plan:
    """Place as `static_hot` does, on a device whose rows are all slow; no expert is hot."""
    return replace(static_hot(given), policy="no_tiering", hot=None, slowest_tier_everywhere=True)
