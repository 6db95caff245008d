"""Hardware: what a system is made of, how expert work is lowered to rows, and the door to the cycle engine."""

from __future__ import annotations

from moeram.hardware.cycle import CycleOptions, StepTimes
from moeram.hardware.lowering import (
    NmpWork,
    layer_rows_by_tier,
    lower,
    require_near_memory,
    rows_by_tier,
    tokens_per_expert,
)
from moeram.hardware.spec import System, load_system, system_names

__all__ = [
    "CycleOptions",
    "NmpWork",
    "StepTimes",
    "System",
    "layer_rows_by_tier",
    "load_system",
    "lower",
    "require_near_memory",
    "rows_by_tier",
    "system_names",
    "tokens_per_expert",
]
