"""`moeram routing` and its figures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from moeram.cli.routing import app
from moeram.errors import MoeramError, TraceError
from moeram.report.routing_figures import FIGURES, routing_figures
from moeram.routing import GeneratorOptions, PassTrace, TraceShape, open_tokens, summarise, synthetic_trace, write_trace

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
