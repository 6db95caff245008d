"""The main job through the compiled engine, from an experiment to its tables."""

from __future__ import annotations

import numpy as np
import pytest

import moeram

SMALL = {"batch": [1, 8], "samples": 1, "topics": ["topic_0"]}
# docs/papers/stratum.md 1.2: tRP + tRAS of tiers 1 to 8.
ROW_CYCLE_NS = np.array([34.56, 36.19, 38.26, 40.77, 43.71, 47.09, 50.90, 55.15])


def tables_of(**overrides):
    record = moeram.run("quickstart", **(SMALL | {"kernel_memo": False} | overrides))
    return {name: list(table.rows()) for name, table in record.tables.items()}


def without_labels(tables):
    return {
        name: [{key: value for key, value in row.items() if key != "fidelity"} for row in rows]
        for name, rows in tables.items()
    }


def same(left, right):
    return all(
        len(left[name]) == len(right[name])
        and all(
            np.array_equal(a, b, equal_nan=True) if isinstance(a, float) else a == b
            for a, b in pairs(left, right, name)
        )
        for name in left
    )


def pairs(left, right, name):
    return [(a[key], b[key]) for a, b in zip(left[name], right[name], strict=True) for key in a]


@pytest.fixture(scope="module")
def reference():
    return tables_of(threads=1)


def test_two_runs_and_two_threads_give_the_same_tables(reference):
    assert same(reference, tables_of(threads=1))
    assert same(reference, tables_of(threads=2))


def test_simulating_every_channel_gives_the_same_tables(reference):
    every = tables_of(reuse_identical_channels=False, reuse_experts=False)
    assert {row["fidelity"] for row in every["points"]} == {"cycle"}
    assert {row["fidelity"] for row in reference["points"]} == {"cycle-memo"}
    assert same(without_labels(reference), without_labels(every))


def test_experts_that_were_seen_before_are_taken_from_there():
    simulated = moeram.run("quickstart", **SMALL, kernel_memo=False, reuse_experts=False)
    seen = moeram.run("quickstart", **SMALL, kernel_memo=False)
    assert simulated.experts["simulated"] == simulated.experts["run"] == seen.experts["run"] > seen.experts["simulated"]
    assert simulated.simulated_commands > seen.simulated_commands
    for name, table in simulated.tables.items():
        assert [list(map(str, row.values())) for row in table.rows()] == [list(map(str, row.values())) for row in seen[name].rows()]


def test_the_kernel_memo_changes_nothing_but_labels(reference):
    cold, warm = tables_of(kernel_memo=True), tables_of(kernel_memo=True)
    assert same(cold, warm) and same(without_labels(cold), without_labels(reference))
    again = moeram.run("quickstart", **SMALL)
    assert again.simulated_commands == 0 and again.memo["hits"] > 0 and again.memo["misses"] == 0


def test_step_is_never_faster_than_its_rows(reference):
    """Bound: time >= sum over tiers of rows per bank x row cycle, rows per bank = bytes / (256 banks x 4 KB)."""
    for point in reference["points"]:
        rows = np.array(
            [
                row["read_bytes"] / (256 * 4096)
                for row in reference["tiers"]
                if (row["placement"], row["batch"]) == (point["placement"], point["batch"])
            ]
        )
        cycles = np.full(8, 55.15) if point["placement"] == "no_tiering" else ROW_CYCLE_NS
        assert point["step_time_us"] * 1e3 >= float(rows @ cycles)
        assert point["bandwidth_utilisation"] < 1


def test_bytes_are_those_of_the_active_experts(reference):
    """An OLMoE expert has 3 x 2048 x 1024 weights of two bytes; 16 layers."""
    for point in reference["points"]:
        experts = point["active_experts_per_layer"] * 16
        assert point["weight_bytes"] == pytest.approx(experts * 3 * 2048 * 1024 * 2)
        read = sum(
            row["read_bytes"]
            for row in reference["tiers"]
            if (row["placement"], row["batch"]) == (point["placement"], point["batch"])
        )
        assert read == pytest.approx(point["weight_bytes"])
    assert {row["active_experts_per_layer"] for row in reference["points"] if row["batch"] == 1} == {8.0}


def test_energy_is_the_sum_of_its_parts(reference):
    """DRAM part: bits of rows read and written x 0.429 pJ; MAC part: batch x 8 experts x 16 layers x weights x 0.604 pJ."""
    for point in reference["points"]:
        parts = {
            row["component"]: row["energy_uj"]
            for row in reference["energy"]
            if (row["placement"], row["batch"]) == (point["placement"], point["batch"])
        }
        total = parts.pop("total")
        assert total == pytest.approx(sum(parts.values()), rel=1e-12)
        assert point["energy_per_token_uj"] * point["batch"] == pytest.approx(total, rel=1e-12)
        macs = point["batch"] * 8 * 16 * 3 * 2048 * 1024
        assert parts["mac"] == pytest.approx(macs * 0.604e-6, rel=1e-12)
        written = sum(
            row["written_bytes"]
            for row in reference["layers"]
            if (row["placement"], row["batch"]) == (point["placement"], point["batch"])
        )
        bits = (point["weight_bytes"] + written) * 8
        assert parts["dram_to_logic"] == pytest.approx(bits * 0.429e-6, rel=1e-9)


def test_placements_are_ordered_at_batch_one(reference):
    """At one token every row waits for its bank, so less slow rows means less time."""
    times = [
        next(row["step_time_us"] for row in reference["points"] if row["placement"] == name and row["batch"] == 1)
        for name in ("no_tiering", "random_rows", "static_hot", "topic_aware")
    ]
    assert times == sorted(times, reverse=True)


def test_switching_an_overlap_off_never_helps(reference):
    for switch in ("all_gather", "silu", "reduce_scatter", "weighted_sum"):
        slower = tables_of(overlap={switch: False})
        for before, after in zip(reference["points"], slower["points"], strict=True):
            assert after["step_time_us"] >= before["step_time_us"]


def test_a_batch_that_overflows_the_unit_is_refused(tmp_path):
    """Before anything is simulated, also when a smaller batch stands before it; far beyond, before anything is drawn."""
    reported = []
    for batch in ([1, 512], [1_000_000]):
        with pytest.raises(moeram.CapacityError, match=rf"^batch: given {batch[-1]}, too large for stratum_s: "):
            moeram.run(
                "quickstart", batch=batch, samples=1, topics=["topic_0"], progress=lambda *now: reported.append(now)
            )
    assert reported == []


@pytest.mark.parametrize(
    ("experiment", "data", "gain_at_one"),
    [
        ("olmoe_stratum_s", "olmoe-1b-7b.npz", 1.45),
        ("mixtral_stratum_l", "mixtral-8x7b-mtbench", 1.50),
        ("maverick_stratum_2xl", "llama4-maverick-mmlu", 1.60),
    ],
)
def test_real_routing_runs(shared, experiment, data, gain_at_one):
    """The total gain lies between none and the ratio of the tiers' row cycles, 55.15 / 34.56 = 1.596, less overheads."""
    record = moeram.run(experiment, routing__path=str(shared / "data" / "routing" / data), batch=[1], samples=2)
    row = next(record["decomposition"].rows())
    assert 1 < row["total"] < gain_at_one
    assert row["total"] < row["closed_form_total"] < 1.596
    assert row["total"] == pytest.approx(row["occupancy"] * row["popularity"] * row["topic"])
    assert record.routing_fidelity in ("measured", "drawn")
