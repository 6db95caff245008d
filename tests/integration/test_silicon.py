"""Predicted MoE layers beside measured ones: where weights are read once, memory timing with refresh explains the time."""

from __future__ import annotations

import csv
import runpy
import sys

import numpy as np


def run(repository, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["silicon.py", *map(str, arguments)])
    runpy.run_path(str(repository / "benchmarks" / "silicon.py"), run_name="__main__")
    return capsys.readouterr().out


def test_memory_bound_layers_are_within_their_error(repository, shared, monkeypatch, capsys, tmp_path):
    run(repository, monkeypatch, capsys, "--tables", shared / "data" / "gpu", "--csv", tmp_path / "s.csv")
    with open(tmp_path / "s.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["weight_passes"] == "one" and row["bound_by"] == "memory"]
    errors = {gpu: np.array([float(row["error"]) for row in rows if row["gpu"] == gpu]) for gpu in ("h100_sxm", "b200")}
    assert np.abs(errors["b200"]).max() < 0.1
    assert np.mean(np.abs(errors["h100_sxm"]) < 0.1) >= 0.85
    assert {row["model"] for row in rows} == {"mixtral-8x7b", "qwen3-30b-a3b", "qwen3.5-397b-a17b", "llama-4-scout"}
    assert len(errors["b200"]) >= 20
    assert len(errors["h100_sxm"]) >= 40


def test_without_tables_nothing_is_compared(repository, monkeypatch, capsys, tmp_path):
    assert "nothing is compared" in run(repository, monkeypatch, capsys, "--tables", tmp_path)
