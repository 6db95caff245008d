"""Sweeps from start to table: equal at any number of workers, and alive after a kill."""

from __future__ import annotations

import csv
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from moeram.cli.main import app
from moeram.errors import ConfigError
from moeram.runs import joined_table, read_sweep, run_sweep
from moeram.runs.workers import Died, work_through

SMALL = ["requests.count=3", "requests.output_tokens=4"]
GRID = ["requests.rate_per_s=2,20", "batching.max_requests=1,2"]


def files_of(folder):
    return {path.name: path.read_bytes() for path in (folder / "points").iterdir()}


def test_any_number_of_workers_gives_the_same_bytes(tmp_path):
    sweep = read_sweep("mixtral_h100_x2", GRID, SMALL)
    alone = run_sweep(sweep, tmp_path / "one", "1", workers=1)
    three = run_sweep(sweep, tmp_path / "three", "1", workers=3)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "three")
    assert len(files_of(tmp_path / "one")) == 4
    assert [outcome.key for outcome in alone.outcomes] == [outcome.key for outcome in three.outcomes]
    left, right = joined_table(alone), joined_table(three)
    assert list(left.rows()) == list(right.rows()) or str(list(left.rows())) == str(list(right.rows()))
    again = run_sweep(sweep, tmp_path / "three", "1", workers=1)
    assert again.found == 4
    assert run_sweep(sweep, tmp_path / "three", "2", workers=1).found == 0  # another version of the program


def test_only_damaged_points_are_computed_again(tmp_path):
    sweep = read_sweep("mixtral_h100_x2", GRID, SMALL)
    first = run_sweep(sweep, tmp_path, "1", workers=1)
    before = files_of(tmp_path)
    victim = tmp_path / "points" / f"{first.outcomes[2].key}.parquet"
    victim.write_bytes(victim.read_bytes()[:-100])
    second = run_sweep(sweep, tmp_path, "1", workers=1)
    assert [outcome.found for outcome in second.outcomes] == [True, True, False, True]
    assert files_of(tmp_path) == before


def test_a_failing_point_stands_in_the_table_and_stops_nothing(tmp_path):
    over = ["requests.prompt_tokens=64,100000000,128"]
    arguments = [
        "sweep",
        "qwen3_sieve",
        "--workers",
        "1",
        "-o",
        str(tmp_path / "out"),
        "--export",
        str(tmp_path / "t.csv"),
    ]
    arguments += [word for text in over for word in ("--over", text)] + [
        word for text in SMALL for word in ("-p", text)
    ]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 1
    assert "1 of 3 points failed" in answer.output
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["requests.prompt_tokens"] for row in rows] == ["64", "100000000", "128"]
    assert ["needs keys and values of" in row["error"] for row in rows] == [False, True, False]
    assert [bool(row["tokens_per_s"]) for row in rows] == [True, False, True]


