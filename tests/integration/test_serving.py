"""Serving experiments from the shipped files: they run, agree with themselves, and leave a folder that says where they come from."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc

import numpy as np
import pytest
from typer.testing import CliRunner

from moeram.cli.main import app
from moeram.errors import ConfigError, MoeramError
from moeram.experiment import load_serving, run_serving
from moeram.hardware import near_memory_layers, shared_memo
from moeram.hardware.priced import FIDELITIES
from moeram.options import config_names
from moeram.serving.system import load_serving_system, serving_system_names

FEW = {"requests.count": 4, "requests.output_tokens": 6}


def small(name, **changed):
    return load_serving(name, values={**FEW, **changed})


@pytest.mark.parametrize("name", config_names("serving"))
def test_every_shipped_serving_experiment_runs(name):
    result = run_serving(small(name))
    assert int(result.record.steps["decode_tokens"].sum()) == 4 * 6
    row = next(result["throughput"].rows())
    assert row["tokens_per_s"] <= row["bound_tokens_per_s"]
    assert result.fidelity == "analytic"


@pytest.mark.parametrize("name", serving_system_names())
def test_every_shipped_system_loads_with_its_parts(name):
    system = load_serving_system(name)
    assert system.name == name
    assert system.network().topology.nodes == system.gpus
    assert system.one_gpu().name == system.gpu


@pytest.mark.parametrize("name", ["duplex_x4", "hbm3_attacc_x8", "b200_pim_x4", "b200_x8"])
@pytest.mark.parametrize("policy", ["sieve", "all_experts", "gpu_only"])
def test_no_port_and_no_part_is_used_beyond_its_peak(name, policy):
    chosen = {} if name == "b200_x8" else {"schedule.policy": policy}
    result = run_serving(small("qwen3_sieve", system=name, **chosen, **{"requests.rate_per_s": 1000}))
    for row in (*result["s_mbu"].rows(), *result["s_mfu"].rows()):
        assert all(
            0 <= value <= 1 for column, value in row.items() if column in ("s_mbu", "s_mbu_mean", "mbu_moved", "s_mfu")
        )


def test_equal_seeds_give_equal_runs_and_reuse_changes_nothing():
    left = run_serving(small("mixtral_stratum_l"))
    again = run_serving(small("mixtral_stratum_l"))
    without = run_serving(small("mixtral_stratum_l", reuse=False, **{"requests.output_tokens": 2, "requests.count": 1}))
    with_reuse = run_serving(small("mixtral_stratum_l", **{"requests.output_tokens": 2, "requests.count": 1}))
    assert np.array_equal(left.record.finished_ps, again.record.finished_ps)
    assert np.array_equal(without.record.finished_ps, with_reuse.record.finished_ps)


@pytest.mark.slow
def test_memory_grows_with_the_requests_by_their_record_alone(monkeypatch):
    monkeypatch.setattr(near_memory_layers, "_MOST_BYTES", 1 << 20)
    monkeypatch.setattr(shared_memo(), "memory_bytes", 1 << 20)

    def bytes_of(value):
        parts = [getattr(value, one.name) for one in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
        parts += value.values() if isinstance(value, dict) else []
        return value.nbytes if isinstance(value, np.ndarray) else sum(map(bytes_of, parts))

    def peak_and_record(count):
        wanted = small("mixtral_stratum_l", **{"requests.count": count, "requests.output_tokens": 64, "requests.prompt_tokens": 64})
        tracemalloc.start()
        record = run_serving(wanted).record
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak, bytes_of(record)

    peak_and_record(10)  # whatever is made once and kept
    (few_peak, few), (many_peak, many) = peak_and_record(40), peak_and_record(160)
    assert many > 3 * few
    # While a run goes on its columns have room to grow, and times between tokens are counted by value.
    assert many_peak - few_peak < 2 * (many - few)


def test_concurrent_memory_is_no_slower_than_exclusive(tmp_path):
    text = "extends: stratum_l\nnear_memory: {concurrent: true}\n"
    (tmp_path / "both.yaml").write_text(text, encoding="utf-8")
    exclusive = run_serving(small("mixtral_stratum_l", **{"requests.rate_per_s": 500.0}))
    both = run_serving(small("mixtral_stratum_l", system=tmp_path / "both.yaml", **{"requests.rate_per_s": 500.0}))
    assert both.record.end_ps < exclusive.record.end_ps
    (tmp_path / "chips.yaml").write_text("extends: stratum_l\nlink: {mode: concurrent}\n", encoding="utf-8")
    (tmp_path / "hardware.yaml").write_text(f"extends: stratum_l\nmemory: {tmp_path}/chips.yaml\n", encoding="utf-8")
    by_hardware = run_serving(
        small("mixtral_stratum_l", system=tmp_path / "hardware.yaml", **{"requests.rate_per_s": 500.0})
    )
    assert np.array_equal(by_hardware.record.finished_ps, both.record.finished_ps)


def test_the_command_writes_a_whole_folder(tmp_path):
    arguments = [
        "serve",
        "qwen3_sieve",
        "-p",
        "requests.count=3",
        "-p",
        "requests.output_tokens=4",
        "-o",
        str(tmp_path / "out"),
    ]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    for word in ("TTFT", "goodput", "memory", "fidelity: times analytic"):
        assert word in answer.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.yaml", "provenance.json", "serving.png", "latencies.csv", "time_series.parquet"} <= names
    found = json.loads((tmp_path / "out" / "provenance.json").read_text(encoding="utf-8"))
    assert found["system"]["name"] == "b200_pim_x1"
    assert found["memory"]["name"] == "hbm3e_pim"
    assert found["steps"] > 0
    assert found["kernel_memo"]["misses"] == found["kernel_memo"]["stored"] and found["kernel_memo"]["failures"] == 0
    # The resolved config runs again, into the same folder.
    assert (
        CliRunner()
        .invoke(app, ["serve", str(tmp_path / "out" / "config.yaml"), "-o", str(tmp_path / "out"), "-q"])
        .exit_code
        == 0
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"system": "b200_pim"}, "did you mean"),
        ({"schedule.policy": "siev"}, "did you mean 'sieve'"),
        ({"schedule.options": {"scheduler_ms": 1}}, "did you mean 'scheduler_us'"),
        ({"requests.source": "trace"}, "requests.path is missing"),
        ({"requests.rate_per_s": 0}, "more than 0"),
        ({"batching.max_request": 3}, "did you mean 'max_requests'"),
        ({"requests.prompt_tokens": 100_000_000}, "needs keys and values of"),
    ],
)
def test_bad_options_are_named(values, message):
    with pytest.raises(MoeramError, match=message):
        run_serving(load_serving("qwen3_sieve", values=values))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("mixtral_stratum_l", {"measured": True}, "reads its chips over a link"),
        ("mixtral_h100_x2", {"measured_distribution": "balanced"}, "no measured tables are"),
        ("mixtral_h100_x2", {"outside_measured": "label"}, "no measured tables are"),
        ("qwen3_sieve", {"measured": True, "measured_distribution": "power_law_1.2"}, "allowed: balanced"),
    ],
)
def test_options_of_measured_tables_apply_or_are_refused(tmp_path, name, values, message):
    (tmp_path / "t.csv").write_text("op_name,latency\n", encoding="utf-8")
    if "measured" in values:
        values = {**values, "measured": [str(tmp_path / "t.csv")]}
    with pytest.raises(ConfigError, match=message):
        run_serving(load_serving(name, values=values))


@pytest.mark.parametrize("name", config_names("serving"))
def test_a_run_says_all_that_can_be_said_of_it(name):
    """Bounds beside times, ports and parts beside peaks, energy with and without idle power, a label for each part with its error if known."""
    result = run_serving(small(name))
    for row in result["latencies"].rows():
        assert 0 < row["bound_mean_ms"] <= row["mean_ms"]
    parts = {row["part"]: row for row in result["utilisation"].rows()}
    assert "gpu" in parts and {"memory", "near memory", "network"} & parts.keys()
    assert all(0 <= row["share_of_run"] <= row["share_of_steps"] <= 1 for row in parts.values())
    assert any(0 < row["share_of_steps"] for row in parts.values())
    assert all(0 < row["s_mbu"] <= row["mbu_moved"] <= 1 for row in result["s_mbu"].rows())
    assert all(0 < row["s_mfu"] <= 1 for row in result["s_mfu"].rows())
    energy, whole = list(result["energy"].rows()), next(result["throughput"].rows())
    by_work, by_all = (sum(row["energy_per_token_uj"] for row in energy if every or not row["idle"]) for every in (False, True))
    assert whole["work_energy_per_token_uj"] == pytest.approx(by_work)
    assert whole["run_energy_per_token_uj"] == pytest.approx(by_all)
    assert whole["work_energy_per_token_uj"] < whole["energy_per_token_uj"] < whole["run_energy_per_token_uj"]
    labels = list(result["fidelity"].rows())
    assert {row["fidelity"] for row in labels} <= set(FIDELITIES)
    assert all(np.isfinite(row["error"]) == bool(row["against"]) for row in labels)
    of_memory = [row for row in labels if row["part"].startswith("decode attention") and "memory" in row["part"]]
    assert all(row["against"] or row["fidelity"].startswith("cycle") for row in of_memory)
    assert bool(of_memory) == ("s_mbu" in result.tables and len(result["s_mbu"]) == 2)
