"""R13: throughput per area of the DRAM die with 1024 layers over 256 and 64, Llama-4-Scout on XL."""

from __future__ import annotations

from moeram.repro.stratum.decode import of_stratum
from moeram.repro.stratum.machines import STRATUM
from moeram.repro.target import Found, Setting, Target

_LENGTH, _LAYERS = 1024, 1024
_BANK_BITS, _BANK_MM2 = 1 << 30, 0.439  # stratum.md 1.1
_CELL_UM2, _STEP_UM, _LINE_UM = 0.07 * 1.0, 0.5, 1.0  # pitches of bitlines, wordlines and staircase: stratum.md 9 (U26)
_MAT_BITLINES, _MATS_PER_ROW = 1024, 32


def bank_mm2(layers: int, *, sides: int, below: bool) -> float:
    """Return the area of a bank of 1 Gb with so many layers, its periphery fitted to the published bank of 1024 layers.

    Args:
        sides: of an array that have a staircase. below: the periphery lies under array and staircases, so that the greater area counts.
    """

    def cells_mm2(count: int) -> float:
        array = _BANK_BITS / count * _CELL_UM2
        depth_um = _BANK_BITS / count / (_MAT_BITLINES * _MATS_PER_ROW) * _LINE_UM
        return (array + sides * count * _STEP_UM * depth_um) * 1e-6

    if below:
        return max(cells_mm2(layers), _BANK_MM2)
    return cells_mm2(layers) + _BANK_MM2 - cells_mm2(_LAYERS)


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return both ratios; capacity and units are the same."""
    sides, below, batch = setting["staircase_sides"], setting["area_model"] == "below", setting["batch"]
    found = {}
    for layers in (256, 64):
        area = bank_mm2(layers, sides=sides, below=below) / bank_mm2(_LAYERS, sides=sides, below=below)
        tall, flat = (
            of_stratum(setting, "llama4", batch, _LENGTH, "topic_aware", count).time_ps for count in (None, layers)
        )
        found[f"over_{layers}_layers"] = Found(ours=flat / tall * area, bound=area)
    return found


TARGET = Target(
    id="R13", parameters=(*STRATUM, "batch", "area_model", "staircase_sides"), readings=("engine",), evaluate=evaluate,
    note="the bound is the ratio of the areas alone; flatter stacks are a little faster",
)  # fmt: skip
