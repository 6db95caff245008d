"""Sieve's systems with its policies, under a setting of the assumptions: decode steps and mixed ones at one batch size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from moeram.errors import CapacityError
from moeram.hardware.gpu import Gpu
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.memo import shared_memo
from moeram.hardware.pim_engine import PimEngine
from moeram.hardware.pim_memory import PimMemory
from moeram.hardware.shared_memory import SharedMemory, SharingOptions
from moeram.model import MoEModel, Precision
from moeram.repro.measured import fitting as tables_fitting
from moeram.repro.measured import measured_parts, tables_of
from moeram.repro.routing import FixedTokens, decode_step, model_of, prompt_step
from moeram.repro.target import MEASURED, Found, Setting
from moeram.repro.targets import Ours
from moeram.routing import RoutingSource, SyntheticOptions, SyntheticRouting
from moeram.routing.synthetic import SIEVE_FITS
from moeram.schedule import Observation, Plan, SchedulePolicy, make_schedule
from moeram.serving.pricing import GpuPimPricer
from moeram.serving.step import Step
from moeram.serving.system import ServingSystem

MEMORY = ("lanes", "mac_spacing_cycles", "dual_row_buffer", "layout", "capacity_bytes", "attention_overhead")
SYSTEM = (
    *MEMORY, "moving_average", "interleaved", "context_tokens", "batch_scope", "qwen35_routing", "pimoe_layout", "latency_ns",
    "gpu_compute_efficiency", "gpu_memory_efficiency", "router_us", "dense", "dense_qwen35",
)  # fmt: skip
# Readings that change the time of a step; those of PIMoE's stacks are parameters.
READ = (MEASURED, "engine", "exclusive", "contended")
STEP_READINGS = ("pimoe_by_stack", *READ)
METHODS = ("sieve", "pimoe", "allexp", "noexp")
BATCHES = (4, 16, 32, 64, 128, 256)
# Steps before the one that counts: the cost table learns the counts of tokens that come back.
_WARM_UP = 2
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model of the paper with its GPUs. fit: of its routing."""

    key: str
    model: str
    gpus: int
    fit: str


CASES = {
    case.key: case
    for case in (
        Case(key="qwen35", model="qwen3.5-397b-a17b", gpus=8, fit="qwen3-next"),
        Case(key="gptoss", model="gpt-oss-120b", gpus=4, fit="gpt-oss"),
        Case(key="qwen3", model="qwen3-30b-a3b", gpus=1, fit="qwen3"),
    )
}


@lru_cache(maxsize=8)
def plain_model(name: str) -> MoEModel:
    """Return a model with 16-bit weights throughout, as the paper runs them (sieve.md 7)."""
    return replace(model_of(name), precision=Precision())


@lru_cache(maxsize=8)
def qwen3_next() -> MoEModel:
    """Return the shape of Qwen3-Next's experts (sieve.md 1, 7), of which only routing and expert times are asked."""
    return replace(
        plain_model("qwen3-30b-a3b"),
        name="qwen3-next",
        hidden_size=2048,
        expert_intermediate_size=512,
        experts=512,
        top_k=10,
    )


@lru_cache(maxsize=32)
def fitted(model: MoEModel, fit: str) -> RoutingSource:
    """Return the generator with a fit of the sheet, or with all experts alike ("uniform")."""
    if fit == "uniform":
        options = SyntheticOptions(popularity="uniform", topics=1, topic_sigma=(0.0,))
    else:
        options = SyntheticOptions(popularity="bimodal", topics=1, topic_sigma=(0.0,), **SIEVE_FITS[fit])
    return SyntheticRouting(model, options, seed=_SEED)


def source_of(case: Case, setting: Setting) -> RoutingSource:
    """Return a case's routing (X12)."""
    fit = setting["qwen35_routing"] if case.key == "qwen35" else case.fit
    return fitted(plain_model(case.model), fit)


class Watched:
    """A policy whose latest decisions can be looked at."""

    def __init__(self, policy: SchedulePolicy) -> None:
        self.policy, self.name = policy, policy.name
        self.seen: tuple[Observation, Plan] | None = None

    def plan(self, observation: Observation) -> Plan:
        """Decide as the policy does."""
        plan = self.policy.plan(observation)
        self.seen = (observation, plan)
        return plan

    def observe(self, tokens: Any, memory_ps: Any) -> None:
        """Hand on what the memory took."""
        self.policy.observe(tokens, memory_ps)


def schedule(method: str, setting: Setting) -> Watched:
    """Return a fresh policy by the paper's name."""
    if method == "sieve":
        options = {"moving_average": setting.config("schedule/sieve").moving_average}
        return Watched(make_schedule("sieve", options))
    if method == "pimoe":
        return Watched(make_schedule("pimoe", {"layout": setting["pimoe_layout"]}))
    return Watched(make_schedule({"allexp": "all_experts", "noexp": "no_experts"}[method]))


