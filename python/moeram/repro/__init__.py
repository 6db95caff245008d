"""Papers reproduced: what they leave open as declared assumptions, their published figures as targets (docs/repro.md)."""

from __future__ import annotations

from moeram.repro.assumptions import (
    Assumption,
    Assumptions,
    Parameter,
    Value,
    Values,
    configured,
    load_assumptions,
    papers,
)

__all__ = [
    "Assumption",
    "Assumptions",
    "Parameter",
    "Value",
    "Values",
    "configured",
    "load_assumptions",
    "papers",
]
