"""Every reference case of the AttAcc and AiM simulators: cycles, statistics, command counts and every command."""

from __future__ import annotations

import subprocess
import sys

import pytest

from moeram.check import run_case


@pytest.mark.parametrize("simulator", ["attacc", "aim"])
def test_all_cases_equal_the_reference(shared, tmp_path, simulator):
    goldens = shared / "goldens" / "pim"
    cases = sorted(path for path in (goldens / simulator).iterdir() if (path / "config.yaml").is_file())
    assert len(cases) >= 13
    for case in cases:
        run_case(case, tmp_path / case.name)
        assert (tmp_path / case.name / "cmds.csv").stat().st_size > 0
    compared = subprocess.run(
        [sys.executable, goldens / "compare.py", goldens / simulator, tmp_path], capture_output=True, text=True, check=False
    )
    assert compared.returncode == 0, compared.stdout
    assert f"{len(cases)}/{len(cases)} cases match" in compared.stdout
    assert "no command trace" not in compared.stdout
