"""Sparse utilisation of one batch as closed forms (moe_cap.md 2.1 to 2.5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import ConfigError
from moeram.metrics.table import Table
from moeram.model import MoEModel

# Parts of a model that count beside the routed experts: no router, norms, embedding or head (moe_cap.md 2.3).
_COUNTED_BYTES = ("attention", "shared", "dense")
_COUNTED_OPERATIONS = (*_COUNTED_BYTES, "router")


def activated_bytes(model: MoEModel, distinct_experts: ArrayLike) -> int:
    """Return S_activated of equation 4: weights that a batch reads at least once.

    Args:
        distinct_experts: routed experts that some token uses, of each MoE layer [layers], or one mean for all.

    Raises:
        ConfigError: numbers that are negative or more than the model's experts.
    """
    layers = len(model.moe_layers)
    distinct = np.broadcast_to(np.asarray(distinct_experts, dtype=float), layers)
    if layers and not (np.isfinite(distinct).all() and distinct.min() >= 0 and distinct.max() <= model.experts):
        raise ConfigError(f"distinct_experts: given {distinct_experts}, allowed: 0 to {model.experts} in each layer")
    always = sum(m.count * model.matrix_bytes(m) for m in model.matrices if m.part in _COUNTED_BYTES)
    return round(always + distinct.sum() * model.expert_bytes)


def cache_bytes(model: MoEModel, context_tokens: Sequence[int] | NDArray[np.int64]) -> int:
    """Return S_KV: keys and values that one new token of each request reads."""
    return sum(model.kv_read_bytes(int(tokens)) for tokens in context_tokens)


def s_mbu(counted_bytes: float, seconds: float, peak_gb_per_s: float) -> float:
    """Return sparse memory bandwidth utilisation: (S_activated + S_KV) / time / peak.

    Raises:
        ConfigError: no time, no peak, or more than the peak.
    """
    return _share(counted_bytes / 1e9, seconds, peak_gb_per_s, "GB/s")


def token_operations(model: MoEModel, context_tokens: int) -> int:
    """Return S-F_token of equation 5: operations of one token, scores and values included."""
    dense = sum(m.used * m.parameters for m in model.matrices if m.part in _COUNTED_OPERATIONS)
    routed = model.top_k * len(model.moe_layers) * model.expert_parameters
    latent = model.attention.latent
    per_key = (
        2 * model.heads * (2 * latent.kv_rank + latent.rope_head_dim) if latent else 4 * model.heads * model.head_dim
    )
    keys = model.kv_read_bytes(context_tokens) // model.kv_layer_bytes if model.kv_layer_bytes else 0
    return 2 * (dense + routed) + per_key * keys


def s_mfu(model: MoEModel, tokens_per_s: float, context_tokens: int, peak_tflops: float) -> float:
    """Return sparse model FLOPS utilisation, equation 5; the peak is dense.

    Raises:
        ConfigError: no peak, or more than the peak.
    """
    return _share(tokens_per_s * token_operations(model, context_tokens) / 1e12, 1.0, peak_tflops, "TFLOPS")


def required_gb_per_s(counted_bytes: float, seconds_per_token: float, utilisation: float) -> float:
    """Return the bandwidth that a system must have for a time per token at a given utilisation (equation 7).

    Raises:
        ConfigError: a utilisation outside 0 to 1, or no time.
    """
    if not (0 < utilisation <= 1 and seconds_per_token > 0):
        raise ConfigError(f"utilisation {utilisation} at {seconds_per_token} s: allowed: 0 to 1, more than 0 s")
    return counted_bytes / seconds_per_token / utilisation / 1e9


def uniform_distinct_experts(model: MoEModel, batch: int) -> float:
    """Return the expected distinct experts of a layer if every token chose uniformly: E (1 - (1 - k / E)^batch)."""
    return model.experts * (1 - (1 - model.top_k / model.experts) ** batch) if model.experts else 0.0


def batch_table(
    model: MoEModel,
    *,
    requests: int,
    context_tokens: int,
    distinct_experts: float | None = None,
    step_ms: float | None = None,
    peak_gb_per_s: float | None = None,
) -> Table:
    """Return a table of one row: what a decode step of equal requests must read, and the utilisation if its time is known.

    Args:
        distinct_experts: of a layer, None: as if every token chose uniformly.

    Raises:
        ConfigError: experts out of range or of a model without any, or more than the peak.
    """
    if distinct_experts is not None and not model.moe_layers:
        raise ConfigError(f"distinct_experts: given {distinct_experts:g}, but {model.name} has no routed experts; leave it out")
    least, most = model.top_k, min(model.experts, requests * model.top_k)
    if distinct_experts is not None and not least <= distinct_experts <= most:
        raise ConfigError(
            f"distinct_experts: given {distinct_experts:g}, allowed: {least} to {most}, which {requests} requests with top {least} can use"
        )
    distinct = uniform_distinct_experts(model, requests) if distinct_experts is None else distinct_experts
    weights, cache = activated_bytes(model, distinct), cache_bytes(model, [context_tokens] * requests)
    row: dict[str, float | str] = {
        "model": model.name, "requests": requests, "distinct_experts": distinct, "activated_bytes": weights, "cache_bytes": cache,
        "counted_bytes": weights + cache,
    }  # fmt: skip
    if step_ms is not None and peak_gb_per_s is not None:
        row |= {
            "needed_gb_per_s": required_gb_per_s(weights + cache, step_ms * 1e-3, 1.0),
            "s_mbu": s_mbu(weights + cache, step_ms * 1e-3, peak_gb_per_s),
        }
    return Table.from_rows("batch", [row], list(row))


def _share(amount: float, seconds: float, peak: float, unit: str) -> float:
    if not (seconds > 0 and peak > 0 and np.isfinite(amount)):
        raise ConfigError(f"{amount} in {seconds} s at a peak of {peak} {unit}: time and peak must be positive")
    share = amount / seconds / peak
    if share > 1:
        raise ConfigError(f"{amount / seconds:g} {unit} are more than the peak of {peak:g} {unit}: inputs contradict")
    return share
