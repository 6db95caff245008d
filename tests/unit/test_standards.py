"""Scaled speed grades against their rule, energy figures of every standard, and the list of presets in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moeram.errors import ConfigError
from moeram.hardware.cycle import load_core

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "standards.md"
KEPT_IN_CYCLES = {"nBL", "nCCDS"}
# What the base preset of HBM3@2.1 states itself; all else is derived from ns by density.
GIVEN = [
    "nBL", "nCL", "nRCDRD", "nRCDWR", "nRP", "nRAS", "nRC", "nWR", "nRTP", "nCWL", "nCCDS", "nCCDL", "nCCDR",
    "nRRDS", "nRRDL", "nFAW", "nWTRS", "nWTRL", "nRTW", "nRFCpb", "nRREFD", "nREFI", "nPPD",
]  # fmt: skip
# Sieve, arXiv 2605.11277, table 1; cycles of 0.5 ns.
SIEVE = {
    "nCL": 28, "nRCDRD": 28, "nRCDWR": 28, "nRP": 28, "nRAS": 68, "nRC": 96, "nWR": 32, "nCCDS": 2, "nCCDL": 4, "nRRDS": 6,
    "nRRDL": 6, "nFAW": 12, "nRFC": 800, "nREFI": 7800,
}  # fmt: skip


def rounded_up(cycles: int, from_ps: int, to_ps: int) -> int:
    return -(-cycles * from_ps // to_ps)


@pytest.mark.parametrize("rate", [8000, 9200, 9600])
def test_scaled_grades_keep_nanoseconds(rate):
    """Recomputed from the 6.4 Gb/s preset: cycles rounded up, but a burst and its spacing keep theirs."""
    core = load_core()
    base = core.resolve("HBM3@2.1", organization="HBM3_16Gb_8hi", timing="HBM3_6400Mbps")["timing"]
    got = core.resolve("HBM3@2.1", organization="HBM3_16Gb_8hi", timing=f"HBM3_{rate}Mbps")
    assert got["scaled_from"] == "HBM3_6400Mbps"
    scaled = got["timing"]
    assert scaled["rate"] == rate and scaled["tCK_ps"] == 4_000_000 // rate
    for name in GIVEN:
        wanted = base[name] if name in KEPT_IN_CYCLES else rounded_up(base[name], base["tCK_ps"], scaled["tCK_ps"])
        assert scaled[name] == wanted, name
    assert scaled["nRFC"] == rounded_up(350_000, 1, scaled["tCK_ps"])  # 350 ns at this density, whatever the clock


def test_hbm3e_with_24_banks_is_the_sheet_of_sieve():
    got = load_core().resolve("HBM3E", organization="HBM3E_24bank", timing="HBM3E_8000Mbps")
    sizes = dict(zip(got["levels"], got["counts"], strict=True))
    assert sizes["sid"] * sizes["bankgroup"] * sizes["bank"] == 24
    assert got["row_bytes"] == 1024 and sizes["row"] * got["row_bytes"] == 16 * 2**20
    assert {name: got["timing"][name] for name in SIEVE} == SIEVE
    assert got["timing"]["tCK_ps"] == 500


def test_hbm4_of_twelve_dies_lies_between_eight_and_sixteen():
    core = load_core()
    capacities = []
    for dies in (8, 12, 16):
        got = core.resolve("HBM4", organization=f"HBM4_32Gb_{dies}Hi", timing="HBM4_8000Mbps")
        capacity = got["row_bytes"]
        for count in got["counts"][:-1]:
            capacity *= count
        capacities.append(capacity / dies)
    assert capacities[0] == capacities[1] == capacities[2]


def test_what_is_no_preset_of_the_source_says_so():
    presets = load_core().standard_presets("HBM3@2.1")
    assert presets["timing"]["HBM3_9600Mbps"] == "scaled from HBM3_6400Mbps"
    assert presets["timing"]["HBM3_6400Mbps"] == ""
    assert "Sieve" in presets["organization"]["HBM3E_24bank"]
    with pytest.raises(ConfigError, match="did you mean 'HBM3@2"):
        load_core().standard_presets("HBM3@2.2")


def test_the_document_lists_every_standard_and_preset():
    """One line a standard in docs/standards.md, with its presets as shipped."""
    core = load_core()
    listed = dict(re.findall(r"^\| `([^`@]+@[^`]+)` \| (.*) \|$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(listed) == set(core.shipped_standards())
    for standard, text in listed.items():
        presets = core.standard_presets(standard)
        assert text == " | ".join(", ".join(sorted(presets[kind])) for kind in ("organization", "timing")), standard
