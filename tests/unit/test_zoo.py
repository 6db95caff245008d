"""Every shipped model against the fact sheet's sums and derived bytes, and against the original config.json files."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from moeram.errors import ConfigError
from moeram.hardware import require_near_memory
from moeram.model import MoEModel, load_model, model_names

# The sheet: total parameters (10^9); parameters of an expert (10^6), bytes of an expert (MB, values only where there
# are FP8 scales), routed experts (GB), KV elements per token, KV KiB per token, active parameters (10^9).
SHEET = {
    "olmoe-1b-7b": (6.92, 6.291, 12.58, 12.9, 65536, 128.0, 1.28),
    "mixtral-8x7b": (46.70, 176.161, 352.32, 90.2, 65536, 128.0, 12.88),
    "mixtral-8x22b": (140.6, 301.990, 603.98, 270.6, 114688, 224.0, 39.15),
    "qwen1.5-moe-a2.7b": (14.32, 8.651, 17.30, 24.9, 98304, 192.0, 2.69),
    "qwen2-57b-a14b": (57.41, 27.525, 55.05, 98.7, 28672, 56.0, 14.25),
    "qwen3-30b-a3b": (30.53, 4.719, 9.44, 58.0, 49152, 96.0, 3.35),
    "qwen3-235b-a22b": (235.09, 18.874, 37.75, 454.2, 96256, 188.0, 22.19),
    "qwen3.5-397b-a17b": (396.4, 12.583, 25.17, 773.1, 15360, 30.0, 17.35),
    "gpt-oss-20b": (20.91, 24.883, 13.22, 10.2, 24576, 48.0, 4.19),
    "gpt-oss-120b": (116.8, 24.883, 13.22, 60.9, 36864, 72.0, 5.71),
    "llama-4-scout": (107.8, 125.829, 251.66, 193.3, 98304, 192.0, 17.17),
    "llama-4-maverick": (400.7, 125.829, 251.66, 773.1, 98304, 192.0, 17.18),
    "deepseek-v2-lite": (15.71, 8.651, 17.30, 28.8, 15552, 30.4, 2.66),
    "deepseek-v3": (671.0, 44.040, 44.04, 653.9, 35136, 68.6, 37.55),
    "deepseek-r1": (671.0, 44.040, 44.04, 653.9, 35136, 68.6, 37.55),
    "kimi-k2": (1026.0, 44.040, 44.04, 1014.7, 35136, 68.6, 32.86),
    "glm-4.5": (352.8, 23.593, 47.19, 671.9, 188416, 368.0, 33.63),
    "glm-4.5-air": (106.9, 17.302, 34.60, 199.3, 94208, 184.0, 13.42),
    "phi-3.5-moe": (41.87, 78.643, 157.29, 80.5, 65536, 128.0, 6.64),
    "dbrx": (131.6, 198.181, 396.36, 253.7, 81920, 160.0, 36.47),
    "qwen2.5-32b": (32.76, 0, 0, 0, 131072, 256.0, 32.76),
    "qwen2.5-72b": (72.70, 0, 0, 0, 163840, 320.0, 72.70),
}
ORIGINALS = {
    "Qwen--Qwen3-235B-A22B": "qwen3-235b-a22b",
    "Qwen--Qwen3-30B-A3B": "qwen3-30b-a3b",
    "Qwen--Qwen3-30B-A3B-FP8": "qwen3-30b-a3b-fp8",
    "Qwen--Qwen3.5-397B-A17B": "qwen3.5-397b-a17b",
    "deepseek-ai--DeepSeek-R1": "deepseek-r1",
    "deepseek-ai--DeepSeek-V3": "deepseek-v3",
    "meta-llama--Llama-4-Maverick-17B-128E-Instruct": "llama-4-maverick",
    "meta-llama--Llama-4-Scout-17B-16E-Instruct": "llama-4-scout",
    "mistralai--Mixtral-8x22B-v0.1": "mixtral-8x22b",
    "mistralai--Mixtral-8x7B-v0.1": "mixtral-8x7b",
    "moonshotai--Kimi-K2-Instruct": "kimi-k2",
    "openai--gpt-oss-120b": "gpt-oss-120b",
    "openai--gpt-oss-20b": "gpt-oss-20b",
}


def test_every_shipped_model_has_a_fact():
    assert set(model_names()) == {*SHEET, "qwen3-30b-a3b-fp8"}


@pytest.mark.parametrize("name", SHEET)
def test_sums_and_derived_bytes(name):
    total, expert, expert_mb, routed_gb, elements, kib, active = SHEET[name]
    model = load_model(name)
    assert model.parameters / 1e9 == pytest.approx(total, rel=0.0015)
    assert model.active_parameters / 1e9 == pytest.approx(active, abs=0.0101)
    assert model.expert_parameters / 1e6 == pytest.approx(expert, abs=0.0005)
    stored = model.precision.experts
    scales = 0 if stored.name != "fp8-128x128" else 3 * 16 * 56 * 4
    value_bytes = model.expert_bytes - scales
    assert value_bytes / 1e6 == pytest.approx(expert_mb, abs=0.0051)
    assert model.experts * len(model.moe_layers) * value_bytes / 1e9 == pytest.approx(routed_gb, abs=0.051)
    assert model.kv_elements_per_token == elements
    assert model.kv_bytes_per_token == 2 * elements
    assert model.kv_bytes_per_token / 1024 == pytest.approx(kib, abs=0.051)


def test_the_quantised_copy_differs_in_precision_alone():
    plain, stored = load_model("qwen3-30b-a3b"), load_model("qwen3-30b-a3b-fp8")
    assert replace(stored, name=plain.name, source=plain.source, precision=plain.precision) == plain
    # 6 x 16 blocks in each of three matrices of 768 x 2048.
    assert stored.expert_bytes == 3 * 768 * 2048 + 3 * 6 * 16 * 4
    assert stored.precision.router.name == stored.precision.embedding.name == "bf16"


def test_every_original_is_compared(shared):
    assert {path.parent.name for path in (shared / "data" / "models").glob("*/config.json")} == set(ORIGINALS)


@pytest.mark.parametrize("folder", ORIGINALS)
def test_originals_equal_the_zoo(folder, shared):
    read = load_model(shared / "data" / "models" / folder / "config.json")
    ours = load_model(ORIGINALS[folder])
    compared = [field.name for field in fields(MoEModel) if field.name not in ("name", "source", "notes")]
    assert {key: getattr(read, key) for key in compared} == {key: getattr(ours, key) for key in compared}
    assert load_model(shared / "data" / "models" / folder) == read


def test_attention_of_each_layer():
    def layers(name, kind):
        model = load_model(name)
        return [layer for layer in range(model.layers) if model.attention.kind(layer) == kind]

    assert layers("qwen3.5-397b-a17b", "full") == list(range(3, 60, 4))
    assert len(layers("qwen3.5-397b-a17b", "linear")) == 45
    assert layers("gpt-oss-20b", "sliding") == list(range(0, 24, 2)) and len(layers("gpt-oss-20b", "full")) == 12
    assert layers("gpt-oss-120b", "full") == list(range(1, 36, 2))
    for name in ("llama-4-scout", "llama-4-maverick"):
        assert layers(name, "full") == list(range(3, 48, 4)) and len(layers(name, "chunked")) == 36


def test_layers_with_experts():
    assert load_model("deepseek-v3").moe_layers == tuple(range(3, 61))
    assert load_model("kimi-k2").moe_layers == tuple(range(1, 61))
    assert load_model("glm-4.5").moe_layers == tuple(range(3, 92))
    assert load_model("llama-4-scout").moe_layers == tuple(range(48))
    assert load_model("qwen2.5-72b").moe_layers == ()


def test_cache_against_context():
    """gpt-oss-20b: 12 full layers of 1,024 elements, 12 of at most 128 tokens; Llama 4: 36 layers of at most 8,192."""
    oss, scout = load_model("gpt-oss-20b"), load_model("llama-4-scout")
    assert oss.kv_cache_bytes(100) == 100 * oss.kv_bytes_per_token
    assert oss.kv_cache_bytes(4096) == 12 * 1024 * 2 * (4096 + 128)
    assert oss.kv_growth_bytes_per_token == 12 * 1024 * 2
    per_layer = 2 * 8 * 128 * 2
    assert scout.kv_cache_bytes(100_000) == per_layer * (12 * 100_000 + 36 * 8192)
    assert scout.kv_read_bytes(8192) == scout.kv_cache_bytes(8192) == per_layer * 48 * 8192
    assert scout.kv_read_bytes(8193) == per_layer * (12 * 8193 + 36)  # the first token of a new chunk
    assert scout.kv_cache_bytes(0) == scout.kv_read_bytes(0) == 0
    mixtral = load_model("mixtral-8x7b")
    assert mixtral.kv_growth_bytes_per_token == mixtral.kv_bytes_per_token


def test_state_of_linear_layers():
    """64 x 128 x 128 fp32 elements in 45 layers: 189 MB; three past inputs of 2 x 2048 + 8192 channels in bf16."""
    model = load_model("qwen3.5-397b-a17b")
    assert model.state_bytes_per_sequence == 45 * 1_048_576 * 4
    assert model.conv_state_bytes_per_sequence == 45 * 3 * 12288 * 2
    assert model.kv_cache_bytes(1000) == 1000 * 15 * 2 * 2 * 256 * 2
    assert load_model("mixtral-8x7b").state_bytes_per_sequence == 0


def test_latent_attention_caches_576_elements():
    for name in ("deepseek-v2-lite", "deepseek-v3", "kimi-k2"):
        assert load_model(name).kv_elements_per_layer == 576


def test_shared_experts_of_another_width():
    qwen = load_model("qwen1.5-moe-a2.7b")
    assert (qwen.shared_experts, qwen.shared_intermediate_size, qwen.expert_intermediate_size) == (1, 5632, 1408)
    assert qwen.shared_expert_bytes == 3 * 2048 * 5632 * 2 == 4 * qwen.expert_bytes
    assert qwen.experts_total_bytes == 24 * (60 + 4) * qwen.expert_bytes
    assert load_model("qwen2-57b-a14b").shared_intermediate_size == 20480
    lite = load_model("deepseek-v2-lite")
    assert (lite.shared_experts, lite.shared_intermediate_size) == (2, 1408)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("qwen1.5-moe-a2.7b", "shared experts of width 5632 beside routed ones of 1408"),
        ("gpt-oss-20b", "experts are mxfp4"),
        ("deepseek-v3", "experts are fp8-128x128"),
        ("qwen2.5-32b", "a dense model"),
    ],
)
def test_near_memory_refuses_what_it_cannot_run(name, words):
    with pytest.raises(ConfigError, match=words):
        require_near_memory(load_model(name))


def test_near_memory_takes_the_rest():
    for name in ("olmoe-1b-7b", "mixtral-8x7b", "llama-4-maverick", "deepseek-v2-lite", "glm-4.5-air"):
        require_near_memory(load_model(name))


TINY = """\
name: tiny
source: this test
layers: 2
hidden_size: 8
expert_intermediate_size: 4
experts: 4
top_k: 2
heads: 2
kv_heads: 1
head_dim: 4
vocab_size: 10
"""


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("precision: {expert: fp8}", r"tiny\.yaml:12: precision\.expert: unknown key.*experts"),
        ("precision: {experts: fp9}", r"tiny\.yaml:12: precision\.experts: no number format 'fp9'"),
        ("attention: {pattern: [full, slide]}", r"tiny\.yaml: attention: pattern: no kind 'slide'; did you mean 'slid"),
        ("attention: {pattern: [sliding]}", r"tiny\.yaml: attention: window_tokens is needed"),
        ("attention: {window_tokens: 5}", r"tiny\.yaml: attention: window_tokens is given, but"),
        ("attention: {pattern: []}", r"tiny\.yaml: attention: pattern is empty"),
        ("attention: {latent: {kv_rank: 0}}", r"tiny\.yaml:12: attention\.latent\.kv_rank: .*at least 1"),
    ],
)
def test_faults_in_a_model_file(tmp_path, extra, words):
    path = tmp_path / "tiny.yaml"
    path.write_text(f"{TINY}{extra}\n")
    with pytest.raises(ConfigError, match=words):
        load_model(path)


def test_a_name_that_no_file_can_have():
    with pytest.raises(ConfigError, match=r"^models: no config named 'xxx") as caught:
        load_model("x" * 5000)
    assert "configs" not in str(caught.value)


def test_a_file_may_extend_a_model_with_another_precision(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text("extends: deepseek-v3\nname: plain\nprecision: {weights: fp8}\n")
    model = load_model(path)
    assert model.expert_bytes == 3 * 7168 * 2048 and model.bytes_per_weight == 1
    require_near_memory(model)


def test_a_pattern_that_repeats_itself_is_stored_once(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY + "attention: {pattern: [sliding, full, sliding], window_tokens: 3}\n")
    short = load_model(path).attention
    path.write_text(TINY + "attention: {pattern: [sliding, full], window_tokens: 3}\n")
    assert load_model(path).attention == short
    assert [short.kind(layer) for layer in range(3)] == ["sliding", "full", "sliding"]
