"""Near-memory runs straight through the compiled core: these tests ask the engine itself, not the rooms above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from moeram.hardware.cycle import load_core

ROWS = 32768
ROW_BYTES = 4096
TIERS = 8
CHANNELS = 16
# Stratum (arXiv 2510.05245), Table 1 and section 1.2 of the fact sheet: tRC = tRCD + 27.50 ns + 4.77 ns.
PUBLISHED_ROW_CYCLE_NS = (34.56, 36.19, 38.26, 40.77, 43.71, 47.09, 50.90, 55.15)
PUBLISHED_TB_PER_S = (30.34, 28.97, 27.41, 25.72, 23.99, 22.27, 20.60, 19.01)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An expert on a system: weights of two bytes, three matrices of hidden_size x intermediate_size."""

    hidden_size: int
    intermediate_size: int
    chips: int

    @property
    def expert_bytes(self) -> int:
        return 3 * self.hidden_size * self.intermediate_size * 2

    @property
    def rows(self) -> int:
        """Delta of Algorithm 1: rows of an expert in each bank."""
        return -(-self.expert_bytes // (self.chips * 256 * ROW_BYTES))


# Dimensions: public configurations of the models; chips: Stratum, section 2.1.
SHAPES = {
    "olmoe on stratum-s": Shape(hidden_size=2048, intermediate_size=1024, chips=1),
    "mixtral on stratum-l": Shape(hidden_size=4096, intermediate_size=14336, chips=6),
    "llama-4-scout on stratum-xl": Shape(hidden_size=5120, intermediate_size=8192, chips=12),
}
OLMOE = SHAPES["olmoe on stratum-s"]

Expert = tuple[int, int]  # (first row, tokens)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Runs layers, each a list of (first_row, tokens) in order of execution."""

    core: ModuleType
    defaults: dict[str, Any] = field(default_factory=lambda: {"result_row": ROWS - 1})

    def run(
        self,
        layers: list[list[Expert]],
        *,
        batch: int,
        shape: Shape = OLMOE,
        options: dict[str, Any] | None = None,
        **run_options: Any,
    ) -> dict[str, Any]:
        config = self.core.NmpConfig(
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            chips=shape.chips,
            **{**self.defaults, **(options or {})},
        )
        begin = np.cumsum([0] + [len(layer) for layer in layers])
        rows, tokens = (np.array([expert[i] for layer in layers for expert in layer], dtype=np.int32) for i in (0, 1))
        return self.core.run_nmp(
            config,
            begin,
            np.arange(len(rows), dtype=np.int32),
            rows,
            tokens,
            np.full(len(layers), batch),
            **run_options,
        )


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The installed core with the result rows at the end of the banks."""
    return Engine(core=load_core())


@pytest.fixture(scope="session")
def read_trace() -> Callable[[Path], list[tuple[int, str, int]]]:
    """Reads a command trace: (cycle, command, row) of each command."""

    def read(path: Path) -> list[tuple[int, str, int]]:
        fields = [line.split(", ") for line in path.read_text().splitlines()]
        return [(int(cycle), command, int(row)) for cycle, command, _, _, row, _ in fields]

    return read


def equal(left: Any, right: Any) -> bool:
    """True if two answers of the core hold the same arrays."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return np.array_equal(left, right)
