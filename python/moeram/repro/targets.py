"""Published figures as targets with their tolerances (configs/targets/*.yaml), and how ours are judged against them (docs/repro.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from moeram.errors import ConfigError, EngineError
from moeram.options import Options, build, load_config
from moeram.repro.assumptions import Assumptions, Value, content_hash

PREDICTED = "predicted"
SUB_RANGE = "predicted only for a named sub-range"
CONTRADICTED = "contradicted"
NOT_TESTABLE = "not testable here"
OUTCOMES = (PREDICTED, SUB_RANGE, CONTRADICTED, NOT_TESTABLE)

Ours = float | bool


class Published(Options):
    """One published value: a number with what ours may differ by, relative or absolute, or a trend (true).

    derived: arithmetic of the fact sheet on published figures.
    """

    published: bool | int | float
    relative: Annotated[float, Field(gt=0, lt=1)] | None = None
    absolute: Annotated[float, Field(gt=0)] | None = None
    derived: bool = False

    @model_validator(mode="after")
    def _one_tolerance(self) -> Published:
        given = sum(tolerance is not None for tolerance in (self.relative, self.absolute))
        if given != (0 if isinstance(self.published, bool) else 1):
            raise ValueError("a number takes one tolerance, relative or absolute, and a trend none")
        return self

    @property
    def slack(self) -> float:
        """What ours may differ by."""
        return self.absolute if self.absolute is not None else abs(self.published) * (self.relative or 0.0)

    def met_by(self, ours: Ours) -> bool:
        """Return whether ours lies within the tolerance, its ends included.

        Raises:
            EngineError: ours is a number where a trend is published, or the other way round, or no finite number.
        """
        if isinstance(self.published, bool) != isinstance(ours, bool):
            raise EngineError(f"ours is {ours!r} where {self.published!r} is published")
        if isinstance(ours, bool):
            return ours == self.published
        if not math.isfinite(ours):
            raise EngineError(f"ours is {ours!r} where {self.published!r} is published")
        # Rounding of the last digit must not decide at the very edge.
        return abs(ours - self.published) <= self.slack * (1 + 1e-9)


class PublishedTarget(Options):
    """What a paper publishes of one thing. source: section of the fact sheet in docs/papers."""

    id: str
    title: str
    source: str
    values: Annotated[dict[str, Published], Field(min_length=1)]


class PublishedTargets(Options):
    """All targets of one paper."""

    paper: str
    targets: tuple[PublishedTarget, ...]

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of everything the file says."""
        return content_hash(self)

    def __getitem__(self, target: str) -> PublishedTarget:
        """Return a target by its number."""
        return next(one for one in self.targets if one.id == target)


@lru_cache(maxsize=8)
def load_targets(paper: str | Path) -> PublishedTargets:
    """Return the targets of a paper ("stratum", "sieve") or of a file.

    Raises:
        ConfigError: no such file, unknown keys, a value without its tolerance, a number given twice.
    """
    loaded = build(PublishedTargets, load_config("targets", paper))
    ids = [target.id for target in loaded.targets]
    if len(set(ids)) < len(ids):
        raise ConfigError(f"targets of {loaded.paper}: a number is given twice")
    return loaded


@dataclass(frozen=True, kw_only=True)
class Point:
    """Ours for one setting. changed: parameters that are not nominal."""

    changed: Mapping[str, Value]
    ours: Ours


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a value was judged. sub_range: for which settings it is predicted. least, most: of all settings, nominal included."""

    outcome: str
    sub_range: str = ""
    least: float | None = None
    most: float | None = None


def judge(published: Published, nominal: Ours, points: Sequence[Point], assumptions: Assumptions) -> Outcome:
    """Return the outcome of one published value.

    Args:
        points: settings within the declared ranges that were computed.
    """
    numbers = [float(value) for value in (nominal, *(point.ours for point in points))]
    span = {"least": min(numbers), "most": max(numbers)}
    met = [point for point in points if published.met_by(point.ours)]
    if published.met_by(nominal):
        return Outcome(outcome=PREDICTED, **span)
    if met:
        return Outcome(outcome=SUB_RANGE, sub_range=_named(met, assumptions), **span)
    return Outcome(outcome=CONTRADICTED, **span)


def towards(published: Published, nominal: Ours, points: Sequence[Point]) -> list[Point]:
    """Return the points that meet a value or lie on its other side than nominal, fewest changes first, where no single change meets it."""
    met = [point for point in points if published.met_by(point.ours)]
    if published.met_by(nominal) or any(len(point.changed) == 1 for point in met):
        return []
    below = float(nominal) < float(published.published)
    crossed = [point for point in points if (float(point.ours) > float(published.published)) == below]
    return sorted([*met, *(point for point in crossed if point not in met)], key=lambda point: len(point.changed))


def _named(met: Sequence[Point], assumptions: Assumptions) -> str:
    """Name the settings that meet a value: single parameters where one suffices, else the point with the fewest changes."""
    fewest = min(len(point.changed) for point in met)
    if fewest > 1:
        nearest = next(point for point in met if len(point.changed) == fewest)
        together = " with ".join(f"{name} = {_text(value)}" for name, value in nearest.changed.items())
        return f"for instance {together}"
    names: dict[str, list[Value]] = {}
    for point in met:
        if len(point.changed) == 1:
            ((name, value),) = point.changed.items()
            names.setdefault(name, []).append(value)
    parameters = assumptions.parameters
    texts = []
    for name, values in names.items():
        if parameters[name].choices is None and len(values) > 1:
            texts.append(f"{name} {_text(min(values))} to {_text(max(values))}")  # type: ignore[type-var]
        else:
            texts.append(f"{name} = {' or '.join(map(_text, values))}")
    return "; or ".join(texts)


def _text(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
