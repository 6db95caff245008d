"""Runs: their key, their provenance and their folder; sweeps over many of them and the store of their results."""

from __future__ import annotations

from moeram.runs.joined import joined_table
from moeram.runs.key import run_key
from moeram.runs.points import Sweep, read_sweep
from moeram.runs.provenance import provenance
from moeram.runs.results import ResultStore, StoredResult
from moeram.runs.store import check_folder, save
from moeram.runs.sweep import Outcome, SweepResult, run_sweep

__all__ = [
    "Outcome", "ResultStore", "StoredResult", "Sweep", "SweepResult", "check_folder", "joined_table", "provenance", "read_sweep",
    "run_key", "run_sweep", "save",
]  # fmt: skip
