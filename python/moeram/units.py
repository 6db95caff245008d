"""Quantities with units: "6.4 Gbps", "14 ns", "24 GiB".

Every name that carries a unit says so by its suffix (`_ps _ns _us _s _cycles _bytes _gib _gb_per_s _pj _j _w`); the
functions here turn what a user writes into the number of that unit. All conversions are exact (fractions) until the
last step.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator

from moeram.errors import ConfigError, did_you_mean

_K = 1000
_KI = 1024

# Dimension -> unit -> size in the dimension's base unit.
_UNITS: dict[str, dict[str, Fraction]] = {
    "time": {
        "ps": Fraction(1),
        "ns": Fraction(_K),
        "us": Fraction(_K**2),
        "ms": Fraction(_K**3),
        "s": Fraction(_K**4),
    },
    "size": {"B": Fraction(1), "bytes": Fraction(1)}
    | {f"{prefix}B": Fraction(_K**power) for power, prefix in enumerate(("", "k", "M", "G", "T")) if power}
    | {f"{prefix}iB": Fraction(_KI**power) for power, prefix in enumerate(("", "K", "M", "G", "T")) if power}
    | {"KB": Fraction(_K)},
    "bandwidth": {
        "B/s": Fraction(1),
        "MB/s": Fraction(_K**2),
        "GB/s": Fraction(_K**3),
        "TB/s": Fraction(_K**4),
        "GiB/s": Fraction(_KI**3),
    },
    "data rate": {
        "bit/s": Fraction(1),
        "Mbps": Fraction(_K**2),
        "Mbit/s": Fraction(_K**2),
        "Mb/s": Fraction(_K**2),
        "Gbps": Fraction(_K**3),
        "Gbit/s": Fraction(_K**3),
        "Gb/s": Fraction(_K**3),
    },
    "energy": {
        "fJ": Fraction(1, _K),
        "pJ": Fraction(1),
        "nJ": Fraction(_K),
        "uJ": Fraction(_K**2),
        "mJ": Fraction(_K**3),
        "J": Fraction(_K**4),
    },
    "energy per bit": {"fJ/bit": Fraction(1, _K), "pJ/bit": Fraction(1), "pJ/b": Fraction(1)},
    "power": {"mW": Fraction(1, _K), "W": Fraction(1), "kW": Fraction(_K)},
    "frequency": {"Hz": Fraction(1), "kHz": Fraction(_K), "MHz": Fraction(_K**2), "GHz": Fraction(_K**3)},
}
_DIMENSION_OF = {unit: dimension for dimension, units in _UNITS.items() for unit in units}
_QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\s\d][^\s]*)?\s*")


def quantity(given: str | float, unit: str) -> int | float:
    """Return what was given as a number of `unit`.

    Args:
        given: a number (taken to be in `unit` already) or text with a unit ("14 ns", "6.4 Gbps", "24 GiB", "819.2
            GB/s").
        unit: the unit of the answer, one of those this module knows ("ps", "ns", "bytes", "GiB", "GB/s", "pJ",
            "pJ/bit", "W", "GHz" ...).

    Returns:
        An int where the result is whole and the input was no float, else a float.

    Raises:
        ConfigError: not a number, not finite, an unknown unit, or a unit of another dimension.
    """
    if unit not in _DIMENSION_OF:
        raise ConfigError(f"unknown unit {unit!r}{did_you_mean(unit, _DIMENSION_OF)}")
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        raise ConfigError(f"given {given!r}, allowed: a number of {unit} or text such as '1 {unit}'")
    if not isinstance(given, str):
        if not math.isfinite(given):
            raise ConfigError(f"given {given!r}, allowed: a finite number of {unit}")
        return given
    match = _QUANTITY.fullmatch(given)
    if match is None:
        raise ConfigError(f"given {given!r}, allowed: a number of {unit} or text such as '1 {unit}'")
    number, given_unit = match.groups()
    if given_unit is None:
        raise ConfigError(
            f"given {given!r} without a unit, allowed: text such as '{number} {unit}' or a bare number of {unit}"
        )
    value = Fraction(number) * _factor(given, given_unit, unit)
    return int(value) if value.denominator == 1 else float(value)


def _factor(given: str, given_unit: str, unit: str) -> Fraction:
    """Return how many `unit` one `given_unit` is."""
    dimension = _DIMENSION_OF[unit]
    if _DIMENSION_OF.get(given_unit) != dimension:
        known = _DIMENSION_OF.get(given_unit)
        what = f"is a {known}" if known else "is no unit known here"
        allowed = ", ".join(_UNITS[dimension])
        raise ConfigError(f"given {given!r}: {given_unit!r} {what}, a {dimension} is needed; allowed: {allowed}")
    return _UNITS[dimension][given_unit] / _UNITS[dimension][unit]


def _reader(unit: str, whole: bool) -> BeforeValidator:
    def read(given: Any) -> Any:
        try:
            value = quantity(given, unit)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        if whole and isinstance(value, float):
            raise ValueError(f"given {given!r}, allowed: a whole number of {unit}")
        return value

    return BeforeValidator(read)


# Field types for Options: a bare number is in the unit of the name, text carries its own unit.
Ps = Annotated[int, _reader("ps", whole=True)]
Ns = Annotated[float, _reader("ns", whole=False)]
Bytes = Annotated[int, _reader("bytes", whole=True)]
GbPerS = Annotated[float, _reader("GB/s", whole=False)]
Pj = Annotated[float, _reader("pJ", whole=False)]
PjPerBit = Annotated[float, _reader("pJ/bit", whole=False)]
Watt = Annotated[float, _reader("W", whole=False)]
