"""moeram's workloads as input of other simulators: request streams and PIM programs, read and written."""

from __future__ import annotations

from moeram.export.formats import FORMATS, export
from moeram.export.lowered import LoweredStep, step_stream
from moeram.export.pim import PimProgram, read_pim
from moeram.export.requests import RequestStream, read_requests

__all__ = [
    "FORMATS",
    "LoweredStep",
    "PimProgram",
    "RequestStream",
    "export",
    "read_pim",
    "read_requests",
    "step_stream",
]
