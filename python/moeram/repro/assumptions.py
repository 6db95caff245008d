"""What a paper leaves open, as named parameters with a nominal value and a range, from configs/assumptions/*.yaml (docs/repro.md).

The nominal values were fixed before any target was computed; the hash of the whole file stands in every result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, field_validator, model_validator

from moeram.errors import ConfigError, did_you_mean
from moeram.experiment import load, load_serving
from moeram.hardware import load_system
from moeram.hardware.gpu import Gpu
from moeram.hardware.memories import KINDS, load_memory
from moeram.hardware.spec import System
from moeram.options import Options, build, config_names, dotted, load_config, nested, overlay
from moeram.schedule.sieve import SieveOptions
from moeram.serving.system import ServingSystem

OptionsT = TypeVar("OptionsT", bound=Options)
Scalar = bool | int | float | str
Value = Scalar | tuple[int, ...]
Values = Mapping[str, Value]

# The numbers of the fact sheets' lists; a file without one of them is refused.
SHEETS = {
    "stratum": tuple(f"U{number}" for number in range(1, 29)),
    "sieve": tuple(f"X{number}" for number in range(1, 19)),
}


class Parameter(Options):
    """One value that an assumption sets.

    configs: "KIND/NAME" of the configs that hold it, all of them the same, below `key`; without them it is read by the reproduction alone.
    range: least and greatest value; choices: instead of a range. whole: values between are rounded. vary: whether screening touches it.
    """

    nominal: Value
    configs: tuple[str, ...] = ()
    key: str = ""
    range: tuple[float, float] | None = None
    choices: tuple[Scalar, ...] | None = None
    whole: bool = False
    unit: str = ""
    vary: bool = True

    @field_validator("range", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return tuple(map(float, value)) if isinstance(value, tuple | list) else value

    @model_validator(mode="after")
    def _consistent(self) -> Parameter:
        if bool(self.configs) != bool(self.key):
            raise ValueError("configs and key go together")
        if self.range is not None and self.choices is not None:
            raise ValueError("range and choices are both given, allowed: one of them")
        if self.range is not None and self.range[0] >= self.range[1]:
            raise ValueError(f"given the range {list(self.range)}, allowed: least, then greatest value")
        if not self.allows(self.nominal):
            raise ValueError(f"the nominal value {self.nominal!r} lies outside {self.span()}")
        return self

    @property
    def varied(self) -> bool:
        """Whether there is anything to vary."""
        return self.vary and (self.range is not None or (self.choices is not None and len(self.choices) > 1))

    def allows(self, value: Value) -> bool:
        """Return whether a value lies in the range or among the choices."""
        if self.choices is not None:
            return any(
                value == choice and isinstance(value, bool) == isinstance(choice, bool) for choice in self.choices
            )
        if self.range is None:
            return value == self.nominal
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.range[0] <= value <= self.range[1]

    def span(self) -> str:
        """Return range or choices as text."""
        if self.range is not None:
            return f"{self.range[0]:g} to {self.range[1]:g}"
        return ", ".join(map(str, self.choices)) if self.choices else "fixed"


class Assumption(Options):
    """One thing that a paper leaves open. structural: what moeram does where that is no number, and why it is none."""

    id: str
    title: str
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    structural: str = ""
    reason: str

    @model_validator(mode="after")
    def _says_something(self) -> Assumption:
        if not self.parameters and not self.structural:
            raise ValueError(f"{self.id} has neither parameters nor what is structural about it")
        return self


class Assumptions(Options):
    """All assumptions about one paper."""

    paper: str
    assumptions: Annotated[tuple[Assumption, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> Assumptions:
        ids = [entry.id for entry in self.assumptions]
        missing = [number for number in SHEETS.get(self.paper, ()) if number not in ids]
        if missing:
            raise ValueError(f"assumptions {', '.join(missing)} are missing")
        names = [name for entry in self.assumptions for name in entry.parameters]
        twice = sorted({text for text in (*ids, *names) if (*ids, *names).count(text) > 1})
        if twice:
            raise ValueError(f"given twice: {', '.join(twice)}")
        return self

    @property
    def parameters(self) -> dict[str, Parameter]:
        """All parameters by name."""
        return {name: one for entry in self.assumptions for name, one in entry.parameters.items()}

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of everything the file says, whatever its layout and order of keys."""
        return content_hash(self)

    def id_of(self, parameter: str) -> str:
        """Return the assumption that a parameter belongs to."""
        return next(entry.id for entry in self.assumptions if parameter in entry.parameters)

    def nominal(self) -> dict[str, Value]:
        """Return the nominal value of every parameter."""
        return {name: one.nominal for name, one in self.parameters.items()}

    def values(self, changed: Values | None = None) -> dict[str, Value]:
        """Return the nominal values with some of them changed.

        Raises:
            ConfigError: no such parameter (names the nearest), or a value outside its range.
        """
        parameters = self.parameters
        for name, value in (changed or {}).items():
            if name not in parameters:
                raise ConfigError(f"{self.paper} has no assumption {name!r}{did_you_mean(name, parameters)}")
            if not parameters[name].allows(value):
                raise ConfigError(f"assumption {name}: given {value!r}, allowed: {parameters[name].span()}")
        return self.nominal() | dict(changed or {})

    def overrides(self, config: str, values: Values) -> dict[str, Value]:
        """Return, by key, the values of the parameters that a config ("hardware/stratum_l") holds."""
        return {one.key: values[name] for name, one in self.parameters.items() if config in one.configs}


