"""Other readings beside ours: what they are equal to, where they have nothing to say, and that they decide nothing."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from moeram.cli.main import app
from moeram.errors import ConfigError
from moeram.repro import load_assumptions
from moeram.repro.evaluation import targets_of
from moeram.repro.readings import READINGS, read_all
from moeram.repro.result import differences, measured_files, recorded_outcomes, reproduce
from moeram.repro.sieve import machines
from moeram.repro.stratum import decode
from moeram.repro.target import NotAvailable, Setting

X16 = [one for one in READINGS.values() if one.assumption == "X16"]


def sieve(target):
    return next(one for one in targets_of("sieve") if one.id == target)


@pytest.fixture(scope="module")
def qwen3(shared):
    """R7 of Sieve at nominal alone, with measured kernels of the B200."""
    files = measured_files(shared / "data" / "gpu")
    return reproduce("sieve", only=["R6", "R7"], measured=files, trajectories=0, workers=1)


def test_a_target_has_its_readings_and_they_decide_nothing(qwen3):
    rows = {(row.target, row.value): row for row in qwen3.rows}
    for row in rows.values():
        assert tuple(row.readings) == machines.STEP_READINGS
    one = rows["R7", "sieve_over_pimoe_most"]
    nominal = Setting(paper="sieve")
    assert one.ours == sieve("R7")(nominal)["sieve_over_pimoe_most"].ours
    # X13b is a parameter: its column is what a setting with it changed gives.
    assert one.readings["pimoe_by_stack"] == sieve("R7")(nominal.changed_to(pimoe_layout="expert"))["sieve_over_pimoe_most"].ours
    without = reproduce("sieve", only=["R7"], trajectories=0, workers=1)
    for before, after in zip(without.rows, (row for row in qwen3.rows if row.target == "R7"), strict=True):
        assert replace(before, readings={}) == replace(after, readings={})
        assert before.readings["measured"] == "no tables given (--measured)"
    assert not [text for text in differences(without, recorded_outcomes("sieve"))]


def test_a_measured_column_is_of_measured_kernels_and_says_which(qwen3):
    rows = {(row.target, row.value): row for row in qwen3.rows}
    assert rows["R6", "sieve_over_pimoe_most"].readings["measured"] == "no table (gpt-oss-120b)"
    assert isinstance(rows["R7", "sieve_over_pimoe_most"].readings["measured"], float)
    (kernels,) = qwen3.measured_kernels
    assert kernels.startswith("qwen3: measured: experts") and "analytic" in kernels


def test_a_measured_step_is_that_of_a_machine_with_the_tables(qwen3):
    """NoExp of Qwen3, all of whose experts are the GPU's."""
    setting, nominal = READINGS["measured"].of(Setting(paper="sieve"), qwen3.measured), Setting(paper="sieve")
    assert machines.time_ps(setting, "qwen3", "noexp", 64) > machines.time_ps(nominal, "qwen3", "noexp", 64)
    policy = machines.schedule("noexp", nominal)
    machine = machines.pricer(machines.CASES["qwen3"], setting, policy)
    step = machines.step_of(machines.CASES["qwen3"], setting, 64)
    assert machine.price(step).time_ps == machines.time_ps(setting, "qwen3", "noexp", 64)
    assert any(origin.fidelity.startswith("measured") for origin in machine.origins)


@pytest.mark.parametrize("target", ["R1", "R2", "R3", "R9"])
def test_what_x16_is_said_not_to_reach_does_not_change_with_it(target):
    one = sieve(target)
    assert not {reading.name for reading in X16} & set(one.readings)
    nominal = one(Setting(paper="sieve"))
    for reading in X16:
        told = replace(one, readings=(*one.readings, reading.name))
        found = told(reading.of(Setting(paper="sieve"), ()))
        assert {name: value.ours for name, value in found.items()} == {name: value.ours for name, value in nominal.items()}


def test_one_side_at_a_time_is_never_faster():
    nominal = Setting(paper="sieve")
    for reading in X16:
        setting = reading.of(nominal, ())
        for method in machines.METHODS:
            times = [machines.time_ps(one, "qwen3", method, 64) for one in (nominal, setting)]
            assert times[1] >= times[0]
        assert machines.time_ps(setting, "qwen3", "pimoe", 64) > machines.time_ps(nominal, "qwen3", "pimoe", 64)


