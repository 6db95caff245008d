"""Experts of a ``config.json``: how many, how wide, in which layers."""

from __future__ import annotations

from typing import Any

from moeram.model.huggingface.families import Family
from moeram.model.huggingface.keys import Keys

EXPERTS = (
    *("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_routed_experts"),
    "ffn_config.moe_num_experts",
)
_TOP_K = (
    *("num_experts_per_tok", "num_experts_per_token", "experts_per_token", "moe_topk", "moe_top_k", "moe_k"),
    "ffn_config.moe_top_k",
)
_SHARED_COUNT = ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts")
_SHARED_WIDTH = ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size")


def read_experts(keys: Keys, family: Family, layers: int) -> dict[str, Any]:
    """Return the fields of `MoEModel` that describe FFNs.

    Raises:
        ConfigError: a key is missing, of the wrong type, or contradicts another one.
    """
    if not family.expert_width:
        return _dense(keys, family)
    width = keys.whole(family.expert_width)
    moe_layers = _expert_layers(keys, family, layers)
    if not moe_layers:
        raise keys.error(family.layer_keys[0] if family.layer_keys else EXPERTS[0], "no layer is left for experts")
    count, shared_width = _shared(keys, family, width)
    dense = keys.find(family.dense_width) if family.dense_width else None
    if dense is None and len(moe_layers) < layers:
        raise keys.missing(family.dense_width or "intermediate_size", why=": some layers have no experts")
    return {
        "experts": keys.whole(*EXPERTS),
        "top_k": keys.whole(*_TOP_K),
        "expert_intermediate_size": width,
        "moe_layers": moe_layers,
        "shared_experts": count,
        "shared_intermediate_size": shared_width,
        "dense_intermediate_size": keys.whole(family.dense_width) if dense else 0,
    }


def _dense(keys: Keys, family: Family) -> dict[str, Any]:
    if found := keys.find(*EXPERTS):
        raise keys.error(found[0], f"is given, but model_type {keys.word('model_type')!r} is a dense architecture")
    none = dict.fromkeys(
        ("experts", "top_k", "expert_intermediate_size", "shared_experts", "shared_intermediate_size"), 0
    )
    return {**none, "moe_layers": (), "dense_intermediate_size": keys.whole(family.dense_width)}


def _shared(keys: Keys, family: Family, width: int) -> tuple[int, int]:
    """Number and width of the shared experts of one layer."""
    if family.shared == "always":
        return 1, width
    if family.shared == "width":
        own = keys.whole(*_SHARED_WIDTH, least=0)
        return (1, own) if own else (0, 0)
    if family.shared == "none":
        for spelling in (*_SHARED_COUNT, *_SHARED_WIDTH):
            if keys.find(spelling) not in (None, (spelling, 0)):
                raise keys.error(spelling, f"model_type {keys.word('model_type')!r} has no shared experts here")
        return 0, 0
    if not any(keys.given(spelling) for spelling in _SHARED_COUNT):
        raise keys.missing(*_SHARED_COUNT)
    count = keys.whole_or(0, *_SHARED_COUNT)
    own = keys.whole_or(width, *_SHARED_WIDTH, least=1)
    return (count, own) if count else (0, 0)


def _expert_layers(keys: Keys, family: Family, layers: int) -> tuple[int, ...]:
    for key in family.layer_keys:
        if keys.find(key) is None and not (key == "interleave_moe_layer_step" and keys.find("moe_layers")):
            raise keys.missing(key, why=": it decides which layers have experts")
    listed = keys.items("moe_layers", int)
    kept = set(range(layers)) if not listed else _layer_ids(keys, "moe_layers", listed, layers)
    if not listed:
        step = keys.whole_or(1, "interleave_moe_layer_step", least=1)
        kept &= set(range(step - 1, layers, step))
    first = keys.whole_or(0, "first_k_dense_replace")
    kept -= set(range(min(first, layers)))
    kept &= _frequency(keys, layers)
    own = family.dense_width and not family.layer_keys  # Qwen's rule
    note = "experts in every layer that mlp_only_layers does not name, the architecture's default" if own else ""
    sparse_step = keys.whole_or(1, "decoder_sparse_step", least=1, note=note)
    kept &= set(range(sparse_step - 1, layers, sparse_step))
    kept -= _layer_ids(keys, "mlp_only_layers", keys.items("mlp_only_layers", int) or [], layers)
    interval = keys.whole_or(1, "moe_layer_interval", least=1)
    kept &= set(range(interval - 1, layers, interval))
    start = keys.whole_or(0, "moe_layer_start_index")
    end = keys.whole_or(layers - 1, "moe_layer_end_index", least=-1)
    kept -= set(range(min(start, layers)))
    kept -= set(range(end + 1, layers)) if end >= 0 else set()
    return tuple(sorted(kept))


def _frequency(keys: Keys, layers: int) -> set[int]:
    """Layers that moe_layer_freq leaves: every n-th from 0 on, or those with a 1 in a list."""
    found = keys.find("moe_layer_freq")
    if found is None or not isinstance(found[1], list):
        step = keys.whole_or(1, "moe_layer_freq", least=1)
        return set(range(0, layers, step))
    flags = keys.items("moe_layer_freq", int) or []
    if len(flags) != layers or not set(flags) <= {0, 1}:
        raise keys.error("moe_layer_freq", f"given a list of {len(flags)}, allowed: {layers} entries of 0 or 1")
    return {layer for layer, flag in enumerate(flags) if flag}


def _layer_ids(keys: Keys, key: str, given: list[int], layers: int) -> set[int]:
    foreign = [layer for layer in given if not 0 <= layer < layers]
    if foreign:
        raise keys.error(key, f"layer {foreign[0]} is out of range, allowed: 0..{layers - 1}")
    return set(given)
