"""Precision of a ``config.json``: the base type, what is quantised and how, which modules stay as they are."""

from __future__ import annotations

import re
from typing import Any

from moeram.errors import ConfigError, did_you_mean
from moeram.model.huggingface.keys import Keys
from moeram.model.precision import PARTS, WEIGHTS, Precision, parse_format, with_formats

_CONFIG = "quantization_config"
_TYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_EXCLUDED = ("modules_to_not_convert", "ignored_layers", "ignore")
# What is left of a module's name -> part; the first match decides. "ffn": experts, shared or dense, by its layer.
_MODULES = (
    (r"visi|visual|image|multi_modal|mtp|eh_proj|embed_vision", ""),
    (r"embed_tokens|lm_head|wte", "embedding"),
    (r"norm", "other"),
    (r"router|(^|\.|\*)gate$|shared_expert_gate", "router"),
    (r"shared_expert", "shared"),
    (r"experts", "experts"),
    (r"attn|attention", "attention"),
    (r"mlp|feed_forward|ffn|block_sparse_moe", "ffn"),
    (r"layers(\.|$)", "layer"),
)
_WHOLE = (
    {""},
    {"q_proj", "k_proj", "v_proj", "o_proj"},
    {"qkv_proj", "o_proj"},
    {"gate_proj", "up_proj", "down_proj"},
    {"gate_up_proj", "down_proj"},
    {"w1", "w2", "w3"},
)
_LEAVES = set().union(*_WHOLE) | {"kv_a_proj_with_mqa", "kv_b_proj", "q_a_proj", "q_b_proj"}


def read_precision(keys: Keys, layers: int, moe_layers: tuple[int, ...]) -> Precision:
    """Return how every part is stored.

    Router, embedding, head and norms are never quantised by the methods known here; the KV cache only if the config
    says so.

    Raises:
        ConfigError: an unknown method or type, or exclusions that leave only some matrices of a part.
    """
    base = _base_type(keys)
    formats = dict.fromkeys((part for part in PARTS if part != "state"), base)
    formats["state"] = _state_type(keys)
    config = keys.find(_CONFIG, outer=True)
    if config is not None:
        if not isinstance(config[1], dict):
            raise _error(keys, "", f"given {config[1]!r}, allowed: an object")
        converted = _converted(keys, config[1])
        for part in _left_out(keys, config[1], set(converted), layers, moe_layers):
            converted.pop(part, None)
        formats |= converted | _cache(keys, config[1])
    try:
        return with_formats(Precision(), formats)
    except ConfigError as error:
        raise _error(keys, "", str(error)) from error


def _error(keys: Keys, key: str, message: str) -> ConfigError:
    name = f"{_CONFIG}.{key}" if key else _CONFIG
    return ConfigError(f"{keys.path}: {name}: {message}")


def _base_type(keys: Keys) -> str:
    word = keys.word("torch_dtype", "dtype", outer=True)
    if word is None:
        keys.notes.append("neither torch_dtype nor dtype is given: bf16 taken")
        return "bf16"
    name = word.removeprefix("torch.")
    if name not in _TYPES:
        raise keys.error("torch_dtype", f"no type {word!r}{did_you_mean(name, _TYPES)}")
    return _TYPES[name]


def _state_type(keys: Keys) -> str:
    word = keys.word("mamba_ssm_dtype")
    if word is not None and word not in _TYPES:
        raise keys.error("mamba_ssm_dtype", f"no type {word!r}{did_you_mean(word, _TYPES)}")
    if word is None and keys.find("linear_num_value_heads") is not None:
        keys.notes.append("mamba_ssm_dtype is not given: recurrent states of fp32 taken")
    return _TYPES[word] if word else "fp32"


def _converted(keys: Keys, config: dict[str, Any]) -> dict[str, str]:
    """Part -> format of what the method converts."""
    method = config.get("quant_method")
    if not isinstance(method, str) or method not in _METHODS:
        raise _error(keys, "quant_method", f"given {method!r}{did_you_mean(str(method), _METHODS)}")
    name = _METHODS[method](keys, config)
    try:
        parse_format(name)
    except ConfigError as error:
        raise _error(keys, "", str(error)) from error
    return dict.fromkeys(("experts",) if method == "mxfp4" else WEIGHTS, name)


def _fp8(keys: Keys, config: dict[str, Any]) -> str:
    block = config.get("weight_block_size")
    if block is None:
        keys.notes.append("weight_block_size is not given: one scale per matrix")
        return "fp8-tensor"
    if not isinstance(block, list) or len(block) != 2 or any(type(size) is not int or size < 1 for size in block):
        raise _error(keys, "weight_block_size", f"given {block!r}, allowed: two whole numbers of 1 or more")
    return f"fp8-{block[0]}x{block[1]}"


def _integer(bits: object, group: object, zero_points: bool) -> str:
    width = "-channel" if group == -1 else f"-g{group}"
    return f"int{bits}{width}{'-zp' if zero_points else ''}"


def _gptq(keys: Keys, config: dict[str, Any]) -> str:
    """GPTQ files hold zero points even where ``sym`` is true."""
    if config.get("dynamic"):
        raise _error(keys, "dynamic", "rules per module are not supported")
    return _integer(_need(keys, config, "bits"), _need(keys, config, "group_size"), True)


