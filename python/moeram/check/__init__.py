"""Checks of the engine against references that others made."""

from moeram.check.golden import run_case

__all__ = ["run_case"]
