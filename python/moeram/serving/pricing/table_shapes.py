"""Which shapes of measured tables (docs/hardware.md) belong to a model on one of several GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from moeram.errors import ConfigError, did_you_mean
from moeram.hardware.measured import MeasuredTables
from moeram.model import MoEModel

# Formats as the tables call them.
_DTYPES = {
    "bf16": "bfloat16", "fp16": "float16", "fp8": "fp8", "fp8-tensor": "fp8", "fp8-128x128": "fp8_block", "mxfp4": "w4a16_mxfp4",
}  # fmt: skip
Shape = dict[str, Any]


class Product(NamedTuple):
    """`count` products [m, k] x [k, n] of one GPU. stored_bytes, parameters: over all GPUs and the whole model."""

    name: str
    shape: Shape
    count: int
    stored_bytes: int
    parameters: int
    of_head: bool


def shapes(model: MoEModel, cut: int, moe_cut: tuple[int, int], distribution: str) -> dict[str, Shape | None]:
    """Return the shape of each operation but `gemm`, None where tables have no columns for this model.

    Args:
        cut: GPUs that share heads and projections. moe_cut: tensor and expert parallelism of the experts.
    """
    attention = _attention(model, cut)
    moe = {
        "moe_dtype": _dtype(model, "experts"), "hidden_size": model.hidden_size, "inter_size": model.expert_intermediate_size,
        "topk": model.top_k, "num_experts": model.experts, "moe_tp_size": moe_cut[0], "moe_ep_size": moe_cut[1],
        "distribution": distribution,
    }  # fmt: skip
    return {
        "moe": moe,
        "generation_attention": attention,
        "context_attention": attention,
        "all_reduce": {"nccl_dtype": "half", "num_gpus": cut} if cut > 1 and model.bytes_per_activation == 2 else None,
    }


def _attention(model: MoEModel, cut: int) -> Shape | None:
    everything = model.attention.pattern == ("full",) and not model.attention.latent and not model.attention.output_gate
    if not everything or model.heads % cut or model.kv_heads % cut:
        return None
    return {
        "num_heads": model.heads // cut, "num_key_value_heads": model.kv_heads // cut, "head_dim": model.head_dim,
        "attn_dtype": _dtype(model, "activations"), "kv_cache_dtype": _dtype(model, "kv_cache"), "window_size": 0,
    }  # fmt: skip


def products(model: MoEModel, cut: int) -> list[Product]:
    """Return the matrix products outside the routed experts: Q, K, V and gate, up as one each, as servers fuse them."""
    fused: dict[str, list[Any]] = {}
    for matrix in model.matrices:
        if matrix.part in ("attention", "shared", "dense", "router", "embedding") and not matrix.lookup:
            fused.setdefault("QKV" if matrix.name in ("Q", "K", "V") else matrix.name, []).append(matrix)
    found = []
    for name, matrices in fused.items():
        first = matrices[0]
        n, k, count = sum(matrix.rows for matrix in matrices), first.columns, first.count
        if name.endswith("gate and up"):
            n, count = 2 * n, count // 2
        # What meets the residual stream's result is cut along its inputs, the router not at all, the rest along its outputs.
        by_inputs, whole = name.endswith((", down", "O")), first.part == "router"
        absorbed = first.part == "attention" and model.attention.latent is not None
        if absorbed or (not whole and (k if by_inputs else n) % cut):
            continue
        n, k = (n, k) if whole else (n, k // cut) if by_inputs else (n // cut, k)
        found.append(
            Product(
                name=name,
                shape={"gemm_dtype": _dtype(model, first.part), "n": n, "k": k},
                count=count,
                stored_bytes=sum(matrix.count * model.matrix_bytes(matrix) for matrix in matrices),
                parameters=sum(matrix.used * matrix.parameters for matrix in matrices),
                of_head=first.part == "embedding",
            )
        )
    return found


def require_distribution(tables: MeasuredTables, distribution: str | None) -> None:
    """Refuse a distribution that was asked for and not measured.

    Raises:
        ConfigError: names the measured ones.
    """
    measured = {shape["distribution"] for shape in tables.shapes("moe")} if "moe" in tables.operations else set()
    if distribution is not None and distribution not in measured:
        raise ConfigError(
            f"measured_distribution: given {distribution!r}{did_you_mean(distribution, measured)}"
            if measured
            else "measured_distribution is given, but no table is of MoE layers"
        )


def nothing_fits(tables: MeasuredTables, wanted: Mapping[str, Shape | None], model: MoEModel) -> str:
    """Return the complaint about tables without any shape of a model: what was wanted and what is there."""
    there = ", ".join(f"{name} ({len(tables.shapes(name))} shapes)" for name in tables.operations)
    complaint = f"measured: {tables.source} has no kernel of {model.name} on this system; there are {there}"
    for name in tables.operations:
        shape = wanted.get(name)
        if shape is not None:
            return f"{complaint}; wanted {name} of {', '.join(f'{k} {v}' for k, v in shape.items())}{tables.nearest(name, shape)}"
    return complaint


def _dtype(model: MoEModel, part: str) -> str:
    name = getattr(model.precision, part).name
    return _DTYPES.get(name, name)
