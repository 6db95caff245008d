"""What the README and the examples show runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys

from moeram.hardware.cycle import load_core


def test_the_readme_s_python(repository, tmp_path):
    """Ten lines of Python, run in an empty folder."""
    (code,) = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(code.strip().splitlines()) <= 10
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "topic_aware  batch  8:" in done.stdout
    assert (tmp_path / "decomposition.csv").read_text().startswith("batch,layers,occupancy,")


def test_benchmarks_run(repository, tmp_path):
    """Small sizes: that they run, not how fast."""
    script = repository / "benchmarks" / "near_memory_speed.py"
    done = subprocess.run(
        [sys.executable, str(script), "--layers", "2"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "M commands/s" in done.stdout


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
