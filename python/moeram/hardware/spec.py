"""Systems of Mono3D chips with near-memory units, from configs/hardware/*.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from moeram.options import Options, build, config_names, load_config
from moeram.units import Bytes, GbPerS, Ns, Pj, PjPerBit, Ps, Watt

Count = Annotated[int, Field(ge=1)]


class Device(Options):
    """One chip's DRAM as the near-memory units see it."""

    standard: str
    timing_preset: str
    dram_layers: Count
    tiers: Count
    channels: Count
    banks_per_channel: Count
    rows: Count
    row_bytes: Annotated[Bytes, Field(ge=1)]

    @model_validator(mode="after")
    def _whole_tiers(self) -> Device:
        if self.rows % self.tiers:
            raise ValueError(
                f"given {self.rows} rows in {self.tiers} tiers, allowed: a number of rows that the tiers divide"
            )
        return self


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


class ClosedForm(Options):
    """Published figures for the closed form beside the simulation."""

    row_cycle_ns: tuple[Annotated[float, Field(gt=0)], ...]


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
    closed_form: ClosedForm

    @field_validator("closed_form")
    @classmethod
    def _one_row_cycle_per_tier(cls, value: ClosedForm, info: ValidationInfo) -> ClosedForm:
        device = info.data.get("device")
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


def load_system(name_or_path: str | Path) -> System:
    """Return a system by name ("stratum_s") or path.

    Raises:
        ConfigError: no such config, unknown keys, wrong units; all complaints at once.
    """
    return build(System, load_config("hardware", name_or_path))


def system_names() -> list[str]:
    """Return the names of the shipped systems."""
    return config_names("hardware")
