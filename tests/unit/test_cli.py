"""The command line: one message and exit code 2 for users' errors, nothing half-written, tables on stdout."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import moeram
from moeram.cli.main import app

SMALL = ["-p", "batch=[1, 2]", "-p", "samples=1", "-p", "topics=[topic_0]"]


def moeram_command(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_run_writes_a_folder_and_shows_tables(fake_core, tmp_path):
    result = moeram_command("run", "quickstart", *SMALL, "-o", str(tmp_path / "out"), "--threads", "1")
    assert result.exit_code == 0, result.output
    assert (
        "topic_aware" in result.stdout and "occupancy" in result.stdout and "note: synthetic routing" in result.stdout
    )
    assert str(tmp_path / "out") in result.stdout and result.stderr == ""
    assert {call.threads for call in fake_core.calls} == {1}
    assert (tmp_path / "out" / "decomposition.png").exists()


def test_the_written_config_gives_the_same_tables(fake_core, tmp_path):
    assert moeram_command("run", "quickstart", *SMALL, "-q", "-o", str(tmp_path / "a")).exit_code == 0
    again = moeram_command("run", str(tmp_path / "a" / "config.yaml"), "-q", "-o", str(tmp_path / "b"))
    assert again.exit_code == 0 and again.output == ""
    for name in ("points.csv", "layers.csv", "config.yaml", "decomposition.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    keys = {json.loads((tmp_path / run / "provenance.json").read_text())["key"] for run in "ab"}
    assert len(keys) == 1


def test_default_folder_carries_name_and_key(fake_core, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert moeram_command("run", "quickstart", *SMALL, "-q").exit_code == 0
    (folder,) = (tmp_path / "moeram-runs").iterdir()
    assert folder.name == "quickstart-" + json.loads((folder / "provenance.json").read_text())["key"][:8]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quickstrat"], "did you mean 'quickstart'"),
        (["nowhere.yaml"], "nowhere.yaml: no such file"),
        (["quickstart", "-p", "bacth=1"], "-p bacth: unknown key; did you mean 'batch'?"),
        (["quickstart", "-p", "batch=0"], "given 0, allowed: at least 1"),
        (["quickstart", "-p", "batch"], "KEY=VALUE"),
        (["quickstart", "--threads", "0"], "-p threads: given 0, allowed: at least 1"),
        (["quickstart", "-p", "hardware=stratum_m"], "did you mean 'stratum_s'"),
        (["quickstart", "-p", "model=llama-4-maverick"], "does not fit stratum_s"),
        (["olmoe_stratum_s"], "routing.path is missing"),
        (["olmoe_stratum_s", "-p", "routing.path=nowhere.npz"], "'nowhere.npz': no such file"),
    ],
)
def test_errors_of_users(arguments, message, fake_core, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = moeram_command("run", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert "Traceback" not in result.output and result.stdout == ""
    assert fake_core.calls == [] and list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_is_refused_before_anything_runs(fake_core, tmp_path):
    (tmp_path / "thesis.tex").touch()
    result = moeram_command("run", "quickstart", *SMALL, "-o", str(tmp_path))
    assert result.exit_code == 2 and "holds 'thesis.tex', which is no moeram run" in result.stderr
    assert fake_core.calls == []


def test_an_engine_that_loses_rows_leaves_nothing(fake_core, tmp_path):
    fake_core.lose_a_row = True
    result = moeram_command("run", "quickstart", *SMALL, "-o", str(tmp_path / "out"))
    assert result.exit_code == 2 and "rows read differ" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_version_and_help():
    assert moeram_command("--version").stdout == f"moeram {moeram.__version__}\n"
    assert "run" in moeram_command("--help").stdout


def test_the_module_is_the_command_line():
    answer = subprocess.run([sys.executable, "-m", "moeram", "--version"], capture_output=True, text=True, check=True)
    assert answer.stdout == CliRunner().invoke(app, ["--version"]).output
