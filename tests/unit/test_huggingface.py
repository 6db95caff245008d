"""Reading config.json files: every spelling, the traps of the fact sheet, quantised weights, malformed files."""

from __future__ import annotations

import copy
import json
from dataclasses import fields
from pathlib import Path

import pytest
from huggingface_configs import (
    BY_NAME,
    DBRX,
    DEEPSEEK_V2_LITE,
    DEEPSEEK_V3,
    GLM45,
    GPT_OSS,
    MAVERICK,
    MIXTRAL,
    OLMOE,
    PHI35_MOE,
    QWEN15_MOE,
    QWEN25_72B,
    QWEN35,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moeram.errors import ConfigError
from moeram.model import MoEModel, load_model, read_huggingface

QWEN3 = {**QWEN15_MOE, "model_type": "qwen3_moe", "head_dim": 128}
del QWEN3["shared_expert_intermediate_size"]


@pytest.fixture
def read(tmp_path):
    """Read a configuration given as a dict, with some keys changed (...: removed)."""

    def reader(config, **changes):
        config = {key: value for key, value in {**config, **changes}.items() if value is not ...}
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        return read_huggingface(path)

    return reader


def text(config, **changes):
    """The nested text config with some keys changed."""
    inner = {key: value for key, value in {**config["text_config"], **changes}.items() if value is not ...}
    return {**config, "text_config": inner}


@pytest.mark.parametrize("name", BY_NAME)
def test_published_configs_equal_the_zoo(name, read):
    found, ours = read(BY_NAME[name]), load_model(name)
    compared = [field.name for field in fields(MoEModel) if field.name not in ("name", "source", "notes")]
    assert {key: getattr(found, key) for key in compared} == {key: getattr(ours, key) for key in compared}


@pytest.mark.parametrize("spelling", ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"])
def test_spellings_of_the_expert_count(spelling, read):
    assert read(OLMOE, **{"num_experts": ..., spelling: 48}).experts == 48


@pytest.mark.parametrize("spelling", ["num_experts_per_tok", "experts_per_token", "moe_topk", "moe_top_k", "moe_k"])
def test_spellings_of_top_k(spelling, read):
    assert read(OLMOE, **{"num_experts_per_tok": ..., spelling: 3}).top_k == 3


def test_spellings_that_disagree(read):
    with pytest.raises(ConfigError, match=r"config\.json: num_local_experts: is 8, but num_experts is 64"):
        read(OLMOE, num_local_experts=8)
    with pytest.raises(ConfigError, match="experts_per_token: is 5, but num_experts_per_tok is 4"):
        read(GPT_OSS, experts_per_token=5)


def test_layers_with_experts(read):
    assert read(DEEPSEEK_V2_LITE, moe_layer_freq=2).moe_layers == tuple(range(2, 27, 2))
    flags = [0, 1, 1] + [0] * 23 + [1]
    assert read(DEEPSEEK_V2_LITE, moe_layer_freq=flags).moe_layers == (1, 2, 26)
    assert read(QWEN3, decoder_sparse_step=3).moe_layers == tuple(range(2, 24, 3))
    assert any("decoder_sparse_step" in note for note in read(QWEN3, decoder_sparse_step=...).notes)
    assert read(QWEN3, mlp_only_layers=[0, 5]).moe_layers == tuple(sorted(set(range(24)) - {0, 5}))
    assert read(text(MAVERICK, interleave_moe_layer_step=..., moe_layers=[1, 7])).moe_layers == (1, 7)
    ernie = {**GLM45, "model_type": "ernie4_5_moe", "moe_layer_start_index": 1, "moe_layer_interval": 1}
    ernie = {**ernie, "moe_layer_end_index": 53, "num_hidden_layers": 54, "first_k_dense_replace": ...}
    assert read(ernie).moe_layers == tuple(range(1, 54))
    assert read(ernie, moe_layer_end_index=2**31 - 1).moe_layers == read(ernie, moe_layer_end_index=-1).moe_layers
    assert read(ernie, moe_layer_end_index=9, moe_layer_interval=2).moe_layers == (1, 3, 5, 7, 9)
    with pytest.raises(ConfigError, match="first_k_dense_replace: missing"):
        read(DEEPSEEK_V2_LITE, first_k_dense_replace=None)


def test_shared_experts(read):
    assert read(QWEN15_MOE, shared_expert_intermediate_size=0).shared_experts == 0
    none = read(DEEPSEEK_V2_LITE, n_shared_experts=None)
    assert (none.shared_experts, none.shared_intermediate_size) == (0, 0)
    model = read(text(MAVERICK))
    assert (model.shared_experts, model.shared_intermediate_size) == (1, 8192)
    with pytest.raises(ConfigError, match="n_shared_experts: missing"):
        read(DEEPSEEK_V2_LITE, n_shared_experts=...)
    with pytest.raises(ConfigError, match="n_shared_experts: model_type 'olmoe' has no shared experts"):
        read(OLMOE, n_shared_experts=1)


def test_windows(read):
    assert read(MIXTRAL, sliding_window=4096).attention.pattern == ("sliding",)
    assert read(MIXTRAL, sliding_window=4096).kv_cache_bytes(10_000) == 4096 * 65536 * 2
    phi = read(PHI35_MOE)
    assert phi.attention.pattern == ("full",) and any("sliding_window" in note for note in phi.notes)
    with pytest.raises(ConfigError, match="sliding_window: missing"):
        read(MIXTRAL, sliding_window=...)
    switched = read(QWEN15_MOE, use_sliding_window=True, sliding_window=1000)
    assert [switched.attention.kind(layer) for layer in (20, 21)] == ["full", "sliding"]
    assert any("use_sliding_window" in note for note in read(QWEN15_MOE, use_sliding_window=...).notes)


def test_chunked_layers(read):
    listed = read(text(MAVERICK, no_rope_layers=[1, 0] * 24)).attention
    assert listed.pattern == ("chunked", "full")
    assert read(text(MAVERICK, no_rope_layer_interval=6)).layers_of_kind("full") == 8
    assert read(text(MAVERICK, attention_chunk_size=None)).attention.pattern == ("full",)
    words = ["full_attention"] + ["chunked_attention"] * 47
    assert read(text(MAVERICK, layer_types=words)).layers_of_kind("chunked") == 47
    default = read(MAVERICK)
    assert any("no_rope_layer_interval" in note for note in default.notes)
    assert any("image tower" in note for note in default.notes)
    with pytest.raises(ConfigError, match=r"text_config\.attention_chunk_size: missing"):
        read(text(MAVERICK, attention_chunk_size=...))


def test_linear_layers(read):
    words = (["linear_attention"] * 3 + ["full_attention"]) * 15
    assert read(text(QWEN35, full_attention_interval=..., layer_types=words)).attention == read(QWEN35).attention
    half = read(text(QWEN35, mamba_ssm_dtype="bfloat16"))
    assert 2 * half.state_bytes_per_sequence == read(QWEN35).state_bytes_per_sequence
    assert any("fp32 taken" in note for note in read(text(QWEN35, mamba_ssm_dtype=...)).notes)
    with pytest.raises(ConfigError, match="full_attention_interval: is 5, but layer_types says otherwise"):
        read(text(QWEN35, full_attention_interval=5, layer_types=words))
    with pytest.raises(ConfigError, match="layer_types: missing.*full_attention_interval"):
        read(text(QWEN35, full_attention_interval=...))
    with pytest.raises(ConfigError, match=r"text_config\.linear_num_key_heads: missing"):
        read(text(QWEN35, linear_num_key_heads=...))
    with pytest.raises(ConfigError, match="layer_types: has 59 entries for 60 layers"):
        read(text(QWEN35, layer_types=words[1:]))
    with pytest.raises(ConfigError, match="no kind 'full'"):
        read(text(QWEN35, layer_types=["full"] * 60))


def test_a_nested_config_does_not_borrow_from_outside(read):
    """The image tower's or the outer hidden_size must never stand in for the text model's."""
    with pytest.raises(ConfigError, match=r"text_config\.hidden_size: missing"):
        read({**text(MAVERICK, hidden_size=...), "hidden_size": 1408})
    assert read({**QWEN35, "tie_word_embeddings": True}).tied_embeddings


def test_head_dim_is_not_guessed(read):
    """Qwen3-MoE: 2048 / 32 would be 64, the checkpoint has 128. GPT-OSS: 2880 / 64 is no whole number."""
    for config in (QWEN3, GPT_OSS, GLM45):
        with pytest.raises(ConfigError, match="head_dim: missing"):
            read(config, head_dim=...)
    with pytest.raises(ConfigError, match="head_dim: missing.*2048 is no multiple of 24 heads"):
        read(OLMOE, num_attention_heads=24)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (OLMOE, "intermediate_size"),
        (OLMOE, "num_key_value_heads"),
        (QWEN3, "num_hidden_layers"),
        (QWEN3, "moe_intermediate_size"),
        (QWEN15_MOE, "shared_expert_intermediate_size"),
        (DEEPSEEK_V2_LITE, "first_k_dense_replace"),
        (DEEPSEEK_V2_LITE, "kv_lora_rank"),
        (DEEPSEEK_V2_LITE, "q_lora_rank"),
        (DBRX, "d_model"),
        (GPT_OSS, "layer_types"),
        (GPT_OSS, "sliding_window"),
        (QWEN25_72B, "tie_word_embeddings"),
        (GLM45, "intermediate_size"),
        (MIXTRAL, "vocab_size"),
        (MIXTRAL, "model_type"),
    ],
)
def test_a_missing_key_is_named(config, key, read):
    """Library defaults (Qwen3MoE: 24 layers; DBRX, OLMoE, DeepSeek: of no checkpoint) are not taken."""
    with pytest.raises(ConfigError, match=rf"config\.json: .*{key}.*missing|missing.*{key}"):
        read(config, **{key: ...})


