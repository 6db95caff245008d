"""One forward pass: what the loop hands to a pricer, and what it gets back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError


@dataclass(frozen=True, kw_only=True)
class Step:
    """The work of one forward pass.

    decode: requests [d] that produce tokens; context_tokens: what each of them attends to, its new tokens included.
    tokens_per_request: tokens each of them presents (1, or the drafted ones and one more under speculation).
    prefill: requests [p] with a part of their prompt in this pass: chunk_tokens of it behind chunk_start that were done before.
    topic, prefill_topic: of the requests. believed_topic: what they are taken for, decoding ones first, None: their own. start_ps: when it begins. All arrays int64.
    """

    decode: NDArray[np.int64]
    context_tokens: NDArray[np.int64]
    topic: NDArray[np.int64]
    prefill: NDArray[np.int64]
    chunk_tokens: NDArray[np.int64]
    chunk_start: NDArray[np.int64]
    prefill_topic: NDArray[np.int64]
    believed_topic: NDArray[np.int64] | None = None
    tokens_per_request: int = 1
    start_ps: int = 0

    @property
    def tokens(self) -> int:
        """Tokens that pass through every layer."""
        prompts = int(self.chunk_tokens.sum()) if len(self.prefill) else 0
        return len(self.decode) * self.tokens_per_request + prompts


# Components of energy that no work causes: by time alone.
IDLE_ENERGY = ("gpu idle", "memory standby", "refresh", "between steps")

# What sparse utilisation counts (moe_cap.md 2.3), each once in a step; what else moves is called by other names.
COUNTED = ("attention", "routed experts", "shared experts", "dense FFN", "kv read")


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """What a whole system could do at best: bytes_per_ps by port, operations_per_ps by who computes. waiting_w: what it draws while
    nothing runs.
    """

    bytes_per_ps: Mapping[str, float]
    operations_per_ps: Mapping[str, float]
    waiting_w: float


@dataclass(frozen=True, kw_only=True)
class PricedStep:
    """What a step takes.

    time_ps: from its start to its last result. bound_ps: what the hardware's peaks allow at best. parts_ps: busy time of each
    part (gpu, memory, network ...), may overlap. energy_pj: by component. moved_bytes: "PORT/WHAT" -> bytes, what is one of COUNTED or
    anything else. operations: by who computes, those of attention, router, FFNs and chosen experts (moe_cap.md 2.4).
    """

    time_ps: int
    bound_ps: int
    fidelity: str
    parts_ps: Mapping[str, int] = field(default_factory=dict)
    energy_pj: Mapping[str, float] = field(default_factory=dict)
    moved_bytes: Mapping[str, int] = field(default_factory=dict)
    operations: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.time_ps <= 0:
            raise EngineError(f"a step takes {self.time_ps} ps: it cannot make progress")
        if self.time_ps < self.bound_ps:
            raise EngineError(f"a step takes {self.time_ps} ps, less than its bound of {self.bound_ps} ps")
        for part, busy_ps in self.parts_ps.items():
            if not 0 <= busy_ps <= self.time_ps:
                raise EngineError(f"{part} is busy for {busy_ps} ps of a step of {self.time_ps} ps")


class Origin(NamedTuple):
    """Where the times of one part of a system come from.

    fidelity: a label of `FIDELITIES`. how: by what. error: of this level, relative to the one above it, where both could be run; None:
    not known. against: what it was held against.
    """

    part: str
    fidelity: str
    how: str
    error: float | None = None
    against: str = ""


class StepPricer(Protocol):
    """A serving system as the loop sees it.

    kv_capacity_tokens: tokens whose keys and values it can hold. peaks: of its ports and of what computes. origins: of its times, part
    by part.
    """

    kv_capacity_tokens: int
    peaks: Peaks
    origins: Sequence[Origin]

    def price(self, step: Step) -> PricedStep:
        """Return what a step takes. Called in the order of steps."""
        ...
