"""Metrics against expressions of their own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from moeram.errors import ConfigError, EngineError, MoeramError
from moeram.hardware import CycleOptions, cycle, load_system, lower
from moeram.metrics import Activity, Table, check, energy_pj, hit_rate, mean_ci95, ratio_ci95
from moeram.metrics.statistics import student_t975
from moeram.model import load_model
from moeram.placement import POLICIES, PlacementInput, row_budget


def plan_of(model, system, usage, name="topic_aware"):
    budget = row_budget(
        load_model(model), load_system(system), phi="compact", kv_requests=1, context_tokens=1024, batch=8
    )
    return POLICIES[name](PlacementInput(usage=usage, topic=0, budget=budget, seed=0))


def test_intervals_do_not_see_what_lies_between_topics():
    """Two topics of three draws each: with the topics' offsets removed, the variance of the mean is the sum over topics of
    s_h^2 n_h / n^2; shifting one topic as a whole changes nothing."""
    values = np.array([1.0, 2.0, 3.0, 11.0, 13.0, 15.0])
    mean, half = mean_ci95(values, per_topic=3)
    assert mean == pytest.approx(7.5)
    t_of_4_degrees = 2.7764451
    assert half == pytest.approx(t_of_4_degrees * np.sqrt((1.0 * 3 + 4.0 * 3) / 36), rel=2e-3)
    assert mean_ci95(values + np.repeat([0.0, 100.0], 3), per_topic=3)[1] == pytest.approx(half)
    below = np.full(6, 2.0)  # a ratio to a constant is the mean over it
    assert ratio_ci95(values, below, per_topic=3) == pytest.approx((3.75, half / 2), rel=1e-9)


def test_hit_rate_against_the_top_of_the_ranking():
    """Independent of placement: the share of the accesses that the k*L pairs ranked highest by use receive."""
    rng = np.random.default_rng(0)
    rank_usage, test_usage = rng.random((2, 16, 64)) ** 4
    plan = plan_of("olmoe-1b-7b", "stratum_s", rank_usage[None])
    best = np.sort(rank_usage.ravel())[::-1][: 8 * 16]
    assert hit_rate(plan, test_usage) == pytest.approx(test_usage[rank_usage >= best[-1]].sum() / test_usage.sum())
    assert hit_rate(plan, rank_usage) > hit_rate(plan, test_usage) > 0.1


def test_hit_rate_with_shared_experts():
    """Scout: one routed and one shared access per token; the shared one always hits: (routed + 1) / 2."""
    usage = np.random.default_rng(1).random((48, 16))
    plan = plan_of("llama-4-scout", "stratum_xl", usage[None])
    assert hit_rate(plan, usage, with_shared=True) == pytest.approx((hit_rate(plan, usage) + 1) / 2)


def test_no_hot_experts_or_no_accesses_is_no_value():
    usage = np.ones((1, 16, 64))
    assert np.isnan(hit_rate(plan_of("olmoe-1b-7b", "stratum_s", usage, "no_tiering"), usage[0]))
    assert np.isnan(hit_rate(plan_of("olmoe-1b-7b", "stratum_s", usage), np.zeros((16, 64))))


def test_uniform_use_hits_by_chance():
    usage = np.ones((1, 16, 64))
    for name in ("random_rows", "static_hot", "topic_aware"):
        assert hit_rate(plan_of("olmoe-1b-7b", "stratum_s", usage, name), usage[0]) == pytest.approx(8 / 64)


def test_energy_by_hand():
    """One chip, 1 us, one 4 KiB row, 1000 MACs, 100 bytes over the link."""
    one = np.ones(1)
    activity = Activity(time_ps=one * 1e6, row_bytes=one * 4096, macs=one * 1000, link_bytes=one * 100)
    parts = {name: part.item() for name, part in energy_pj(activity, load_system("stratum_s")).items()}
    expected = {"dram_to_logic": 4096 * 8 * 0.429, "mac": 604, "logic_other": 3.09e6, "link": 100 * 8 * 2.5}
    assert parts == pytest.approx(expected)
    six = energy_pj(activity, load_system("stratum_l"))
    assert six["logic_other"].item() == pytest.approx(6 * 3.09e6)


def test_student_quantiles():
    """Printed tables of Student's t, 97.5 %."""
    for degrees, value in {1: 12.706, 2: 4.303, 3: 3.182, 5: 2.571, 10: 2.228, 30: 2.042, 1000: 1.962}.items():
        assert student_t975(degrees) == pytest.approx(value, rel=2e-3)
    assert np.isnan(student_t975(0))


def test_mean_interval():
    mean, half = mean_ci95(np.array([1.0, 2.0, 3.0]))
    assert (mean, half) == (2.0, pytest.approx(4.303 / 3**0.5, rel=1e-3))
    assert np.isnan(mean_ci95(np.array([1.0]))[1])


