"""Runs: their key, their provenance and their folder."""

from __future__ import annotations

from moeram.runs.key import run_key
from moeram.runs.provenance import provenance
from moeram.runs.store import check_folder, save

__all__ = ["check_folder", "provenance", "run_key", "save"]
