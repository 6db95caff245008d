"""Model shapes against the published facts (parameter totals, bytes) and the original config.json files."""

from __future__ import annotations

import dataclasses
import json

import pytest

from moeram.errors import ConfigError
from moeram.model import load_model

# Parameters in 10^9 as advertised and summed independently, bytes of one expert in MB, KV KiB per token.
FACTS = {
    "olmoe-1b-7b": (6.92, 12.58, 128.0),
    "mixtral-8x7b": (46.70, 352.32, 128.0),
    "llama-4-scout": (107.8, 251.66, 192.0),
    "llama-4-maverick": (400.7, 251.66, 192.0),
}
HUGGING_FACE = {
    "mixtral-8x7b": "mistralai--Mixtral-8x7B-v0.1",
    "llama-4-scout": "meta-llama--Llama-4-Scout-17B-16E-Instruct",
    "llama-4-maverick": "meta-llama--Llama-4-Maverick-17B-128E-Instruct",
}


@pytest.mark.parametrize("name", FACTS)
def test_totals(name):
    parameters, expert_mb, kv_kib = FACTS[name]
    model = load_model(name)
    assert model.parameters / 1e9 == pytest.approx(parameters, rel=0.01)
    assert model.expert_bytes / 1e6 == pytest.approx(expert_mb, abs=0.005)
    assert model.kv_bytes_per_token / 1024 == kv_kib
    assert model.experts_total_bytes + model.non_expert_bytes == model.parameters * 2


def test_expert_totals_count_shared_experts():
    """12.9 and 90.2 GB of routed experts; Scout 193.3 GB routed, 205.35 GB with one shared expert in 48 layers."""
    assert load_model("olmoe-1b-7b").experts_total_bytes / 1e9 == pytest.approx(12.9, abs=0.05)
    assert load_model("mixtral-8x7b").experts_total_bytes / 1e9 == pytest.approx(90.2, abs=0.05)
    assert load_model("llama-4-scout").experts_total_bytes == 48 * 17 * 3 * 5120 * 8192 * 2


def test_maverick_has_experts_in_odd_layers():
    assert load_model("llama-4-maverick").moe_layers == tuple(range(1, 48, 2))


def test_tied_embeddings_are_counted_once():
    model = load_model("olmoe-1b-7b")
    tied = dataclasses.replace(model, tied_embeddings=True)
    assert model.parameters - tied.parameters == 50304 * 2048


@pytest.mark.parametrize("name", HUGGING_FACE)
def test_dimensions_equal_the_original_config(name, shared):
    config = json.loads((shared / "data" / "models" / HUGGING_FACE[name] / "config.json").read_text())
    config = config.get("text_config", config)
    model = load_model(name)
    expected = {
        "layers": config["num_hidden_layers"],
        "hidden_size": config["hidden_size"],
        "expert_intermediate_size": config["intermediate_size"],
        "experts": config["num_local_experts"],
        "top_k": config["num_experts_per_tok"],
        "heads": config["num_attention_heads"],
        "kv_heads": config["num_key_value_heads"],
        "head_dim": config.get("head_dim", config["hidden_size"] // config["num_attention_heads"]),
        "vocab_size": config["vocab_size"],
        "tied_embeddings": config.get("tie_word_embeddings", False),
    }
    assert {key: getattr(model, key) for key in expected} == expected
    assert len(model.moe_layers) == model.layers // config.get("interleave_moe_layer_step", 1)
    assert model.dense_intermediate_size == config.get("intermediate_size_mlp", 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"experts": 0}, "experts is 0"),
        ({"shared_experts": -1}, "shared_experts is -1"),
        ({"top_k": 65}, r"top_k \(65\) exceeds experts \(64\)"),
        ({"moe_layers": ()}, "moe_layers is empty"),
        ({"moe_layers": (0, 16)}, r"must lie in 0\.\.15"),
        ({"moe_layers": (3, 1), "dense_intermediate_size": 8}, "ascending and distinct"),
        ({"moe_layers": (0, 1)}, "dense_intermediate_size is needed"),
        ({"heads": 10, "kv_heads": 4}, "no multiple of kv_heads"),
        ({"shared_experts": 1}, r"shared_experts \(1\) and shared_intermediate_size \(0\) must both"),
        ({"layers": 10_001}, "layers is 10001, allowed: at most"),
    ],
)
def test_impossible_dimensions_are_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        dataclasses.replace(load_model("olmoe-1b-7b"), **change)


def test_unknown_name_names_the_nearest():
    with pytest.raises(ConfigError, match="mixtral-8x7b"):
        load_model("mixtral-8x7")


def test_a_path_is_accepted_and_errors_name_it(tmp_path):
    text = "\n".join(
        ["name: tiny", "source: this test", "layers: 2", "hidden_size: 8", "expert_intermediate_size: 4"]
        + ["experts: 4", "top_k: 2", "heads: 2", "kv_heads: 1", "head_dim: 4", "vocab_size: 10"]
    )
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    model = load_model(path)
    # By hand: Q and O 8*8 each, K and V 8*4 each, router 8*4, norms 16 per layer; 4 experts of 3*8*4; embeddings; norm.
    assert model.parameters == 2 * (64 + 64 + 32 + 32 + 32 + 16 + 4 * 96) + 2 * 80 + 8
    path.write_text(text.replace("top_k: 2", "top_k: 5"))
    with pytest.raises(ConfigError, match=r"tiny\.yaml.*top_k \(5\) exceeds experts \(4\)"):
        load_model(path)
    path.write_text(text.replace("experts: 4", "expert: 4"))
    with pytest.raises(ConfigError, match=r"tiny\.yaml:6.*expert"):
        load_model(path)
