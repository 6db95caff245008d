"""The options of a serving experiment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from moeram.errors import did_you_mean
from moeram.experiment.options import (
    RoutingOptions,
    TopicPredictionOptions,
    config_name,
    existing_path,
    model_in,
    options_tree,
    phi_rows,
    placement_name,
    run_name,
)
from moeram.hardware import load_system
from moeram.hardware.memories import load_memory
from moeram.hardware.shared_memory import SharingOptions
from moeram.hardware.standard_files import standard_files
from moeram.hardware.tiered_memory import TieredMemory
from moeram.metrics.cap import CostOptions
from moeram.model import MoEModel
from moeram.options import Options, build
from moeram.options.configs import config_roots
from moeram.schedule import schedule_names
from moeram.serving.batching import BatchingOptions
from moeram.serving.system import load_serving_system

Count = Annotated[int, Field(ge=1)]


class RequestOptions(Options):
    """Who asks. source: "poisson" (all of one length) or "trace" (path, see serving/request_files.py).

    count: how many, None: all of the trace. rate_per_s: Poisson arrivals of this rate, None: the trace's own times. prompt_tokens,
    output_tokens: lengths of poisson requests, caps of a trace's (None: as they are).
    """

    source: Literal["poisson", "trace"] = "poisson"
    path: Annotated[str, AfterValidator(existing_path)] | None = None
    count: Count | None = None
    rate_per_s: Annotated[float, Field(gt=0)] | None = None
    prompt_tokens: Count | None = None
    output_tokens: Count | None = None

    @model_validator(mode="after")
    def _complete(self) -> RequestOptions:
        if self.source == "trace" and self.path is None:
            raise ValueError(
                "requests.path is missing; give the path of a request trace, such as -p requests.path=FILE"
            )
        if self.source == "poisson":
            missing = [
                key for key in ("count", "rate_per_s", "prompt_tokens", "output_tokens") if getattr(self, key) is None
            ]
            if missing or self.path is not None:
                raise ValueError(
                    f"poisson requests need {', '.join(missing)}"
                    if missing
                    else "requests.path is given but requests.source is poisson"
                )
        return self


class ScheduleOptions(Options):
    """Who computes an expert, on systems whose memory may: a policy and its options (docs/schedule.md)."""

    policy: str = "sieve"
    options: dict[str, float | int | bool | str] = Field(default_factory=dict)

    @field_validator("policy")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in schedule_names():
            raise ValueError(f"given {name!r}{did_you_mean(name, schedule_names())}")
        return name


class PlacementOptions(Options):
    """Which rows experts and caches get, on near-memory systems; as in the experiments on single steps."""

    policy: Annotated[str, AfterValidator(placement_name)] = "topic_aware"
    phi: Annotated[str | int, BeforeValidator(phi_rows)] = "compact"
    kv_requests: Count = 32
    context_tokens: Count = 2048


class LimitOptions(Options):
    """What users accept; goodput counts requests that met both, batching by topic hurries for the first.

    impossible: limits below the bound of one token are refused, or served all the same.
    """

    ttft_ms: Annotated[float, Field(gt=0)] = 1000.0
    tpot_ms: Annotated[float, Field(gt=0)] = 50.0
    impossible: Literal["refuse", "serve"] = "refuse"


class ServingExperiment(Options):
    """One complete serving experiment. Model, system: a shipped name or a path. system_values: keys of the system file to replace,
    such as {gpu_pim: {exclusive: true}}. precision: other formats of the model's parts, such as bf16 (docs/models.md).

    topic_prediction: how well topics are known to batching and placement; tokens follow the true one. measured: tables of measured kernel times of
    this GPU; where they have a kernel's exact shape they replace the roofline (docs/serving.md). measured_distribution: of tokens over
    experts in them, None: balanced. outside_measured: sizes beyond the tables are refused, or continued and labelled. cost: prices; without them nothing is said of cost. every_ms: interval of the time series. reuse: layers that did the same
    work before are not simulated again. pim_times: of memory with units at the banks, by "formula" (closed forms) or "engine" (cycle by cycle).
    contention: reads of a GPU and its units' work slow each other on their memory as the cycle engine measures it with this sharing, None: they do not.
    """

    name: Annotated[str, AfterValidator(run_name)]
    description: str = ""
    model: Annotated[str, config_name("models")]
    system: Annotated[str, config_name("systems")]
    system_values: dict[str, Any] = Field(default_factory=dict)
    precision: str = ""
    routing: RoutingOptions
    requests: RequestOptions
    batching: BatchingOptions = BatchingOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    placement: PlacementOptions = PlacementOptions()
    topic_prediction: TopicPredictionOptions = TopicPredictionOptions()
    limits: LimitOptions = LimitOptions()
    pim_times: Literal["formula", "engine"] = "formula"
    contention: SharingOptions | None = None
    measured: tuple[Annotated[str, AfterValidator(existing_path)], ...] = ()
    measured_distribution: str | None = None
    outside_measured: Literal["refuse", "label"] = "refuse"
    cost: CostOptions | None = None
    every_ms: Annotated[float, Field(gt=0)] = 1000.0
    seed: Annotated[int, Field(ge=0)] = 0
    threads: Count | None = None
    reuse: bool = True

    def resolved(self) -> dict[str, Any]:
        """Return all options, defaults included, as plain values that `load_serving` accepts again."""
        return self.model_dump(mode="python")

    def load_model(self) -> MoEModel:
        """Return the model, in the formats of `precision` where it names any."""
        return model_in(self.model, self.precision)

    def input_paths(self) -> tuple[str, ...]:
        """Return the files and folders that it reads: recorded routing, requests, measured tables, a DRAM standard's own files."""
        given = tuple(
            path
            for path in (self.routing.path, self.requests.path, self.topic_prediction.confusion, *self.measured)
            if path is not None
        )
        parts = self.machines()
        chips = parts.get("chips") or parts.get("memory", {})
        return given + tuple(standard_files(chips.get("device", {}).get("standard", "")))

    def machines(self) -> dict[str, Any]:
        """Return model and system in full, as plain values."""
        system = load_serving_system(self.system, self.system_values)
        parts = {"gpu": system.one_gpu().model_dump(), "system": system.model_dump()}
        if system.memory is not None:
            loaded = load_memory(system.memory) if system.kind == "gpu_pim" else load_system(system.memory)
            parts["memory"] = loaded.model_dump()
            if isinstance(loaded, TieredMemory):
                parts["chips"] = loaded.system.model_dump()
        return {"model": asdict(self.load_model()), **parts}


def load_serving(
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    origin: str = "run(..., {key}=)",
) -> ServingExperiment:
    """Read a serving experiment by name ("qwen3_sieve") or path; arguments and errors as `load`, origin: of `values`, for messages.

    Fields of `limits` count as set where the caller wrote them, not where a shipped file did.
    """
    tree = options_tree("serving", name_or_path, overrides, values, origin)
    experiment = build(ServingExperiment, tree)
    shipped = tuple(f"{folder}{os.sep}" for folder in config_roots("serving"))
    limits = experiment.limits
    written = {name for name in limits.model_fields_set if not tree.origin(("limits", name)).startswith(shipped)}
    return experiment.model_copy(update={"limits": LimitOptions.model_construct(written, **limits.model_dump())})
