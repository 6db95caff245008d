"""Systems: the published identities of stratum.md 1 and 2, and refusals."""

from __future__ import annotations

import pytest

from moeram.errors import ConfigError
from moeram.hardware import load_system, system_names
from moeram.metrics import peak_dram_power_w, peak_mac_power_w


@pytest.mark.parametrize(
    ("name", "chips", "gib"), [("stratum_s", 1, 32), ("stratum_l", 6, 192), ("stratum_xl", 12, 384)]
)
def test_published_systems(name, chips, gib):
    """stratum.md 2.1."""
    system = load_system(name)
    assert (system.chips, system.capacity_bytes, system.in_paper) == (chips, gib * 2**30, True)
    assert system.banks == 256 * chips


def test_the_system_that_is_not_in_the_paper_says_so():
    system = load_system("stratum_2xl")
    assert not system.in_paper and "not a configuration of the paper" in system.description
    assert system.capacity_bytes == 768 * 2**30


def test_all_shipped_systems_load():
    assert {load_system(name).name for name in system_names()} == set(system_names())


def test_bandwidth_of_the_fastest_tier():
    """256 banks x 4096 B / 34.56 ns = 30.34 TB/s (stratum.md 1.4)."""
    assert load_system("stratum_s").peak_bandwidth_bytes_per_s / 1e12 == pytest.approx(30.34, abs=0.005)


def test_peak_power_identities():
    """30.34 TB/s x 8 x 0.429 pJ = 104.1 W of DRAM; 65536 MACs x 0.604 pJ x 1 GHz = 39.58 W (stratum.md 1.4, 2.3)."""
    for name in system_names():
        system = load_system(name)
        assert peak_dram_power_w(system, 34.56) == pytest.approx(104.1, abs=0.05)
        assert peak_mac_power_w(system, 2) == pytest.approx(39.58, abs=0.01)
        assert peak_mac_power_w(system, 2) + system.energy.logic_other_w == pytest.approx(42.67, abs=0.01)


def test_row_cycles_are_those_of_the_published_activation_times():
    """tRC = tRCD + 27.50 + 4.77 ns (stratum.md 1.2)."""
    activation_ns = [2.29, 3.92, 5.99, 8.50, 11.44, 14.82, 18.63, 22.88]
    assert load_system("stratum_s").closed_form.row_cycle_ns == pytest.approx([time + 32.27 for time in activation_ns])


def test_refusals_name_file_line_and_key(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(
        "extends: stratum_s\nchips: 0\nlink: {mode_switch_ns: 3 GiB}\nring: {hops: 1}\ndevice: {tiers: 7}\n"
    )
    with pytest.raises(ConfigError) as error:
        load_system(path)
    text = str(error.value)
    assert f"{path}:2: chips: given 0, allowed: at least 1" in text
    assert f"{path}:3: link.mode_switch_ns: given '3 GiB': 'GiB' is a size, a time is needed" in text
    assert f"{path}:4: ring.hops: unknown key" in text
    assert f"{path}:5: device: given 32768 rows in 7 tiers" in text


def test_as_many_row_cycles_as_tiers(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("extends: stratum_s\ndevice: {tiers: 4}\n")
    with pytest.raises(ConfigError, match="closed_form: given 8 row cycles, allowed: one for each of the 4 tiers"):
        load_system(path)
