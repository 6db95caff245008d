"""From options to everything a run needs, checked before anything is simulated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, ConfigError, MoeramError, TraceError, did_you_mean
from moeram.experiment.batches import Batches, apportion, mixed_batches, one_topic_batches, topic_shares
from moeram.experiment.options import Experiment, TopicPredictionOptions
from moeram.experiment.sources import open_source
from moeram.hardware import CycleOptions, System, cycle, load_system, require_near_memory
from moeram.model import MoEModel
from moeram.placement import RowBudget, row_budget
from moeram.routing import RoutingSource
from moeram.routing.topics import confusion_of_accuracy, read_confusion

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An experiment with its inputs and, by size, its batches with their plans."""

    experiment: Experiment
    model: MoEModel
    system: System
    source: RoutingSource
    budget: RowBudget
    batches: dict[int, Batches]


def prepare(experiment: Experiment) -> Prepared:
    """Open all inputs, check capacities and make the plans.

    Raises:
        MoeramError: of the class of the first complaint; the message holds all of them.
    """
    complaints: list[MoeramError] = []
    model = _attempt(lambda: _runnable(experiment.load_model()), complaints)
    system = _attempt(lambda: load_system(experiment.hardware, experiment.hardware_values), complaints)
    source = budget = topics = confusion = batches = None
    if model is not None:
        source = _attempt(lambda: open_source(experiment.routing, model, experiment.seed, memo=experiment.kernel_memo), complaints)
    if model is not None and system is not None:
        budget = _attempt(lambda: _budget(experiment, model, system), complaints)
    fits = budget is None or _attempt(lambda: _fits_buffers(experiment, model, system, budget), complaints)
    if source is not None:
        topics = _attempt(lambda: _topics(experiment, source), complaints)
        confusion = _attempt(lambda: topic_confusion(experiment.topic_prediction, source), complaints)
        if topics is not None and fits:
            _attempt(lambda: _enough_tokens(experiment, source, topics), complaints)
    if not complaints:
        batches = _attempt(lambda: _batches(experiment, source, budget, topics, confusion), complaints)
    if complaints:
        raise type(complaints[0])("\n".join(dict.fromkeys(str(complaint) for complaint in complaints)))
    assert model and system and source and budget and batches
    return Prepared(experiment=experiment, model=model, system=system, source=source, budget=budget, batches=batches)


def _batches(
    experiment: Experiment,
    source: RoutingSource,
    budget: RowBudget,
    topics: tuple[int, ...],
    confusion: NDArray[np.float64],
) -> dict[int, Batches]:
    if experiment.batch_topics is None:
        return one_topic_batches(experiment, source, budget, topics, confusion)
    shares = topic_shares(experiment.batch_topics, source.topics)
    return mixed_batches(experiment, source, budget, shares, confusion)


def cycle_options(
    experiment: Experiment, model: MoEModel, budget: RowBudget, *, slowest_tier_everywhere: bool = False
) -> CycleOptions:
    """Return what the engine needs to know beside the system and the work."""
    return CycleOptions(
        hidden_size=model.hidden_size,
        intermediate_size=model.expert_intermediate_size,
        bits_per_weight=model.precision.experts.bits,
        bytes_per_activation=model.bytes_per_activation,
        result_row=budget.result_row,
        slowest_tier_everywhere=slowest_tier_everywhere,
        overlap_all_gather=experiment.overlap.all_gather,
        overlap_silu=experiment.overlap.silu,
        overlap_reduce_scatter=experiment.overlap.reduce_scatter,
        overlap_weighted_sum=experiment.overlap.weighted_sum,
        threads=experiment.threads,
        reuse_identical_channels=experiment.reuse_identical_channels,
        reuse_experts=experiment.reuse_experts,
    )


def check_batch(
    experiment: Experiment, model: MoEModel, system: System, budget: RowBudget, *, batch: int, most_tokens: int
) -> None:
    """Check that a batch of which one expert gets `most_tokens` fits the buffers of a unit.

    Raises:
        CapacityError: it does not; names the key.
    """
    try:
        cycle.check_batch(system, cycle_options(experiment, model, budget), batch=batch, most_tokens=most_tokens)
    except CapacityError as error:
        raise CapacityError(f"batch: given {batch}, too large for {system.name}: {error}") from None


def _fits_buffers(experiment: Experiment, model: MoEModel, system: System, budget: RowBudget) -> bool:
    """What holds for any routing: some expert gets at least the mean number of tokens, a shared one all of them."""
    for batch in experiment.batch:
        least = batch if model.shared_experts else -(-batch * model.top_k // model.experts)
        check_batch(experiment, model, system, budget, batch=batch, most_tokens=least)
    return True


def topic_confusion(prediction: TopicPredictionOptions, source: RoutingSource) -> NDArray[np.float64]:
    """Return what is taken for what, shares [topic, taken for].

    Raises:
        MoeramError: the file of the confusion is malformed or of other topics.
    """
    if prediction.confusion is not None:
        return read_confusion(prediction.confusion, source.topics)
    return confusion_of_accuracy(len(source.topics), 1.0 if prediction.accuracy is None else prediction.accuracy)


def _runnable(model: MoEModel) -> MoEModel:
    require_near_memory(model)
    return model


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
    """Topics that batches have tokens of."""
    if experiment.batch_topics is not None:
        return tuple(int(topic) for topic in np.flatnonzero(topic_shares(experiment.batch_topics, source.topics)))
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
    """Draw the most tokens of one topic that a batch may hold: all of them, less what is fixed to be of others."""
    most = dict.fromkeys(topics, max(experiment.batch))
    if experiment.batch_topics is not None and experiment.batch_topics.composition == "fixed":
        shares = topic_shares(experiment.batch_topics, source.topics)
        of_size = np.max([apportion(shares, size) for size in experiment.batch], axis=0)
        most = {topic: int(of_size[topic]) for topic in topics if of_size[topic]}
    complaints = []
    for topic, count in most.items():
        try:
            source.draw(topic, count, np.random.default_rng(experiment.seed))
        except TraceError as error:
            complaints.append(str(error))
    if complaints:
        raise TraceError("\n".join(complaints))