def test_ratio_interval_covers_the_truth():
    """95 % of intervals over repeated experiments must cover the true ratio 2; within 4 sigma of 1000 trials."""
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(1000):
        below = rng.normal(10, 1, 24)
        above = 2 * below + rng.normal(0, 0.5, 24)
        ratio, half = ratio_ci95(above, below)
        hits += abs(ratio - 2) <= half
    assert abs(hits / 1000 - 0.95) < 4 * (0.95 * 0.05 / 1000) ** 0.5


def test_ratio_of_one_draw_has_no_interval():
    ratio, half = ratio_ci95(np.array([3.0]), np.array([2.0]))
    assert ratio == 1.5 and np.isnan(half)


OLMOE = SimpleNamespace(model=load_model("olmoe-1b-7b"), system=load_system("stratum_s"))


def simulated(fake_core, **changes):
    usage = np.ones((1, 16, 64))
    plan = plan_of("olmoe-1b-7b", "stratum_s", usage)
    rng = np.random.default_rng(3)
    draws = np.argsort(rng.random((2, 3, 16, 64)), axis=-1)[..., :8].astype(np.int16)
    work = lower(plan.first_row, draws)
    options = CycleOptions(
        hidden_size=2048,
        intermediate_size=1024,
        bits_per_weight=16,
        bytes_per_activation=2,
        result_row=32767,
        **changes,
    )
    return cycle.run(work, OLMOE.system, options), work, plan.budget


def test_rows_times_row_bytes_are_the_bytes_of_the_activated_experts(fake_core):
    times, work, budget = simulated(fake_core)
    checked = check(times, work, model=OLMOE.model, system=OLMOE.system, budget=budget, one_tier=False)
    assert checked.arrays["rows_read"].sum() * 4096 == len(work.expert) * 3 * 2048 * 1024 * 2


@pytest.mark.parametrize("one_tier", [False, True])
def test_a_lost_row_is_noticed(fake_core, one_tier):
    fake_core.lose_a_row = True
    times, work, budget = simulated(fake_core)
    with pytest.raises(EngineError, match="rows read differ from the activated experts in layer 0, channel 3"):
        check(times, work, model=OLMOE.model, system=OLMOE.system, budget=budget, one_tier=one_tier)


def test_lost_multiplications_are_noticed(fake_core):
    times, work, budget = simulated(fake_core)
    times.weight_macs[5] -= 1
    with pytest.raises(EngineError, match="multiply-accumulates differ from tokens x weights in layer 5"):
        check(times, work, model=OLMOE.model, system=OLMOE.system, budget=budget, one_tier=False)


def table():
    columns = {"name": ["a", "b"], "time_us": [1.5, float("nan")], "count": [1, 2], "measured": [True, False]}
    return Table("points", columns)


def test_table_columns_units_and_rows():
    assert table().columns == ("name", "time_us", "count", "measured")
    assert table().units == {"name": "1", "time_us": "us", "count": "1", "measured": "1"}
    assert table().where(name="b")["count"].tolist() == [2]
    assert [row["count"] for row in table().rows()] == [1, 2]
    with pytest.raises(ConfigError, match="no column 'time_ns'; did you mean 'time_us'"):
        table()["time_ns"]


def test_table_csv_leaves_missing_values_empty(tmp_path):
    table().to_csv(tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "name,time_us,count,measured\na,1.5,1,True\nb,,2,False\n"


def test_table_parquet_keeps_types_units_and_missing_values(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table().to_parquet(tmp_path / "t.parquet")
    read = parquet.read_table(tmp_path / "t.parquet")
    assert read.to_pydict() == {"name": ["a", "b"], "time_us": [1.5, None], "count": [1, 2], "measured": [True, False]}
    assert read.schema.field("time_us").metadata == {b"unit": b"us"}


def test_table_without_any_value_in_a_column_is_still_of_numbers(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    Table("t", {"hit_rate": [float("nan")]}).to_parquet(tmp_path / "t.parquet")
    assert str(parquet.read_schema(tmp_path / "t.parquet").field("hit_rate").type) == "double"


def test_table_pandas():
    pandas = pytest.importorskip("pandas")
    frame = table().to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame["count"].sum() == 3


@pytest.mark.parametrize(
    ("module", "call"), [("pandas", lambda t, p: t.to_pandas()), ("pyarrow", lambda t, p: t.to_parquet(p))]
)
def test_missing_libraries_have_a_clear_message(monkeypatch, tmp_path, module, call):
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MoeramError, match=f"needs {module} .*pip install {module}"):
        call(table(), tmp_path / "t.parquet")
    assert not list(tmp_path.iterdir())
