"""What work costs on a GPU: a roofline with stated efficiencies and a launch floor, or measured tables where they have the shape.

Roofline of a kernel: launch floor + max(bytes / (bandwidth * memory efficiency), operations / (peak * compute efficiency));
its bound is the same with both efficiencies 1 and no floor. Bytes and operations are those that the mathematics needs:
weights once, activations in and out once, two operations per multiply-accumulate. Experts are five kernels, which also write and read
what lies between them; their bound knows only what goes in and comes out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import ConfigError, did_you_mean
from moeram.hardware.cycle import load_core
from moeram.hardware.gpu import Gpu
from moeram.hardware.measured import MeasuredTables
from moeram.hardware.priced import Priced

BYTES_PER_ELEMENT = {"float16": 2.0, "bfloat16": 2.0, "fp8": 1.0, "int8": 1.0}
# Kernels of an MoE layer without fusion: gather and sort by expert, gate and up, activation, down, weighted sum.
MOE_KERNELS = 5


def expert_activations(hidden_size: int, intermediate_size: float) -> float:
    """Return the values that those kernels read and write for a token and expert, each kernel its own.

    The vector in; gate and up out and in; their product out and in; the result out and in.
    """
    return hidden_size + 4 * intermediate_size + 2 * intermediate_size + 2 * hidden_size


_EXTRAPOLATE = ("refuse", "label")


class GpuCost:
    """Prices of one GPU.

    tables: measured times that override the roofline where they have the exact shape. outside: what to do with sizes outside a
    table's range, "refuse" or "label" (continue and say so).
    """

    def __init__(
        self, gpu: Gpu, tables: MeasuredTables | None = None, *, outside: Literal["refuse", "label"] = "refuse"
    ) -> None:
        if outside not in _EXTRAPOLATE:
            raise ConfigError(f"outside: given {outside!r}{did_you_mean(outside, _EXTRAPOLATE)}")
        self.gpu = gpu
        self.tables = tables
        self.outside = outside

    def roofline(
        self,
        memory_bytes: ArrayLike,
        operations: ArrayLike,
        dtype: str,
        *,
        kernels: int = 1,
        least_bytes: ArrayLike | None = None,
    ) -> Priced:
        """Price work items [n] by bytes moved and operations done; least_bytes: that no kernel could save, for the bound."""
        gpu = self.gpu
        moved, done = np.broadcast_arrays(np.asarray(memory_bytes, float), np.asarray(operations, float))
        # Comparisons with nan are false.
        if not all(work.min(initial=0) >= 0 and work.max(initial=0) < math.inf for work in (moved, done)):
            raise ConfigError("bytes and operations must be finite and not negative")
        memory_ps, compute_ps = moved / gpu.bytes_per_ps, done / gpu.peak_flops_per_ps(dtype)
        busy_ps = np.maximum(memory_ps / gpu.memory_efficiency, compute_ps / gpu.compute_efficiency)
        floor_ps = kernels * gpu.launch_floor_us * 1e6
        least_ps = memory_ps if least_bytes is None else np.asarray(least_bytes, float) / gpu.bytes_per_ps
        return Priced(
            time_ps=np.ceil(busy_ps + floor_ps * (busy_ps > 0)).astype(np.int64),
            bound_ps=np.floor(np.maximum(least_ps, compute_ps)).astype(np.int64),
            fidelity="analytic",
        )

    def one(self, memory_bytes: float, operations: float, dtype: str, *, kernels: int = 1) -> tuple[int, int]:
        """Return time and bound (ps) of one work item, as `roofline` does of many."""
        gpu = self.gpu
        if not (0 <= memory_bytes < math.inf and 0 <= operations < math.inf):
            raise ConfigError("bytes and operations must be finite and not negative")
        memory_ps, compute_ps = memory_bytes / gpu.bytes_per_ps, operations / gpu.peak_flops_per_ps(dtype)
        busy_ps = max(memory_ps / gpu.memory_efficiency, compute_ps / gpu.compute_efficiency)
        floor_ps = kernels * gpu.launch_floor_us * 1e6 if busy_ps > 0 else 0.0
        return math.ceil(busy_ps + floor_ps), math.floor(max(memory_ps, compute_ps))

    def gemm(self, m: ArrayLike, n: int, k: int, dtype: str) -> Priced:
        """Price products [m, k] x [k, n] for an array of m."""
        rows = np.atleast_1d(np.asarray(m, dtype=float))
        moved = (k * n + rows * (k + n)) * _element_bytes(dtype)
        estimate = self.roofline(moved, 2.0 * rows * n * k, dtype)
        return self._measured_or("gemm", {"gemm_dtype": dtype, "n": n, "k": k}, estimate, rows)

    def experts(
        self,
        tokens: NDArray[np.integer],
        hidden_size: int,
        intermediate_size: int,
        dtype: str,
        *,
        kernels: int = MOE_KERNELS,
        expert_bytes: float | None = None,
    ) -> Priced:
        """Price grouped products of experts (gate, up, down) by roofline.

        Args:
            tokens: of each expert [..., experts]; the weights of experts without tokens are not read. expert_bytes: of one
                expert's weights, None: as wide as `dtype`.
        """
        all_tokens, used = load_core().row_totals(tokens)
        weights = 3.0 * hidden_size * intermediate_size
        stored = weights * _element_bytes(dtype) if expert_bytes is None else expert_bytes
        read, vector = used * stored, all_tokens * _element_bytes(dtype)
        moved = read + vector * expert_activations(hidden_size, intermediate_size)
        least = read + vector * 2 * hidden_size
        return self.roofline(moved, 2 * weights * all_tokens, dtype, kernels=kernels, least_bytes=least)

    def moe_layer(
        self,
        num_tokens: ArrayLike,
        distinct_experts: ArrayLike,
        *,
        hidden_size: int,
        intermediate_size: int,
        top_k: int,
        experts: int,
        dtype: str = "bfloat16",
        tensor_parallel: int = 1,
        expert_parallel: int = 1,
        distribution: str = "balanced",
    ) -> Priced:
        """Price whole MoE layers of one GPU: measured where the shape is, else by roofline of the distinct experts.

        Args:
            num_tokens: of the batch [n]. distinct_experts: experts on this GPU that some token uses [n], for the bound.
            distribution: of the tokens over the experts, a column of the measured tables.
        """
        rows = np.atleast_1d(np.asarray(num_tokens, dtype=float))
        width = intermediate_size / tensor_parallel
        weights = 3.0 * hidden_size * width
        pairs = rows * top_k / expert_parallel
        read, element = np.asarray(distinct_experts, float) * weights, _element_bytes(dtype)
        moved = (read + pairs * expert_activations(hidden_size, width)) * element
        least = (read + pairs * 2 * hidden_size) * element
        estimate = self.roofline(moved, 2 * weights * pairs, dtype, kernels=MOE_KERNELS, least_bytes=least)
        shape = {
            "moe_dtype": dtype, "hidden_size": hidden_size, "inter_size": intermediate_size, "topk": top_k,
            "num_experts": experts, "moe_tp_size": tensor_parallel, "moe_ep_size": expert_parallel, "distribution": distribution,
        }  # fmt: skip
        return self._measured_or("moe", shape, estimate, rows)

    def decode_attention(
        self,
        batch: ArrayLike,
        context_tokens: ArrayLike,
        *,
        heads: int,
        kv_heads: int,
        head_dim: int,
        dtype: str = "bfloat16",
    ) -> Priced:
        """Price attention of one new token for each of `batch` requests [n] with a mean context [n]."""
        requests, context = np.broadcast_arrays(
            np.atleast_1d(np.asarray(batch, float)), np.atleast_1d(np.asarray(context_tokens, float))
        )
        moved = requests * context * 2 * kv_heads * head_dim * _element_bytes(dtype)
        estimate = self.roofline(moved, 4 * requests * context * heads * head_dim, dtype)
        shape = _attention_shape(heads, kv_heads, head_dim, dtype)
        return self._measured_or("generation_attention", shape, estimate, context, requests)

    def prefill_attention(
        self,
        batch: ArrayLike,
        prompt_tokens: ArrayLike,
        *,
        heads: int,
        kv_heads: int,
        head_dim: int,
        dtype: str = "bfloat16",
    ) -> Priced:
        """Price causal attention over whole prompts [n] of `batch` requests each."""
        requests, prompt = np.broadcast_arrays(
            np.atleast_1d(np.asarray(batch, float)), np.atleast_1d(np.asarray(prompt_tokens, float))
        )
        moved = requests * prompt * 2 * (heads + kv_heads) * head_dim * _element_bytes(dtype)
        # A causal mask leaves half of the scores: (prompt + 1) / 2 keys on average.
        operations = 4 * requests * prompt * (prompt + 1) / 2 * heads * head_dim
        estimate = self.roofline(moved, operations, dtype)
        shape = _attention_shape(heads, kv_heads, head_dim, dtype)
        return self._measured_or("context_attention", shape, estimate, prompt, requests)

    def measures(self, operation: str, shape: Mapping[str, Any]) -> bool:
        """Return whether some table has this operation in exactly this shape."""
        return self.tables is not None and self.tables.has(operation, shape)

    def measured(self, operation: str, shape: Mapping[str, Any], bound_ps: ArrayLike, *sizes: ArrayLike) -> Priced:
        """Return measured times of n calls.

        Args:
            bound_ps: what the peaks allow [n]. sizes: one array [n] for each axis, from the inner to the outer.

        Raises:
            TraceError: no such shape, or a size outside the measured range while `outside` is "refuse".
        """
        if self.tables is None:
            raise ConfigError(f"no measured tables are given, {operation} was asked for")
        found = self.tables.time_ps(operation, shape, *sizes, extrapolate=self.outside == "label")
        return Priced(
            time_ps=found.time_ps,
            # A measured kernel may beat a bound that counts work it found in a cache; such a bound is none.
            bound_ps=np.minimum(np.asarray(bound_ps).astype(np.int64), found.time_ps),
            fidelity="measured, extrapolated" if found.extrapolated.any() else "measured",
        )

    def _measured_or(
        self, operation: str, shape: Mapping[str, Any], estimate: Priced, *sizes: NDArray[np.float64]
    ) -> Priced:
        return self.measured(operation, shape, estimate.bound_ps, *sizes) if self.measures(operation, shape) else estimate


def _attention_shape(heads: int, kv_heads: int, head_dim: int, dtype: str) -> dict[str, Any]:
    return {
        "num_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim, "attn_dtype": dtype,
        "kv_cache_dtype": dtype, "window_size": 0,
    }  # fmt: skip


def _element_bytes(dtype: str) -> float:
    if dtype not in BYTES_PER_ELEMENT:
        raise ConfigError(f"number format {dtype!r} is unknown{did_you_mean(dtype, BYTES_PER_ELEMENT)}")
    return BYTES_PER_ELEMENT[dtype]
