"""The contract of scheduling policies: who computes which expert in a step, given what a runtime would know.

Everything is planned at once for n independent decisions, one for each MoE layer and GPU. A policy decides only who computes; where
weights lie is the placement's business. All experts of a model have one shape, so what one costs depends on its tokens alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError
from moeram.schedule.groups import Rows, Tables, TokenGroups

Times = NDArray[np.float64]  # picoseconds


@dataclass(frozen=True, kw_only=True)
class ExpertCosts:
    """What an expert costs by its tokens: [T] each, entry t of an expert with t tokens.

    gpu_memory_ps, gpu_compute_ps: what it adds to the GPU's memory time (weights and intermediates over the bandwidth) and compute
        time; a grouped kernel takes the greater of the two sums.
    memory_ps: its time on the memory side by a table measured in advance.
    memory_roofline_ps: operations over the memory side's peak: what is known before anything was measured.
    """

    gpu_memory_ps: Times
    gpu_compute_ps: Times
    memory_ps: Times
    memory_roofline_ps: Times

    @property
    def tables(self) -> Tables:
        """Times on the GPU, and on the memory side by the table measured in advance, as `TokenGroups` takes them."""
        return self.gpu_memory_ps, self.gpu_compute_ps, self.memory_ps

    def __post_init__(self) -> None:
        for one in fields(self):
            _require(one.name, getattr(self, one.name), self.gpu_memory_ps.shape)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What a policy sees of n decisions about E local experts each.

    tokens: int64 [n, E], 0 for experts that nobody chose; shared experts are not among them.
    costs: of an expert, for all token counts that occur.
    gpu_base_memory_ps, gpu_base_compute_ps: [n], what the GPU does in any case (projections, router, shared experts).
    attention_ps: [n], decode attention queued on the memory side. gpu_attention_ps: [n], the same on the GPU.
    comm_ps: [n], transfers between GPUs.
    memory_units: units that hold one expert each under expert parallelism inside the memory side; unit_of_expert: int64 [E].
    requests, tokens_per_request: of the batch (PAPI's RLP and TLP). known_groups: of `tokens`, where somebody has them.
    """

    tokens: NDArray[np.int64]
    costs: ExpertCosts
    gpu_base_memory_ps: Times
    gpu_base_compute_ps: Times
    attention_ps: Times
    gpu_attention_ps: Times
    comm_ps: Times
    memory_units: int = 1
    unit_of_expert: NDArray[np.int64] | None = None
    requests: int = 1
    tokens_per_request: int = 1
    known_groups: TokenGroups | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = ("gpu_base_memory_ps", "gpu_base_compute_ps", "attention_ps", "gpu_attention_ps", "comm_ps")
        arrays = [getattr(self, name) for name in names]
        shape = self.tokens.shape[:1]
        if not _all_fine(arrays, shape):
            for name, array in zip(names, arrays, strict=True):
                _require(name, array, shape)
        if self.token_counts > len(self.costs.memory_ps):
            raise EngineError(
                f"costs of an observation end at {len(self.costs.memory_ps) - 1} tokens, an expert has {self.token_counts - 1}"
            )

    @cached_property
    def token_counts(self) -> int:
        """T: one more than the most tokens of an expert."""
        return self.groups.most + 1

    @cached_property
    def activated(self) -> NDArray[np.bool_]:
        """Which experts have tokens [n, E]."""
        return self.tokens > 0

    @cached_property
    def groups(self) -> TokenGroups:
        """The experts with tokens, those of equal tokens together."""
        return self.known_groups or TokenGroups(self.tokens)

    @property
    def rows(self) -> Rows:
        """Times of each decision beside its experts, as `TokenGroups` takes them."""
        return self.gpu_base_memory_ps, self.gpu_base_compute_ps, self.attention_ps, self.comm_ps

    @cached_property
    def gpu_memory_ps(self) -> Times:
        """What each expert adds to the GPU's memory time [n, E]."""
        return self.costs.gpu_memory_ps[self.tokens]

    @cached_property
    def gpu_compute_ps(self) -> Times:
        """What each expert adds to the GPU's compute time [n, E]."""
        return self.costs.gpu_compute_ps[self.tokens]

    @cached_property
    def memory_ps(self) -> Times:
        """Time of each expert on the memory side [n, E]."""
        return self.costs.memory_ps[self.tokens]

    @cached_property
    def memory_roofline_ps(self) -> Times:
        """The same at the memory side's peak."""
        return self.costs.memory_roofline_ps[self.tokens]


class Plan:
    """Who computes what.

    on_memory: bool [n, E], experts that the memory side computes; the GPU computes the other activated ones.
    attention_on_memory: where decode attention runs. charged_ps: time that deciding takes, of each decision.
    """

    on_memory: NDArray[np.bool_]

    def __init__(self, *, on_memory: NDArray[np.bool_], attention_on_memory: bool = True, charged_ps: int = 0) -> None:
        self.on_memory, self.attention_on_memory, self.charged_ps = on_memory, attention_on_memory, charged_ps

    def kept(self, observation: Observation) -> NDArray[np.int64]:
        """Return how many experts of each of the observation's groups are on the memory side [groups]."""
        return observation.groups.counted(observation.tokens * self.on_memory)


class UniformPlan(Plan):
    """All experts on the memory side, or none."""

    def __init__(self, observation: Observation, *, on_memory: bool, attention_on_memory: bool = True) -> None:
        self.attention_on_memory, self.charged_ps = attention_on_memory, 0
        self._observation, self._all = observation, on_memory

    @cached_property
    def on_memory(self) -> NDArray[np.bool_]:  # type: ignore[override]
        """Experts [n, E] on the memory side."""
        return self._observation.activated & self._all

    def kept(self, observation: Observation) -> NDArray[np.int64]:
        """Return how many experts of each group are on the memory side [groups]."""
        return observation.groups.experts * self._all


class SchedulePolicy(Protocol):
    """One way to decide. `observe` tells it afterwards what the memory side really took."""

    name: str

    def plan(self, observation: Observation) -> Plan:
        """Return who computes what."""
        ...

    def observe(self, tokens: NDArray[np.int64], memory_ps: Times) -> None:
        """Take measured times [m] of this step: in some decision experts with `tokens` [m] took so long on the memory side, on average."""
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
    if not _fine(array):
        raise EngineError(f"{name} of an observation must be finite and not negative")


def _all_fine(arrays: list[Times], shape: tuple[int, ...]) -> bool:
    """Look at all at once; what is wrong is looked for only if something is."""
    try:
        together = np.array(arrays)
    except ValueError:
        return False
    return together.shape == (len(arrays), *shape) and _fine(together)


def _fine(times: Times) -> bool:
    # Comparisons with nan are false.
    return not times.size or bool(times.min() >= 0 and times.max() < np.inf)
