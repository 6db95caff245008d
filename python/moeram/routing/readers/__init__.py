"""Readers of recorded routing, one file per format; ``READERS`` is the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from moeram.routing.readers.canonical import trace_canonical
from moeram.routing.readers.counts_npz import counts_npz, read_counts
from moeram.routing.readers.dynande import trace_dynande
from moeram.routing.readers.eplb import counts_eplb
from moeram.routing.readers.flame_moe import trace_flame_moe
from moeram.routing.readers.json_lines import trace_json_lines
from moeram.routing.readers.layer_lists import read_layer_lists, trace_layer_lists
from moeram.routing.readers.llama_cpp import trace_llama_cpp
from moeram.routing.readers.moe_cap import passes_moe_cap
from moeram.routing.readers.selections import read_selections, trace_selections
from moeram.routing.readers.sglang import counts_per_pass, counts_stat, trace_per_token
from moeram.routing.readers.vllm import trace_vllm
from moeram.routing.recording import Recording
from moeram.routing.shape import TraceShape

# (path, shape) -> recording; it may look at the start of the data, the rest is read chunk by chunk.
Reader = Callable[[Path, TraceShape], Recording]

READERS: dict[str, Reader] = {
    "canonical": trace_canonical,
    "layer_lists": trace_layer_lists,
    "selections": trace_selections,
    "vllm": trace_vllm,
    "sglang_stat": counts_stat,
    "sglang_per_pass": counts_per_pass,
    "sglang_per_token": trace_per_token,
    "json_lines": trace_json_lines,
    "moe_cap": passes_moe_cap,
    "llama_cpp": trace_llama_cpp,
    "dynande": trace_dynande,
    "flame_moe": trace_flame_moe,
    "eplb": counts_eplb,
    "counts": counts_npz,
}

__all__ = ["READERS", "Reader", "read_counts", "read_layer_lists", "read_selections"]
