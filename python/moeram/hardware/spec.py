"""Systems of Mono3D chips with near-memory units, from configs/hardware/*.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationInfo, field_validator, model_validator

from moeram.options import Options, build, config_names, load_config, overlay, tree_of, tree_of_values
from moeram.units import Bytes, GbPerS, Ns, Pj, PjPerBit, Ps, Watt

Count = Annotated[int, Field(ge=1)]


class Device(Options):
    """One chip's DRAM as the near-memory units see it. tier_layers: the last layer of each tier, empty: tiers of equal size."""

    standard: str
    timing_preset: str
    dram_layers: Count
    tiers: Count
    tier_layers: tuple[Count, ...] = ()
    channels: Count
    banks_per_channel: Count
    rows: Count
    row_bytes: Annotated[Bytes, Field(ge=1)]

    @model_validator(mode="after")
    def _whole_tiers(self) -> Device:
        last = self.tier_layers
        if last and (
            len(last) != self.tiers or last[-1] != self.dram_layers or list(last) != sorted(set(last)) or self.rows % last[-1]
        ):
            raise ValueError(
                f"tier_layers: given {list(last)}, allowed: the last layer of each of the {self.tiers} tiers, ascending to "
                f"{self.dram_layers}, whose number divides the {self.rows} rows"
            )
        if not last and self.rows % self.tiers:
            raise ValueError(
                f"given {self.rows} rows in {self.tiers} tiers, allowed: a number of rows that the tiers divide"
            )
        return self

    @property
    def tier_rows(self) -> NDArray[np.int64]:
        """The first row of each tier, then the end of the last: int64 [tiers + 1]."""
        last = np.array([0, *self._last_layers], dtype=np.int64)
        return last * self.rows // self.dram_layers

    @property
    def _last_layers(self) -> list[int]:
        return list(self.tier_layers) or [self.dram_layers * tier // self.tiers for tier in range(1, self.tiers + 1)]

    def tier_of(self, rows: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the tier (from 0) of each row."""
        return np.searchsorted(self.tier_rows, rows, side="right") - 1

    def layer_model_row_cycle_ns(self) -> tuple[float, ...]:
        """Row cycle of each tier by the fit of stratum.md 1.2: that of its last layer, tRCD(L) + 27.50 + 4.77 ns."""
        return tuple(1.098 + 7.629e-3 * layer + 1.3324e-5 * layer**2 + 32.27 for layer in self._last_layers)


class NearMemoryUnit(Options):
    """The logic die: one PU per channel, one PE per bank."""

    unit_clock_ps: Annotated[Ps, Field(ge=1)]
    mac_block_bytes: Annotated[Bytes, Field(ge=1)]
    row_latches: Count
    psum_bytes_per_pe: Annotated[Bytes, Field(ge=1)]
    shared_memory_bytes_per_pu: Annotated[Bytes, Field(ge=1)]
    reducer_outputs_per_cycle: Count
    sfe_lanes: Count
    silu_cycles_per_vector: Count
    hadamard_cycles_per_vector: Count
    weighted_sum_cycles_per_vector: Count
    maximum_cycles_per_vector: Count
    exp_sum_cycles_per_vector: Count
    reciprocal_cycles_per_vector: Count


class Ring(Options):
    """The bidirectional ring that joins the PUs of a chip."""

    ring_bytes_per_cycle: Annotated[Bytes, Field(ge=1)]
    ring_hop_cycles: Annotated[int, Field(ge=0)]


class Link(Options):
    """What joins a chip to the processor beside it.

    mode: "exclusive", the chips are memory of the processor or work near memory, one at a time; "concurrent", the processor may
    read and write them while their units work.
    """

    mode: Literal["exclusive", "concurrent"]
    channel_io_gb_per_s: Annotated[GbPerS, Field(gt=0)]
    mode_switch_ns: Annotated[Ns, Field(ge=0)]


class Energy(Options):
    """Energy terms; their scope stands in metrics/energy.py."""

    dram_to_logic_pj_per_bit: Annotated[PjPerBit, Field(ge=0)]
    mac_pj: Annotated[Pj, Field(ge=0)]
    logic_other_w: Annotated[Watt, Field(ge=0)]
    link_pj_per_bit: Annotated[PjPerBit, Field(ge=0)]


class Retention(Options):
    """How long rows keep their content. retention_ms None: no refresh. step_us: from one pass over the experts to the next, None: their own time."""

    retention_ms: Annotated[float, Field(gt=0)] | None = None
    refresh_pj_per_bit: Annotated[PjPerBit, Field(ge=0)] = 0.429
    step_us: Annotated[float, Field(gt=0)] | None = None


class Thermal(Options):
    """Of one stack. power_cap_w None: no cap. stack_k_per_w: between sink and dies; area_mm2: of the stack."""

    power_cap_w: Annotated[Watt, Field(gt=0)] | None = None
    area_mm2: Annotated[float, Field(gt=0)] = 121.0
    convection_k_per_w: Annotated[float, Field(ge=0)] = 0.01
    sink_thickness_mm: Annotated[float, Field(ge=0)] = 1.0
    sink_w_per_m_k: Annotated[float, Field(gt=0)] = 5000.0
    stack_k_per_w: Annotated[float, Field(ge=0)] = 0.0


class ClosedForm(Options):
    """Published row cycles for the closed form beside the simulation; without any, those of the layer fit."""

    row_cycle_ns: tuple[Annotated[float, Field(gt=0)], ...] = ()


class System(Options):
    """A number of equal chips that hold one model and work on every expert together."""

    name: str
    description: str
    in_paper: bool
    chips: Count
    device: Device
    unit: NearMemoryUnit
    ring: Ring
    link: Link
    energy: Energy
    retention: Retention = Retention()
    thermal: Thermal = Thermal()
    closed_form: ClosedForm

    @field_validator("closed_form")
    @classmethod
    def _one_row_cycle_per_tier(cls, value: ClosedForm, info: ValidationInfo) -> ClosedForm:
        device = info.data.get("device")
        if device is not None and not value.row_cycle_ns:
            return ClosedForm(row_cycle_ns=device.layer_model_row_cycle_ns())
        if device is not None and len(value.row_cycle_ns) != device.tiers:
            raise ValueError(
                f"given {len(value.row_cycle_ns)} row cycles, allowed: one for each of the {device.tiers} tiers"
            )
        return value

    @property
    def banks(self) -> int:
        """Banks of all chips."""
        return self.chips * self.device.channels * self.device.banks_per_channel

    @property
    def row_set_bytes(self) -> int:
        """Bytes of one row address in all banks of all chips."""
        return self.banks * self.device.row_bytes

    @property
    def capacity_bytes(self) -> int:
        """Bytes of all rows of all banks of all chips."""
        return self.row_set_bytes * self.device.rows

    @property
    def peak_bandwidth_bytes_per_s(self) -> float:
        """Bytes/s of all banks of all chips at the row cycle of tier 1 (stratum.md 1.4)."""
        return self.row_set_bytes / (min(self.closed_form.row_cycle_ns) * 1e-9)


def load_system(name_or_path: str | Path, values: Mapping[str, Any] | None = None) -> System:
    """Return a system by name ("stratum_s") or path.

    Args:
        values: nested keys of the file to replace, such as {"device": {"tiers": 4}}. Where they change the layers or tiers, the closed
            form takes the row cycles of the layer fit unless they are given too.

    Raises:
        ConfigError: no such config, unknown keys, wrong units; all complaints at once.
    """
    tree = load_config("hardware", name_or_path)
    if values:
        if {"dram_layers", "tiers", "tier_layers"} & dict(values.get("device", {})).keys():
            tree = overlay(tree, tree_of({"closed_form": {"row_cycle_ns": []}}, "hardware_values"))
        tree = overlay(tree, tree_of_values(dict(values), "hardware_values"))
    return build(System, tree)


def system_names() -> list[str]:
    """Return the names of the shipped systems."""
    return config_names("hardware")
