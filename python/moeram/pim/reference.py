"""What kernels should compute, in fp64 numpy, and how far the units' roundings may lead from it.

Operands are taken as they are rounded to the format. u is half a unit in the last place of the format, 0 for results that leave as
fp32. Sums of n products in fp32, in any order, err by 2 n 2^-24 of the sum of their magnitudes (Higham, Accuracy and Stability of
Numerical Algorithms, 4.2); a value rounded to the format errs by u of itself, each of several partial sums too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError
from moeram.pim.kernels import Kernel
from moeram.pim.numbers import NumberFormat, Values

Exact = NDArray[np.float64]
_FP32 = 2.0**-24
_TINY = 1e-7  # of fp16's smallest numbers, whose spacing is not relative


class Reference(NamedTuple):
    """A result and how far a correct one may lie from it."""

    exact: Exact
    bound: Exact


def reference(kernel: Kernel, operands: Mapping[str, Values], number: NumberFormat) -> dict[str, Reference]:
    """Return what a kernel's results should be, by name.

    Args:
        operands: values of the format, of the shapes that the program declares.

    Raises:
        ConfigError: the program does not say what it computes.
    """
    if kernel.program.computes is None:
        raise ConfigError(f"{kernel.design.standard} {kernel.name}: does not say what it computes")
    last_place = 0.0 if kernel.design.unit.accumulator_bytes == 4 else 2.0**-number.precision_bits
    exact = {name: np.asarray(number.round(values), np.float64) for name, values in operands.items()}
    result = _KINDS[kernel.program.computes](exact, last_place, kernel)
    names = (*kernel.program.results, *kernel.program.left_in_rows)
    return dict.fromkeys(names, result)


def _product(left: Exact, right: Exact, last_place: float) -> Reference:
    """Over the last axes: [..., m, k] and [..., n, k] to [..., m, n]."""
    other = np.swapaxes(right, -1, -2)
    magnitude = np.abs(left) @ np.abs(other)
    return Reference(left @ other, magnitude * (2 * left.shape[-1] * _FP32 + 1.01 * last_place) + _TINY)


def _matrix_product(given: dict[str, Exact], last_place: float, kernel: Kernel) -> Reference:
    if kernel.design.unit.microcode:  # registers of the format take every product and every sum of a lane
        last_place *= kernel.sizes["inputs"] // kernel.sizes["lanes"] + 3
    return _product(given["vectors"], given["matrix"], last_place)


def _activated_product(given: dict[str, Exact], last_place: float, kernel: Kernel) -> Reference:
    """The steepest of the functions has slope 1.1; exp and tanh of fp32 err by a few units in the last place."""
    functions = next(meaning.functions for meaning in kernel.design.unit.operations.values() if meaning.functions)
    inner = _product(given["vectors"], given["matrix"], 0)
    exact = FUNCTIONS[functions[kernel.sizes["function"] - 1]](inner.exact)
    return Reference(exact, 1.2 * inner.bound + np.abs(exact) * (1.01 * last_place + 64 * _FP32) + _TINY)


def _elements_product(given: dict[str, Exact], last_place: float, kernel: Kernel) -> Reference:
    exact = given["left"] * given["right"]
    return Reference(exact, np.abs(exact) * 1.01 * last_place + _TINY)


def _elements_sum(given: dict[str, Exact], last_place: float, kernel: Kernel) -> Reference:
    exact = given["left"] + given["right"]
    return Reference(exact, np.abs(exact) * 1.01 * last_place + _TINY)


def _relu(given: dict[str, Exact], last_place: float, kernel: Kernel) -> Reference:
    return Reference(np.maximum(given["left"], 0), np.zeros_like(given["left"]))


def _copy(given: dict[str, Exact], last_place: float, kernel: Kernel) -> Reference:
    return Reference(given["source"], np.zeros_like(given["source"]))


def _attention_score(given: dict[str, Exact], last_place: float, kernel: Kernel) -> Reference:
    result = _product(given["queries"][:, None, :], given["keys"], last_place)
    return Reference(result.exact[:, 0, :], result.bound[:, 0, :])


def _attention_value(given: dict[str, Exact], last_place: float, kernel: Kernel) -> Reference:
    result = _product(given["probabilities"][:, None, :], np.swapaxes(given["values"], 1, 2), last_place)
    return Reference(result.exact[:, 0, :], result.bound[:, 0, :])


def _attention(given: dict[str, Exact], last_place: float, kernel: Kernel) -> Reference:
    """Softmax of scores that err by d changes every probability by less than exp(2 d) - 1 of itself; then it is rounded."""
    scores = _attention_score(given, last_place, kernel)
    powers = np.exp(scores.exact - scores.exact.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    relative = np.expm1(2 * scores.bound.max(axis=1)) + last_place + 64 * _FP32
    values = np.swapaxes(given["values"], 1, 2)
    result = _product(probabilities[:, None, :], values, last_place)
    magnitude = (probabilities[:, None, :] @ np.swapaxes(np.abs(values), -1, -2))[:, 0, :]
    smallest = np.abs(values).sum(axis=-1) * _TINY
    return Reference(result.exact[:, 0, :], 1.1 * result.bound[:, 0, :] + magnitude * relative[:, None] + smallest)


FUNCTIONS: dict[str, Callable[[NDArray[np.floating]], NDArray[np.floating]]] = {
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
}

_KINDS: dict[str, Callable[[dict[str, Exact], float, Kernel], Reference]] = {
    "matrix_product": _matrix_product,
    "activated_product": _activated_product,
    "elements_product": _elements_product,
    "elements_sum": _elements_sum,
    "relu": _relu,
    "copy": _copy,
    "attention_score": _attention_score,
    "attention_value": _attention_value,
    "attention": _attention,
}
