"""What a sweep runs: one experiment with some of its keys varied, as a grid, as a list of points, or as both."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from moeram.errors import ConfigError, did_you_mean
from moeram.experiment import Experiment, ServingExperiment, load_serving
from moeram.experiment.options import read_options, run_name
from moeram.options import Options, build, config_names, load_yaml, parse_yaml

MOST_POINTS = 1_000_000
KINDS = {"step": "experiments", "serving": "serving"}
_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)")


def _values(value: Any) -> Any:
    """Return the values of one key: a list as it is, "0..9" as whole numbers, anything else as one value."""
    items = value if isinstance(value, (list, tuple)) else (value,)
    result: list[Any] = []
    for item in items:
        found = _RANGE.fullmatch(item) if isinstance(item, str) else None
        if found is None:
            result.append(item)
            continue
        first, last = int(found[1]), int(found[2])
        if not 0 <= last - first < MOST_POINTS:
            raise ValueError(f"given {item!r}, allowed: FIRST..LAST with at most {MOST_POINTS} whole numbers")
        result += range(first, last + 1)
    if not result:
        raise ValueError("no value is given, allowed: at least one")
    return tuple(result)


class Sweep(Options):
    """A sweep, also as a YAML file.

    experiment: a shipped name or a path, of a single-step or a serving experiment; step:NAME or serving:NAME where both have the name.
    fixed: key -> value for every point. over: key -> values, every combination is run; the first key varies slowest. points: single
    points, key -> value; each is run with every combination of `over`. Keys are dotted, such as requests.rate_per_s.
    """

    name: Annotated[str, AfterValidator(run_name)]
    description: str = ""
    experiment: str
    fixed: dict[str, Any] = Field(default_factory=dict)
    over: dict[str, Annotated[tuple[Any, ...], BeforeValidator(_values)]] = Field(default_factory=dict)
    points: tuple[dict[str, Any], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys that vary, those of `points` first."""
        return tuple(dict.fromkeys([*itertools.chain.from_iterable(self.points), *self.over]))

    def values(self) -> list[dict[str, Any]]:
        """Return the values of every point, in order.

        Raises:
            ConfigError: nothing varies, a key in both `over` and `points`, or too many points.
        """
        if not self.keys:
            raise ConfigError(f"sweep {self.name}: nothing varies; give --over KEY=VALUE,VALUE or points")
        both = sorted(set(self.over) & set(itertools.chain.from_iterable(self.points)))
        if both:
            raise ConfigError(f"sweep {self.name}: {both[0]!r} is in over and in points, allowed: one of them")
        count = math.prod(map(len, self.over.values())) * max(len(self.points), 1)
        if count > MOST_POINTS:
            raise ConfigError(f"sweep {self.name}: {count} points, allowed: at most {MOST_POINTS}")
        grid = [dict(zip(self.over, values, strict=True)) for values in itertools.product(*self.over.values())]
        return [{**self.fixed, **listed, **combination} for listed in self.points or ({},) for combination in grid]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One experiment to run, as plain values that travel between processes; origin: of the values, for messages."""

    experiment: str
    values: dict[str, Any]
    origin: str = "sweep"

    def load(self) -> Experiment | ServingExperiment:
        """Return the experiment with its values.

        Raises:
            ConfigError: an unknown key, or a value that is not allowed.
        """
        kind, name = kind_and_name(self.experiment)
        if kind == "serving":
            return load_serving(name, (), self.values, self.origin)
        return read_options(Experiment, KINDS[kind], name, (), self.values, self.origin)


def points_of(sweep: Sweep) -> list[Point]:
    """Return the points of a sweep, in order."""
    origin = f"sweep {sweep.name}"
    return [Point(experiment=sweep.experiment, values=values, origin=origin) for values in sweep.values()]


def kind_and_name(name_or_path: str | Path) -> tuple[str, str]:
    """Return whether an experiment is of kind "serving" or "step", and its name or path without the kind in front.

    Raises:
        ConfigError: no such name or file (names the nearest of both kinds), or a name that both kinds have.
    """
    text = str(name_or_path)
    for kind in KINDS:
        if text.startswith(f"{kind}:"):
            return kind, text.removeprefix(f"{kind}:")
    found = [kind for kind, folder in KINDS.items() if text in config_names(folder)]
    if len(found) > 1:
        raise ConfigError(f"{text!r} is the name of two experiments; write serving:{text} or step:{text}")
    if found:
        return found[0], text
    if not (Path(text).expanduser().is_file() or "/" in text or text.endswith((".yaml", ".yml"))):
        known = [name for folder in KINDS.values() for name in config_names(folder)]
        raise ConfigError(f"no experiment named {text!r}{did_you_mean(text, known)}")
    value = load_yaml(Path(text).expanduser()).value
    if isinstance(value, dict) and not {"system", "hardware"} & value.keys() and isinstance(value.get("extends"), str):
        return kind_and_name(value["extends"])[0], text
    return "serving" if isinstance(value, dict) and "system" in value else "step", text


def read_sweep(name_or_path: str | Path, over: Sequence[str] = (), parameters: Sequence[str] = ()) -> Sweep:
    """Return a sweep from a file that describes one, or of an experiment by name or path.

    Args:
        over: texts "a.b=v1,v2" or "a.b=0..9", laid over the file's. parameters: texts "a.b=value" for every point.

    Raises:
        ConfigError: whatever is wrong with the file or the texts.
    """
    pairs = list(map(_over, over))
    grid, fixed = dict(pairs), dict(map(_parameter, parameters))
    for key in grid:
        if sum(key == other for other, _ in pairs) > 1:
            raise ConfigError(f"--over {key}: given twice; write --over {key}=A,B")
        if key in fixed:
            raise ConfigError(f"{key}: in --over and in -p, allowed: one of them")
    path = Path(name_or_path).expanduser()
    tree = load_yaml(path) if path.suffix in (".yaml", ".yml") else None
    if tree is not None and isinstance(tree.value, dict) and "experiment" in tree.value:
        sweep = build(Sweep, tree)
        return sweep.model_copy(update={"over": {**sweep.over, **grid}, "fixed": {**sweep.fixed, **fixed}})
    experiment = str(path.resolve()) if tree is not None else str(name_or_path)
    name = Path(kind_and_name(experiment)[1]).stem
    return Sweep(name=name, experiment=experiment, fixed=fixed, over=grid)


def _over(text: str) -> tuple[str, tuple[Any, ...]]:
    key, values = _split(text, "--over", "KEY=VALUE,VALUE,... with a dotted key, such as --over batch=1,8,64")
    try:
        return key, _values(parse_yaml(f"[{values}]", f"--over {key}", lines=False).value)
    except ValueError as error:
        raise ConfigError(f"--over {key}: {error}") from None


def _parameter(text: str) -> tuple[str, Any]:
    key, value = _split(text, "-p", "KEY=VALUE with a dotted key, such as -p samples=4")
    return key, parse_yaml(value, f"-p {key}", lines=False).value


def _split(text: str, option: str, allowed: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not all(key.strip().split(".")):
        raise ConfigError(f"{option} {text}: given {text!r}, allowed: {allowed}")
    return key.strip(), value
