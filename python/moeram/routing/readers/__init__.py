"""Readers of recorded routing, one file per format; ``READERS`` is the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True)
class Reader:
    """One format.

    Args:
        what: The files, in words for messages.
        open: (path, shape) -> recording; it may look at the start of the data, the rest is read chunk by chunk.
    """

    what: str
    open: Callable[[Path, TraceShape], Recording]


READERS: dict[str, Reader] = {
    "canonical": Reader(what="a .parquet file of `moeram routing convert`", open=trace_canonical),
    "layer_lists": Reader(what="a .json[.gz] file {layer: [[ids] per token]} per topic", open=trace_layer_lists),
    "selections": Reader(
        what="requests [step, ...] as .json[.gz], a folder of them per subject, or a .tar.gz", open=trace_selections
    ),
    "vllm": Reader(what="responses with routed_experts as .json[.gz] or .jsonl[.gz]", open=trace_vllm),
    "sglang_stat": Reader(what="a .pt dump of SGLang's recorder, mode stat", open=counts_stat),
    "sglang_per_pass": Reader(what=".pt dumps of mode per_pass, one per rank", open=counts_per_pass),
    "sglang_per_token": Reader(what=".pt dumps of mode per_token, one per rank", open=trace_per_token),
    "json_lines": Reader(what=".jsonl[.gz] with req_id, token_idx, layer, topk_ids", open=trace_json_lines),
    "moe_cap": Reader(what=".jsonl[.gz] expert records of MoE-CAP", open=passes_moe_cap),
    "llama_cpp": Reader(what="a .csv[.gz] with the header layer,expert", open=trace_llama_cpp),
    "dynande": Reader(what="a .csv[.gz] with the header layer_id,token_id,expert_0,...", open=trace_dynande),
    "flame_moe": Reader(what=".parquet with scores and indices, a file per layer", open=trace_flame_moe),
    "eplb": Reader(what="a .npy weight matrix [layers, experts]", open=counts_eplb),
    "counts": Reader(what="a .npz archive of counts", open=counts_npz),
}

__all__ = ["READERS", "Reader", "read_counts", "read_layer_lists", "read_selections"]
