"""Same statistics and the same commands as Ramulator 2.0, on every reference case."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REFERENCES = Path(__file__).resolve().parents[2].parent / "shared" / "goldens" / "ramulator2"
# patched_rw: address-vector traces from a Ramulator with a corrected ReadWriteTrace.
NAMES = sorted(
    path.parent.relative_to(REFERENCES).as_posix()
    for folder in ("cases", "patched_rw")
    for path in REFERENCES.glob(f"{folder}/*/config.yaml")
) or ["none"]


def run_in(folder: Path, program: Path, *arguments: str) -> None:
    """Run the program on the folder's config.yaml and keep its statistics as stats.yaml."""
    done = subprocess.run(
        [str(program), "-f", "config.yaml", *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (folder / "stats.yaml").write_text(done.stdout)


@pytest.mark.parametrize("arguments", [(), ("--no-skip",)], ids=["skip", "no-skip"])
@pytest.mark.parametrize("name", NAMES)
def test_case_equals_ramulator(shared, moeram_sim, tmp_path, name, arguments):
    """Statistics to the digit (floats 1e-6) and commands line by line, judged by the references' own compare.py."""
    case = shared / "goldens" / "ramulator2" / name
    assert case.is_dir(), "no reference case found"
    folder = tmp_path / case.name
    folder.mkdir()
    shutil.copy(case / "config.yaml", folder)
    for trace in case.glob("*.trace*"):
        if trace.suffix == ".gz":
            (folder / trace.stem).write_bytes(gzip.decompress(trace.read_bytes()))
        else:
            shutil.copy(trace, folder)
    run_in(folder, moeram_sim, *arguments)
    judge = shared / "goldens" / "ramulator2" / "compare.py"
    verdict = subprocess.run(
        [sys.executable, str(judge), str(case), str(folder)], check=False, capture_output=True, text=True
    )
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


def test_all_cases_are_there(shared):
    """The list above is made at collection; an empty one would pass unseen."""
    assert len(NAMES) >= 39


def test_the_judge_sees_a_difference(shared, moeram_sim, tmp_path):
    """One timing parameter one cycle longer: the comparison must fail, or it proves nothing."""
    case = shared / "goldens" / "ramulator2" / "cases" / "ddr4_seq_rd"
    for path in [case / "config.yaml", *case.glob("*.trace")]:
        shutil.copy(path, tmp_path)
    for packed in case.glob("*.trace.gz"):
        (tmp_path / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    run_in(tmp_path, moeram_sim, "-p", "MemorySystem.DRAM.timing.nRCD=17")
    judge = shared / "goldens" / "ramulator2" / "compare.py"
    verdict = subprocess.run(
        [sys.executable, str(judge), str(case), str(tmp_path)], check=False, capture_output=True, text=True
    )
    assert verdict.returncode == 1, verdict.stdout