def _awq(keys: Keys, config: dict[str, Any]) -> str:
    zero_point = _need(keys, config, "zero_point")
    if not isinstance(zero_point, bool):
        raise _error(keys, "zero_point", f"given {zero_point!r}, allowed: true or false")
    return _integer(_need(keys, config, "bits", "w_bit"), _need(keys, config, "group_size", "q_group_size"), zero_point)


def _need(keys: Keys, config: dict[str, Any], *spellings: str) -> object:
    for key in spellings:
        if config.get(key) is not None:
            return config[key]
    raise _error(keys, spellings[0], "missing, a value is needed here")


def _compressed(keys: Keys, config: dict[str, Any]) -> str:
    groups = config.get("config_groups")
    only = next(iter(groups.values())) if isinstance(groups, dict) and len(groups) == 1 else None
    weights = only.get("weights") if isinstance(only, dict) else None
    if not isinstance(weights, dict) or only.get("targets") != ["Linear"]:
        raise _error(keys, "config_groups", "allowed: one group with weights and targets ['Linear']")
    bits, kind, strategy = (weights.get(key) for key in ("num_bits", "type", "strategy"))
    if kind == "float" and bits == 8 and strategy in ("channel", "tensor"):
        return f"fp8-{strategy}"
    if kind == "float" and bits == 8 and strategy == "block":
        return _fp8(keys, {"weight_block_size": weights.get("block_structure") or []})
    if kind == "int" and strategy in ("channel", "tensor", "group"):
        width = f"g{weights.get('group_size')}" if strategy == "group" else strategy
        return f"int{bits}-{width}{'' if weights.get('symmetric') else '-zp'}"
    raise _error(keys, "config_groups", f"weights of {bits} bits, type {kind!r}, strategy {strategy!r} are not known")


_METHODS = {
    "fp8": _fp8,
    "fbgemm_fp8": lambda keys, config: "fp8-channel",
    "mxfp4": lambda keys, config: "mxfp4",
    "gptq": _gptq,
    "awq": _awq,
    "compressed-tensors": _compressed,
}


def _cache(keys: Keys, config: dict[str, Any]) -> dict[str, str]:
    scheme = config.get("kv_cache_scheme")
    if scheme is None:
        return {}
    eight_bit = isinstance(scheme, dict) and scheme.get("num_bits") == 8 and scheme.get("type") in ("float", "int")
    if not eight_bit and scheme != "static":
        raise _error(keys, "kv_cache_scheme", f"given {scheme!r}, allowed: null, 'static' or 8 bits of float or int")
    return {"kv_cache": "int8" if eight_bit and scheme["type"] == "int" else "fp8"}


def _left_out(
    keys: Keys, config: dict[str, Any], converted: set[str], layers: int, moe_layers: tuple[int, ...]
) -> set[str]:
    """Parts that the method would convert, but that the config excludes in all layers."""
    seen: dict[str, dict[int, set[str]]] = {}
    for entry in _entries(keys, config):
        for part, layer, leaf in _excluded(keys, entry, layers, set(moe_layers)):
            for index in range(layers) if layer is None else (layer,):
                seen.setdefault(part, {}).setdefault(index, set()).add(leaf)
    dense = set(range(layers)) - set(moe_layers)
    homes = {"attention": set(range(layers)), "experts": set(moe_layers), "shared": set(moe_layers), "dense": dense}
    result = set()
    for part in converted & set(seen):
        whole = {layer for layer, leaves in seen[part].items() if any(names <= leaves for names in _WHOLE)}
        if not whole >= homes[part]:
            raise _error(
                keys, "modules_to_not_convert", f"leaves out only some matrices of {part}; allowed: all or none"
            )
        result.add(part)
    return result


def _entries(keys: Keys, config: dict[str, Any]) -> list[str]:
    result: list[str] = []
    for key in _EXCLUDED:
        value = config.get(key)
        if value is not None and (not isinstance(value, list) or any(not isinstance(entry, str) for entry in value)):
            raise _error(keys, key, "allowed: a list of module names")
        result += value or []
    return result


def _excluded(keys: Keys, entry: str, layers: int, moe: set[int]) -> list[tuple[str, int | None, str]]:
    """(part, layer or None for all, matrix or "" for all of them) of a module's name."""
    name = entry.removeprefix("re:").replace("\\", "").replace(".*", "*").strip("^$*.")
    found = re.search(r"layers\.(\d{1,9})(?:\.|$)", name)
    layer = int(found.group(1)) if found else None
    part = next((part for pattern, part in _MODULES if re.search(pattern, name)), None)
    if part is None:
        keys.notes.append(f"quantization_config leaves out {entry!r}, which is no part known here: not counted")
    if not part or (layer is not None and layer >= layers):  # image towers, prediction layers
        return []
    last = re.split(r"[.*]", name)[-1]
    leaf = last if last in _LEAVES or (part == "experts" and last != "experts") else ""
    ffn = ["experts", "shared", "dense"] if layer is None else ["experts", "shared"] if layer in moe else ["dense"]
    parts = {"ffn": ffn, "layer": [*ffn, "attention"]}.get(part, [part])
    return [(name, layer, leaf) for name in parts]