def test_unknown_architectures(read):
    with pytest.raises(ConfigError, match=r"model_type: no architecture 'mixtrall' is known here; did you mean 'mixt"):
        read(MIXTRAL, model_type="mixtrall")
    with pytest.raises(ConfigError, match="num_experts: is given, but model_type 'qwen2' is a dense architecture"):
        read(QWEN25_72B, num_experts=8)


@pytest.mark.parametrize("value", ["8", 8.0, True, 0, -1, 2**40, [8]])
def test_values_of_the_wrong_kind(value, read):
    with pytest.raises(ConfigError, match=r"config\.json: num_local_experts: given .*a whole number of 1 or more"):
        read(MIXTRAL, num_local_experts=value)


def test_experts_must_fit(read):
    with pytest.raises(ConfigError, match=r"config\.json: .*top_k \(9\) exceeds experts \(8\)"):
        read(MIXTRAL, num_experts_per_tok=9)
    with pytest.raises(ConfigError, match="num_hidden_layers: given 1000000"):
        read(MIXTRAL, num_hidden_layers=1_000_000)
    with pytest.raises(ConfigError, match="first_k_dense_replace: no layer is left for experts"):
        read(DEEPSEEK_V2_LITE, first_k_dense_replace=27)


def fp8(**more):
    return {"quant_method": "fp8", "weight_block_size": [128, 128], **more}


