"""What tests of computing memories share: designs and operands."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from moeram.pim import load_design, values
from moeram.pim.numbers import number_format

DESIGNS = {
    "attacc": ("HBM3@attacc", {"sizes": {"channel": 2}}),
    "attacc corrected": ("HBM3@attacc", {"sizes": {"channel": 2}, "with_faults": False}),
    "aim": ("GDDR6@aim", {"sizes": {"channel": 4, "density": 16384}}),
    "aim corrected": ("GDDR6@aim", {"sizes": {"channel": 4, "density": 16384}, "with_faults": False}),
    "sieve": ("HBM3@sieve", {"organization": "HBM3E_dual", "sizes": {"channel": 4}}),
    "sieve, one row buffer": ("HBM3@sieve", {"organization": "HBM3E_single", "sizes": {"channel": 2}}),
    "duplex": ("HBM3@duplex", {}),
    "hbm-pim": ("HBM2@hbm-pim", {}),
}


@lru_cache
def design(name):
    standard, options = DESIGNS[name]
    return load_design(standard, **options)


def random_operands(kernel, number, seed, whole=False):
    """All operands of a kernel, values of the format; whole: small whole numbers."""
    if not whole:
        return values.random_operands(kernel, number_format(number), seed)
    rng = np.random.default_rng(seed)
    return {name: rng.integers(-3, 4, [kernel.sizes[size] for size in sizes]) for name, sizes in kernel.operands.items()}
