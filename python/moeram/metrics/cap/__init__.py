"""Cost, accuracy and performance of sparse models (docs/utilisation.md): utilisation that counts what the router chose, cost, radar."""

from __future__ import annotations

from moeram.metrics.cap.cost import CostOptions, cost_table
from moeram.metrics.cap.radar import radar_table
from moeram.metrics.cap.sparse import (
    activated_bytes,
    batch_table,
    cache_bytes,
    required_gb_per_s,
    s_mbu,
    s_mfu,
    token_operations,
    uniform_distinct_experts,
)
from moeram.metrics.cap.utilisation import s_mbu_table, s_mfu_table

__all__ = [
    "CostOptions", "activated_bytes", "batch_table", "cache_bytes", "cost_table", "radar_table", "required_gb_per_s", "s_mbu", "s_mbu_table", "s_mfu",
    "s_mfu_table", "token_operations", "uniform_distinct_experts",
]  # fmt: skip
