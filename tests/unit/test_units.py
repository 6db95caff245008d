"""Quantities: exact conversions by definition of the units, and refusals that say what is allowed."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeram.errors import ConfigError
from moeram.units import quantity


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("14 ns", "ns", 14),
        ("14ns", "ps", 14000),
        ("0.1 us", "ns", 100),
        ("24 GiB", "bytes", 24 * 2**30),
        ("1.25 MiB", "bytes", 1310720),
        ("1 GB", "bytes", 10**9),
        ("819.2 GB/s", "GB/s", 819.2),
        ("1 TB/s", "GB/s", 1000),
        ("6.4 Gbps", "Gbit/s", 6.4),
        ("429 fJ/bit", "pJ/bit", 0.429),
        ("1e3 mW", "W", 1),
        (3, "ns", 3),
        (2.5, "ns", 2.5),
    ],
)
def test_conversion(text, unit, value):
    assert quantity(text, unit) == value


def test_whole_results_are_ints():
    assert isinstance(quantity("1.25 MiB", "bytes"), int)
    assert isinstance(quantity("0.5 bytes", "bytes"), float)


@pytest.mark.parametrize(
    ("text", "unit", "part"),
    [
        ("14 ns", "bytes", "'ns' is a time, a size is needed"),
        ("6.4 Gbps", "GB/s", "'Gbps' is a data rate, a bandwidth is needed"),
        ("14 parsec", "ns", "'parsec' is no unit known here"),
        ("14", "ns", "without a unit"),
        ("fast", "ns", "allowed: a number of ns"),
        ("", "ns", "allowed: a number of ns"),
        (True, "ns", "given True"),
        (float("nan"), "ns", "a finite number"),
        (None, "ns", "given None"),
    ],
)
def test_refusal(text, unit, part):
    with pytest.raises(ConfigError, match="given") as error:
        quantity(text, unit)
    assert part in str(error.value)


@given(st.integers(0, 10**9))
def test_nanoseconds_are_a_thousand_picoseconds(number):
    assert quantity(f"{number} ns", "ps") == number * 1000
    assert Fraction(quantity(f"{number} ps", "ns")) == pytest.approx(Fraction(number, 1000))
