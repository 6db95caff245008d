"""Pricers: each makes one kind of serving system out of hardware, placement and schedule."""

from __future__ import annotations

from moeram.serving.pricing.gpu_pim import GpuPimOptions, GpuPimPricer
from moeram.serving.pricing.gpus import GpuPricer
from moeram.serving.pricing.model_work import ModelWork, StepWork
from moeram.serving.pricing.near_memory import NearMemoryOptions, NearMemoryPricer
from moeram.serving.pricing.routed import FewestExperts, RoutedTokens

__all__ = [
    "FewestExperts",
    "GpuPimOptions",
    "GpuPimPricer",
    "GpuPricer",
    "ModelWork",
    "NearMemoryOptions",
    "NearMemoryPricer",
    "RoutedTokens",
    "StepWork",
]
