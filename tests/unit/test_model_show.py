"""`moeram model show`: its numbers by formulas written down again, its faces, its faults."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import typer
from typer.testing import CliRunner

from moeram.cli.main import _OneMessage
from moeram.cli.model import app as model_app
from moeram.errors import ConfigError
from moeram.model import load_model
from moeram.model.summary import expected_distinct_experts, summarise

app = typer.Typer(cls=_OneMessage)
app.add_typer(model_app, name="model")


def show(*arguments):
    return CliRunner().invoke(app, ["model", "show", *arguments])


@pytest.mark.parametrize(("experts", "top_k", "batch"), [(4, 2, 1), (4, 2, 2), (5, 1, 4), (3, 3, 2)])
def test_distinct_experts_by_enumeration(experts, top_k, batch):
    choices = list(itertools.combinations(range(experts), top_k))
    draws = list(itertools.product(choices, repeat=batch))
    mean = sum(len(set().union(*draw)) for draw in draws) / len(draws)
    assert expected_distinct_experts(experts, top_k, batch) == pytest.approx(mean)


def test_operations_per_byte_by_hand():
    """Mixtral, bf16: one operation per byte at batch 1; all eight experts read once at a large batch."""
    points = {point.batch: point for point in summarise(load_model("mixtral-8x7b"), batches=(1, 4, 4096)).batches}
    assert points[1].distinct_experts == 2 and points[1].expert_ops_per_byte == pytest.approx(1.0)
    distinct = 8 * (1 - 0.75**4)
    assert points[4].distinct_experts == pytest.approx(distinct)
    assert points[4].expert_ops_per_byte == pytest.approx(2 * 4 * 2 / distinct / 2)
    assert points[4096].expert_ops_per_byte == pytest.approx(4096 * 2 / 8)
    # All weights but the embedding are read: attention, router, head, norms by hand.
    expert, layer = 3 * 4096 * 14336, 2 * 4096 * 4096 + 2 * 4096 * 1024 + 8 * 4096
    rest, head, norms = 32 * layer, 32000 * 4096, 65 * 4096
    step = 2 * (32 * distinct * expert + rest + head + norms + 4 * 4096)
    assert points[4].step_weight_bytes == pytest.approx(step)
    assert points[4].step_ops_per_byte == pytest.approx(2 * 4 * (32 * 2 * expert + rest + head) / step)


def test_a_dense_model_has_no_experts_to_count():
    point = summarise(load_model("qwen2.5-32b"), batches=(8,)).batches[0]
    assert point.distinct_experts is point.tokens_per_expert is point.expert_ops_per_byte is None
    assert 7 < point.step_ops_per_byte < 8  # two operations and two bytes a weight, times 8; biases and norms are less


def test_scales_cost_intensity():
    plain, stored = (
        summarise(load_model(name), batches=(64,)).batches[0].expert_ops_per_byte
        for name in ("qwen3-30b-a3b", "qwen3-30b-a3b-fp8")
    )
    assert stored / plain == pytest.approx(2 / (1 + 4 / 128**2))


def test_json():
    result = show("gpt-oss-20b", "--json", "--batch", "16", "--context", "4096")
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["facts"]["bytes_per_expert"] == 3 * 2880 * 2880 * 17 // 32
    assert shown["facts"]["of_these_scale_bytes"] == 3 * 2880 * 90
    assert shown["facts"]["kv_bytes_per_token_beyond_windows"] == 12 * 1024 * 2
    assert shown["attention_layers"] == {"full": 12, "sliding": 12}
    assert shown["precision"]["experts"] == "mxfp4" and shown["precision"]["attention"] == "bf16"
    assert [point["batch"] for point in shown["batches"]] == [16]
    assert math.isclose(shown["batches"][0]["distinct_experts"], 32 * (1 - (28 / 32) ** 16))
    assert shown["contexts"][0]["kv_cache_bytes"] == 12 * 1024 * 2 * (4096 + 128)
    assert "uniform routing" in shown["batches_are"]


def test_terminal():
    result = show("deepseek-v3")
    assert result.exit_code == 0, result.output
    for words in ("44,050,944", "10,752", "61 latent full", "fp8-128x128", "uniform routing", "multi-token prediction"):
        assert words in result.stdout


def test_precision_of_a_user():
    shown = json.loads(show("mixtral-8x7b", "--json", "--precision", "experts=int4-g128,kv_cache=fp8").stdout)
    assert shown["facts"]["bytes_per_expert"] == 3 * 4096 * 14336 * (4 + 16 / 128) / 8
    assert shown["facts"]["kv_bytes_per_token"] == 65536
    assert shown["facts"]["parameters"] == load_model("mixtral-8x7b").parameters


def test_a_config_of_the_user(tmp_path):
    from huggingface_configs import OLMOE

    path = tmp_path / "config.json"
    path.write_text(json.dumps(OLMOE))
    shown = json.loads(show(str(path), "--json").stdout)
    assert shown["facts"]["bytes_per_expert"] == 3 * 2048 * 1024 * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mixtral-8x7"], "did you mean 'mixtral-8x7b'"),
        (["mixtral-8x7b", "--precision", "fp9"], "no number format 'fp9'"),
        (["mixtral-8x7b", "--precision", "expert=fp8"], "did you mean 'experts'"),
        (["mixtral-8x7b", "--batch", "0"], "batch: given 0"),
        (["mixtral-8x7b", "--context", "-5"], "context: given -5"),
        (
            ["mixtral-8x7b", "--batch", "9" * 400],
            "batch: given a number of more than 20 digits, allowed: 1 to 1000000000000",
        ),
        (["mixtral-8x7b", "--context", "1000000000001"], "context: given 1000000000001, allowed: 1 to"),
        (["nothing.json"], "no such file"),
        (["a" * 300], "no config named"),
    ],
)
def test_faults_are_one_message(arguments, words):
    result = show(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr and "Traceback" not in result.output


def test_summary_refuses_nonsense():
    with pytest.raises(ConfigError, match="batch: given -1"):
        summarise(load_model("mixtral-8x7b"), batches=(-1,))