def test_stratum_s_gpus_are_measured_where_there_is_a_table(shared):
    """Mixtral on H100; no table has the A6000, and without tables there is nothing to read."""
    files = measured_files(shared / "data" / "gpu")
    nominal, measured = Setting(paper="stratum"), READINGS["measured"].of(Setting(paper="stratum"), files)
    ours, theirs = (decode.of_gpus(one, "mixtral", 8, 1024) for one in (nominal, measured))
    assert ours.requests == theirs.requests and ours.time_ps != theirs.time_ps
    assert decode.of_stratum(measured, "mixtral", 8, 1024) is decode.of_stratum(nominal, "mixtral", 8, 1024)
    assert decode.over_gpus(measured, "mixtral", 1.0).reason.startswith("mixtral: measured: MoE layers, decode attention")
    for setting, case, why in ((measured, "olmoe", "no table"), (READINGS["measured"].of(nominal, ()), "mixtral", "no tables given")):
        with pytest.raises(NotAvailable, match=why):
            decode.of_gpus(setting, case, 8, 1024)


def test_attention_by_the_engine_is_another_time_of_the_same_step():
    nominal = Setting(paper="stratum")
    engine = READINGS["engine"].of(nominal, ())
    closed, simulated = (decode.of_stratum(one, "olmoe", 8, 1024) for one in (nominal, engine))
    assert simulated.time_ps != closed.time_ps == pytest.approx(simulated.time_ps, rel=0.02)
    assert decode.of_gpus(engine, "olmoe", 8, 1024) is decode.of_gpus(nominal, "olmoe", 8, 1024)


def test_random_rows_are_a_harder_baseline_than_no_tiering():
    (r4,) = [one for one in targets_of("stratum") if one.id == "R4"]
    found = read_all([replace(r4, readings=("random_rows",))], Setting(paper="stratum"), (), 1)
    nominal = r4(Setting(paper="stratum"))
    for name, one in found["R4", "random_rows"].items():
        assert one.ours < nominal[name].ours  # the same compact memory without a ranking, instead of its slowest tier everywhere


def test_measured_tables_without_a_target_that_reads_them_are_refused(shared):
    files = measured_files(shared / "data" / "gpu")
    with pytest.raises(ConfigError, match="R9, R10, R11 do"):
        reproduce("stratum", only=["R4"], measured=files, trajectories=0, workers=1)


def test_the_command_prints_and_writes_every_reading(tmp_path):
    command = ["repro", "sieve", "--target", "R7", "--trajectories", "0", "--workers", "1", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "PIMoE tensor, batch 64" in result.output and "PIMoE expert, batch 64" in result.output and "(X13b)" in result.output
    with (tmp_path / "out" / "targets.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["reading_engine"]) > 0 and row["reading_measured"].startswith("no tables") for row in rows)
    with (tmp_path / "out" / "beside.csv").open(encoding="utf-8") as file:
        assert {row["what"] for row in csv.DictReader(file)} >= {"PIMoE tensor, batch 64", "PIMoE expert, batch 64"}
    text = (tmp_path / "out" / "targets.md").read_text(encoding="utf-8")
    assert "| other readings | published | ours | GPU measured |" in text


def test_screening_shows_x16_beside_the_parameters(tmp_path):
    table = tmp_path / "screen.csv"
    command = ["assumptions", "screen", "sieve", "--target", "R2", "--target", "R7", "--trajectories", "0", "--workers", "1"]
    result = CliRunner().invoke(app, [*command, "--export", str(table)])
    assert result.exit_code == 0, result.output
    assert "X16 in its other reading" in result.output and "R2: computed without the time of a layer and what schedules learn of it" in result.output
    with table.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["assumption"] == "X16"]
    assert {(row["value"], row["parameter"]) for row in rows} == {
        (value, name) for value in ("sieve_over_pimoe_most", "sieve_over_best_most") for name in ("exclusive", "contended")
    }
    assert "X16" in {entry.id for entry in load_assumptions("sieve").assumptions if not entry.parameters}
