"""Running an experiment: every placement sees the same draws, every step is simulated layer by layer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError, did_you_mean
from moeram.experiment.batches import compositions
from moeram.experiment.options import Experiment
from moeram.experiment.prepare import Prepared, check_batch, cycle_options, prepare
from moeram.hardware import MemoCounts, cycle, lower, shared_memo, tokens_per_expert
from moeram.metrics import (
    CheckedTimes,
    Reads,
    Steps,
    Table,
    TableInput,
    check,
    hit_rate,
    join,
    make_tables,
    refresh_table,
)
from moeram.placement import Plan, name_clashes

Drawn = dict[int, NDArray[np.int64]]  # plan -> selections [layers, experts]
Progress = Callable[[int, int, str], None]

# One call of the engine: bounds its memory (about 2 KiB a layer) and the lowering's, and paces the progress bar.
_MOST_LAYERS_PER_CALL = 4096
_MOST_SELECTIONS_PER_CALL = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Record:
    """What an experiment found.

    tables: points, decomposition, layers, tiers, energy, resources, power, tier_power, and refresh where rows have a retention time. notes: what a reader must know about the inputs.
    fidelity: of the times; routing_fidelity: of the draws. resolved: model, system and layout of the rows in full.
    commands: DRAM commands of one chip, by placement. simulated_commands: how many of them the engine issued itself; the
    others belong to channels that do the same, or to layers or experts that were known; experts: how many the engine was asked for, and how
    many of them it had not seen; memo: what was asked of the kernel memo.
    """

    experiment: Experiment
    tables: dict[str, Table] = field(repr=False)
    notes: tuple[str, ...]
    fidelity: str
    routing_fidelity: str
    resolved: dict[str, Any] = field(repr=False)
    commands: dict[str, int]
    simulated_commands: int
    experts: dict[str, int]
    memo: dict[str, int]
    wall_time_s: float

    def __getitem__(self, table: str) -> Table:
        """Return a table by name: record["points"]."""
        if table not in self.tables:
            raise ConfigError(f"the record has no table {table!r}{did_you_mean(table, self.tables)}")
        return self.tables[table]

    def cost(self) -> dict[str, Any]:
        """Return what the run took, for its provenance."""
        return {
            "commands_of_a_chip": self.commands,
            "simulated_commands": self.simulated_commands,
            "simulated_commands_per_s": round(self.simulated_commands / self.wall_time_s),
            "experts": self.experts,
            "kernel_memo": self.memo,
        }


def run(experiment: Experiment, progress: Progress | None = None) -> Record:
    """Run an experiment.

    Args:
        progress: called as progress(done, total, label) after each piece of work; steps are counted over placements,
            batches and draws.

    Raises:
        MoeramError: the inputs are wrong (before anything is simulated) or the engine's answer contradicts the work.
    """
    begin = time.perf_counter()
    before = replace(shared_memo().counts)
    prepared = prepare(experiment)
    _check_buffers(prepared)
    total = sum(len(of_size.batches) for of_size in prepared.batches.values()) * len(experiment.placements)
    done, engine = 0, Counter[str]()
    steps: list[Steps] = []
    for batch in experiment.batch:
        parts: dict[str, list[CheckedTimes]] = {name: [] for name in experiment.placements}
        drawn: Drawn = {}
        for plan_of_draw, draws in _chunks(prepared, batch):
            counts = tokens_per_expert(draws, prepared.budget.experts)
            for plan, count in zip(plan_of_draw, counts, strict=True):
                drawn[plan] = drawn.get(plan, 0) + count
            for name, plans in prepared.batches[batch].plans.items():
                if progress:
                    progress(done, total, f"{name}, batch {batch}")
                parts[name].append(_simulate(prepared, plans, plan_of_draw, draws, engine))
                done += len(draws)
        steps += [_steps(prepared, name, batch, parts[name], drawn) for name in experiment.placements]
    if progress:
        progress(total, total, "done")
    return _record(prepared, steps, engine, shared_memo().counts.since(before), time.perf_counter() - begin)


def _check_buffers(prepared: Prepared) -> None:
    """Look at every draw before any is simulated: no batch may overflow a buffer half-way through."""
    for batch in prepared.experiment.batch:
        counts = (tokens_per_expert(draws, prepared.budget.experts) for _, draws in _chunks(prepared, batch))
        most = max(int(count.max()) for count in counts)
        check_batch(
            prepared.experiment,
            prepared.model,
            prepared.system,
            prepared.budget,
            batch=batch,
            most_tokens=max(most, batch if prepared.budget.shared_experts else 0),
        )


def _chunks(prepared: Prepared, batch: int) -> Iterator[tuple[list[int], NDArray[np.integer]]]:
    """Yield the draws of one batch size: (index of the plan [d], experts [d, batch, layers, top_k])."""
    experiment, budget, batches = prepared.experiment, prepared.budget, prepared.batches[batch].batches
    per_draw = batch * budget.layers * budget.top_k
    size = max(1, min(_MOST_LAYERS_PER_CALL // budget.layers, _MOST_SELECTIONS_PER_CALL // per_draw))
    for start in range(0, len(batches), size):
        chunk = batches[start : start + size]
        yield [one.plan for one in chunk], np.stack([one.draw(prepared.source, experiment.seed) for one in chunk])


def _simulate(
    prepared: Prepared, plans: tuple[Plan, ...], plan_of_draw: list[int], draws: NDArray[np.integer], engine: Counter[str]
) -> CheckedTimes:
    model, system, experiment, budget = prepared.model, prepared.system, prepared.experiment, prepared.budget
    first_row = np.stack([plans[plan].first_row for plan in plan_of_draw])
    work = lower(first_row, draws, shared_experts=budget.shared_experts)
    one_tier = plans[0].slowest_tier_everywhere
    options = cycle_options(experiment, model, budget, slowest_tier_everywhere=one_tier)
    times = cycle.run(work, system, options, shared_memo() if experiment.kernel_memo else None)
    engine.update(times.engine)
    return check(times, work, model=model, system=system, budget=budget, one_tier=one_tier)


def _steps(prepared: Prepared, name: str, batch: int, parts: list[CheckedTimes], drawn: Drawn) -> Steps:
    batches = prepared.batches[batch]
    plans = batches.plans[name]
    joined = join(parts, len(batches.batches))

    def of_draws() -> float:
        rates = [hit_rate(plans[plan], usage) * usage.sum() for plan, usage in drawn.items()]
        return float(np.sum(rates) / sum(usage.sum() for usage in drawn.values()))

    return Steps(
        placement=name,
        batch=batch,
        slowest_tier_everywhere=plans[0].slowest_tier_everywhere,
        **joined.arrays,
        busy_ps=joined.busy_ps,
        commands=joined.commands,
        hit_rate_held_out=batches.held_out_hit_rate(name),
        hit_rate_drawn=of_draws(),
        hit_rate_with_shared=batches.held_out_hit_rate(name, with_shared=True),
    )


def _record(
    prepared: Prepared, steps: list[Steps], engine: Counter[str], counts: MemoCounts, wall_time_s: float
) -> Record:
    experiment, source, budget, system = prepared.experiment, prepared.source, prepared.budget, prepared.system
    reuse = experiment.reuse_identical_channels or experiment.reuse_experts or experiment.kernel_memo
    fidelity = "cycle-memo" if reuse else "cycle"
    tables = make_tables(
        TableInput(
            steps=steps,
            model=prepared.model,
            system=system,
            layers=tuple(source.layers),
            measured_layers=tuple(source.measured_layers),
            fidelity=fidelity,
            routing_fidelity=source.fidelity,
            draws_per_topic=experiment.samples,
            paper_gain=experiment.paper_gain,
        )
    )
    if system.retention.retention_ms is not None:
        tables["refresh"] = refresh_table(steps, [_reads(prepared, one) for one in steps], system, budget)
    commands = {name: 0 for name in experiment.placements}
    for step in steps:
        commands[step.placement] += sum(step.commands.values())
    layout = {**asdict(budget), "hot_experts": budget.hot_count, "result_row": budget.result_row}
    return Record(
        experiment=experiment,
        tables=tables,
        notes=(*source.notes, *_notes(prepared)),
        fidelity=fidelity,
        routing_fidelity=source.fidelity,
        resolved={"model": asdict(prepared.model), "system": system.model_dump(), "rows_of_a_bank": layout},
        commands=commands,
        simulated_commands=engine["commands_simulated"]
        // (system.device.channels if experiment.reuse_identical_channels else 1),
        experts={"run": engine["experts"], "simulated": engine["experts_simulated"]},
        memo=counts.as_dict() if experiment.kernel_memo else {},
        wall_time_s=wall_time_s,
    )


def _reads(prepared: Prepared, steps: Steps) -> list[Reads]:
    """Return which rows held-out tokens read, for each of the cases that the hit rate is the mixture of."""
    batches, top_k = prepared.batches[steps.batch], prepared.budget.top_k
    plans = batches.plans[steps.placement]
    return [
        Reads(
            probability=probability,
            use=usage * top_k / usage.sum(axis=1, keepdims=True),
            first_row=plans[plan].first_row,
        )
        for probability, usage, plan in batches.expected
    ]


def _notes(prepared: Prepared) -> Iterator[str]:
    experiment, budget, system = prepared.experiment, prepared.budget, prepared.system
    yield (
        "times are those of the experts on the near-memory units, each layer from a drained unit; attention, router "
        "and everything else on the processor are left out"
    )
    rows = f"{budget.rows_per_expert} per expert, Phi = {budget.phi} ({experiment.phi}), KV reserve {budget.kv_rows}"
    yield f"rows per bank: {rows}"
    right = min(of_size.right for of_size in prepared.batches.values())
    mixed = experiment.batch_topics is not None
    if mixed:
        yield "batches hold several topics; topic_aware ranks by the sum of its requests' topic tables"
        yield from compositions(prepared.batches, prepared.source.topics)
    if right < 1:
        what = "each request" if mixed else "a batch"
        yield f"the topic of {what} is predicted right with probability {right:.3f}; routing follows the true topic"
    if "random_rows" in experiment.placements:
        yield f"random_rows is drawn anew for each {'batch' if mixed else 'topic'}"
    yield from name_clashes()
    if not system.in_paper:
        yield f"{system.name} is not a configuration of the Stratum paper: {system.description}"
