"""Every reference case of the AttAcc and AiM simulators: cycles, statistics, command counts and every command."""

from __future__ import annotations

import hashlib
import json
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


@pytest.mark.parametrize("name", ["a07_barriers", "a09_mixed_rw_ab", "a21_bug_sb_bg1_livelock", "b08_af", "b15_tmod"])
def test_cases_that_the_project_holds(repository, tmp_path, name):
    case = repository / "tests" / "data" / "pim" / name
    expected = json.loads((case / "expected.json").read_text())
    run_case(case, tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["memory_system_cycles"] == expected["memory_system_cycles"]
    for key, value in expected["stats"].items():
        assert result["stats"].get(key, result.get(key)) == value, key
    for kind in ("command_counts_by_channel", "cycle_stats_by_channel"):
        for channel, values in expected.get(kind, {}).items():
            found = {key: value for key, value in result[kind][channel].items() if value}
            assert found == {key: value for key, value in values.items() if value}, (kind, channel)
    commands = (tmp_path / "cmds.csv").read_bytes().replace(b" ", b"")
    assert hashlib.sha256(commands).hexdigest() == expected["cmds_sha256"]
