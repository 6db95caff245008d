"""The benchmark's full decode steps: found again, with and without reuse, and as fast as the order of magnitude promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def measure(repository, folder, case: str, reuse: str) -> dict[str, float]:
    script = repository / "benchmarks" / "whole_models.py"
    done = subprocess.run(
        [sys.executable, str(script), case, "--reuse", reuse],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "MOERAM_MEMO_DIR": str(folder)},
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", ["olmoe", "scout"])
def test_reuse_changes_no_figure_of_a_step(repository, tmp_path, case):
    every = [measure(repository, tmp_path, case, reuse) for reuse in ("all", "all", "none")]
    figures = [{name: row[name] for name in ("step_us", "commands", "weight_bytes")} for row in every]
    assert figures.count(figures[0]) == 3
    assert figures[0]["weight_bytes"] > 1e9 and every[0]["peak_mb"] < 400


def test_a_gpu_reads_a_whole_model_folded(repository, tmp_path):
    cold, warm = (measure(repository, tmp_path, "gpu", "all") for _ in range(2))
    assert cold["step_us"] == warm["step_us"] and cold["folded_share"] > 0.9
    # Ten stacks of 16 channels of 64 bits at 6.4 Gb/s.
    assert cold["weight_bytes"] / cold["step_us"] / 1e3 < 10 * 16 * 8 * 6.4
    assert cold["wall_s"] < 10 and cold["peak_mb"] < 600
    assert warm["wall_s"] < cold["wall_s"]
