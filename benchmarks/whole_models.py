"""The full decode steps that run.py times. Alone: one of them in this process, printed as JSON.

python benchmarks/whole_models.py olmoe [--reuse all|channels|none] [--routing FOLDER]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import moeram
from moeram.experiment import load, load_serving, run
from moeram.experiment.options import Experiment
from moeram.experiment.prepare import open_source
from moeram.experiment.serving import make_pricer
from moeram.hardware import Stream, StreamMemory, StreamOptions, run_streams, shared_memo, tokens_per_expert
from moeram.hardware.pim_programs import matrices_program, pseudochannel
from moeram.hardware.program_runs import play_turns
from moeram.model import load_model
from moeram.runs.provenance import peak_memory_bytes
from moeram.serving import Step
from moeram.serving.pricing.memory_times import EngineTimes
from moeram.serving.system import load_serving_system

BATCH = 16
SIEVE_CONTEXT = 1024
WEIGHTS = (
    "attention",
    "shared experts",
    "router",
    "norms",
    "head",
    "routed experts",
)  # each read once, wherever it is computed
SWITCHES = ("all", "channels", "none")


@dataclass(frozen=True, kw_only=True)
class Measured:
    """weight_bytes: read in the step. commands: DRAM commands of all chips or stacks. folded_share: None where nothing folds."""

    wall_s: float
    cpu_s: float
    weight_bytes: int
    commands: int
    step_us: float
    folded_share: float | None = None


def near_memory(name: str, routing: str | None = None, **values: Any) -> Callable[[Path | None, str], Measured]:
    """A step of one placement and one batch on a near-memory system."""

    def measure(folder: Path | None, reuse: str) -> Measured:
        source: dict[str, Any] = {"routing.source": "synthetic", "routing.path": None}
        if routing is not None and folder is not None:
            source = {"routing.source": "trace", "routing.path": folder / routing}
        values_now = {"batch": BATCH, "samples": 1, "placements": "topic_aware", **source, **values}
        values_now |= {"kernel_memo": reuse == "all", "reuse_experts": reuse == "all", "reuse_identical_channels": reuse != "none"}
        experiment = load(name, values=values_now)
        # One step: a batch of the first topic.
        topics = open_source(experiment.routing, load_model(experiment.model), experiment.seed, memo=reuse == "all").topics[:1]
        experiment = load(name, values={**values_now, "topics": topics})
        begin, cpu = time.perf_counter(), time.process_time()
        record = run(experiment)
        wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
        points = record["points"]
        return Measured(
            wall_s=wall_s,
            cpu_s=cpu_s,
            weight_bytes=int(points["weight_bytes"][0]),
            commands=sum(record.commands.values()) * record.resolved["system"]["chips"],
            step_us=float(points["step_time_us"][0]),
        )

    return measure


def gpu_memory(standard: str) -> StreamMemory:
    """Ten stacks of HBM3 as they stand around a GPU."""
    edition = standard.partition("@")[2]
    if edition == "2.1":
        return StreamMemory(
            standard=standard,
            organization="HBM3_16Gb_8hi",
            timing="HBM3_6400Mbps",
            sizes={"channel": 16},
            stacks=10,
            interleave="bankgroup",
        )
    return StreamMemory(
        standard=standard, organization="HBM3_8Gb", timing="HBM3_2Gbps", sizes={"channel": 16}, stacks=10
    )


def expert_streams(experiment: Experiment, memory: StreamMemory) -> list[Stream]:
    """The weights of the experts that one batch activates, layer after layer, as they lie one after the other."""
    model = load_model(experiment.model)
    source = open_source(experiment.routing, model, experiment.seed)
    draws = source.draw(0, BATCH, np.random.default_rng(experiment.seed))
    counts = tokens_per_expert(draws[None], model.experts)[0]
    layer, expert = np.nonzero(counts)
    # Each expert fills whole stripes over all channels (here 10 stacks x 16 channels x 32 bytes), at most one is padding.
    stripe = memory.stacks * memory.sizes["channel"] * 32
    size = -(-model.expert_bytes // stripe) * stripe
    return [Stream(base_bytes=int(index) * size, extent_bytes=size) for index in layer * model.experts + expert]


def mixtral_on_gpu(standard: str) -> Callable[[Path | None, str], Measured]:
    """Mixtral's activated experts read once over ten stacks."""

    def measure(folder: Path | None, reuse: str) -> Measured:
        values: dict[str, Any] = {"batch": BATCH, "samples": 1, "routing.source": "synthetic"}
        if folder is not None:
            values |= {"routing.source": "trace", "routing.path": folder / "mixtral-8x7b.npz"}
        experiment = load("mixtral_stratum_l", values=values)
        memory = gpu_memory(standard)
        options = StreamOptions(fold=reuse == "all", reuse_identical_channels=reuse != "none")
        begin, cpu = time.perf_counter(), time.process_time()
        times = run_streams(
            expert_streams(experiment, memory), memory, options, shared_memo() if reuse == "all" else None
        )
        wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
        return Measured(
            wall_s=wall_s,
            cpu_s=cpu_s,
            weight_bytes=times.total_bytes,
            commands=sum(times.total(times.commands).values()),
            step_us=times.time_ps / 1e6,
            folded_share=times.folded_share,
        )

    return measure


