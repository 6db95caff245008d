"""The whole run on a stand-in engine: pairing, tables recomputed from the draws, complaints before anything runs."""

from __future__ import annotations

import json

import numpy as np
import pytest

import moeram
from moeram import experiment
from moeram.errors import CapacityError, ConfigError, MoeramError, TraceError
from moeram.model import load_model
from moeram.options import dump_yaml
from moeram.routing import SyntheticRouting
from moeram.runs import run_key

SMALL = {"batch": [1, 4], "samples": 2, "topics": ["topic_0", "topic_1"]}


@pytest.fixture
def record(fake_core):
    return moeram.run("quickstart", **SMALL)


def column(table, name, **where):
    return table.where(**where)[name]


def test_all_shipped_experiments_load(tmp_path):
    for name in ("olmoe_stratum_s", "mixtral_stratum_l", "maverick_stratum_2xl"):
        with pytest.raises(ConfigError, match=r"routing: routing.path is missing; give the path"):
            experiment.load(name)
        assert experiment.load(name, [f"routing.path={tmp_path}"]).name == name
    assert experiment.load("quickstart").batch == (1, 2, 4, 8, 16, 32)


def test_step_times_against_the_closed_form(record, fake_core):
    """No tiering: every activated expert is 12 rows at max(55.15 ns, 8 ns x tokens); recomputed from the same draws."""
    model = load_model("olmoe-1b-7b")
    source = SyntheticRouting(model, seed=0)
    for batch in (1, 4):
        total = []
        for topic in (0, 1):
            for sample in (0, 1):
                draw = source.draw(topic, batch, np.random.default_rng([0, batch, topic, sample]))
                rows = [np.bincount(draw[:, layer].ravel(), minlength=64) for layer in range(16)]
                tokens = np.concatenate(rows)
                tokens = tokens[tokens > 0]
                total.append(12 * np.maximum(fake_core.row_cycle_ps[7], 8000 * tokens).sum() * 1e-6)
        (found,) = column(record["points"], "step_time_us", placement="no_tiering", batch=batch)
        assert found == pytest.approx(np.mean(total))
        (rate,) = column(record["points"], "tokens_per_s", placement="no_tiering", batch=batch)
        assert rate == pytest.approx(batch / (np.mean(total) * 1e-6))


def test_hit_rates_against_a_ranking_of_our_own(record):
    """Held-out hit rate = share of the held-out selections of the 128 pairs that the ranking half uses most."""
    source = SyntheticRouting(load_model("olmoe-1b-7b"), seed=0)
    rank, test = source.ranking_usage(), source.held_out_usage()
    expected = {"topic_aware": [], "static_hot": []}
    together = (rank / rank.sum(axis=(1, 2), keepdims=True)).sum(axis=0)
    for topic in (0, 1):
        for name, frequency in (("topic_aware", rank[topic]), ("static_hot", together)):
            best = np.argsort(-frequency.ravel(), kind="stable")[:128]
            expected[name].append(test[topic].ravel()[best].sum() / test[topic].sum())
    for name, rates in expected.items():
        for batch in (1, 4):
            (found,) = column(record["points"], "hit_rate_held_out", placement=name, batch=batch)
            assert found == pytest.approx(np.mean(rates))
    assert np.isnan(column(record["points"], "hit_rate_held_out", placement="no_tiering")).all()
    assert np.isnan(column(record["points"], "hit_rate_drawn", placement="no_tiering")).all()


def test_all_placements_see_the_same_draws(record):
    for batch in (1, 4):
        for name in ("weight_bytes", "active_experts_per_layer"):
            assert len(set(column(record["points"], name, batch=batch))) == 1
    assert column(record["points"], "active_experts_per_layer", batch=1)[0] == 8
    assert column(record["points"], "weight_bytes", batch=1)[0] == 16 * 8 * 12 * 2**20


def test_decomposition_is_a_product_of_ratios_of_step_times(record):
    table = record["decomposition"]
    time = {(row["placement"], row["batch"]): row["step_time_us"] for row in record["points"].rows()}
    for row in table.rows():
        batch = row["batch"]
        assert row["occupancy"] == pytest.approx(time["no_tiering", batch] / time["random_rows", batch])
        assert row["popularity"] == pytest.approx(time["random_rows", batch] / time["static_hot", batch])
        assert row["topic"] == pytest.approx(time["static_hot", batch] / time["topic_aware", batch])
        assert row["total"] == pytest.approx(row["occupancy"] * row["popularity"] * row["topic"])
        assert row["paper"] == 1.45 and row["total_ci95"] > 0
    # With at most 4 tokens on an expert the stand-in's rows are all bound by the row cycle: closed form = simulation.
    assert table["closed_form_total"] == pytest.approx(table["total"])


def test_closed_form_of_points_uses_no_times(record):
    points = record["points"]
    assert column(points, "closed_form_gain", placement="no_tiering").tolist() == [1, 1]
    gain = column(points, "closed_form_gain", placement="topic_aware")
    assert column(points, "mean_time_per_row_ns", placement="topic_aware") == pytest.approx(55.15 / gain)


