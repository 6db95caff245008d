"""What tests of computing memories share: designs, operands, and a numpy reference with the bound of its rounding."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from moeram.pim import load_design
from moeram.pim.numbers import number_format

DESIGNS = {
    "attacc": ("HBM3@attacc", {"sizes": {"channel": 2}}),
    "attacc corrected": ("HBM3@attacc", {"sizes": {"channel": 2}, "with_faults": False}),
    "aim": ("GDDR6@aim", {"sizes": {"channel": 4, "density": 16384}}),
    "aim corrected": ("GDDR6@aim", {"sizes": {"channel": 4, "density": 16384}, "with_faults": False}),
    "sieve": ("HBM3@sieve", {"organization": "HBM3E_dual", "sizes": {"channel": 4}}),
    "sieve, one row buffer": ("HBM3@sieve", {"organization": "HBM3E_single", "sizes": {"channel": 2}}),
}


@lru_cache
def design(name):
    standard, options = DESIGNS[name]
    return load_design(standard, **options)


def random_operands(shape, number, seed, whole=False):
    """matrix [outputs, inputs] and vectors [tokens, inputs], values of the format; whole: small whole numbers."""
    rng = np.random.default_rng(seed)
    draw = (lambda *size: rng.integers(-3, 4, size)) if whole else (lambda *size: rng.standard_normal(size))
    given = {"matrix": draw(shape["outputs"], shape["inputs"]), "vectors": draw(shape.get("tokens", 1), shape["inputs"])}
    return {name: number_format(number).round(values) for name, values in given.items()}


def matrix_product(operands, number, accumulator_bytes):
    """The product in fp64, and how far a result may lie from it.

    Sums in fp32 of n terms, in any order, err by n 2^-24 of the sum of magnitudes (twice, with the products); every partial sum that is
    rounded to the format errs by half a unit in its last place.
    """
    matrix, vectors = (operands[name].astype(np.float64) for name in ("matrix", "vectors"))
    magnitude = np.abs(vectors) @ np.abs(matrix).T
    last_place = 0 if accumulator_bytes == 4 else 2.0 ** -number_format(number).precision_bits
    return vectors @ matrix.T, magnitude * (2 * matrix.shape[1] * 2.0**-24 + 1.01 * last_place) + 1e-7
