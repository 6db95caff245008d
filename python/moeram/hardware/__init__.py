"""Hardware: what a system is made of, how expert work is lowered to rows, and the door to the cycle engine."""

from __future__ import annotations

from moeram.hardware.attention import AttentionTimes, AttentionWork, lower_attention, run_attention
from moeram.hardware.cycle import CycleOptions, StepTimes
from moeram.hardware.lowering import (
    NmpWork,
    layer_rows_by_tier,
    lower,
    require_near_memory,
    rows_by_tier,
    tokens_per_expert,
)
from moeram.hardware.memo import KernelMemo, MemoCounts, shared_memo
from moeram.hardware.row_swap import RowMoves, RowSwap, row_moves, row_swap
from moeram.hardware.spec import System, load_system, system_names
from moeram.hardware.stream import Stream, StreamMemory, StreamOptions, StreamTimes, run_streams

__all__ = [
    "AttentionTimes",
    "AttentionWork",
    "CycleOptions",
    "KernelMemo",
    "MemoCounts",
    "NmpWork",
    "RowMoves",
    "RowSwap",
    "StepTimes",
    "Stream",
    "StreamMemory",
    "StreamOptions",
    "StreamTimes",
    "System",
    "layer_rows_by_tier",
    "load_system",
    "lower",
    "lower_attention",
    "require_near_memory",
    "row_moves",
    "row_swap",
    "rows_by_tier",
    "run_attention",
    "run_streams",
    "shared_memo",
    "system_names",
    "tokens_per_expert",
]
