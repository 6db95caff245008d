"""Attention of a ``config.json``: the kind of every layer and the dimensions of each kind."""

from __future__ import annotations

from typing import Any

from moeram.errors import did_you_mean
from moeram.model.attention import Attention, LatentAttention, LinearAttention
from moeram.model.huggingface.families import Family
from moeram.model.huggingface.keys import Keys

_KINDS = {
    "full_attention": "full",
    "sliding_attention": "sliding",
    "chunked_attention": "chunked",
    "linear_attention": "linear",
}
_LLAMA4_INTERVAL = 4


def read_heads(keys: Keys, family: Family, hidden: int) -> dict[str, int]:
    """Return heads, kv_heads and head_dim; for latent attention kv_heads is nominal, head_dim that of a query."""
    heads = keys.whole("num_attention_heads", "n_heads")
    if family.latent:
        kv_heads = keys.whole_or(heads, "num_key_value_heads", least=1)
        return {
            "heads": heads,
            "kv_heads": kv_heads,
            "head_dim": keys.whole("qk_nope_head_dim") + keys.whole("qk_rope_head_dim"),
        }
    kv_heads = keys.whole("num_key_value_heads", "attn_config.kv_n_heads")
    if keys.find("head_dim") or family.head_dim:
        head_dim = keys.whole("head_dim")
    elif hidden % heads:
        raise keys.missing("head_dim", why=f": hidden_size {hidden} is no multiple of {heads} heads")
    else:
        head_dim = hidden // heads
    return {"heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}


def read_attention(keys: Keys, family: Family, layers: int) -> Attention:
    """Return the attention of all layers.

    Raises:
        ConfigError: a key is missing, of the wrong type, or contradicts another one.
    """
    kinds = _kinds(keys, family, layers)
    shape: dict[str, Any] = {"pattern": tuple(kinds)}
    if "sliding" in kinds:
        shape["window_tokens"] = keys.whole("sliding_window")
    if "chunked" in kinds:
        shape["chunk_tokens"] = keys.whole("attention_chunk_size")
    if "linear" in kinds:
        shape["linear"] = LinearAttention(
            key_heads=keys.whole("linear_num_key_heads"),
            key_head_dim=keys.whole("linear_key_head_dim"),
            value_heads=keys.whole("linear_num_value_heads"),
            value_head_dim=keys.whole("linear_value_head_dim"),
            conv_kernel=keys.whole("linear_conv_kernel_dim"),
        )
    if family.latent:
        shape["latent"] = _latent(keys)
    if family.output_gate:
        shape["output_gate"] = keys.flag_or(
            True, "attn_output_gate", note="full layers of this architecture gate their output"
        )
    return Attention(**shape)


def _latent(keys: Keys) -> LatentAttention:
    if not keys.given("q_lora_rank"):
        raise keys.missing("q_lora_rank", why=" (null for a direct projection)")
    return LatentAttention(
        kv_rank=keys.whole("kv_lora_rank"),
        q_rank=keys.whole_or(0, "q_lora_rank", least=1),
        rope_head_dim=keys.whole("qk_rope_head_dim"),
        nope_head_dim=keys.whole("qk_nope_head_dim"),
        value_head_dim=keys.whole("v_head_dim"),
    )


def _kinds(keys: Keys, family: Family, layers: int) -> list[str]:
    listed = _listed(keys, layers)
    if listed is None and family.windows == "listed":
        raise keys.missing("layer_types", why=": it decides which layers have a window")
    if listed is None and family.linear and keys.find("full_attention_interval") is None:
        raise keys.missing("layer_types", "full_attention_interval")
    if keys.find("full_attention_interval") is not None:
        interval = keys.whole("full_attention_interval")
        by_interval = ["linear" if (layer + 1) % interval else "full" for layer in range(layers)]
        if listed is not None and listed != by_interval:
            raise keys.error("full_attention_interval", f"is {interval}, but layer_types says otherwise")
        listed = by_interval
    kinds = listed or (_chunked(keys, layers) if family.chunked else _windows(keys, family, layers))
    for kind, key in (("chunked", "attention_chunk_size"), ("sliding", "sliding_window")):
        if kind in kinds and not keys.given(key):
            raise keys.missing(key)
    return _without_effect(keys, kinds)


def _listed(keys: Keys, layers: int) -> list[str] | None:
    words = keys.items("layer_types", str)
    if words is None:
        return None
    for word in words:
        if word not in _KINDS:
            raise keys.error("layer_types", f"no kind {word!r}{did_you_mean(word, _KINDS)}")
    if len(words) != layers:
        raise keys.error("layer_types", f"has {len(words)} entries for {layers} layers")
    return [_KINDS[word] for word in words]


def _chunked(keys: Keys, layers: int) -> list[str]:
    """Llama 4: layers without rotary positions are full, the others chunked."""
    if not keys.given("attention_chunk_size"):
        raise keys.missing("attention_chunk_size", why=" (null for full attention in all layers)")
    rotary = keys.items("no_rope_layers", int)
    if rotary:
        if len(rotary) != layers or not set(rotary) <= {0, 1}:
            raise keys.error("no_rope_layers", f"given a list of {len(rotary)}, allowed: {layers} entries of 0 or 1")
        return ["chunked" if flag else "full" for flag in rotary]
    note = f"every {_LLAMA4_INTERVAL}th layer has full attention, the architecture's default"
    interval = keys.whole_or(_LLAMA4_INTERVAL, "no_rope_layer_interval", least=1, note=note)
    return ["chunked" if (layer + 1) % interval else "full" for layer in range(layers)]


def _windows(keys: Keys, family: Family, layers: int) -> list[str]:
    if family.windows == "all" and not keys.given("sliding_window"):
        raise keys.missing("sliding_window", why=" (null for full attention)")
    if keys.find("sliding_window") is None or family.windows == "none":
        if keys.find("sliding_window") is not None:
            keys.notes.append("sliding_window is given, but this architecture does not use it: full attention")
        return ["full"] * layers
    if family.windows == "all":
        return ["sliding"] * layers
    if not keys.flag_or(False, "use_sliding_window", note="no window, the architecture's default"):
        return ["full"] * layers
    first = keys.whole("max_window_layers", least=0)
    return ["full" if layer < first else "sliding" for layer in range(layers)]


def _without_effect(keys: Keys, kinds: list[str]) -> list[str]:
    """A window or chunk that no context can exceed is full attention; so is one that is null."""
    longest = keys.find("max_position_embeddings")
    positions = keys.whole("max_position_embeddings") if longest else None
    for kind, key in (("sliding", "sliding_window"), ("chunked", "attention_chunk_size")):
        if kind not in kinds:
            continue
        if keys.given(key) and keys.find(key) is None:
            keys.notes.append(f"{key} is null: full attention in those layers")
        elif positions is not None and keys.whole(key) >= positions:
            keys.notes.append(f"{key} is no less than max_position_embeddings: full attention in those layers")
        else:
            continue
        kinds = ["full" if given == kind else given for given in kinds]
    return kinds
