"""From tokens' experts and rows to the near-memory work of each layer, without a Python loop over tokens or experts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError
from moeram.model import MoEModel


@dataclass(frozen=True, kw_only=True)
class NmpWork:
    """Experts to run, layer by layer; each layer starts with a drained unit.

    layer_begin: int64 [L + 1], entries layer_begin[i] to layer_begin[i + 1] belong to layer i. expert, first_row,
    tokens: int32 [X], in order of execution. Routed experts are numbered 0 to experts - 1, shared ones from experts on.
    batch: tokens of the step.
    """

    layer_begin: NDArray[np.int64]
    expert: NDArray[np.int32]
    first_row: NDArray[np.int32]
    tokens: NDArray[np.int32]
    batch: int

    @property
    def layers(self) -> int:
        """Number of layers, of all draws together."""
        return len(self.layer_begin) - 1


def require_near_memory(model: MoEModel) -> None:
    """Refuse models whose experts the near-memory units cannot run as they are modelled.

    Raises:
        ConfigError: No experts; shared experts of another width or format than the routed ones; experts with scales
            beside their weights.
    """
    if not model.moe_layers:
        raise ConfigError(f"model {model.name}: a dense model; near-memory units here run experts only")
    routed, stored = model.expert_intermediate_size, model.precision.experts
    if model.shared_experts and model.shared_intermediate_size != routed:
        raise ConfigError(
            f"model {model.name}: shared experts of width {model.shared_intermediate_size} beside routed ones of {routed}; "
            "near-memory units here run equal widths only"
        )
    if model.shared_experts and model.precision.shared != stored:
        raise ConfigError(
            f"model {model.name}: shared experts are {model.precision.shared.name}, routed ones {stored.name}; "
            "near-memory units here run equal formats only"
        )
    if stored.scale_bits:
        raise ConfigError(
            f"model {model.name}: experts are {stored.name}; near-memory units here run weights without scales "
            "only (bf16, fp16, fp32, fp8, int2 to int8): take a model file that `extends` this one with another precision"
        )


def tokens_per_expert(draws: NDArray[np.integer], experts: int) -> NDArray[np.int64]:
    """Count the tokens of each routed expert: draws [D, batch, layers, top_k] to [D, layers, experts]."""
    count, batch, layers, top_k = draws.shape
    group = np.arange(count)[:, None, None, None] * layers + np.arange(layers)[None, None, :, None]
    counts = np.bincount((group * experts + draws).ravel(), minlength=count * layers * experts)
    assert counts.sum() == count * batch * layers * top_k and len(counts) == count * layers * experts, (
        "expert id out of range"
    )
    return counts.reshape(count, layers, experts)


def lower(first_row: NDArray[np.int32], draws: NDArray[np.integer], *, shared_experts: int = 0) -> NmpWork:
    """Lower the draws of one batch size to work; layer i of draw d becomes layer d * layers + i.

    Args:
        first_row: [layers, experts + shared_experts] or, where each draw has its own plan, [D, layers, experts +
            shared_experts].
        draws: routed expert ids [D, batch, layers, top_k], distinct in each row.
        shared_experts: how many of the last columns of first_row are experts that every token uses.

    Returns:
        Only experts with at least one token; in each layer the shared experts first, then the routed ones by ascending
        id.
    """
    count, batch, layers, _ = draws.shape
    experts = first_row.shape[-1] - shared_experts
    counts = np.full((count, layers, experts + shared_experts), batch, dtype=np.int64)
    counts[..., :experts] = tokens_per_expert(draws, experts)
    rows = np.broadcast_to(first_row, counts.shape)
    columns = experts + shared_experts
    return lower_counts(
        rows.reshape(-1, columns), counts.reshape(-1, columns), batch=batch, shared_experts=shared_experts
    )


def execution_order(columns: int, shared_experts: int) -> NDArray[np.int64]:
    """Return the columns of experts in the order in which a layer runs them: shared ones first, then by ascending id."""
    routed = columns - shared_experts
    return np.concatenate([np.arange(routed, columns), np.arange(routed)])


def lower_counts(
    first_row: NDArray[np.integer], counts: NDArray[np.integer], *, batch: int, shared_experts: int = 0
) -> NmpWork:
    """Lower the tokens of each expert to work.

    Args:
        first_row, counts: of each layer and expert [L, experts + shared_experts]; those without tokens do not run.
    """
    order = execution_order(counts.shape[1], shared_experts)
    ordered = counts[:, order]
    layer, place = np.nonzero(ordered)
    begin = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(np.count_nonzero(ordered, axis=1), out=begin[1:])
    return NmpWork(
        layer_begin=begin,
        expert=order[place].astype(np.int32),
        first_row=first_row[layer, order[place]].astype(np.int32),
        tokens=ordered[layer, place].astype(np.int32),
        batch=batch,
    )


def rows_by_tier(
    first_row: NDArray[np.integer], rows_per_expert: int, tier_rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the rows of the intervals [first_row, first_row + rows_per_expert) in each tier: shape [..., tiers].

    tier_rows: [tiers + 1], the first row of each tier, then the end of the last (`Device.tier_rows`).
    """
    first = np.asarray(first_row, dtype=np.int64)[..., None]
    return np.clip(np.minimum(first + rows_per_expert, tier_rows[1:]) - np.maximum(first, tier_rows[:-1]), 0, None)


def layer_rows_by_tier(work: NmpWork, rows_per_expert: int, tier_rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows that each layer reads from each tier in every bank: shape [L, tiers]."""
    per_expert = rows_by_tier(work.first_row, rows_per_expert, tier_rows)
    total = np.zeros((len(per_expert) + 1, len(tier_rows) - 1), dtype=np.int64)
    np.cumsum(per_expert, axis=0, out=total[1:])
    return total[work.layer_begin[1:]] - total[work.layer_begin[:-1]]
