"""What tests of computing memories share: designs and operands."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from moeram.pim import load_design, load_programs, lower_kernel, reference, run_kernel, values
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


SMALL = {"outputs": 37, "inputs": 90}
# Without its faults AttAcc has the same programs and meanings, other times.
KERNELS = [(name, kernel) for name in DESIGNS if name != "attacc corrected" for kernel in load_programs(design(name))]


def lowered(name, kernel, sizes, first_row=0):
    shape = {size: sizes[size] for size in load_programs(design(name))[kernel].shape if size in sizes}
    return lower_kernel(design(name), kernel, shape, first_row=first_row)


def assert_within_bounds(kernel, operands, number="fp16", machine=None):
    results = run_kernel(kernel, operands, number=number, machine=machine)
    for name, (exact, bound) in reference(kernel, operands, number_format(number)).items():
        assert results[name].shape == exact.shape
        assert (np.abs(results[name] - exact) <= bound).all(), name
    return results
