"""`moeram check parity`: against a program that replays what Ramulator 2.0 wrote, against one that differs, and on folders."""

from __future__ import annotations

import gzip
import shutil
import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from moeram.cli.main import app

REPLAY = """#!{python}
import gzip, pathlib, sys
assert sys.argv[1:] == ["-f", "config.yaml"] and pathlib.Path("config.yaml").is_file(), sys.argv
case = pathlib.Path({case!r})
pathlib.Path("out").mkdir(exist_ok=True)
for path in case.glob("cmd.ch*.gz"):
    text = gzip.decompress(path.read_bytes()).decode()
    pathlib.Path("out", path.stem).write_text(text{change_commands})
print("[Ramulator::LoadStoreTrace] [info] Loaded some lines.")
print((case / "stats.yaml").read_text(){change_statistics})
"""


def run(*arguments):
    return CliRunner().invoke(app, ["check", "parity", *map(str, arguments)])


@pytest.fixture(params=["cases/ddr4_rand_rd_2ra", "cases/hbm_mix_2ch", "cases/o3_ddr4_stream_notrans"])
def case(request, shared, tmp_path, monkeypatch) -> Path:
    """A reference case unpacked into the current folder."""
    folder = shared / "goldens" / "ramulator2" / request.param
    shutil.copyfile(folder / "config.yaml", tmp_path / "config.yaml")
    for trace in folder.glob("*.trace*"):
        packed = trace.suffix == ".gz"
        (tmp_path / (trace.stem if packed else trace.name)).write_bytes(
            gzip.decompress(trace.read_bytes()) if packed else trace.read_bytes()
        )
    monkeypatch.chdir(tmp_path)
    return folder


def program(folder: Path, case: Path, commands: str = "", statistics: str = "") -> Path:
    """A stand-in for ramulator2 that prints and writes the reference's own output, changed as asked."""
    path = folder / "ramulator2"
    path.write_text(
        REPLAY.format(python=sys.executable, case=str(case), change_commands=commands, change_statistics=statistics)
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_equal_to_the_reference(case, tmp_path):
    before = sorted(path.name for path in tmp_path.iterdir())
    done = run("config.yaml", "--ramulator2", program(tmp_path, case))
    assert done.exit_code == 0, done.output
    lines = sum(gzip.decompress(path.read_bytes()).count(b"\n") for path in case.glob("cmd.ch*.gz"))
    assert "equal: " in done.output and f"files with {lines} lines" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "ramulator2"]), (
        "something was left behind"
    )


def test_a_differing_command_is_the_first_difference(case, tmp_path):
    """The program writes PRE for the last ACT: line, both texts and which program wrote which."""
    text = gzip.decompress((case / "cmd.ch0.gz").read_bytes()).decode()
    number = text[: text.rindex(" ACT,")].count("\n") + 1
    changed = '[::-1].replace("ACT,"[::-1], "PRE,"[::-1], 1)[::-1]'
    done = run("config.yaml", "--ramulator2", program(tmp_path, case, commands=changed))
    assert done.exit_code == 1
    assert f"differs: out/cmd.ch0:{number}: '" in done.output and "PRE" in done.output.split("(moeram)")[1]
    cut = run("config.yaml", "--ramulator2", program(tmp_path, case, commands='.split("\\n")[0] + "\\n"'))
    assert cut.exit_code == 1 and "cmd.ch0:2: '" in cut.output and "end of file (ramulator2)" in cut.output


def test_a_differing_statistic_is_named_with_both_values(case, tmp_path):
    change = '.replace("memory_system_cycles: ", "memory_system_cycles: 1")'
    done = run("config.yaml", "--ramulator2", program(tmp_path, case, statistics=change))
    assert done.exit_code == 1 and "MemorySystem.memory_system_cycles: " in done.output, done.output
    done = run(
        "config.yaml", "--ramulator2", program(tmp_path, case, statistics='.replace("row_hits_0", "row_hats_0", 1)')
    )
    assert done.exit_code == 1 and "row_h" in done.output and "missing" in done.output


def test_a_failing_program_and_wrong_arguments(shared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = shared / "goldens" / "ramulator2" / "cases" / "ddr4_seq_rd"
    failing = program(tmp_path, folder, commands="]")  # no Python any more
    for arguments, message in [
        (("none.yaml", "--ramulator2", failing), "none.yaml: no such file"),
        (("config.yaml", "--ramulator2", tmp_path / "nothing"), "no such program"),
        (("config.yaml", "--ramulator2", failing), "ended with status 1"),
        (("binary.yaml", "--ramulator2", failing), "cannot be read"),
        (("empty.yaml", "--ramulator2", failing), "no configuration with Frontend"),
        (("absolute.yaml", "--ramulator2", failing), "make it relative"),
        (("config.yaml",), "two folders"),
        (("a", "b"), "a: no such folder"),
        (("x", "y"), "no files to compare"),
    ]:
        (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
        (tmp_path / "empty.yaml").write_text("")
        for name in "xy":
            (tmp_path / name).mkdir(exist_ok=True)
        config = (folder / "config.yaml").read_text()
        (tmp_path / "config.yaml").write_text(config)
        (tmp_path / "absolute.yaml").write_text(config.replace("path: out/cmd", f"path: {tmp_path}/cmd"))
        for trace in folder.glob("*.trace.gz"):
            (tmp_path / trace.stem).write_bytes(gzip.decompress(trace.read_bytes()))
        for trace in folder.glob("*.trace"):
            shutil.copyfile(trace, tmp_path / trace.name)
        done = run(*arguments)
        assert done.exit_code == 2 and message in done.output and len(done.output.splitlines()) == 1, done.output


def test_two_folders(shared, tmp_path):
    folder = shared / "goldens" / "ramulator2" / "cases" / "hbm_mix_2ch"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for path in folder.iterdir():
            shutil.copyfile(path, tmp_path / name / path.name)
    packed = tmp_path / "b" / "cmd.ch1.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    done = run(tmp_path / "a", tmp_path / "b")
    assert done.exit_code == 0 and done.output.startswith("equal: "), done.output
    with packed.with_suffix("").open("a") as file:
        file.write("one line more\n")
    done = run(tmp_path / "a", tmp_path / "b")
    assert done.exit_code == 1 and "cmd.ch1:" in done.output and "'one line more'" in done.output
    assert run(tmp_path / "a", tmp_path / "b", "--ignore", "cmd.*").exit_code == 0
    packed.with_suffix("").unlink()
    done = run(tmp_path / "a", tmp_path / "b")
    assert done.exit_code == 1 and f"cmd.ch1: only in {tmp_path / 'a'}" in done.output
