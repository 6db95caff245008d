"""`moeram placement`: options in, tables out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from moeram.cli.terminal import output, progress_bar
from moeram.errors import ConfigError
from moeram.files import check_target
from moeram.hardware import System, load_system
from moeram.model import MoEModel, load_model
from moeram.placement import row_budget
from moeram.placement.compare import BOUND, CompareOptions, Comparison, compare
from moeram.placement.saved import SavedPlan, read_plans, write_plans
from moeram.placement.scores import Score
from moeram.routing import RoutingSource, open_routing

Hardware = Annotated[
    str | None, typer.Option("--hardware", help="A system (stratum_s): rows move there, at the cost of its row cycles.")
]
CacheTokens = Annotated[
    int, typer.Option("--kv-tokens", min=0, help="With --hardware: tokens of the caches between the experts.")
]

app = typer.Typer(no_args_is_help=True, help="Where experts lie: policies and what they achieve.")


@app.callback()
def placement_options() -> None:
    """Where experts lie: policies and what they achieve."""


@app.command("compare")
def compare_command(
    path: Annotated[Path, typer.Argument(help="Recorded routing, of any format that `moeram run` reads.")],
    model: Annotated[str, typer.Option("--model", help="A shipped model or a YAML file.")],
    parts: Annotated[
        list[int] | None, typer.Option("--parts", help="Number of parts; may be repeated. [2, 4, 8]")
    ] = None,
    policy: Annotated[list[str] | None, typer.Option("--policy", help="A policy; may be repeated. [all]")] = None,
    replicas: Annotated[int, typer.Option("--replicas", help="Further copies of experts per layer.")] = 0,
    nodes: Annotated[int, typer.Option("--nodes", help="Nodes that the parts form.")] = 1,
    groups: Annotated[int, typer.Option("--groups", help="Groups of experts (group-limited routing).")] = 1,
    plans: Annotated[str, typer.Option("--plans", help="topic: a plan per topic; all: one for all topics.")] = "topic",
    requests: Annotated[
        list[str] | None, typer.Option("--requests", metavar="TOPIC=N", help="A batch of several topics; repeated.")
    ] = None,
    bound: Annotated[bool, typer.Option("--bound", help="Solve for the best possible balance too (scipy).")] = False,
    bound_seconds: Annotated[
        float, typer.Option("--bound-seconds", help="Time for all bounds together; then the best found so far.")
    ] = CompareOptions.bound_seconds,
    previous: Annotated[
        Path | None,
        typer.Option("--previous", metavar="FILE", help="Plans in memory now (JSON): bytes move from there."),
    ] = None,
    hardware: Hardware = None,
    kv_tokens: CacheTokens = 65536,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Write all plans (JSON).")] = None,
    format: Annotated[str, typer.Option("--format", help="Format of the routing.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of random choices.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Compare placement policies on a trace: hit rate, balance, pairs across units, bytes moved."""
    shape = load_model(model)
    options = CompareOptions(
        parts=tuple(parts) if parts else CompareOptions.parts,
        replicas=replicas,
        nodes=nodes,
        groups=groups,
        policies=tuple(policy) if policy else None,
        plans=plans,
        requests=_requests(requests),
        bound=bound,
        bound_seconds=bound_seconds,
        seed=seed,
    )
    if save:
        check_target(save)
    before = read_plans(previous, shape) if previous else ()
    source = open_routing(path, shape, format=format, seed=seed)
    result = _compare_with_bar(source, shape, options, before, load_system(hardware) if hardware else None, kv_tokens)
    if save:
        write_plans(save, shape, result.plans)
    _print(result, as_json)
    if result.failures:
        raise typer.Exit(2)


def _print(result: Comparison, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(result.plain(), indent=2))
    else:
        _show(result)
    for message in result.skipped:
        typer.echo(f"warning: {message}", err=True)
    for message in result.failures:
        typer.echo(f"error: {message}", err=True)


def _compare_with_bar(
    source: RoutingSource,
    model: MoEModel,
    options: CompareOptions,
    previous: tuple[SavedPlan, ...],
    system: System | None,
    kv_tokens: int,
) -> Comparison:
    budget = system and row_budget(model, system, phi="compact", kv_requests=1, context_tokens=kv_tokens, batch=1)
    # The solver keeps the thread of the bar from running.
    with progress_bar("placement", by_hand=True) as update:
        return compare(source, model, options, budget=budget, system=system, previous=previous, progress=update)


def _requests(texts: list[str] | None) -> dict[str, float] | None:
    if not texts:
        return None
    found: dict[str, float] = {}
    for text in texts:
        topic, separator, number = text.rpartition("=")
        try:
            found[topic] = float(number)
        except ValueError:
            separator = ""
        if not separator:
            raise ConfigError(f"--requests: given {text!r}, allowed: TOPIC=NUMBER, such as coding=3")
    return found


def _show(result: Comparison) -> None:
    console = output()
    table = Table(title=f"placement of {result.model}, topics {', '.join(result.topics)}")
    for name in (
        "policy",
        "parts",
        "slots",
        "hit rate",
        "balance",
        "cross pairs",
        "moved GiB",
        "above bound",
        "proven",
    ):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for score in result.scores:
        table.add_row(score.policy, *_cells(score))
    console.print(table)
    if any(score.swap for score in result.scores):
        console.print(_swap_table(result))
    for note in result.notes:
        console.print(f"note: {note}", highlight=False, markup=False)


def _swap_table(result: Comparison) -> Table:
    table = Table(title="rows that change places")
    for name in ("policy", "experts", "rows a bank", "ms", "mJ", "mJ, one bank"):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for score in result.scores:
        if score.swap:
            swap = score.swap
            energies = (f"{swap.energy_mj:.1f}", f"{swap.energy_one_bank_mj:.3f}")
            table.add_row(score.policy, f"{swap.experts:.0f}", f"{swap.rows:.0f}", f"{swap.time_ms:.3f}", *energies)
    return table


def _cells(score: Score) -> list[str]:
    cells = (
        (score.parts, "{}"),
        (score.slots, "{}"),
        (score.hit_rate, "{:.1%}"),
        (score.balance, "{:.3f}"),
        (score.cross_pairs, "{:.1%}"),
        (None if score.moved_bytes is None else score.moved_bytes / 2**30, "{:.2f}"),
        (score.above_bound, "{:.2%}"),
        (
            None
            if score.policy != BOUND or score.bound_layers is None
            else f"{score.proven_layers} of {score.bound_layers} layers",
            "{}",
        ),
    )
    return ["-" if value is None else form.format(value) for value, form in cells]
