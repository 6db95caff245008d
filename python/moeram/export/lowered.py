"""The memory traffic of one decode step of an experiment: every row of every activated expert, as reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from moeram.errors import ConfigError, did_you_mean
from moeram.experiment import Experiment
from moeram.experiment.prepare import prepare
from moeram.export.requests import Requests, RequestStream
from moeram.hardware import lower

_PIECE = 1 << 16


@dataclass(frozen=True, kw_only=True)
class LoweredStep:
    """Which step: placement (default the last of the experiment), batch (the smallest), draw (its number), layers (all)."""

    placement: str | None = None
    batch: int | None = None
    draw: int = 0
    layers: range | None = None
    transaction_bytes: int = 64


def step_stream(experiment: Experiment, step: LoweredStep) -> RequestStream:
    """Return the reads of one chip's experts in one step, layer by layer and expert by expert in order of execution.

    A row address of all banks of all channels is one stripe of consecutive bytes: row r of the experts' intervals is the
    bytes [r x stripe, (r + 1) x stripe). Only weights: activations and results are not in the stream.

    Raises:
        MoeramError: the experiment is wrong. ConfigError: it has no such placement, batch, draw or layer.
    """
    placement = step.placement or experiment.placements[-1]
    if placement not in experiment.placements:
        raise ConfigError(f"the experiment has no placement {placement!r}{did_you_mean(placement, experiment.placements)}")
    batch = min(experiment.batch) if step.batch is None else step.batch
    if batch not in experiment.batch:
        raise ConfigError(f"the experiment has no batch {batch}; it has {', '.join(map(str, experiment.batch))}")
    prepared = prepare(experiment)
    device, budget, sized = prepared.system.device, prepared.budget, prepared.batches[batch]
    if not 0 <= step.draw < len(sized.batches):
        raise ConfigError(f"draw {step.draw}: batch {batch} has draws 0 to {len(sized.batches) - 1}")
    layers = range(budget.layers) if step.layers is None else step.layers
    if not len(layers) or layers[0] < 0 or layers[-1] >= budget.layers:
        raise ConfigError(f"layers: the model has expert layers 0 to {budget.layers - 1}")
    one = sized.batches[step.draw]
    draws = one.draw(prepared.source, experiment.seed)[None]
    plan = sized.plans[placement][one.plan]
    work = lower(plan.first_row[None], draws, shared_experts=budget.shared_experts)
    stripe_bytes = device.channels * device.banks_per_channel * device.row_bytes
    if stripe_bytes % step.transaction_bytes:
        raise ConfigError(f"transaction_bytes: {step.transaction_bytes} does not divide a stripe of {stripe_bytes} bytes")

    def pieces() -> Iterator[Requests]:
        for layer in layers:
            for first in work.first_row[work.layer_begin[layer] : work.layer_begin[layer + 1]].tolist():
                yield from _reads(first * stripe_bytes, budget.rows_per_expert * stripe_bytes, step.transaction_bytes)

    return RequestStream(pieces, experiment.name)


def _reads(base: int, size_bytes: int, transaction_bytes: int) -> Iterator[Requests]:
    for begin in range(0, size_bytes, _PIECE * transaction_bytes):
        end = min(begin + _PIECE * transaction_bytes, size_bytes)
        address = np.arange(base + begin, base + end, transaction_bytes, dtype=np.int64)
        yield Requests(address=address, write=np.zeros(len(address), dtype=bool))
