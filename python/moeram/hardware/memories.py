"""Memory that computes, from configs/memories/*.yaml: units at the banks or on the logic die, of one speed or in tiers."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, did_you_mean
from moeram.hardware.logic_memory import LogicMemory
from moeram.hardware.memory_energy import MemoryEnergy
from moeram.hardware.pim_memory import PimMemory
from moeram.hardware.priced import Priced
from moeram.hardware.tiered_memory import TieredMemory
from moeram.model import MoEModel
from moeram.options import build, config_names, load_config

KINDS = {"bank_units": PimMemory, "logic_units": LogicMemory, "tiered_units": TieredMemory}


class ComputingMemory(Protocol):
    """The memory of one GPU as pricers see it; times of Priced are int64, experts and caches lie over all of it.

    external_gb_per_s: what the GPU reads and writes at most. energy: of its accesses and operations.
    """

    name: str
    stacks: int
    capacity_bytes: int
    external_gb_per_s: float
    refresh_interval_ns: float
    energy: MemoryEnergy

    @property
    def reads_weights_for_each_token(self) -> bool:
        """Whether an expert's weights are read anew for each of its tokens."""
        ...

    @property
    def peak_bytes_per_ps(self) -> float:
        """What its units read at most."""
        ...

    @property
    def peak_operations_per_ps(self) -> float:
        """What its units compute at most."""
        ...

    def expert_ps(self, tokens: NDArray[np.int64], model: MoEModel) -> Priced:
        """Price experts with so many tokens each [...]."""
        ...

    def attention_ps(self, cache_bytes: float, operations: float) -> tuple[int, int]:
        """Return time and bound of decode attention over caches of so many bytes with so many operations."""
        ...

    def vector_bytes(self, model: MoEModel) -> int:
        """Return the bytes of vectors to the units and of results back, of one token through one expert."""
        ...

    def attention_array_bytes(self, cache_bytes: int, operations: int) -> int:
        """Return what units read from the cells for decode attention over a cache."""
        ...


def load_memory(name_or_path: str | Path) -> PimMemory | LogicMemory | TieredMemory:
    """Return a memory by name ("hbm3e_pim") or path.

    Raises:
        ConfigError: no such config (names the nearest), unknown keys, wrong units; all complaints at once.
    """
    tree = load_config("memories", name_or_path)
    kind = tree.value.get("kind") if isinstance(tree.value, dict) else None
    if kind not in KINDS:
        raise ConfigError(f"{tree.origin(('kind',))}: kind: given {kind!r}{did_you_mean(str(kind), KINDS)}")
    return build(KINDS[kind], tree)


def memory_names() -> list[str]:
    """Return the names of the shipped memories."""
    return config_names("memories")
