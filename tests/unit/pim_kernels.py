"""What tests of computing memories share: designs and operands."""

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


def random_operands(kernel, number, seed, whole=False):
    """All operands of a kernel, values of the format; whole: small whole numbers."""
    rng = np.random.default_rng(seed)
    program = kernel.program
    shapes = program.operands | {
        name: placement.shape for name, placement in program.placed.items() if name not in program.left_in_rows
    }
    given = {}
    for name, sizes in shapes.items():
        size = [kernel.sizes[each] for each in sizes]
        values = rng.integers(-3, 4, size) if whole else rng.standard_normal(size) * 0.5
        given[name] = number_format(number).round(values)
    return given
