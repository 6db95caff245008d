"""Options of a serving experiment that would change nothing are refused, with what they need."""

from __future__ import annotations

from collections.abc import Iterator

from moeram.errors import ConfigError
from moeram.experiment.options import TopicPredictionOptions
from moeram.experiment.serving_options import PlacementOptions, ScheduleOptions, ServingExperiment
from moeram.hardware.memories import load_memory
from moeram.hardware.tiered_memory import TieredMemory
from moeram.serving.batching import BatchingOptions
from moeram.serving.system import ServingSystem

_UNUSED_BATCHING = {
    "slo_share": ("policy", "batching.policy: same_topic"),
    "acceptance": ("draft_tokens", "batching.draft_tokens above 0"),
}


# Policies that leave all experts of a layer to one side; then only a second micro-batch meets the other.
_ONE_SIDED = ("no_experts", "attacc", "all_experts", "papi")


def check_uses(experiment: ServingExperiment, system: ServingSystem) -> None:
    """Refuse options that differ from their defaults where nothing reads them; `threads` and `reuse` never change a result.

    Raises:
        ConfigError: all of them at once.
    """
    complaints = list(_complaints(experiment, system))
    if complaints:
        raise ConfigError("\n".join(complaints))


def _complaints(experiment: ServingExperiment, system: ServingSystem) -> Iterator[str]:
    kind = f"{system.name} is of kind {system.kind}"
    if system.kind != "gpu_pim" and experiment.schedule != ScheduleOptions():
        yield f"schedule: given, but {kind}, where nobody chooses who computes an expert; allowed: kind gpu_pim"
    if system.kind != "gpu_pim" and experiment.pim_times != "formula":
        yield f"pim_times: given, but {kind}, where no memory has units at the banks; allowed: kind gpu_pim"
    if system.kind != "gpu_pim" and experiment.contention is not None:
        yield f"contention: given, but {kind}, where no memory has units at the banks; allowed: kind gpu_pim"
    if experiment.contention is not None and system.gpu_pim.memory_layout != "tensor":
        yield "contention: the engine plays experts that lie over all channels (memory_layout: tensor)"
    if experiment.contention is not None and system.gpu_pim.exclusive:
        yield "contention: given, but the memory serves the GPU or its units one at a time (gpu_pim.exclusive)"
    if system.kind == "gpu_pim":
        yield from _units(experiment, system)
    tiered = system.kind == "gpu_pim" and isinstance(load_memory(system.memory), TieredMemory)
    if system.kind != "near_memory" and not tiered and experiment.placement != PlacementOptions():
        yield f"placement: given, but {kind}, where experts have no rows; allowed: kind near_memory and tiered memory"
    by_topic = experiment.batching.policy == "same_topic" or system.kind == "near_memory"
    if not by_topic and experiment.topic_prediction != TopicPredictionOptions():
        yield f"topic_prediction: given, but nothing goes by topics: {kind} and batching is {experiment.batching.policy}"
    batching, default = experiment.batching, BatchingOptions()
    for name, (by, needed) in _UNUSED_BATCHING.items():
        if getattr(batching, name) != getattr(default, name) and getattr(batching, by) == getattr(default, by):
            yield f"batching.{name}: given, but it needs {needed}"
    yield from _measured(experiment, system)


def _units(experiment: ServingExperiment, system: ServingSystem) -> Iterator[str]:
    policy = experiment.schedule.policy
    if policy == "gpu_only" and experiment.pim_times != "formula":
        yield "pim_times: given, but schedule.policy gpu_only leaves nothing to the units"
    if experiment.contention is None:
        return
    if policy == "gpu_only":
        yield "contention: given, but schedule.policy gpu_only leaves nothing to the units, which then slow nobody"
    elif policy in _ONE_SIDED and not system.gpu_pim.interleaved:
        yield (
            f"contention: given, but with schedule.policy {policy} GPU and units never use the memory at once; allowed: "
            "gpu_pim.interleaved: true, or a policy that splits the experts"
        )


def _measured(experiment: ServingExperiment, system: ServingSystem) -> Iterator[str]:
    if experiment.measured and system.kind == "near_memory":
        yield f"measured: tables are of GPUs with memory of their own, {system.name} reads its chips over a link"
    if not experiment.measured and experiment.measured_distribution is not None:
        yield "measured_distribution: given, but no measured tables are"
    if not experiment.measured and experiment.outside_measured != "refuse":
        yield "outside_measured: given, but no measured tables are"
    if system.kind == "gpu_pim" and experiment.measured_distribution not in (None, "balanced"):
        yield (
            f"measured_distribution: given {experiment.measured_distribution!r}; experts are told apart by layers that use all of "
            "them alike, allowed: balanced"
        )