def pricer(case: Case, setting: Setting, policy: Watched, *, expert_layout: bool = False) -> GpuPimPricer:
    """Return the system of a case with a policy; expert_layout: one stack holds an expert (X13b)."""
    system: ServingSystem = setting.config(f"systems/b200_pim_x{case.gpus}")
    memory: PimMemory = setting.config("memories/hbm3e_pim")
    gpu: Gpu = system.one_gpu()
    layout = {"memory_layout": "expert" if expert_layout else "tensor", "exclusive": setting.reading == "exclusive"}
    options = system.gpu_pim.model_copy(update=layout)
    routed: Any = FixedTokens(source_of(case, setting), seed=_SEED)
    model, tables = plain_model(case.model), tables_of(setting, gpu.name)
    engine = PimEngine(memory, model, shared_memo()) if setting.reading == "engine" else None
    slowdowns = None
    if setting.reading == "contended":
        slowdowns = SharedMemory(memory, model, SharingOptions(), shared_memo()).slowdowns()
    with tables_fitting(tables, model.name):
        return GpuPimPricer(
            model, GpuCost(gpu, tables, outside="label"), memory, system.network(), routed, policy, options,
            engine=engine, slowdowns=slowdowns,
        )  # fmt: skip


def step_of(case: Case, setting: Setting, batch: int, *, prompts: int = 0) -> Step:
    """Return the step of a batch (X10), with prompts of the mean context beside it if asked for (X9)."""
    requests = batch * (case.gpus if setting["batch_scope"] == "per_gpu" else 1)
    context = setting["context_tokens"]
    if prompts:
        return prompt_step(prompts, context, decode=requests, context_tokens=context)
    return decode_step(requests, context)


@lru_cache(maxsize=8192)
def _priced_ps(case: str, setting: Setting, method: str, batch: int, prompts: int) -> int:
    one, policy = CASES[case], schedule(method, setting)
    machine = pricer(one, setting, policy, expert_layout=method == "pimoe" and setting["pimoe_layout"] == "expert")
    step = step_of(one, setting, batch, prompts=prompts)
    needed = len(step.decode) * setting["context_tokens"]
    if needed > machine.kv_capacity_tokens:
        raise CapacityError(f"{case}: caches of {needed} tokens, the memory holds {machine.kv_capacity_tokens}")
    for _ in range(_WARM_UP if method == "sieve" else 0):
        machine.price(step)
    return machine.price(step).time_ps


def time_ps(setting: Setting, case: str, method: str, batch: int, *, prompts: int = 0) -> int:
    """Return the time of a step under a method.

    Raises:
        CapacityError: the batch's caches do not fit.
    """
    return _priced_ps(case, setting.only(*SYSTEM, *READ), method, batch, prompts)


@lru_cache(maxsize=1024)
def _capacity_tokens(case: str, setting: Setting) -> int:
    return pricer(CASES[case], setting, schedule("noexp", setting)).kv_capacity_tokens


def fitting(setting: Setting, case: str) -> tuple[int, ...]:
    """Return the batch sizes whose caches fit."""
    room, one = _capacity_tokens(case, setting.only(*SYSTEM)), CASES[case]
    return tuple(
        batch for batch in BATCHES if len(step_of(one, setting, batch).decode) * setting["context_tokens"] <= room
    )


def over(setting: Setting, case: str, other: str, batch: int, *, prompts: int = 0) -> float:
    """Return Sieve's throughput, and interactivity, over another method's at a batch size.

    Raises:
        CapacityError: the batch's caches do not fit.
    """
    mine = time_ps(setting, case, "sieve", batch, prompts=prompts)
    return time_ps(setting, case, other, batch, prompts=prompts) / mine


def over_best(setting: Setting, case: str, batch: int) -> float:
    """Return Sieve's throughput over the best other method's at a batch size."""
    return min(over(setting, case, other, batch) for other in METHODS[1:])


def found(setting: Setting, case: str, ours: Ours) -> Found:
    """Return ours of a case's steps; where GPUs are measured, with the kernels that the tables have of the model."""
    return Found(ours=ours, reason=_measured_parts(case, setting) if setting.reading == MEASURED else "")


@lru_cache(maxsize=8)
def _measured_parts(case: str, setting: Setting) -> str:
    """Return which times of a case's GPUs are measured; tables answer for their own choice of experts, whatever the routing."""
    machine = pricer(CASES[case], setting, schedule("sieve", setting))
    machine.price(step_of(CASES[case], setting, max(fitting(setting, case))))
    return f"{case}: {measured_parts(machine.origins)}"


def both_readings(setting: Setting, case: str) -> dict[str, float | str]:
    """Return Sieve over PIMoE by batch in both readings of PIMoE's channels (X13)."""
    found: dict[str, float | str] = {}
    for reading in ("tensor", "expert"):
        one = setting.changed_to(pimoe_layout=reading)
        found |= {f"PIMoE {reading}, batch {batch}": over(one, case, "pimoe", batch) for batch in fitting(one, case)}
    return found
