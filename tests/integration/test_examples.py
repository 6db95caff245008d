"""What the README and the examples show runs as it stands there."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys

from typer.testing import CliRunner

from moeram.cli.main import app
from moeram.hardware.cycle import load_core
from moeram.placement import PART_POLICIES, POLICIES
from moeram.repro.result import recorded_outcomes
from moeram.repro.targets import OUTCOMES


def test_the_readme_s_python(repository, tmp_path):
    """Ten lines of Python, run in an empty folder."""
    (code,) = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.strip().splitlines()) <= 10
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "topic_aware  batch  8:" in done.stdout
    assert (tmp_path / "decomposition.csv").read_text().startswith("batch,layers,occupancy,")


def test_the_readme_s_output(repository, tmp_path):
    """Every line that the README shows of the command is a line of it; what it leaves out is marked by dots."""
    shown = re.findall(r"```text\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    result = CliRunner().invoke(app, ["run", "quickstart", "-o", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    printed = [line.strip() for line in result.output.splitlines()]
    lines = [line.strip() for line in shown.splitlines() if line.strip() and line.strip() != "..."]
    assert len(lines) > 15 and not [line for line in lines if line not in printed]


def test_the_readme_s_outcomes_are_the_recorded_ones(repository):
    """The counts of the trust table and of docs/repro.md."""
    readme, repro = ((repository / name).read_text(encoding="utf-8") for name in ("README.md", "docs/repro.md"))
    for paper in ("stratum", "sieve"):
        found = [outcome for values in recorded_outcomes(paper).outcomes.values() for outcome in values.values()]
        counts = [found.count(outcome) for outcome in OUTCOMES]
        assert sum(counts) == len(found)
        row = next(line for line in readme.splitlines() if f"all published values of {paper.title()} ({len(found)})" in line)
        said = re.fullmatch(r".*\| (\d+) predicted\D*?(?:\(.*?\))?, (\d+) only.*?, (\d+) contradicted, (\d+) not testable \|", row)
        assert said and [int(number) for number in said.groups()] == counts
        assert f"| {paper.title()} | {' | '.join(map(str, counts))} |" in repro


def test_benchmarks_run(repository, tmp_path):
    """Small sizes: that they run, not how fast."""
    script = repository / "benchmarks" / "near_memory_speed.py"
    done = subprocess.run(
        [sys.executable, str(script), "--layers", "2"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "M commands/s" in done.stdout


def test_the_benchmark_of_placements_times_every_policy(repository):
    names = runpy.run_path(str(repository / "benchmarks" / "placement_speed.py"))
    measure = names["measure"]
    measure.__globals__.update(LAYERS=2, EXPERTS=16, TOP_K=2, PARTS=8, SLOTS=3)
    times = measure()
    assert set(times) == (set(POLICIES) | set(PART_POLICIES)) - {"oracle_topic", "milp"} and min(times.values()) > 0


def test_a_benchmark_says_why_a_part_of_it_failed(repository, tmp_path):
    """A folder without the files: the reason is shown, not that a process failed; a folder that is not there is refused at once."""
    script = [sys.executable, str(repository / "benchmarks" / "run.py"), "--quick", "--routing"]
    for folder, reason in ((tmp_path, "olmoe-1b-7b.npz': no such file"), (tmp_path / "nowhere", "nowhere: no such file or folder")):
        done = subprocess.run([*script, str(folder)], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode and reason in done.stderr and "CalledProcessError" not in done.stderr


def test_reads_beside_a_program(repository):
    """The example of docs/pim.md: both sides are done, none faster than alone, and both bounds hold."""
    core = load_core()
    folder = repository / "examples" / "shared_pim"
    result = core.run_queued(str(folder / "config.yaml"), folder=str(folder), strict=True)
    host, units = result["sharing"]["host"], result["sharing"]["units"]
    assert host["requests"] == 6000
    assert result["command_counts_by_channel"][0]["MACAB"] == 40 * (32 + 16)
    for side in (host, units):
        assert side["slowdown"] >= 0.99
        assert side["longest_wait"] <= side["longest_wait_bound"]
    assert "units_slowdown" in result["text"]