def content_hash(options: Options) -> str:
    """Return the SHA-256 (hex) of options as canonical JSON."""
    text = json.dumps(options.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def papers() -> list[str]:
    """Return the papers that have a file of assumptions."""
    return config_names("assumptions")


@lru_cache(maxsize=8)
def load_assumptions(paper: str | Path) -> Assumptions:
    """Return the assumptions about a paper ("stratum", "sieve") or of a file.

    Raises:
        ConfigError: no such file, unknown keys, a nominal value outside its range, a number of the sheet that is missing.
    """
    return build(Assumptions, load_config("assumptions", paper))


def _memory_class(name: str) -> type[Options]:
    return KINDS[load_memory(name).kind]


_CLASSES: dict[str, Callable[[str], type[Options]]] = {
    "gpus": lambda name: Gpu,
    "hardware": lambda name: System,
    "memories": _memory_class,
    "systems": lambda name: ServingSystem,
}


def configured(config: str, assumptions: Assumptions, values: Values) -> Any:
    """Return the options of a shipped config with the assumptions laid over it.

    Args:
        config: "KIND/NAME" with the kind gpus, hardware, memories, systems or schedule.

    Raises:
        ConfigError: no such config, or a value that it refuses.
    """
    kind, _, name = config.partition("/")
    changes = assumptions.overrides(config, values)
    if kind == "schedule":
        return SieveOptions(**changes)
    if kind not in _CLASSES:
        raise ConfigError(f"config {config!r}: kind {kind!r}{did_you_mean(kind, (*_CLASSES, 'schedule'))}")
    tree = load_config(kind, name)
    for key, value in changes.items():
        tree = overlay(tree, nested(tuple(key.split(".")), value, f"assumption {assumptions.paper}"))
    return build(_CLASSES[kind](name), tree)


def shipped_value(config: str, key: str) -> Any:
    """Return what a shipped config resolves to below a key.

    Raises:
        ConfigError: it has no such key.
    """
    kind, _, name = config.partition("/")
    readers: dict[str, Callable[[str], Any]] = {
        "experiments": lambda text: load(text).model_dump(),
        "gpus": lambda text: build(Gpu, load_config("gpus", text)).model_dump(),
        "hardware": lambda text: load_system(text).model_dump(),
        "memories": lambda text: load_memory(text).model_dump(),
        "schedule": lambda text: SieveOptions().model_dump(),
        "serving": lambda text: load_serving(text).model_dump(),
        "standards": lambda text: load_config("standards", text).value,
        "systems": lambda text: build(ServingSystem, load_config("systems", text)).model_dump(),
    }
    if kind not in readers:
        raise ConfigError(f"config {config!r}: kind {kind!r}{did_you_mean(kind, readers)}")
    value = readers[kind](name)
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ConfigError(f"config {config} has no key {dotted(tuple(key.split('.')))}")
        value = value[part]
    return value
