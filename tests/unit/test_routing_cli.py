"""`moeram routing` and its figures."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from typer.testing import CliRunner

from moeram.cli.routing import app
from moeram.errors import MoeramError, TraceError
from moeram.report import routing_figures as routing_figures_module
from moeram.report.routing_figures import FIGURES, routing_figures
from moeram.routing import (
    GeneratorOptions,
    PassTrace,
    RoutingTrace,
    TraceShape,
    open_tokens,
    summarise,
    synthetic_trace,
    write_trace,
)
from moeram.routing.chunks import DECODE, token_chunk
from moeram.routing.describe import statistics_columns, statistics_dict, statistics_rows

SHAPE = TraceShape(name="small", layers=3, moe_layers=(0, 1, 2), experts=16, top_k=2)


@pytest.fixture
def canonical(tmp_path):
    path = tmp_path / "t.parquet"
    write_trace(synthetic_trace(SHAPE, GeneratorOptions(requests=12, prompt_tokens=4, decode_tokens=16)), path)
    return path


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_stats(canonical, tmp_path):
    text = run("stats", canonical, "--figures", tmp_path / "figures")
    for words in (
        "same expert next",
        "next token coverage",
        "distinct experts, batch 8",
        "lru hit rate",
        "requests: 12",
    ):
        assert words in text
    for name in FIGURES:
        content = (tmp_path / "figures" / f"{name}.png").read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n" and len(content) > 10_000


def test_stats_as_json(canonical):
    found = json.loads(run("stats", canonical, "--json"))
    assert found["tokens"] == {"prefill": 48, "decode": 192, "unknown": 0} and found["layers"] == [0, 1, 2]
    assert len(found["same_expert_next"]["by_layer"]) == 3 and found["distinct_experts"]["4"]["mean"] > 2
    assert found["undefined"]["batch 16"] and found["selections"] == 240 * 6


def test_stats_of_counts_say_what_is_undefined(tmp_path):
    np.save(tmp_path / "w.npy", np.ones((16, 64)))
    found = json.loads(run("stats", tmp_path / "w.npy", "--model", "olmoe-1b-7b", "--json"))
    assert found["format"] == "eplb" and found["lru_hit_rate"] is None and found["undefined"]["lru_hit_rate"]
    assert "counts do not tell" in run("stats", tmp_path / "w.npy", "--model", "olmoe-1b-7b")


def test_fit(canonical):
    found = json.loads(run("fit", canonical, "--json"))
    assert {error["statistic"] for error in found["errors"]} >= {"skew", "same_expert_next", "distinct_experts 4"}
    assert "fitted: " in run("fit", canonical)


def test_convert_and_validate(canonical, tmp_path):
    output = tmp_path / "again.parquet"
    assert run("convert", canonical, output) == f"{output}: 720 rows\n"
    assert np.array_equal(*(next(open_tokens(path, None).chunks()).experts for path in (canonical, output)))
    assert "sound: " in run("validate", output) and json.loads(run("validate", output, "--json"))["tokens"] == 240


def test_errors_name_the_file(tmp_path):
    with pytest.raises(TraceError, match=r"nothing\.parquet: no such file"):
        run("stats", tmp_path / "nothing.parquet")
    (tmp_path / "t.csv").write_text("layer,expert\n0,1\n")
    with pytest.raises(TraceError, match="name it"):
        run("validate", tmp_path / "t.csv")


def test_no_figure_of_bare_passes(tmp_path):
    one = np.ones(1, dtype=int)
    passes = PassTrace(place="p", format="moe_cap", shape=SHAPE, phase=one, tokens=one, distinct=one.astype(float))
    with pytest.raises(MoeramError, match="no statistic that a figure shows"):
        routing_figures(summarise(passes), tmp_path)


def collapsing():
    """Four layers of which layer 2 sends every token to expert 5; decode tokens of 8 requests."""
    shape = TraceShape(name="four", layers=4, moe_layers=(0, 1, 2, 3), experts=16, top_k=1)
    ids = np.random.default_rng(0).integers(0, 16, (8, 12, 4, 1)).astype(np.int16)
    ids[:, :, 2] = 5

    def read():
        for number, rows in enumerate(ids):
            yield token_chunk(rows, request=number, phase=DECODE, step=np.arange(12) + 1, place="made")

    return RoutingTrace(place="made", format="made", shape=shape, layers=(0, 1, 2, 3), read=read)


def test_collapsed_layers_are_left_out_and_named(tmp_path):
    found = summarise(collapsing(), batches=(4, 8), draws=16)
    assert statistics_columns(found)[2] == "without layer 2"
    rows = {row[0]: row[1:] for row in statistics_rows(found)}
    distinct = found.distinct_experts[4]
    without = (distinct[0] + distinct[1] + distinct[3]) / 3
    assert distinct[2] == 1 and rows["distinct experts, batch 4"][:2] == (f"{distinct.mean():.3f}", f"{without:.3f}")
    values = statistics_dict(found)
    assert values["collapsed_layers"] == [2]
    assert values["distinct_experts"]["4"]["mean_without_collapsed"] == pytest.approx(without)
    assert found.next_layer_coverage.shape == (3,)  # pairs of layers; two of them touch layer 2
    assert values["next_layer_coverage"]["mean_without_collapsed"] == pytest.approx(found.next_layer_coverage[0])
    assert rows["next layer coverage"][1] == f"{found.next_layer_coverage[0]:.3f}"
    write_trace(collapsing(), tmp_path / "t.parquet")
    assert "without layer 2" in run("stats", tmp_path / "t.parquet")


def test_pairs_of_experts(canonical):
    """The most frequent pairs of the JSON, and their lift, counted token by token."""
    found = json.loads(run("stats", canonical, "--json"))
    assert list(found["co_activation"]) == ["0", "1", "2"]
    ids = next(open_tokens(canonical, None).chunks())
    tokens = [set(row) for row in ids.experts[ids.phase == DECODE][:, 1].tolist()]
    best = found["co_activation"]["1"][0]
    pairs = {frozenset(pair): sum(set(pair) <= token for token in tokens) for pair in combinations(range(16), 2)}
    assert best["tokens"] == pairs[frozenset(best["experts"])] == max(pairs.values())
    alone = [sum(expert in token for token in tokens) for expert in best["experts"]]
    assert best["lift"] == pytest.approx(best["tokens"] * len(tokens) / (alone[0] * alone[1]))
    assert [pair["tokens"] for pair in found["co_activation"]["1"]] == sorted(pairs.values(), reverse=True)[:10]


def test_figures_that_cannot_be_written_are_one_message(canonical, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MoeramError, match="file/figures: figures cannot be written there"):
        run("stats", canonical, "--figures", tmp_path / "file" / "figures")


@pytest.mark.parametrize("case", ["one layer", "negative"])
def test_axes_of_the_coverage_figure(monkeypatch, tmp_path, case):
    """Whole layers at the ticks, all points inside, also with one layer and with correlations below 0."""
    found = replace(summarise(collapsing(), batches=(2,), draws=2), prefill_decode_correlation=np.full(4, -0.95))
    if case == "one layer":
        shape = TraceShape(name="one", layers=1, moe_layers=(0,), experts=16, top_k=2)
        found = summarise(synthetic_trace(shape, GeneratorOptions(requests=4, decode_tokens=8)))
    axes = []
    monkeypatch.setattr(routing_figures_module, "_finish", lambda figure, ax, *rest: axes.append(ax))
    routing_figures_module.coverage(found, tmp_path / "c.png")
    low, high = axes[0].get_xlim()
    ticks = [tick for tick in axes[0].get_xticks() if low <= tick <= high]
    assert low < found.layers[0] and high > found.layers[-1]
    assert ticks and all(tick == round(tick) for tick in ticks)
    bottom, top = axes[0].get_ylim()
    assert all(bottom < value < top for line in axes[0].get_lines() for value in line.get_ydata())
