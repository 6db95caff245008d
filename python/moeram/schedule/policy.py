"""The contract of scheduling policies: who computes which expert in a step, given what a runtime would know.

Everything is planned at once for n independent decisions, one for each MoE layer and GPU. A policy decides only who computes; where
weights lie is the placement's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError

Times = NDArray[np.float64]  # picoseconds


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a policy sees of n decisions about E local experts each.

    tokens: int64 [n, E], 0 for experts that nobody chose; shared experts are not among them.
    gpu_memory_ps, gpu_compute_ps: [n, E], what each expert adds to the GPU's memory time (weights and intermediates over the
        bandwidth) and compute time; a grouped kernel takes the greater of the two sums.
    gpu_base_memory_ps, gpu_base_compute_ps: [n], what the GPU does in any case (projections, router, shared experts).
    memory_ps: [n, E], time of each expert on the memory side by a table measured in advance.
    memory_roofline_ps: [n, E], operations over the memory side's peak: what is known before anything was measured.
    attention_ps: [n], decode attention queued on the memory side. gpu_attention_ps: [n], the same on the GPU.
    comm_ps: [n], transfers between GPUs.
    memory_units: units that hold one expert each under expert parallelism inside the memory side; unit_of_expert: int64 [E].
    requests, tokens_per_request: of the batch (PAPI's RLP and TLP).
    """

    tokens: NDArray[np.int64]
    gpu_memory_ps: Times
    gpu_compute_ps: Times
    gpu_base_memory_ps: Times
    gpu_base_compute_ps: Times
    memory_ps: Times
    memory_roofline_ps: Times
    attention_ps: Times
    gpu_attention_ps: Times
    comm_ps: Times
    memory_units: int = 1
    unit_of_expert: NDArray[np.int64] | None = None
    requests: int = 1
    tokens_per_request: int = 1

    def __post_init__(self) -> None:
        n, experts = self.tokens.shape
        for name in ("gpu_memory_ps", "gpu_compute_ps", "memory_ps", "memory_roofline_ps"):
            _require(name, getattr(self, name), (n, experts))
        for name in ("gpu_base_memory_ps", "gpu_base_compute_ps", "attention_ps", "gpu_attention_ps", "comm_ps"):
            _require(name, getattr(self, name), (n,))

    @property
    def activated(self) -> NDArray[np.bool_]:
        """Which experts have tokens [n, E]."""
        return self.tokens > 0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Who computes what.

    on_memory: bool [n, E], experts that the memory side computes; the GPU computes the other activated ones.
    attention_on_memory: where decode attention runs. charged_ps: time that deciding takes, of each decision.
    """

    on_memory: NDArray[np.bool_]
    attention_on_memory: bool = True
    charged_ps: int = 0


class SchedulePolicy(Protocol):
    """One way to decide. `observe` tells it afterwards what the memory side really took."""

    name: str

    def plan(self, observation: Observation) -> Plan:
        """Return who computes what."""
        ...

    def observe(self, tokens: NDArray[np.int64], memory_ps: Times) -> None:
        """Take the measured times [m] of experts with `tokens` [m] that the memory side computed in this step."""
        ...


class Stateless:
    """A policy that learns nothing."""

    def observe(self, tokens: NDArray[np.int64], memory_ps: Times) -> None:
        """Forget it."""


def gpu_ps(observation: Observation, on_gpu: NDArray[np.bool_]) -> Times:
    """Return the GPU's time of each decision [n]: the greater of its memory and its compute time (sieve.md 3.3)."""
    memory = observation.gpu_base_memory_ps + np.where(on_gpu, observation.gpu_memory_ps, 0).sum(axis=1)
    compute = observation.gpu_base_compute_ps + np.where(on_gpu, observation.gpu_compute_ps, 0).sum(axis=1)
    return np.maximum(memory, compute)


def objective_ps(observation: Observation, on_memory: NDArray[np.bool_], memory_ps: Times) -> Times:
    """Return max(T_comm, T_GPU, T_memory) of each decision [n] with the given expert times (sieve.md 3.3)."""
    active = observation.activated
    gpu = gpu_ps(observation, active & ~on_memory)
    memory = observation.attention_ps + np.where(active & on_memory, memory_ps, 0).sum(axis=1)
    return np.maximum(observation.comm_ps, np.maximum(gpu, memory))


def _require(name: str, array: Times, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise EngineError(f"{name} of an observation has the shape {array.shape}, expected {shape}")
    # Comparisons with nan are false.
    if array.size and not (array.min() >= 0 and array.max() < np.inf):
        raise EngineError(f"{name} of an observation must be finite and not negative")