def test_tables_add_up(record):
    for point in record["points"].rows():
        where = {"placement": point["placement"], "batch": point["batch"]}
        layers, tiers, energy = (record[name].where(**where) for name in ("layers", "tiers", "energy"))
        assert layers["time_us"].sum() == pytest.approx(point["step_time_us"])
        assert layers["read_bytes"].sum() == pytest.approx(point["weight_bytes"])
        assert tiers["read_bytes"].sum() == pytest.approx(point["weight_bytes"])
        assert tiers["share"].sum() == pytest.approx(1)
        parts = energy["energy_uj"][energy["component"] != "total"]
        (total,) = energy.where(component="total")["energy_uj"]
        assert parts.sum() == pytest.approx(total) == pytest.approx(point["energy_per_token_uj"] * point["batch"])
        assert (parts > 0).all() and len(parts) == 4
        utilisation = point["weight_bytes"] / (point["step_time_us"] * 1e-6) / (256 * 4096 / 34.56e-9)
        assert point["bandwidth_utilisation"] == pytest.approx(utilisation)


def test_dram_and_mac_energy_by_hand(record):
    """Batch 1: 128 experts of 12 MiB at 0.429 pJ/bit, and 128 x 3 x 2048 x 1024 multiply-accumulates at 0.604 pJ."""
    energy = record["energy"].where(placement="static_hot", batch=1)
    assert energy.where(component="dram_to_logic")["energy_uj"] == pytest.approx([128 * 12 * 2**20 * 8 * 0.429e-6])
    assert energy.where(component="mac")["energy_uj"] == pytest.approx([128 * 3 * 2048 * 1024 * 0.604e-6])
    assert energy.where(component="link")["energy_uj"] == pytest.approx([16 * 2 * 2048 * 2 * 8 * 2.5e-6])


def test_labels_and_notes(record, fake_core):
    assert set(record["points"]["fidelity"]) == {"cycle-memo"}
    assert (record.fidelity, record.routing_fidelity) == ("cycle-memo", "synthetic")
    assert any("synthetic routing" in note for note in record.notes)
    other = moeram.run("quickstart", **SMALL, reuse_identical_channels=False, reuse_experts=False, kernel_memo=False)
    assert set(other["points"]["fidelity"]) == {"cycle"}
    assert not fake_core.calls[-1].reuse_identical_channels and not fake_core.calls[-1].reuse_experts


def test_the_switches_reach_the_core(fake_core):
    moeram.run("quickstart", **SMALL, overlap={"silu": False}, threads=2, placements=["no_tiering"])
    assert all(not call.config.overlap_silu and call.config.overlap_all_gather for call in fake_core.calls)
    assert all(call.threads == 2 and call.config.slowest_tier_everywhere for call in fake_core.calls)
    assert all(call.config.result_row == 32767 for call in fake_core.calls)


def test_small_calls_give_the_same_result(record, monkeypatch, fake_core):
    calls = len(fake_core.calls)
    monkeypatch.setattr("moeram.experiment.simulate._MOST_LAYERS_PER_CALL", 16)
    again = moeram.run("quickstart", **SMALL)
    assert len(fake_core.calls) - calls == 4 * calls
    for name, table in record.tables.items():
        for key in table.columns:
            assert np.array_equal(table[key], again[name][key], equal_nan=table[key].dtype.kind == "f"), (name, key)


def test_progress_reaches_its_end(fake_core):
    seen = []
    moeram.run("quickstart", **SMALL, progress=lambda *step: seen.append(step))
    done = [step[0] for step in seen]
    assert done == sorted(done) and seen[-1][:2] == (32, 32)
    assert {step[1] for step in seen} == {32} and "topic_aware, batch 4" in {step[2] for step in seen}


def test_fewer_placements_leave_gains_empty(fake_core):
    table = moeram.run("quickstart", **SMALL, placements=["no_tiering", "topic_aware"])["decomposition"]
    assert np.isnan(table["occupancy"]).all() and np.isnan(table["topic"]).all()
    assert (table["total"] > 1).all()


def test_shared_experts_run_first_in_each_layer(fake_core):
    options = {
        "model": "llama-4-scout",
        "hardware": "stratum_xl",
        "placements": ["topic_aware"],
        "batch": 2,
        "samples": 1,
    }
    record = moeram.run("quickstart", **options, topics=["topic_0"])
    (call,) = fake_core.calls
    assert (call.expert[call.layer_begin[:-1]] == 16).all() and (call.expert == 16).sum() == 48
    (point,) = record["points"].rows()
    assert point["hit_rate_with_shared"] == pytest.approx((point["hit_rate_held_out"] + 1) / 2)


