"""Runs: their key, their provenance and their folder; sweeps over many of them and the store of their results."""

from __future__ import annotations

from moeram.runs.joined import joined_table, shown
from moeram.runs.key import run_key
from moeram.runs.points import Sweep, read_sweep
from moeram.runs.provenance import provenance
from moeram.runs.radar import read_radar
from moeram.runs.results import ResultStore, StoredResult
from moeram.runs.store import check_folder, save
from moeram.runs.studies import Study, StudyResult, differences, load_study, run_study, study_names, write_study
from moeram.runs.sweep import Outcome, SweepResult, run_sweep

__all__ = [
    "Outcome", "ResultStore", "StoredResult", "Study", "StudyResult", "Sweep", "SweepResult", "check_folder", "differences",
    "joined_table", "load_study", "provenance", "read_radar", "read_sweep", "run_key", "run_study", "run_sweep", "save", "shown", "study_names", "write_study",
]  # fmt: skip
