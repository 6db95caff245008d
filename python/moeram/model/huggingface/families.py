"""What each architecture means by its keys, one line of facts for every ``model_type``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Family:
    """Facts of an architecture that its ``config.json`` does not say.

    expert_width: key of a routed expert's inner width; empty for a dense architecture. dense_width: key of the dense
    FFN's width, empty if no layer can be dense. layer_keys: keys without which the layers with experts are unknown.
    shared: "none", "count" (n_shared_experts, each of the routed width unless another is given), "width" (one, of
    shared_expert_intermediate_size) or "always" (one, of the routed width). head_dim: whether hidden / heads is no
    valid substitute for the key. windows: "none", "all" (sliding_window counts for all layers), "switch"
    (use_sliding_window and max_window_layers) or "listed" (layer_types). chunked: Llama 4's chunks and its full layers
    without rotary positions. latent, linear: multi-head latent attention, gated delta-net layers. output_gate: whether
    attn_output_gate is true if missing. ties: whether tie_word_embeddings may be missing (false then).
    """

    expert_width: str = "moe_intermediate_size"
    dense_width: str = ""
    layer_keys: tuple[str, ...] = ()
    shared: str = "none"
    head_dim: bool = False
    windows: str = "none"
    chunked: bool = False
    latent: bool = False
    linear: bool = False
    output_gate: bool = False
    ties: bool = True


_MIXTRAL = Family(expert_width="intermediate_size", windows="all")
_WIDE = Family(expert_width="intermediate_size")
_DENSE = Family(expert_width="", dense_width="intermediate_size", ties=False)
_QWEN2_MOE = Family(dense_width="intermediate_size", shared="width", windows="switch")
_QWEN3_MOE = Family(dense_width="intermediate_size", head_dim=True, windows="switch")
_QWEN3_NEXT = Family(dense_width="intermediate_size", shared="width", head_dim=True, linear=True, output_gate=True)
_DEEPSEEK = Family(dense_width="intermediate_size", layer_keys=("first_k_dense_replace",), shared="count", latent=True)
_GLM = Family(dense_width="intermediate_size", layer_keys=("first_k_dense_replace",), shared="count", head_dim=True)
_LLAMA4 = Family(
    expert_width="intermediate_size",
    dense_width="intermediate_size_mlp",
    layer_keys=("interleave_moe_layer_step",),
    shared="always",
    head_dim=True,
    chunked=True,
)
_GROUPED_DEEPSEEK = Family(dense_width="intermediate_size", layer_keys=("first_k_dense_replace",), shared="count")

FAMILIES: dict[str, Family] = {
    "olmoe": _WIDE,
    "mixtral": _MIXTRAL,
    "phimoe": _MIXTRAL,
    "granitemoe": _WIDE,
    "minimax_m2": Family(expert_width="intermediate_size", head_dim=True),
    "dbrx": Family(expert_width="ffn_config.ffn_hidden_size"),
    "gpt_oss": Family(expert_width="intermediate_size", head_dim=True, windows="listed"),
    "qwen2_moe": _QWEN2_MOE,
    "qwen3_moe": _QWEN3_MOE,
    "qwen3_vl_moe_text": _QWEN3_MOE,
    "qwen3_next": _QWEN3_NEXT,
    "qwen3_5_moe_text": _QWEN3_NEXT,
    "llama4": _LLAMA4,
    "llama4_text": _LLAMA4,
    "deepseek_v2": _DEEPSEEK,
    "deepseek_v3": _DEEPSEEK,
    "kimi_k2": _DEEPSEEK,
    "glm4_moe": _GLM,
    "glm4v_moe_text": _GLM,
    "dots1": _GROUPED_DEEPSEEK,
    "bailing_moe": _GROUPED_DEEPSEEK,
    "ernie4_5_moe": Family(
        dense_width="intermediate_size",
        layer_keys=("moe_layer_start_index", "moe_layer_interval"),
        shared="count",
        ties=False,
    ),
    "llama": _DENSE,
    "mistral": Family(expert_width="", dense_width="intermediate_size", windows="all", ties=False),
    "qwen2": Family(expert_width="", dense_width="intermediate_size", windows="switch", ties=False),
    "qwen3": Family(expert_width="", dense_width="intermediate_size", windows="switch", head_dim=True, ties=False),
}
