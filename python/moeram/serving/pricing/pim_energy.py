"""Energy of GPUs whose memory computes, by component.

A GPU's design power holds its own memory's. What a kernel draws is therefore split: power without work, all the time; accesses to memory, by
their bits; the rest while a kernel runs, which is the power of a running kernel less both (at the bandwidth that the GPU as sold
sustains). Standby and refresh of the memory are part of the power without work and stand apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from moeram.errors import ConfigError
from moeram.hardware.gpu import Gpu
from moeram.hardware.memories import ComputingMemory
from moeram.hardware.memory_energy import BITS_PER_BYTE


class PimActivity(NamedTuple):
    """What all GPUs and their memories did in a step.

    time_ps: of the step. gpu_ps: kernels on all GPUs. external_bytes, array_bytes: read and written by GPUs, read by units. macs: of
    units. vector_bytes: to units and back. network_pj: of transfers between GPUs.
    """

    time_ps: float
    gpu_ps: float
    external_bytes: float
    array_bytes: float
    macs: float
    vector_bytes: float
    network_pj: float


class PimEnergy:
    """Energy of n equal GPUs as sold (`gpu`), whose memory is replaced by `memory`.

    Raises:
        ConfigError: powers of the GPU that leave nothing for its kernels, or less than its memory draws in standby.
    """

    def __init__(self, gpu: Gpu, memory: ComputingMemory, gpus: int) -> None:
        terms = memory.energy
        self._terms, self._gpus = terms, gpus
        self._standby_w = terms.standby_w(memory.capacity_bytes)
        self._refresh_w = terms.refresh_w(memory.capacity_bytes, memory.refresh_interval_ns)
        self._idle_w = gpu.idle_power_w - self._standby_w - self._refresh_w
        # 1 byte/ps x 1 pJ/byte = 1 W.
        sustained_w = gpu.bytes_per_ps * gpu.memory_efficiency * BITS_PER_BYTE * terms.external_pj_per_bit
        self._kernel_w = gpu.busy_power_w - gpu.idle_power_w - sustained_w
        if self._idle_w < 0 or self._kernel_w <= 0:
            raise ConfigError(
                f"{gpu.name}: {gpu.busy_power_w:g} W busy and {gpu.idle_power_w:g} W without work leave nothing beside {memory.name}: "
                f"{self._standby_w + self._refresh_w:.3g} W of standby and refresh, {sustained_w:.4g} W of accesses"
            )
        self.waiting_w = gpus * gpu.idle_power_w

    def of(self, did: PimActivity) -> Mapping[str, float]:
        """Return pJ by component. 1 W x 1 ps = 1 pJ."""
        terms, whole = self._terms, did.time_ps * self._gpus
        return {
            "gpu kernels": did.gpu_ps * self._kernel_w,
            "gpu idle": whole * self._idle_w,
            "memory standby": whole * self._standby_w,
            "refresh": whole * self._refresh_w,
            "external access": did.external_bytes * BITS_PER_BYTE * terms.external_pj_per_bit,
            "array to units": did.array_bytes * BITS_PER_BYTE * terms.array_pj_per_bit,
            "mac": did.macs * terms.mac_pj,
            "vectors": did.vector_bytes * BITS_PER_BYTE * terms.vector_pj_per_bit,
            "network": did.network_pj,
        }
