"""From options to everything a run needs, checked before anything is simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from moeram.errors import ConfigError, MoeramError, TraceError, did_you_mean
from moeram.experiment.options import Experiment
from moeram.hardware import System, load_system
from moeram.model import MoEModel, load_model
from moeram.placement import POLICIES, PlacementInput, Plan, RowBudget, row_budget
from moeram.routing import RoutingSource, SyntheticRouting, open_routing

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An experiment with its inputs; topics index those of the routing, plans hold one plan per topic by placement."""

    experiment: Experiment
    model: MoEModel
    system: System
    source: RoutingSource
    budget: RowBudget
    topics: tuple[int, ...]
    plans: dict[str, tuple[Plan, ...]]


def prepare(experiment: Experiment) -> Prepared:
    """Open all inputs, check capacities and make the plans.

    Raises:
        MoeramError: of the class of the first complaint; the message holds all of them.
    """
    complaints: list[MoeramError] = []
    model = _attempt(lambda: load_model(experiment.model), complaints)
    system = _attempt(lambda: load_system(experiment.hardware), complaints)
    source = budget = topics = None
    if model is not None:
        source = _attempt(lambda: open_source(experiment, model), complaints)
    if model is not None and system is not None:
        budget = _attempt(lambda: _budget(experiment, model, system), complaints)
    if source is not None:
        topics = _attempt(lambda: _topics(experiment, source), complaints)
        if topics is not None:
            _attempt(lambda: _enough_tokens(experiment, source, topics), complaints)
    if complaints:
        raise type(complaints[0])("\n".join(dict.fromkeys(str(complaint) for complaint in complaints)))
    assert model and system and source and budget and topics
    usage = source.ranking_usage()
    plans = {
        name: tuple(
            POLICIES[name](PlacementInput(usage=usage, topic=topic, budget=budget, seed=experiment.seed))
            for topic in topics
        )
        for name in experiment.placements
    }
    return Prepared(
        experiment=experiment, model=model, system=system, source=source, budget=budget, topics=topics, plans=plans
    )


def open_source(experiment: Experiment, model: MoEModel) -> RoutingSource:
    """Open the recorded routing of an experiment, or make its generator.

    Raises:
        TraceError: the recording is malformed or of another model.
    """
    routing = experiment.routing
    if routing.path is None:
        return SyntheticRouting(model, routing.synthetic, seed=experiment.seed)
    return open_routing(routing.path, model, format=routing.format, seed=experiment.seed)


def _attempt(step: Callable[[], Result], complaints: list[MoeramError]) -> Result | None:
    try:
        return step()
    except MoeramError as error:
        complaints.append(error)
        return None


def _budget(experiment: Experiment, model: MoEModel, system: System) -> RowBudget:
    return row_budget(
        model,
        system,
        phi=experiment.phi,
        kv_requests=experiment.kv_requests,
        context_tokens=experiment.context_tokens,
        batch=max(experiment.batch),
    )


def _topics(experiment: Experiment, source: RoutingSource) -> tuple[int, ...]:
    wanted = source.topics if experiment.topics is None else experiment.topics
    unknown = [topic for topic in wanted if topic not in source.topics]
    if unknown:
        raise ConfigError(
            "\n".join(
                f"topics: no topic {topic!r} in this routing{did_you_mean(topic, source.topics)}" for topic in unknown
            )
        )
    return tuple(source.topics.index(topic) for topic in wanted)


def _enough_tokens(experiment: Experiment, source: RoutingSource, topics: tuple[int, ...]) -> None:
    complaints = []
    for topic in topics:
        try:
            source.draw(topic, max(experiment.batch), np.random.default_rng(experiment.seed))
        except TraceError as error:
            complaints.append(str(error))
    if complaints:
        raise TraceError("\n".join(complaints))