def test_methods_of_quantisation(read):
    def formats(config, **quantization):
        precision = read(config, quantization_config=quantization).precision
        return precision.experts.name, precision.attention.name, precision.router.name, precision.embedding.name

    plain = ("bf16", "bf16")
    assert formats(MIXTRAL, **fp8()) == ("fp8-128x128", "fp8-128x128", *plain)
    assert formats(MIXTRAL, quant_method="fp8") == ("fp8-tensor", "fp8-tensor", *plain)
    assert formats(MIXTRAL, quant_method="fbgemm_fp8") == ("fp8-channel", "fp8-channel", *plain)
    assert formats(MIXTRAL, quant_method="mxfp4") == ("mxfp4", "bf16", *plain)
    gptq = {"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}
    assert formats(MIXTRAL, **gptq) == ("int4-g128-zp", "int4-g128-zp", *plain)
    assert formats(MIXTRAL, **{**gptq, "group_size": -1})[0] == "int4-channel-zp"
    awq = {"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "zero_point": False}
    assert formats(MIXTRAL, **awq)[0] == "int4-g64"
    weights = {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True}
    compressed = {"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": ["Linear"]}}}
    compressed["config_groups"]["g"]["weights"] = weights
    assert formats(MIXTRAL, **compressed)[0] == "fp8-channel"
    weights |= {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}
    assert formats(MIXTRAL, **compressed)[0] == "int4-g32"


def test_the_cache_is_quantised_only_if_said(read):
    assert read(DEEPSEEK_V3).kv_bytes_per_token == 61 * 576 * 2
    stored = read(DBRX, quantization_config={"quant_method": "fp8", "kv_cache_scheme": "static"})
    assert stored.kv_bytes_per_token == 40 * 2 * 8 * 128


def test_types(read):
    assert read(MIXTRAL, torch_dtype="float16").precision.attention.name == "fp16"
    assert read(MIXTRAL, torch_dtype="float32").weight_bytes == 4 * read(MIXTRAL).parameters
    assert any("bf16 taken" in note for note in read(GPT_OSS).notes)
    with pytest.raises(ConfigError, match="no type 'bfloat61'; did you mean 'bfloat16'"):
        read(MIXTRAL, torch_dtype="bfloat61")


