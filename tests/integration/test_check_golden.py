"""`moeram check golden` on a case written here; comparison with the references is in tests/parity."""

from __future__ import annotations

import gzip
import shutil

import pytest
from typer.testing import CliRunner

from moeram.cli.main import app


@pytest.fixture
def case(repository, tmp_path):
    folder = tmp_path / "case"
    shutil.copytree(repository / "examples" / "ddr4", folder, ignore=shutil.ignore_patterns("out"))
    return folder


def golden(*arguments):
    return CliRunner().invoke(app, ["check", "golden", *map(str, arguments)])


def test_results_lie_in_the_output_folder_only(case, tmp_path):
    before = sorted(path.name for path in case.iterdir())
    result = golden(case, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in case.iterdir()) == before
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*") if p.is_file()) == [
        "out/cmd.ch0",
        "stats.yaml",
    ]
    assert "total_num_read_requests: 400" in (tmp_path / "out" / "stats.yaml").read_text()


def test_results_of_an_earlier_run_in_the_case_are_written_anew(case, tmp_path):
    (case / "out").mkdir()
    (case / "out" / "cmd.ch0").write_text("old\n")
    (case / "stats.yaml").write_text("old\n")
    assert golden(case, "-o", tmp_path / "out").exit_code == 0
    for name in ("stats.yaml", "out/cmd.ch0"):
        assert (case / name).read_text() == "old\n"
        assert (tmp_path / "out" / name).read_text() != "old\n"


def test_a_packed_trace_gives_the_same(case, tmp_path):
    assert golden(case, "-o", tmp_path / "plain").exit_code == 0
    trace = case / "mixed.trace"
    (case / "mixed.trace.gz").write_bytes(gzip.compress(trace.read_bytes()))
    trace.unlink()
    assert golden(case, "-o", tmp_path / "packed").exit_code == 0
    for name in ("stats.yaml", "out/cmd.ch0"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "packed" / name).read_bytes()


def test_a_folder_of_cases_runs_each(case, tmp_path):
    """A line for each; one that is wrong is said and stops no other."""
    cases = tmp_path / "cases"
    shutil.copytree(case, cases / "good")
    shutil.copytree(case, cases / "also_good")
    result = golden(cases, "-o", tmp_path / "out")
    assert result.exit_code == 0 and result.stdout.splitlines() == ["also_good: done", "good: done", "2 of 2 cases ran"]
    assert (tmp_path / "out" / "good" / "stats.yaml").read_bytes() == (tmp_path / "out" / "also_good" / "stats.yaml").read_bytes()
    (cases / "also_good" / "config.yaml").write_text("MemorySystem: {impl: SomeDRAM}\n")
    result = golden(cases, "-o", tmp_path / "again")
    lines = result.stdout.splitlines()
    assert result.exit_code == 1 and lines[0].startswith("also_good: FAILED: ") and "'SomeDRAM'" in lines[0]
    assert lines[1:] == ["good: done", "1 of 2 cases ran"]
    assert not (tmp_path / "again" / "also_good").exists() and (tmp_path / "again" / "good" / "stats.yaml").is_file()


def test_bad_cases_leave_nothing(case, tmp_path):
    out = tmp_path / "out"
    (case / "mixed.trace").write_text("LD 0x40\nLD  0x80\n")
    result = golden(case, "-o", out)
    assert result.exit_code == 2 and "mixed.trace:2: bad address" in result.stderr and not out.exists()
    (case / "mixed.trace").unlink()
    (case / "mixed.trace.gz").write_bytes(gzip.compress(b"LD 0x40\n" * 1000)[:-12])
    result = golden(case, "-o", out)
    assert result.exit_code == 2 and "not readable as gzip" in result.stderr and not out.exists()
    (case / "config.yaml").write_text("MemorySystem: {impl: SomeDRAM}\n")
    result = golden(case, "-o", out)
    assert result.exit_code == 2 and "'SomeDRAM' are not known; known: GenericDRAM" in result.stderr
    result = golden(tmp_path / "nothing", "-o", out)
    assert result.exit_code == 2 and "no such file" in result.stderr and not out.exists()
