"""The options of an experiment: those of all rooms, composed from one YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from moeram.errors import ConfigError, did_you_mean
from moeram.hardware import load_system
from moeram.hardware.standard_files import standard_files
from moeram.model import MoEModel, load_model
from moeram.model.precision import parse_precision
from moeram.options import Options, Tree, build, config_path, load_config, nested, overlay, override
from moeram.placement import row_policy, row_policy_names
from moeram.routing import FORMATS, SyntheticOptions

OptionsT = TypeVar("OptionsT", bound=Options)


def config_name(kind: str) -> AfterValidator:
    """Return a validator of the name or path of a config."""

    def check(name_or_path: str) -> str:
        try:
            path = config_path(kind, name_or_path)
        except ConfigError as error:
            raise ValueError(f"given {name_or_path!r}: {error}") from error
        return name_or_path if path.stem == name_or_path else str(path.resolve())

    return AfterValidator(check)


def existing_path(text: str) -> str:
    path = Path(text).expanduser()
    if not path.exists():
        raise ValueError(f"given {text!r}: no such file or folder (a relative path starts at the current folder)")
    return str(path.resolve())


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else (value,)


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values or len(set(values)) < len(values):
        raise ValueError(f"given {list(values)!r}, allowed: at least one value, each only once")
    return values


def run_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ValueError(
            f"given {name[:120]!r}, allowed: up to 100 letters, digits and . _ - (it becomes part of a folder's name)"
        )
    return name


def placement_name(name: str) -> str:
    if name not in row_policy_names():
        raise ValueError(f"given {name!r}{did_you_mean(name, row_policy_names())}")
    try:
        row_policy(name)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return name


def _format(name: str) -> str:
    if name not in FORMATS:
        raise ValueError(f"given {name!r}{did_you_mean(name, FORMATS)}")
    return name


def phi_rows(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if value not in ("compact", "full") and not whole:
        raise ValueError(f"given {value!r}, allowed: 'compact', 'full' or a number of rows")
    return value


def _floats(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: float(n) if isinstance(n, int) and abs(n) < 2**53 and n is not True else n for key, n in value.items()}


class RoutingOptions(Options):
    """Which experts tokens use: recorded data (`trace`, with its path) or the seeded generator (`synthetic`)."""

    source: Literal["trace", "synthetic"]
    path: Annotated[str, AfterValidator(existing_path)] | None = None
    format: Annotated[str, AfterValidator(_format)] = "auto"
    synthetic: SyntheticOptions = SyntheticOptions()

    @model_validator(mode="after")
    def _path_for_traces(self) -> RoutingOptions:
        if self.source == "trace" and self.path is None:
            raise ValueError(
                "routing.path is missing; give the path of recorded routing, such as -p routing.path=FILE_OR_FOLDER"
            )
        if self.source == "synthetic" and self.path is not None:
            raise ValueError(
                "routing.path is given but routing.source is synthetic; allowed: source: trace with a path"
            )
        if self.source == "trace" and self.synthetic != SyntheticOptions():
            raise ValueError("routing.synthetic is given but routing.source is trace; allowed: source: synthetic")
        if self.source == "synthetic" and self.format != "auto":
            raise ValueError("routing.format is given but routing.source is synthetic; allowed: source: trace")
        return self


class OverlapOptions(Options):
    """Which parts of the near-memory program run beside others (stratum.md 2.5, step 6)."""

    all_gather: bool = True
    silu: bool = True
    reduce_scatter: bool = True
    weighted_sum: bool = True


class TopicPredictionOptions(Options):
    """How well the topic of a batch is known before it is placed; routing always follows the true topic.

    accuracy: probability of the right topic, all wrong ones are alike. confusion: instead, a JSON file of what is taken for
    what, as `moeram topics evaluate --json` writes it.
    """

    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    confusion: Annotated[str, AfterValidator(existing_path)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> TopicPredictionOptions:
        if self.accuracy is not None and self.confusion is not None:
            raise ValueError("accuracy and confusion are both given, allowed: one of them")
        return self


class BatchTopicsOptions(Options):
    """Batches of several topics at once, instead of one topic each.

    requests: topic -> number or share of its requests, such as {coding: 3, math: 1}; each token of a batch is one request.
    composition: "fixed" divides every batch by largest remainders, "drawn" draws the topic of every token (seeded).
    """

    requests: Annotated[dict[str, Annotated[float, Field(ge=0)]], BeforeValidator(_floats)]
    composition: Literal["fixed", "drawn"] = "fixed"

    @model_validator(mode="after")
    def _some_requests(self) -> BatchTopicsOptions:
        if not 0 < sum(self.requests.values()) < float("inf"):
            raise ValueError("requests: allowed: topics with numbers of finite sum that are not all 0")
        return self


def model_in(name: str, precision: str) -> MoEModel:
    """Return a model in the formats of a precision (docs/models.md), "": its own."""
    model = load_model(name)
    return replace(model, precision=parse_precision(precision, model.precision)) if precision else model


class Experiment(Options):
    """One complete experiment. Model, hardware: a shipped name or a path. hardware_values: keys of the hardware file to replace,
    such as {device: {tiers: 4}} or, on the command line, -p hardware_values.device.tiers=4. precision: other formats of the model's parts, such as experts=int8 (docs/models.md).

    batch: tokens of a step, all of one topic unless batch_topics says otherwise. phi: rows for experts and KV cache, see placement/plan.py. kv_requests,
    context_tokens: size of the KV reserve. samples: draws per topic and batch size. topics: None means all. threads:
    None means all cores. topic_prediction: perfect by default. paper_gain and paper_hit_rate: published figures to stand beside ours.
    """

    name: Annotated[str, AfterValidator(run_name)]
    description: str = ""
    model: Annotated[str, config_name("models")]
    hardware: Annotated[str, config_name("hardware")]
    hardware_values: dict[str, Any] = Field(default_factory=dict)
    precision: str = ""
    routing: RoutingOptions
    batch: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...], BeforeValidator(_one_or_many), AfterValidator(_distinct)
    ]
    placements: Annotated[
        tuple[Annotated[str, AfterValidator(placement_name)], ...],
        BeforeValidator(_one_or_many),
        AfterValidator(_distinct),
    ] = ("no_tiering", "random_rows", "static_hot", "topic_aware")
    phi: Annotated[str | int, BeforeValidator(phi_rows)] = "compact"
    kv_requests: Annotated[int, Field(ge=0, le=10**9)] = 32
    context_tokens: Annotated[int, Field(ge=0, le=10**9)] = 2048
    samples: Annotated[int, Field(ge=1, le=1_000_000)] = 8
    topics: Annotated[tuple[str, ...], AfterValidator(_distinct)] | None = None
    batch_topics: BatchTopicsOptions | None = None
    topic_prediction: TopicPredictionOptions = TopicPredictionOptions()
    seed: Annotated[int, Field(ge=0)] = 0
    overlap: OverlapOptions = OverlapOptions()
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    reuse_identical_channels: bool = True
    reuse_experts: bool = True
    kernel_memo: bool = True
    paper_gain: Annotated[float, Field(gt=0)] | None = None
    paper_hit_rate: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="after")
    def _topics_once(self) -> Experiment:
        if self.topics is not None and self.batch_topics is not None:
            raise ValueError("topics and batch_topics are both given, allowed: one of them")
        return self

    def resolved(self) -> dict[str, Any]:
        """Return all options, defaults included, as plain values that `load` accepts again."""
        return self.model_dump(mode="python")

    def load_model(self) -> MoEModel:
        """Return the model, in the formats of `precision` where it names any."""
        return model_in(self.model, self.precision)

    def input_paths(self) -> tuple[str, ...]:
        """Return the files and folders that it reads: recorded routing, the confusion of topics, a DRAM standard's own files."""
        given = tuple(path for path in (self.routing.path, self.topic_prediction.confusion) if path is not None)
        return given + tuple(standard_files(load_system(self.hardware, self.hardware_values).device.standard))

    def machines(self) -> dict[str, Any]:
        """Return model and hardware in full, as plain values."""
        return {"model": asdict(self.load_model()), "hardware": load_system(self.hardware, self.hardware_values).model_dump()}


