"""Does each pair of presets resolve to the numbers that were read off Ramulator 2.0 and 2.1 independently?"""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import yaml

from moeram.errors import ConfigError
from moeram.hardware.cycle import load_core

# Sheet: the standard as shipped and its pairs of organisation and timing presets.
PAIRS_OF_2_0 = {
    "DDR3": 168, "DDR4": 288, "DDR4-VRR": 288, "DDR4-RVRR": 288, "DDR5": 27, "DDR5-VRR": 27, "DDR5-RVRR": 27, "LPDDR5": 5,
    "GDDR6": 24, "HBM": 3, "HBM2": 3, "HBM3": 3,
}  # fmt: skip
PAIRS_OF_2_1 = {
    "DDR3_r21": ("DDR3", 168), "DDR4_r21": ("DDR4", 288), "DDR4_VRR_r21": ("DDR4-VRR", 288), "DDR5_r21": ("DDR5", 72),
    "DDR5_VRR_r21": ("DDR5-VRR", 72), "DDR5_RFM_r21": ("DDR5-RFM", 72), "DDR5_RFM_VRR_r21": ("DDR5-RFM-VRR", 72),
    "GDDR6_r21": ("GDDR6", 24), "HBM1_r21": ("HBM", 6), "HBM2_r21": ("HBM2", 12), "HBM3_r21": ("HBM3", 5),
    "LPDDR5_r21": ("LPDDR5", 2), "HBM4": ("HBM4", 6), "LPDDR6": ("LPDDR6", 1), "GDDR7": ("GDDR7", 3),
}  # fmt: skip
PAIRS = {name: (f"{name}@2.0", pairs) for name, pairs in PAIRS_OF_2_0.items()}
PAIRS |= {sheet: (f"{name}@2.1", pairs) for sheet, (name, pairs) in PAIRS_OF_2_1.items()}


@pytest.fixture(scope="module", params=list(PAIRS))
def sheet(request, shared):
    """(standard, its sheet of resolved values)."""
    path = shared / "spec" / "standards" / "resolved" / f"{request.param}.yaml"
    facts = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return PAIRS[request.param][0], facts


def test_every_pair_of_presets(sheet):
    """All timing values in cycles and the read latency; where the reference reads outside a table the pair is refused."""
    standard, facts = sheet
    core = load_core()
    assert len(facts["resolved"]) == PAIRS[facts["standard"]][1]
    for pair in facts["resolved"]:
        if pair["undefined"]:
            with pytest.raises(ConfigError, match="is not specified"):
                core.resolve(standard, organization=pair["org"], timing=pair["timing"])
            continue
        got = core.resolve(standard, organization=pair["org"], timing=pair["timing"])
        assert got["timing"] == pair["values"], (pair["org"], pair["timing"])
        assert got["read_latency_cycles"] == pair["read_latency_ticks"]
        assert got["tck_ps"] == pair["values"]["tCK_ps"]


def test_no_preset_beside_the_sheet(sheet):
    """Each preset that a standard ships stands in the sheet, unless it says itself that it comes from elsewhere."""
    standard, facts = sheet
    presets = load_core().standard_presets(standard)
    for kind, key in (("organization", "org"), ("timing", "timing")):
        own = {name for name, origin in presets[kind].items() if not origin}
        assert own == {pair[key] for pair in facts["resolved"]}
        assert all(origin for name, origin in presets[kind].items() if name not in own)


def test_every_standard_has_a_sheet():
    """All shipped editions of Ramulator are held against a sheet."""
    shipped = {name for name in load_core().shipped_standards() if name.split("@")[1] in ("2.0", "2.1")}
    assert shipped == {standard for standard, _ in PAIRS.values()}


def test_every_constraint_row(sheet):
    """The rows of the sheet's pair, each spread over its preceding and following commands, as often as they stand there."""
    standard, facts = sheet
    got = load_core().resolve(standard, organization=facts["rows_for"]["org"], timing=facts["rows_for"]["timing"])
    wanted = Counter(
        (row["level"].lower(), preceding, following, row["ticks"], row["window"], row["sibling"])
        for row in facts["rows"]
        for preceding, following in product(row["preceding"], row["following"])
    )
    assert Counter(tuple(row) for row in got["rows"]) == wanted


def test_overrides_and_unknown_presets():
    """Sizes and cycles override the presets; an unknown name is refused with its nearest neighbour."""
    core = load_core()
    got = core.resolve("DDR4", organization="DDR4_8Gb_x8", timing="DDR4_2400R", sizes={"rank": 2}, cycles={"nRCD": 20})
    assert got["counts"][:2] == [1, 2] and got["timing"]["nRCD"] == 20
    with pytest.raises(ConfigError, match="did you mean 'DDR4_2400R'"):
        core.resolve("DDR4", organization="DDR4_8Gb_x8", timing="DDR4_240R")
