"""Programs of computing memories: what they mean, and what they compute on values."""

from __future__ import annotations

from moeram.pim.design import PimDesign, load_design
from moeram.pim.kernels import Kernel, lower_kernel
from moeram.pim.machine import Machine
from moeram.pim.programs import load_programs
from moeram.pim.reference import Reference, reference
from moeram.pim.values import ValueCheck, check_kernel, run_kernel

__all__ = [
    "Kernel",
    "Machine",
    "PimDesign",
    "Reference",
    "ValueCheck",
    "check_kernel",
    "load_design",
    "load_programs",
    "lower_kernel",
    "reference",
    "run_kernel",
]
