"""Checks of the engine: against references that others made, the rules of the standards, and closed forms."""

from moeram.check.commands import CommandReport, Violation, check_commands
from moeram.check.device import DeviceReport, Line, check_device, preset_pairs
from moeram.check.golden import cases_in, run_case
from moeram.check.parity import Parity, compare_folders, compare_with_ramulator
from moeram.check.rulebook import Rulebook, rulebook, rulebook_of_config

__all__ = [
    "CommandReport",
    "DeviceReport",
    "Line",
    "Parity",
    "Rulebook",
    "Violation",
    "cases_in",
    "check_commands",
    "check_device",
    "compare_folders",
    "compare_with_ramulator",
    "preset_pairs",
    "rulebook",
    "rulebook_of_config",
    "run_case",
]
