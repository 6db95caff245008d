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
from moeram.repro.readings import READINGS, Reading
from moeram.repro.result import (
    Reproduction,
    Row,
    as_recorded,
    differences,
    measured_files,
    recorded_outcomes,
    reproduce,
)
from moeram.repro.screen import headline, screening_table
from moeram.repro.target import Found, Setting, Target
from moeram.repro.targets import load_targets
from moeram.repro.written import check_output, markdown, number, write, write_table

__all__ = [
    "READINGS", "Assumption", "Assumptions", "Found", "Parameter", "Reading", "Reproduction", "Row", "Setting", "Target", "Value", "Values", "as_recorded",
    "check_output", "configured", "differences", "headline", "load_assumptions", "load_targets", "markdown", "measured_files", "number", "papers",
    "recorded_outcomes", "reproduce", "screening_table", "write", "write_table",
]  # fmt: skip
