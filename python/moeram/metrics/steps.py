"""What the simulated steps of one placement and one batch size did, checked against the work that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import EngineError
from moeram.hardware import NmpWork, StepTimes, System, layer_rows_by_tier, rows_by_tier
from moeram.model import MoEModel
from moeram.placement import RowBudget


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Figures of every draw and layer, of one chip unless said otherwise.

    time_ps, weight_macs, active_experts: [draws, layers]. rows_read, rows_written: [draws, layers, tiers], rows of all
    banks of all channels. tier_time_ps: [draws, layers, tiers], row cycles of one channel. rows_per_bank: [draws,
    layers, tiers], rows that the plan puts into each tier, independent of the simulation. roofline_ps: [draws, layers], see `roofline_ps`. busy_ps: resource -> [draws,
    layers]. commands: name -> number over all draws and layers. hit_rate_*: shares, NaN without hot experts.
    """

    placement: str
    batch: int
    slowest_tier_everywhere: bool
    time_ps: NDArray[np.int64]
    weight_macs: NDArray[np.int64]
    active_experts: NDArray[np.int64]
    rows_read: NDArray[np.int64]
    rows_written: NDArray[np.int64]
    tier_time_ps: NDArray[np.int64]
    rows_per_bank: NDArray[np.int64]
    roofline_ps: NDArray[np.float64]
    busy_ps: dict[str, NDArray[np.int64]]
    commands: dict[str, int]
    hit_rate_held_out: float
    hit_rate_drawn: float
    hit_rate_with_shared: float


@dataclass(frozen=True, kw_only=True)
class CheckedTimes:
    """The answer for some layers with its channels summed up; arrays as in `Steps` with all layers in one axis."""

    arrays: dict[str, NDArray[Any]]
    busy_ps: dict[str, NDArray[np.int64]]
    commands: dict[str, int]


def check(
    times: StepTimes, work: NmpWork, *, model: MoEModel, system: System, budget: RowBudget, one_tier: bool
) -> CheckedTimes:
    """Compare the engine's answer with the work, bottom up, and sum its channels up.

    For every layer, channel and tier the rows read must be those of the activated experts in every bank (where all
    rows are of one tier: for every layer and channel), so that rows read x row bytes = bytes of the activated experts;
    and every chip must have multiplied its share of tokens x weights.

    Raises:
        EngineError: they differ; names the first layer.
    """
    device = system.device
    per_bank = layer_rows_by_tier(work, budget.rows_per_expert, device.tier_rows)
    _check_rows(times, per_bank * device.banks_per_channel, one_tier)
    _check_macs(times, work, model, system)
    arrays = {
        "time_ps": times.time_ps,
        "weight_macs": times.weight_macs,
        "active_experts": np.diff(work.layer_begin),
        "rows_read": times.rows_read.sum(axis=1),
        "rows_written": times.rows_written.sum(axis=1),
        "tier_time_ps": times.tier_time_ps,
        "rows_per_bank": per_bank,
        "roofline_ps": roofline_ps(work, model=model, system=system, budget=budget, one_tier=one_tier),
    }
    commands = {name: int(count.sum()) for name, count in times.commands.items()}
    return CheckedTimes(arrays=arrays, busy_ps=times.busy_ps, commands=commands)


def roofline_ps(
    work: NmpWork, *, model: MoEModel, system: System, budget: RowBudget, one_tier: bool
) -> NDArray[np.float64]:
    """Return for each layer the sum over experts and their rows of max(row cycle, multiplications of all tokens), [L].

    The closed form of near-memory experts: a row takes its tier's published row cycle or 8 ns (at 16 bits) for each token (U8), and nothing
    else takes time. An expert's last row is filled only in part.
    """
    device, unit, delta = system.device, system.unit, budget.rows_per_expert
    row_cycle_ps = np.asarray(system.closed_form.row_cycle_ns) * 1e3
    row_cycle_ps = np.full_like(row_cycle_ps, row_cycle_ps.max()) if one_tier else row_cycle_ps
    row_ps = device.row_bytes / unit.mac_block_bytes * unit.unit_clock_ps * work.tokens.astype(float)
    last_ps = row_ps * (model.expert_bytes / system.row_set_bytes - (delta - 1))
    last = rows_by_tier(work.first_row + (delta - 1), 1, device.tier_rows)
    whole = rows_by_tier(work.first_row, delta, device.tier_rows) - last
    times = whole * np.maximum(row_cycle_ps, row_ps[:, None]) + last * np.maximum(row_cycle_ps, last_ps[:, None])
    return np.add.reduceat(times.sum(axis=1), work.layer_begin[:-1])


def _check_rows(times: StepTimes, rows_of_channel: NDArray[np.int64], one_tier: bool) -> None:
    found = times.rows_read
    wanted = np.broadcast_to(rows_of_channel[:, None, :], found.shape)
    if one_tier:
        wanted, found = wanted.sum(axis=2), found.sum(axis=2)
    wrong = np.argwhere(wanted != found)
    if len(wrong):
        place = tuple(int(index) for index in wrong[0])
        where = ", ".join(f"{name} {index}" for name, index in zip(("layer", "channel", "tier"), place, strict=False))
        raise EngineError(
            f"rows read differ from the activated experts in {where}: {found[place]} read, {wanted[place]} expected"
        )


def _check_macs(times: StepTimes, work: NmpWork, model: MoEModel, system: System) -> None:
    tokens = np.add.reduceat(work.tokens.astype(np.int64), work.layer_begin[:-1])
    wanted = tokens * (3 * model.hidden_size * model.expert_intermediate_size) // system.chips
    found = times.weight_macs
    if (found != wanted).any():
        layer = int(np.argmax(found != wanted))
        raise EngineError(
            f"multiply-accumulates differ from tokens x weights in layer {layer}: {found[layer]} on a chip, "
            f"{wanted[layer]} expected"
        )


def join(parts: Sequence[CheckedTimes], draws: int) -> CheckedTimes:
    """Join answers for consecutive draws and give the arrays the shape [draws, layers, ...]."""

    def shaped(arrays: list[NDArray[Any]]) -> NDArray[Any]:
        flat = np.concatenate(arrays)
        return flat.reshape(draws, len(flat) // draws, *flat.shape[1:])

    first = parts[0]
    return CheckedTimes(
        arrays={name: shaped([part.arrays[name] for part in parts]) for name in first.arrays},
        busy_ps={name: shaped([part.busy_ps[name] for part in parts]) for name in first.busy_ps},
        commands={name: sum(part.commands[name] for part in parts) for name in first.commands},
    )