def test_modules_that_stay_as_they_are(read):
    kept = [f"language_model.model.layers.{layer}.self_attn.{name}_proj" for layer in range(48) for name in "qkvo"]
    kept += [f"language_model.model.layers.{layer}.feed_forward.{name}_proj" for layer in range(0, 48, 2) for name in
             ("gate", "up", "down")]  # fmt: skip
    kept += [f"language_model.model.layers.{layer}.feed_forward.router" for layer in range(48)]
    kept += ["vision_model", "multi_modal_projector", "language_model.lm_head"]
    config = {**MAVERICK, "quantization_config": {"quant_method": "fbgemm_fp8", "modules_to_not_convert": kept}}
    precision = read(config).precision
    assert (precision.attention.name, precision.dense.name) == ("bf16", "bf16")
    assert (precision.experts.name, precision.shared.name) == ("fp8-channel", "fp8-channel")
    config["quantization_config"]["modules_to_not_convert"] = kept[4:]
    with pytest.raises(ConfigError, match="leaves out only some matrices of attention"):
        read(config)
    ignored = read(MIXTRAL, quantization_config=fp8(ignore=["re:.*self_attn.*", "re:.*gate$", "lm_head"])).precision
    assert (ignored.attention.name, ignored.experts.name) == ("bf16", "fp8-128x128")
    odd = read(MIXTRAL, quantization_config=fp8(ignore=["something.new"]))
    assert any("something.new" in note for note in odd.notes)
    late = read(DEEPSEEK_V3, quantization_config=fp8(modules_to_not_convert=["model.layers.61.self_attn"]))
    assert late.precision.attention.name == "fp8-128x128"  # the prediction layer


@pytest.mark.parametrize(
    ("quantization", "words"),
    [
        ({"quant_method": "bitsandbytes"}, r"quantization_config\.quant_method: given 'bitsandbytes'"),
        ({}, r"quantization_config\.quant_method: given None"),
        (["fp8"], "quantization_config: given .*allowed: an object"),
        ({"quant_method": "gptq", "bits": 4}, r"quantization_config\.group_size: missing"),
        (
            {"quant_method": "gptq", "bits": 1, "group_size": 128},
            "quantization_config: no number format 'int1-g128-zp'",
        ),
        ({"quant_method": "gptq", "bits": "x", "group_size": {}}, "quantization_config: no number format"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, r"quantization_config\.zero_point: missing"),
        ({"quant_method": "fp8", "weight_block_size": [128]}, "weight_block_size: given .*two whole numbers"),
        ({"quant_method": "fp8", "ignore": "lm_head"}, r"quantization_config\.ignore: allowed: a list"),
        ({"quant_method": "compressed-tensors"}, "config_groups: allowed: one group"),
        ({"quant_method": "fp8", "kv_cache_scheme": 4}, "kv_cache_scheme: given 4"),
    ],
)
def test_faults_of_quantisation(quantization, words, read):
    with pytest.raises(ConfigError, match=words):
        read(MIXTRAL, quantization_config=quantization)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[1]", "a JSON object"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'{"model_type": "mixtral", "model_type": "olmoe"}', "key 'model_type' is given twice"),
        (b'{"hidden_size": NaN}', "NaN is no JSON number"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"hidden_size": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"{}", "model_type: missing"),
    ],
)
def test_files_that_are_no_config(tmp_path, content, words):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"config\.json: .*{words}"):
        load_model(path)


def test_places(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.json: no such file"):
        load_model("nowhere.json")
    with pytest.raises(ConfigError, match=r"config\.json: no such file"):
        load_model(tmp_path)
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model" / "config.json").write_text(json.dumps(MIXTRAL))
    assert load_model(tmp_path / "my-model").name == "my-model"


def _places(value, key=()):
    """Key paths of everything in a configuration."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inner:
        yield (*key, name)
        yield from _places(item, (*key, name))


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 20), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5), st.lists(st.integers(-1, 70), max_size=5), st.just({}), st.just({"a": 1}),
    st.sampled_from(["full_attention", "fp8", "gptq", "mixtral", "llama4_text", "qwen3_next", "deepseek_v3", "float16"]),
)  # fmt: skip


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_configs_are_refused_or_whole(data, tmp_path):
    """Keys removed or replaced: a ConfigError that names the file, or a model without a zero where one matters."""
    config = copy.deepcopy(data.draw(st.sampled_from(list(BY_NAME.values()))))
    for _ in range(data.draw(st.integers(1, 3))):
        places = list(_places(config))
        if not places:
            break
        *outer, last = data.draw(st.sampled_from(places))
        target = config
        for name in outer:
            target = target[name]
        if data.draw(st.booleans()):
            del target[last]
        else:
            target[last] = copy.deepcopy(data.draw(ODD))
    path = Path(tmp_path) / "config.json"
    path.write_text(json.dumps(config))
    try:
        model = read_huggingface(path)
    except ConfigError as error:
        assert str(error).startswith(f"{path}: ")
        return
    assert model.layers >= 1 and model.parameters >= model.active_parameters > 0
    assert model.weight_bytes > 0 and model.kv_cache_bytes(10) + model.state_bytes_per_sequence > 0
    assert bool(model.moe_layers) == bool(model.expert_bytes) == bool(model.top_k)
