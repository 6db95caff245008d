"""R14: how much longer expert layers take with the published ring than with one that takes no time."""

from __future__ import annotations

from moeram.hardware.near_memory_layers import NearMemoryLayers
from moeram.repro.stratum.machines import CASES, CHIPS, ROUTING, cycle_options, stratum
from moeram.repro.target import Found, Setting, Target

_WIDE = 4096  # bytes a cycle: no transfer takes longer than its hops
_LENGTH = 1024


def loss(setting: Setting, case: str, batch: int) -> float:
    """Return the share by which layers are longer, all topics together."""
    machine = stratum(CASES[case], setting, batch=batch, tokens=2 * _LENGTH)
    ring = machine.chips.ring.model_copy(update={"ring_bytes_per_cycle": _WIDE})
    fast = NearMemoryLayers(
        machine.chips.model_copy(update={"ring": ring}),
        cycle_options(machine.model, machine.budget),
        rows_per_expert=machine.budget.rows_per_expert,
    )
    slow_ps = fast_ps = 0
    for topic in machine.pricers:
        slow_ps += machine.experts_ps(batch, topic)
        counts = machine.expert_counts(batch, topic)
        fast_ps += int(fast.time_ps(machine.plans[topic].first_row, counts, batch=batch).sum())
    return slow_ps / fast_ps - 1


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the loss of every model."""
    return {
        f"loss_{case}": Found(ours=loss(setting, case, setting["batch"]), fidelity="cycle-memo")
        for case in ("olmoe", "mixtral", "llama4")
    }


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the loss with other batches."""
    return {
        f"loss_{case}": {f"batch {batch}": loss(setting, case, batch) for batch in (1, 8, 32)}
        for case in ("olmoe", "mixtral", "llama4")
    }


TARGET = Target(
    id="R14", parameters=(*ROUTING, *CHIPS, "phi", "batch"), evaluate=evaluate, beside=beside,
    note="between experts nothing is lost; the first all-gather and the last reduce-scatter have nothing to hide behind (docs/near-memory.md)",
)  # fmt: skip