def load(
    name_or_path: str | Path, overrides: Sequence[str] = (), values: Mapping[str, Any] | None = None
) -> Experiment:
    """Read an experiment by name ("quickstart") or path.

    Args:
        overrides: texts "a.b=value" of the command line.
        values: overrides from Python; keys as "a.b" or "a__b", or nested mappings.

    Raises:
        ConfigError: whatever is wrong with the file or the overrides, all complaints at once.
    """
    return read_options(Experiment, "experiments", name_or_path, overrides, values)


def read_options(
    options: type[OptionsT],
    kind: str,
    name_or_path: str | Path,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    origin: str = "run(..., {key}=)",
) -> OptionsT:
    """Read options of any kind of experiment, see `load`; origin: of `values`, for messages."""
    return build(options, options_tree(kind, name_or_path, overrides, values, origin))


def options_tree(
    kind: str, name_or_path: str | Path, overrides: Sequence[str], values: Mapping[str, Any] | None, origin: str = "run(..., {key}=)"
) -> Tree:
    """Return what `read_options` builds from, with the origin of every value."""
    tree = load_config(kind, name_or_path)
    for text in overrides:
        tree = override(tree, text)
    for key, value in (values or {}).items():
        parts = tuple(key.replace("__", ".").split("."))
        tree = overlay(tree, nested(parts, plain_values(value), origin.replace("{key}", key)))
    return tree


def plain_values(value: Any) -> Any:
    """Return values from Python as YAML knows them: dicts, lists, scalars."""
    if isinstance(value, Mapping):
        return {str(key): plain_values(inner) for key, inner in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain_values(value.tolist())
    if isinstance(value, list | tuple | range):
        return [plain_values(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value