def sieve_on_b200(folder: Path | None, reuse: str) -> Measured:
    """A decode step of Qwen3.5 on eight GPUs whose memory computes: 16 requests on each, a context of 1024 tokens.

    reuse "channels": what the memory side does is also played command by command, on one pseudochannel of each GPU, and compared;
    "none": on every one of them.
    """
    wanted = load_serving("qwen3.5_sieve", values={"reuse": reuse == "all"})
    model, system = load_model(wanted.model), load_serving_system(wanted.system)
    source = open_source(wanted.routing, model, wanted.seed, memo=wanted.reuse)
    begin, cpu = time.perf_counter(), time.process_time()
    pricer = make_pricer(wanted, model, system, source)
    requests, none = np.arange(BATCH * system.gpus), np.zeros(0, dtype=np.int64)
    priced = pricer.price(
        Step(
            decode=requests,
            context_tokens=np.full(len(requests), SIEVE_CONTEXT),
            topic=np.zeros_like(requests),
            prefill=none,
            chunk_tokens=none,
            chunk_start=none,
            prefill_topic=none,
        )
    )
    if reuse != "all":
        play_every_command(pricer.memory_times, all_channels=reuse == "none")
    wall_s, cpu_s = time.perf_counter() - begin, time.process_time() - cpu
    return Measured(
        wall_s=wall_s,
        cpu_s=cpu_s,
        weight_bytes=sum(priced.moved_bytes[name] for name in priced.moved_bytes if name.split("/")[1] in WEIGHTS),
        commands=sum(pricer.memory_times.commands().values()),
        step_us=priced.time_ps / 1e6,
    )


def play_every_command(times: EngineTimes, *, all_channels: bool) -> None:
    """Play the last step on one pseudochannel of each GPU, or on all of them, without folding."""
    step, engine = times.last_step, times.engine
    memory = engine.memory
    programs = [(memory.phases(engine.model), int(tokens)) for tokens in step.chain_tokens]
    for kind, read in step.read_tokens.items():
        if read.any():
            (tokens,) = np.unique(read).tolist()
            cuts, turns = engine.attention_program(tokens, len(read) // len(step.chain_tokens))
            programs += [(cuts, turns * engine.model.layers_of_kind(kind))] * len(step.chain_tokens)
    for cuts, turns in programs * (memory.channels if all_channels else 1):
        played = play_turns(pseudochannel(memory), matrices_program(memory, cuts), most=turns, fold=False)
        if played["end_cycles"][-1] * memory.tck_ps != engine.chain(cuts).ps(turns):
            raise AssertionError(f"{turns} turns of {cuts} differ from their folded time")


CASES: dict[str, tuple[str, Callable[[Path | None, str], Measured]]] = {
    "olmoe": ("OLMoE on Stratum-S", near_memory("olmoe_stratum_s", "olmoe-1b-7b.npz")),
    "mixtral": ("Mixtral-8x7B on Stratum-L", near_memory("mixtral_stratum_l", "mixtral-8x7b.npz")),
    "scout": (
        "Llama-4-Scout on Stratum-XL",
        near_memory("quickstart", model="llama-4-scout", hardware="stratum_xl"),
    ),
    "sieve": ("Qwen3.5-397B on 8 x B200-PIM, Sieve", sieve_on_b200),
    "gpu": ("Mixtral-8x7B read by a GPU over 10 stacks of HBM3@2.1", mixtral_on_gpu("HBM3@2.1")),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--reuse", choices=SWITCHES, default="all")
    parser.add_argument("--routing", type=Path)
    parser.add_argument("--once", action="store_true", help="leave out the second run, for what takes minutes")
    arguments = parser.parse_args()
    _, measure = CASES[arguments.case]
    first = measure(arguments.routing, arguments.reuse)
    again = None if arguments.once else measure(arguments.routing, arguments.reuse)
    times = {"again_s": again and again.wall_s, "again_cpu_s": again and again.cpu_s}
    peak_mb = (peak_memory_bytes() or 0) / 1e6
    print(json.dumps({**first.__dict__, **times, "peak_mb": peak_mb, "version": moeram.__version__}))


if __name__ == "__main__":
    main()
