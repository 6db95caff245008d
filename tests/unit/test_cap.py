"""Cost, accuracy, performance against moe_cap.md: the formulas by hand, and those of the paper's figures that can be computed."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from moeram.cli.main import app
from moeram.errors import ConfigError, EngineError
from moeram.experiment import load_serving, run_serving
from moeram.metrics.cap import (
    CostOptions,
    activated_bytes,
    cache_bytes,
    cost_table,
    radar_table,
    required_gb_per_s,
    s_mbu,
    s_mbu_table,
    s_mfu,
    s_mfu_table,
    token_operations,
    uniform_distinct_experts,
)
from moeram.model import load_model
from moeram.options import dump_yaml
from moeram.report import radar_figure
from moeram.runs import read_radar
from moeram.serving import BatchingOptions, Peaks, PricedStep, Requests, serve

PS = 1_000_000_000


# R1: Mixtral, bytes with all experts over bytes with the activated ones, attention included.
def test_r1_vanilla_utilisation_overstates_mixtral():
    model = load_model("mixtral-8x7b")
    ratio = [activated_bytes(model, 8) / activated_bytes(model, uniform_distinct_experts(model, b)) for b in (1, 8, 64)]
    assert ratio[0] == pytest.approx(3.68, abs=0.005)
    assert ratio[0] > ratio[1] > ratio[2] == pytest.approx(1.0, abs=1e-3)


# R2: Qwen1.5-MoE on an A100 PCIe, batch 8, 24.9 experts a layer, contexts of 900 tokens, 8 / 41.33 s per step.
def test_r2_qwen_on_an_a100_reaches_the_published_utilisation():
    model = load_model("qwen1.5-moe-a2.7b")
    counted = activated_bytes(model, 24.9) + cache_bytes(model, [900] * 8)
    assert s_mbu(counted, 0.194, 1935) == pytest.approx(0.03796, abs=0.002)
    assert s_mbu(activated_bytes(model, 24.9), 0.194, 1935) == pytest.approx(0.0342, abs=0.002)


# R3: the published shares and the distinct experts that the sheet derives from them belong to our inventory of weights.
@pytest.mark.parametrize(
    ("name", "distinct", "share"),
    [("deepseek-v2-lite", 32.1, 0.5305), ("qwen1.5-moe-a2.7b", 24.9, 0.4679), ("deepseek-r1", 42.4, 0.1844)],
)
def test_r3_shares_of_activated_parameters(name, distinct, share):
    model = load_model(name)
    assert activated_bytes(model, distinct) / activated_bytes(model, model.experts) == pytest.approx(share, abs=0.0005)
    # Routers are skewed: uniform choice activates more.
    assert uniform_distinct_experts(model, 8) > distinct


# R4: bandwidth that DeepSeek-R1 needs at 0.1 s per token and an S-MBU of 0.71, everything activated and at batch 1.
def test_r4_bandwidth_of_deepseek_r1():
    model = load_model("deepseek-r1")
    assert required_gb_per_s(2 * model.parameters, 0.1, 0.71) == pytest.approx(18_901, rel=0.005)
    assert required_gb_per_s(2 * model.active_parameters, 0.1, 0.71) == pytest.approx(1_040, rel=0.03)


# R5: DeepSeek-V2-Lite in 0.25 s per token at an S-MBU of 0.5, uniform routing: published limits of three devices.
@pytest.mark.parametrize(("device_gb_per_s", "fits", "too_many"), [(400, 32, None), (205, 16, 32), (102, 4, 8)])
def test_r5_devices_that_fit(device_gb_per_s, fits, too_many):
    model = load_model("deepseek-v2-lite")

    def needed(batch):
        return required_gb_per_s(activated_bytes(model, uniform_distinct_experts(model, batch)), 0.25, 0.5)

    assert needed(fits) <= device_gb_per_s
    assert too_many is None or needed(too_many) > device_gb_per_s


# R6 needs step times that are not published; what can be held is the weights behind its first point.
def test_r6_weights_of_deepseek_r1_at_batch_one():
    model = load_model("deepseek-r1")
    assert activated_bytes(model, model.top_k) == pytest.approx(35.6e9, rel=0.005)  # 8-bit weights


SAMPLE = {
    "SGLang": {"latency_ms": 58, "cost_usd": 8920, "accuracy": 0.911},
    "K-Transformers": {"latency_ms": 73, "cost_usd": 3800, "accuracy": 0.800},
    "MoE-Infinity": {"latency_ms": 150, "cost_usd": 3800, "accuracy": 0.911},
}


# R7: radii of the sample.
def test_r7_radii_of_the_radar(tmp_path):
    table = radar_table(SAMPLE, cost_tick_usd=8000)
    found = {row["system"]: tuple(row[axis] for axis in ("performance", "cost", "accuracy")) for row in table.rows()}
    assert found["SGLang"] == pytest.approx((100, 20, 64.4), abs=0.005)
    assert found["K-Transformers"] == pytest.approx((86.96, 62, 20), abs=0.005)
    assert found["MoE-Infinity"] == pytest.approx((20, 62, 64.4), abs=0.005)
    radar_figure(table, tmp_path / "radar.png")
    assert (tmp_path / "radar.png").stat().st_size > 10_000


def test_radar_refuses_what_it_cannot_scale():
    with pytest.raises(ConfigError, match="at least two"):
        radar_table({"one": SAMPLE["SGLang"]}, cost_tick_usd=8000)
    with pytest.raises(ConfigError, match="same latency"):
        radar_table({"a": SAMPLE["SGLang"], "b": SAMPLE["SGLang"]}, cost_tick_usd=8000)
    with pytest.raises(ConfigError, match="b: no accuracy"):
        radar_table({"a": SAMPLE["SGLang"], "b": {"latency_ms": 1, "cost_usd": 1}}, cost_tick_usd=8000)


def write_yaml(path, value):
    path.write_text(dump_yaml(value), encoding="utf-8")
    return str(path)


def test_the_radar_of_a_file_is_that_of_its_figures(tmp_path):
    file = write_yaml(tmp_path / "radar.yaml", {"cost_tick_usd": 8000.0, "systems": {name: {key: float(value) for key, value in row.items()} for name, row in SAMPLE.items()}})  # fmt: skip
    answer = CliRunner().invoke(app, ["cap", "radar", file, "--csv", str(tmp_path / "r.csv"), "--figure", str(tmp_path / "r.png")])
    assert answer.exit_code == 0, answer.output
    with open(tmp_path / "r.csv", encoding="utf-8", newline="") as rows:
        found = {row["system"]: row for row in csv.DictReader(rows)}
    radii = [float(found["K-Transformers"][axis]) for axis in ("performance", "cost", "accuracy")]
    assert radii == pytest.approx((86.96, 62, 20), abs=0.005)
    assert found["K-Transformers"]["latency_ms"] == "73.0"
    assert (tmp_path / "r.png").stat().st_size > 10_000


def test_the_radar_takes_latency_and_cost_from_runs(tmp_path):
    few = ["-p", "requests.count=2", "-p", "requests.output_tokens=4"]
    for name, rate in (("slow", 2), ("fast", 2000)):
        arguments = ["serve", "mixtral_h100_x2", *few, "-p", "cost.running_years=3", "-p", f"requests.rate_per_s={rate}", "-q"]
        assert CliRunner().invoke(app, [*arguments, "-o", str(tmp_path / name)]).exit_code == 0
    systems = {name: {"accuracy": share, "run": str(tmp_path / name)} for name, share in (("slow", 0.5), ("fast", 0.75))}
    table = read_radar(write_yaml(tmp_path / "radar.yaml", {"cost_tick_usd": 1e6, "systems": systems}))
    for row in table.rows():
        with open(tmp_path / row["system"] / "latencies.csv", encoding="utf-8", newline="") as file:
            tpot = next(line for line in csv.DictReader(file) if line["latency"] == "TPOT")
        assert row["latency_ms"] == float(tpot["mean_ms"])
        assert row["cost_usd"] == pytest.approx(2 * 38_000 + 7214 + 1000 + 512 * 4 + 4000 * 0.1)
    assert table["accuracy"].tolist() == [20, 60]


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ({"accuracy": 0.9}, "no latency_ms and no run"),
        ({"accuracy": 0.9, "latency_ms": 1.0, "cost_usd": 1.0, "run": "."}, "run is given, but"),
        ({"accuracy": 1.2, "latency_ms": 1.0, "cost_usd": 1.0}, "at most 1"),
        ({"accuracy": 0.9, "run": "."}, "no table latencies of a serving run"),
        ({"acuracy": 0.9, "latency_ms": 1.0, "cost_usd": 1.0}, "did you mean 'accuracy'"),
    ],
)
def test_radar_files_are_checked(tmp_path, system, message):
    other = {"accuracy": 0.5, "latency_ms": 2.0, "cost_usd": 2.0}
    file = write_yaml(tmp_path / "radar.yaml", {"cost_tick_usd": 10.0, "systems": {"one": system, "two": other}})
    answer = CliRunner().invoke(app, ["cap", "radar", file])
    assert answer.exit_code == 2
    assert message in " ".join(answer.output.split())


def test_a_batch_on_the_command_line_is_the_closed_form(tmp_path):
    arguments = ["cap", "batch", "qwen1.5-moe-a2.7b", "--distinct", "24.9", "--requests", "8", "--context", "900", "--csv"]
    timed = ["--step-ms", "194", "--peak-gb-per-s", "1935"]
    answer = CliRunner().invoke(app, [*arguments, str(tmp_path / "b.csv"), *timed])
    assert answer.exit_code == 0, answer.output
    with open(tmp_path / "b.csv", encoding="utf-8", newline="") as rows:
        row = next(csv.DictReader(rows))
    assert float(row["s_mbu"]) == pytest.approx(0.038, abs=0.002)  # R2
    untimed = CliRunner().invoke(app, ["cap", "batch", "qwen1.5-moe-a2.7b", "--requests", "8", "--context", "900", *timed[:2]])
    assert untimed.exit_code == 2
    assert "--peak-gb-per-s" in untimed.output


def test_operations_of_a_token_by_hand():
    model = load_model("mixtral-8x7b")
    attention = 4096 * (4096 + 1024 + 1024 + 4096)
    by_hand = 32 * 2 * (attention + 8 * 4096 + 2 * 3 * 4096 * 14336) + 32 * 4 * 4096 * 1000
    assert token_operations(model, 1000) == by_hand
    assert s_mfu(model, 100.0, 1000, 1e-12 * by_hand * 400) == pytest.approx(0.25)


def test_more_than_the_peak_is_a_contradiction():
    with pytest.raises(ConfigError, match="more than the peak"):
        s_mbu(2e12, 1.0, 1000)
    with pytest.raises(ConfigError, match="allowed: 0 to 8"):
        activated_bytes(load_model("mixtral-8x7b"), 9)


class Fixed:
    """Every step takes 1 ms or 2 ms with a prompt; a port of 1 byte a ps carries a quarter of the time and something uncounted."""

    kv_capacity_tokens = 10_000
    peaks = Peaks(bytes_per_ps={"dram": 1.0, "idle": 5.0}, operations_per_ps={"unit": 2.0}, waiting_w=0.0)
    too_much = 0

    def price(self, step):
        time_ps = 2 * PS if len(step.prefill) else PS
        moved = {"dram/kv read": PS // 4, "dram/routed experts": PS // 4, "dram/norms": PS // 10 + self.too_much}
        return PricedStep(
            time_ps=time_ps, bound_ps=0, fidelity="analytic", moved_bytes=moved, operations={"unit": PS}
        )  # fmt: skip


def served(pricer):
    ones = np.ones(1, dtype=np.int64)
    requests = Requests(
        arrival_ps=0 * ones, prompt_tokens=4 * ones, output_tokens=3 * ones, topic=0 * ones, source="test"
    )
    return serve(requests, pricer, BatchingOptions())


def test_ratio_of_sums_and_mean_of_ratios():
    """Three steps of 2, 1 and 1 ms, half a ms of counted traffic in each."""
    record = served(Fixed())
    dram, idle = s_mbu_table(record).rows()
    assert dram["s_mbu"] == pytest.approx(1.5 / 4)
    assert dram["s_mbu_mean"] == pytest.approx((0.25 + 0.5 + 0.5) / 3)
    assert dram["mbu_moved"] == pytest.approx(1.8 / 4)
    assert idle["s_mbu"] == 0
    (unit,) = s_mfu_table(record).rows()
    assert unit["s_mfu"] == pytest.approx(3 / 4 / 2)


def test_a_port_beyond_its_peak_is_an_error():
    pricer = Fixed()
    pricer.too_much = PS
    with pytest.raises(EngineError, match=r"step 1: port dram is used 1\.6"):
        s_mbu_table(served(pricer))
    pricer.peaks = Peaks(bytes_per_ps={"idle": 1.0}, operations_per_ps={}, waiting_w=0.0)
    with pytest.raises(EngineError, match="'dram', a port without a peak"):
        s_mbu_table(served(pricer))


def cost(options=None, **changed):
    values = {
        "gpus": 2, "gpu_name": "h100_sxm", "gpu_price_usd": 38_000.0, "memory": None, "tokens_per_s": 1000.0, "energy_per_token_j": 1.0,
    }  # fmt: skip
    return next(cost_table(options or CostOptions(), **{**values, **changed}).rows())


def test_cost_of_a_token_by_hand():
    row = cost()
    hardware = 2 * 38_000 + 7214 + 1000 + 512 * 4 + 4000 * 0.1
    assert row["hardware_usd"] == pytest.approx(hardware)
    life_s = 3 * 365.25 * 24 * 3600
    energy = (1.0 + 350 / 1000) / 3.6e6 * 0.15
    assert row["usd_per_million_tokens"] == pytest.approx(1e6 * (hardware / life_s / 1000 + energy))
    assert cost(CostOptions(memory_price_usd=500.0), memory="stratum_l")["hardware_usd"] == pytest.approx(
        hardware + 500
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gpu_price_usd": None, "gpu_name": "b200"}, "price of b200 is not known; give it as cost.gpu_price_usd"),
        ({"memory": "stratum_l"}, "price of stratum_l is not known"),
    ],
)
def test_an_unknown_price_is_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        cost(**changed)


def test_a_cost_beyond_its_axis_is_said(tmp_path):
    table = radar_table(SAMPLE, cost_tick_usd=8000)
    assert table["cost_beyond_axis"].tolist() == [row["cost_usd"] > 8000 for row in SAMPLE.values()] == [True, False, False]
    systems = {name: {key: float(value) for key, value in row.items()} for name, row in SAMPLE.items()}
    file = write_yaml(tmp_path / "radar.yaml", {"cost_tick_usd": 8000.0, "systems": systems})
    said = " ".join(CliRunner().invoke(app, ["cap", "radar", file]).output.split())
    assert "note: SGLang costs 8,920 USD" in said and "note: MoE-Infinity" not in said


ONE = ["--requests", "1", "--context", "100"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--step-ms", "0", "--peak-gb-per-s", "1"], "--step-ms: given 0, allowed: more than 0"),
        (["--step-ms", "1", "--peak-gb-per-s", "-1"], "--peak-gb-per-s: given -1"),
        (["--distinct", "nan"], "--distinct: given nan"),
        (["--distinct", "9"], "allowed: 2 to 2"),
        (["--distinct", "1"], "distinct_experts: given 1, allowed: 2 to 2"),
        (["--distinct", "1", "--requests", "3"], "allowed: 2 to 6, which 3 requests with top 2 can use"),
        (["--distinct", "8.5", "--requests", "30"], "allowed: 2 to 8"),
        (["--csv", "b.png"], "b.png: given '.png', allowed: a file that ends with .csv"),
    ],
)
def test_wrong_options_of_a_batch_are_named(arguments, message):
    answer = CliRunner().invoke(app, ["cap", "batch", "mixtral-8x7b", *ONE, *arguments])
    assert answer.exit_code == 2 and message in answer.output, answer.output


def test_a_dense_model_has_no_distinct_experts():
    assert CliRunner().invoke(app, ["cap", "batch", "qwen2.5-32b", *ONE]).exit_code == 0
    answer = CliRunner().invoke(app, ["cap", "batch", "qwen2.5-32b", *ONE, "--distinct", "3"])
    assert answer.exit_code == 2 and "qwen2.5-32b has no routed experts" in answer.output


def test_a_radar_is_drawn_as_png_only(tmp_path):
    answer = CliRunner().invoke(app, ["cap", "radar", str(tmp_path / "none.yaml"), "--figure", str(tmp_path / "r.svg")])
    assert answer.exit_code == 2 and "r.svg: given '.svg', allowed: a file that ends with .png" in answer.output


def test_a_run_with_answers_of_one_token_has_no_tpot(tmp_path):
    run = run_serving(load_serving("qwen3_sieve", ["requests.count=2", "requests.output_tokens=1"]))
    run["latencies"].to_csv(tmp_path / "latencies.csv")
    file = tmp_path / "radar.yaml"
    file.write_text(
        f"cost_tick_usd: 9\nsystems:\n  a: {{run: {tmp_path}, accuracy: 0.5, cost_usd: 3}}\n"
        "  b: {latency_ms: 3, cost_usd: 2, accuracy: 0.6}\n"
    )
    with pytest.raises(ConfigError, match="a: .* has no TPOT: every answer has one token"):
        read_radar(file)
