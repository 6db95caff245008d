"""How fast recorded routing is read and summarised, in million selections per second of CPU time.

    python benchmarks/routing_speed.py [--selections 8e6]

One synthetic trace (OLMoE's shape: 16 layers, 64 experts, top-8; and Llama-4's: 24 layers, 128 experts, top-1) is written
in each format and read back: `read` parses and checks every token, `read + summarise` makes all statistics as well. The
aim is 5 million selections per second and core. JSON lines and DynaNDE's CSV spend 60 to 1200 bytes on a row of one token
and layer, so with one selection a row they are bound by their parser; they are measured on shorter traces.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from moeram.routing import (
    GeneratorOptions,
    RoutingTrace,
    TraceShape,
    open_tokens,
    summarise,
    synthetic_trace,
    write_trace,
)

OLMOE = TraceShape(name="olmoe shape", layers=16, moe_layers=tuple(range(16)), experts=64, top_k=8)
LLAMA = TraceShape(name="llama-4 shape", layers=48, moe_layers=tuple(range(1, 48, 2)), experts=128, top_k=1)
TOKENS = 128


def trace_of(shape: TraceShape, selections: float) -> RoutingTrace:
    """A synthetic trace of about so many selections."""
    requests = max(round(selections / (TOKENS * len(shape.moe_layers) * shape.top_k)), 2)
    return synthetic_trace(shape, GeneratorOptions(requests=requests, decode_tokens=TOKENS, repeat=0.3))


def requests_of(trace: RoutingTrace) -> Iterator[np.ndarray]:
    """Experts of each request, [tokens, layers, top_k]."""
    for chunk in trace.chunks():
        yield from np.split(chunk.experts, np.flatnonzero(np.diff(chunk.request)) + 1)


def write_canonical(trace: RoutingTrace, folder: Path) -> Path:
    """The canonical file."""
    write_trace(trace, folder / "t.parquet")
    return folder / "t.parquet"


def write_flame(trace: RoutingTrace, folder: Path) -> Path:
    """FLAME-MoE: a Parquet file per layer."""
    ids = np.concatenate(list(requests_of(trace)))
    for i, layer in enumerate(trace.layers):
        rows = pa.FixedSizeListArray.from_arrays(pa.array(ids[:, i].ravel()), ids.shape[2]).cast(pa.list_(pa.int16()))
        scores = pa.FixedSizeListArray.from_arrays(pa.array(np.full(ids[:, i].size, 0.1, np.float32)), ids.shape[2])
        pq.write_table(
            pa.table({"scores": scores.cast(pa.list_(pa.float32())), "indices": rows}), folder / f"layer{layer}.parquet"
        )
    return folder


def write_llama_cpp(trace: RoutingTrace, folder: Path) -> Path:
    """llama.cpp: a row per selection."""
    layers = np.repeat(trace.layers, trace.shape.top_k)
    with (folder / "t.csv").open("w") as stream:
        stream.write("layer,expert\n")
        for ids in requests_of(trace):
            rows = np.stack([np.tile(layers, len(ids)), ids.ravel()], axis=1)
            np.savetxt(stream, rows, fmt="%d", delimiter=",")
    return folder / "t.csv"


def write_dynande(trace: RoutingTrace, folder: Path) -> Path:
    """DynaNDE: a gate of each expert per token, a file per layer."""
    ids = np.concatenate(list(requests_of(trace)))
    header = "layer_id,token_id," + ",".join(f"expert_{expert}" for expert in range(trace.shape.experts))
    for i, layer in enumerate(trace.layers):
        gates = np.full((len(ids), trace.shape.experts), "0.000000")
        np.put_along_axis(gates, ids[:, i].astype(int), "0.123456", axis=1)
        lines = (f"0,{token}," + ",".join(row) for token, row in enumerate(gates.tolist()))
        (folder / f"m_layer{layer}_t.csv").write_text("\n".join([header, *lines, ""]))
    return folder


def write_json_lines(trace: RoutingTrace, folder: Path) -> Path:
    """JSON lines: an object per token and layer."""
    with (folder / "t.jsonl").open("w") as stream:
        for number, ids in enumerate(requests_of(trace)):
            for token, rows in enumerate(ids.tolist()):
                for layer, row in zip(trace.layers, rows, strict=True):
                    line = {"req_id": number, "token_idx": token, "layer": layer, "topk_ids": row}
                    stream.write(json.dumps(line) + "\n")
    return folder / "t.jsonl"


def write_selections(trace: RoutingTrace, folder: Path) -> Path:
    """Selection traces: a JSON file per request."""
    index = {layer: i for i, layer in enumerate(trace.layers)}
    (folder / "subject").mkdir()
    for number, ids in enumerate(requests_of(trace)):
        steps = [
            {
                str(layer): [row[index[layer]].tolist()] if layer in index else None
                for layer in range(trace.shape.layers)
            }
            for row in ids
        ]
        (folder / "subject" / f"{number}.json").write_text(json.dumps(steps, separators=(",", ":")))
    return folder


def write_layer_lists(trace: RoutingTrace, folder: Path) -> Path:
    """HD-MoE: one JSON object per topic."""
    ids = np.concatenate(list(requests_of(trace)))
    table = {str(layer): ids[:, i].tolist() for i, layer in enumerate(trace.layers)}
    (folder / "topic.json").write_text(json.dumps(table))
    return folder


def write_vllm(trace: RoutingTrace, folder: Path) -> Path:
    """vLLM: a response per line, arrays as lists."""
    with (folder / "t.jsonl").open("w") as stream:
        for ids in requests_of(trace):
            stream.write(json.dumps({"choices": [{"routed_experts": ids.tolist()}]}) + "\n")
    return folder / "t.jsonl"


COLUMNAR: dict[str, Callable[[RoutingTrace, Path], Path]] = {"canonical": write_canonical, "flame_moe": write_flame}
TEXT: dict[str, Callable[[RoutingTrace, Path], Path]] = {
    "llama_cpp": write_llama_cpp,
    "layer_lists": write_layer_lists,
    "vllm": write_vllm,
    "selections": write_selections,
    "json_lines": write_json_lines,
    "dynande": write_dynande,
}
PART = {"json_lines": 0.5, "dynande": 0.06}  # of the selections


def timed(action: Callable[[], object]) -> float:
    """Seconds of CPU time of all threads, so that neither threads nor other programs on the machine change the speed."""
    cpu = time.process_time()
    action()
    return time.process_time() - cpu


def main() -> None:
    """Print one row per shape and format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--selections", type=float, default=8e6, help=f"of most formats; less of {' and '.join(PART)}")
    arguments = parser.parse_args()
    print("| shape | format | selections | file MB | read, M/s | read + summarise, M/s |\n| --- " + "| ---: " * 5 + "|")
    for shape in (OLMOE, LLAMA):
        for name, write in (COLUMNAR | TEXT).items():
            trace = trace_of(shape, arguments.selections * PART.get(name, 1))
            with tempfile.TemporaryDirectory() as folder:
                path = write(trace, Path(folder))
                size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
                recorded = open_tokens(path, shape)
                assert recorded.format == name
                count = sum(chunk.experts.size for chunk in recorded.chunks())
                read = timed(lambda path=path, shape=shape: sum(map(len, open_tokens(path, shape).chunks())))
                both = timed(lambda path=path, shape=shape: summarise(open_tokens(path, shape)))
            speed = f"{count / read / 1e6:.2f} | {count / both / 1e6:.2f}"
            print(f"| {shape.name} | {name} | {count} | {size / 1e6:.1f} | {speed} |", flush=True)


if __name__ == "__main__":
    main()