def test_measured_layers_stand_beside(fake_core, monkeypatch):
    monkeypatch.setattr(SyntheticRouting, "measured_layers", (0, 7))
    record = moeram.run("quickstart", **SMALL)
    assert record["decomposition"]["layers"].tolist() == ["all", "all", "measured", "measured"]
    layers = record["layers"].where(batch=4)
    time = {
        name: layers.where(placement=name, measured=True)["time_us"].sum() for name in ("no_tiering", "topic_aware")
    }
    (gain,) = record["decomposition"].where(layers="measured", batch=4)["total"]
    assert gain == pytest.approx(time["no_tiering"] / time["topic_aware"])
    assert set(layers.where(measured=True)["layer"]) == {0, 7}


def test_resolved_config_is_complete_and_gives_the_same_result(record, tmp_path, fake_core):
    path = tmp_path / "config.yaml"
    path.write_text(dump_yaml(record.experiment.resolved()))
    assert experiment.load(path) == record.experiment
    again = moeram.run(path)
    assert np.array_equal(again["points"]["step_time_us"], record["points"]["step_time_us"])
    assert run_key(again.experiment, "1") == run_key(record.experiment, "1")


def test_key_follows_what_decides_the_result(tmp_path):
    base = experiment.load("quickstart")
    changed = [
        experiment.load("quickstart", [text])
        for text in ("seed=1", "phi=full", "overlap.silu=false", "hardware=stratum_l")
    ]
    keys = {run_key(options, "1") for options in (base, *changed)}
    assert len(keys) == 5
    assert run_key(base, "2") not in keys
    assert run_key(experiment.load("quickstart", ["threads=1"]), "1") in keys
    traces = [tmp_path / name for name in ("a.json", "b.json")]
    for trace in traces:
        trace.write_text(json.dumps({"0": []}))
    options = [experiment.load("olmoe_stratum_s", [f"routing.path={trace}"]) for trace in traces]
    assert run_key(options[0], "1") == run_key(options[1], "1")
    traces[1].write_text("{}")
    assert run_key(options[0], "1") != run_key(options[1], "1")


def test_all_complaints_of_a_command_line_at_once():
    texts = ["batch=[0, 1]", "modle=3", "model=olmoe", "hardware=stratum_m", "placements=[random]", "phi=no", "seed=-1"]
    texts += ["routing.path=/nowhere", "overlap.silu=1", "routing.format=npz"]
    with pytest.raises(ConfigError) as error:
        experiment.load("quickstart", texts)
    lines = str(error.value).splitlines()
    for part in (
        "-p batch: batch[0]: given 0, allowed: at least 1",
        "-p modle: unknown key; did you mean 'model'?",
        "-p placements: placements[0]: given 'random'; did you mean 'random_rows'?",
        "-p phi: given 'no', allowed: 'compact', 'full' or a number of rows",
        "-p seed: given -1, allowed: at least 0",
        "-p overlap.silu: given 1, allowed: true or false",
    ):
        assert part in lines
    for part in ("did you mean 'olmoe-1b-7b'", "did you mean 'stratum_s'", "'/nowhere': no such file", "given 'npz'"):
        assert any(part in line for line in lines)
    assert len(lines) == len(texts)


def test_values_from_python_are_checked_the_same_way():
    with pytest.raises(ConfigError, match=r"run\(..., batch=\): batch\[0\]: given 0"):
        moeram.run("quickstart", batch=np.arange(2))
    with pytest.raises(
        ConfigError, match=r"run\(..., overlap__silo=\): overlap.silo: unknown key; did you mean 'silu'"
    ):
        moeram.run("quickstart", overlap__silo=True)
    assert experiment.load("quickstart", values={"batch": range(1, 3), "phi": np.int64(32768)}).phi == 32768
    assert experiment.load("quickstart", values={"batch": 4}).batch == (4,)


def test_complaints_after_loading_come_together_and_before_the_engine_runs(fake_core):
    with pytest.raises(MoeramError) as error:
        moeram.run("quickstart", kv_requests=200, topics=["topic_1", "topc_2"])
    assert "does not fit stratum_s" in str(error.value) and "did you mean 'topic_2'" in str(error.value)
    with pytest.raises(CapacityError, match="phi: given 100 rows"):
        moeram.run("quickstart", phi=100)
    assert fake_core.calls == []


def test_duplicates_and_empty_lists_are_refused():
    for text in ("batch=[]", "batch=[1, 1]", "placements=[]", "topics=[]"):
        with pytest.raises(ConfigError, match="at least one value, each only once"):
            experiment.load("quickstart", [text])


def test_bad_recordings_are_refused_before_the_engine_runs(tmp_path, fake_core):
    (tmp_path / "coding.json").write_text(json.dumps({"0": []}))
    with pytest.raises(TraceError, match=str(tmp_path)):
        moeram.run("mixtral_stratum_l", routing__path=tmp_path)
    assert fake_core.calls == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kv_requests=" + "9" * 400, "allowed: at most 1000000000"),
        ("context_tokens=" + "9" * 400, "allowed: at most 1000000000"),
        ("samples=" + "9" * 400, "allowed: at most 1000000"),
        ("threads=" + "9" * 400, "allowed: at most 4096"),
        ("name=" + "a" * 300, "allowed: up to 100 letters"),
    ],
)
def test_absurd_numbers_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        experiment.load("quickstart", [text])