def test_a_sweep_without_any_valid_point_is_refused_before_it_begins(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'max_requests'"):
        run_sweep(read_sweep("qwen3_sieve", ["batching.max_request=1,2"]), tmp_path / "out", "1")
    assert not (tmp_path / "out").exists()


def test_the_table_and_the_figure_of_single_steps(tmp_path):
    arguments = [
        "sweep", "quickstart", "--over", "batch=1,2", "--over", "seed=0..1", "-p", "samples=1", "-o", str(tmp_path / "out"),
        "--workers", "1", "--export", str(tmp_path / "t.parquet"), "--figure", str(tmp_path / "f.png"), "--metric", "points.batch",
    ]  # fmt: skip
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    assert "4 points: 0 found, 0 failed" in answer.output
    from pyarrow import parquet

    table = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert table["batch"] == table["points.batch"]
    assert sorted(set(table["seed"])) == [0, 1]
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert CliRunner().invoke(app, [*arguments[:-1], "nothing"]).exit_code == 2


def test_columns_of_other_tables_are_checked_with_the_first_result(tmp_path):
    sweep = read_sweep("mixtral_h100_x2", GRID, SMALL)
    with pytest.raises(ConfigError, match="table latencies of this sweep has no column 'p9_ms'; did you mean 'p99_ms'"):
        run_sweep(sweep, tmp_path, "1", workers=1, table="latencies", columns=["p9_ms"])
    assert indexed(tmp_path) == 1
    with pytest.raises(ConfigError, match="no table 'cost'"):
        run_sweep(sweep, tmp_path, "1", workers=1, table="cost")
    assert run_sweep(sweep, tmp_path, "1", workers=1, table="latencies", columns=["p99_ms"]).found == 1


@pytest.mark.parametrize(("name", "over"), [("mixtral_h100_x2", GRID), ("quickstart", ["batch=1,2", "seed=0..1"])])
@pytest.mark.parametrize("width", [80, 120])
def test_the_table_of_a_sweep_fits_its_terminal(tmp_path, monkeypatch, name, over, width):
    monkeypatch.setattr("moeram.cli.sweep.output_console", lambda: Console(width=width))
    fixed = ["samples=1"] if name == "quickstart" else SMALL
    arguments = ["sweep", name, "--workers", "1", "-o", str(tmp_path)]
    arguments += [word for text in over for word in ("--over", text)] + [word for text in fixed for word in ("-p", text)]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    lines = answer.output.splitlines()
    assert "…" not in answer.output and max(len(line.rstrip()) for line in lines if "store:" not in line) <= width
    assert "more columns: --columns all" in answer.output and "fidelity: " in answer.output
    assert len([line for line in lines if re.search(r"\d +\S+ +\S+ *$", line) and "store" not in line]) >= 4
    whole = CliRunner().invoke(app, [*arguments, "--columns", "all"]).output
    assert "…" not in whole and "more columns" not in whole
    few = CliRunner().invoke(app, [*arguments, "--columns", "fidelity"]).output
    assert "cycle" in few or "analytic" in few


def test_a_sweep_from_python(tmp_path):
    import moeram

    result = moeram.sweep(
        "mixtral_h100_x2",
        over={"requests.rate_per_s": np.array([2.0, 20.0])},
        parameters={"requests.count": 2, "requests.output_tokens": 3},
        folder=tmp_path,
        workers=1,
    )
    table = result.table()
    assert table["requests.rate_per_s"].tolist() == [2.0, 20.0]
    assert table["tokens"].tolist() == [6, 6]
    stored = result.store.get(result.outcomes[1].key)
    assert stored.about["experiment"]["requests"]["rate_per_s"] == 20
    assert len(stored.tables["requests"]) == 2


def indexed(folder):
    try:
        with sqlite3.connect(f"file:{folder / 'index.sqlite'}?mode=ro", uri=True) as index:
            return index.execute("SELECT count(*) FROM results").fetchone()[0]
    except sqlite3.Error:
        return 0


def start(folder, workers):
    # A shell that starts the tests in the background leaves SIGINT ignored, which children inherit.
    main = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from moeram.cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        main,
        "sweep",
        "mixtral_h100_x2",
        "--over",
        "requests.rate_per_s=1..8",
        "-q",
    ]
    command += [
        "-p",
        "requests.count=12",
        "-p",
        "requests.output_tokens=30",
        "-o",
        str(folder),
        "--workers",
        str(workers),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def wait_for(condition, patience_s=90.0):
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_sweep_goes_on_where_it_was(tmp_path, how):
    running = start(tmp_path, workers=2)
    wait_for(lambda: indexed(tmp_path) >= 2)
    running.send_signal(how)
    complaint = running.communicate(timeout=60)[1]
    assert running.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 130)
    if how == signal.SIGINT:
        assert "the same command goes on" in complaint and "Traceback" not in complaint
    # Workers of a killed parent end by themselves; the point that each was at may still be stored.
    time.sleep(0.5)
    kept = indexed(tmp_path)
    assert kept >= 2
    sweep = read_sweep(
        "mixtral_h100_x2", ["requests.rate_per_s=1..8"], ["requests.count=12", "requests.output_tokens=30"]
    )
    import moeram

    again = run_sweep(sweep, tmp_path, moeram.__version__, workers=1)
    assert again.failed == 0
    assert again.found >= kept
    whole = run_sweep(sweep, tmp_path / "whole", moeram.__version__, workers=1)
    assert [outcome.key for outcome in whole.outcomes] == [outcome.key for outcome in again.outcomes]
    assert {n: c for n, c in files_of(tmp_path).items() if n.endswith(".parquet")} == files_of(tmp_path / "whole")


def test_no_finished_point_is_lost_to_a_kill(tmp_path):
    """Killed as soon as a point is said to be done: it and all before it are there."""
    code = (
        "import os, signal\n"
        "from moeram.runs import read_sweep, run_sweep\n"
        f"sweep = read_sweep('mixtral_h100_x2', ['requests.rate_per_s=1..5'], {SMALL})\n"
        "kill = lambda done, total, failed: done == 3 and os.kill(os.getpid(), signal.SIGKILL)\n"
        f"run_sweep(sweep, {str(tmp_path)!r}, '1', workers=1, progress=kill)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert indexed(tmp_path) == 3
    sweep = read_sweep("mixtral_h100_x2", ["requests.rate_per_s=1..5"], SMALL)
    again = run_sweep(sweep, tmp_path, "1", workers=1)
    assert [outcome.found for outcome in again.outcomes] == [True, True, True, False, False]


def _square_or_die(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_a_dying_process_costs_its_own_task_only():
    answers = dict(work_through(_square_or_die, range(6), 2))
    assert isinstance(answers.pop(3), Died)
    assert answers == {0: 0, 1: 1, 2: 4, 4: 16, 5: 25}
