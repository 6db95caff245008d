"""16-bit number formats as float32 arrays that hold only their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import CapacityError, ConfigError, did_you_mean

Values = NDArray[np.float32]


@dataclass(frozen=True)
class NumberFormat:
    """A format of 16 bits, rounded to the nearest, ties to even; precision_bits: of the significand, the hidden one included."""

    name: str
    precision_bits: int
    _round: Callable[[Values], Values]

    def round(self, values: ArrayLike) -> Values:
        """Return the nearest values of the format.

        Raises:
            CapacityError: a value beyond its range, or none at all.
        """
        given = np.asarray(values, np.float32)
        rounded = self._round(given)
        wrong = ~np.isfinite(rounded)
        if wrong.any():
            raise CapacityError(f"{given[wrong].ravel()[0]:g} has no place in {self.name}")
        return rounded


def _to_fp16(values: Values) -> Values:
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def _to_bf16(values: Values) -> Values:
    bits = np.ascontiguousarray(values).view(np.uint32)
    up = ((bits >> 16) & 1) + np.uint32(0x7FFF)
    return np.where(np.isfinite(values), (bits + up) & np.uint32(0xFFFF0000), bits).astype(np.uint32).view(np.float32)


FORMATS = {
    "fp16": NumberFormat("fp16", 11, _to_fp16),
    "bf16": NumberFormat("bf16", 8, _to_bf16),
}


def number_format(name: str) -> NumberFormat:
    """Return a format by name.

    Raises:
        ConfigError: there is none; names the nearest one.
    """
    if name not in FORMATS:
        raise ConfigError(f"number format {name!r} is unknown{did_you_mean(name, FORMATS)}")
    return FORMATS[name]
