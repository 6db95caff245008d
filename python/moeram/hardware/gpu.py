"""GPUs as a peak, a bandwidth and what is reached of both, from configs/gpus/*.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from moeram.errors import ConfigError, did_you_mean
from moeram.options import Options, build, config_names, load_config
from moeram.units import Bytes, GbPerS, Watt

Fraction = Annotated[float, Field(gt=0, le=1)]


class Gpu(Options):
    """One GPU.

    peak_tflops: dense, by number format. launch_floor_us: least time of a kernel. busy_power_fraction: of the design power,
    drawn while a kernel runs. link_*: one direction of its link to the others. price_usd None: not known. measured_as: what measured tables
    call it, a part of their column "device"; None: tables of any device are taken.
    """

    name: str
    description: str
    memory_gb_per_s: Annotated[GbPerS, Field(gt=0)]
    capacity_bytes: Annotated[Bytes, Field(ge=1)]
    peak_tflops: dict[str, Annotated[float, Field(gt=0)]]
    compute_efficiency: Fraction
    memory_efficiency: Fraction
    launch_floor_us: Annotated[float, Field(ge=0)]
    busy_power_fraction: Fraction
    design_power_w: Annotated[Watt, Field(gt=0)]
    idle_power_w: Annotated[Watt, Field(ge=0)]
    price_usd: Annotated[float, Field(gt=0)] | None
    link_gb_per_s: Annotated[GbPerS, Field(gt=0)]
    link_latency_us: Annotated[float, Field(ge=0)]
    measured_as: str | None = None

    @field_validator("peak_tflops")
    @classmethod
    def _some_peak(cls, value: dict[str, float]) -> dict[str, float]:
        if not value:
            raise ValueError("no peak is given, allowed: at least one number format with its TFLOPS")
        return value

    def peak_flops_per_ps(self, dtype: str) -> float:
        """Return the dense peak in operations per picosecond, which is TFLOPS.

        Raises:
            ConfigError: this GPU has no peak for the format; names the nearest.
        """
        if dtype not in self.peak_tflops:
            raise ConfigError(f"GPU {self.name} has no peak for {dtype!r}{did_you_mean(dtype, self.peak_tflops)}")
        return self.peak_tflops[dtype]

    @property
    def bytes_per_ps(self) -> float:
        """Peak memory bandwidth in bytes per picosecond."""
        return self.memory_gb_per_s * 1e-3

    @property
    def busy_power_w(self) -> float:
        """Power while a kernel runs."""
        return self.busy_power_fraction * self.design_power_w


def load_gpu(name_or_path: str | Path) -> Gpu:
    """Return a GPU by name ("h100_sxm") or path.

    Raises:
        ConfigError: no such config (names the nearest), unknown keys, wrong units; all complaints at once.
    """
    return build(Gpu, load_config("gpus", name_or_path))


def gpu_names() -> list[str]:
    """Return the names of the shipped GPUs."""
    return config_names("gpus")
