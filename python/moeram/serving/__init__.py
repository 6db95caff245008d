"""Serving: from requests to tokens, one forward pass after the other."""

from __future__ import annotations

from moeram.serving.batching import BatchingOptions
from moeram.serving.loop import check_room, serve
from moeram.serving.record import ServingRecord
from moeram.serving.request_files import read_requests
from moeram.serving.requests import Requests, poisson_requests
from moeram.serving.step import COUNTED, IDLE_ENERGY, Origin, Peaks, PricedStep, Step, StepPricer

__all__ = [
    "COUNTED", "IDLE_ENERGY", "BatchingOptions", "Origin", "Peaks", "PricedStep", "Requests", "ServingRecord", "Step", "StepPricer", "check_room", "poisson_requests", "read_requests", "serve",
]  # fmt: skip
