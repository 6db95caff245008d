"""The network: closed forms against the event mode, lower bounds without latency, conservation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeram.errors import ConfigError
from moeram.hardware.network import COLLECTIVES, Network, Topology
from moeram.hardware.network.event import fair_rates
from moeram.hardware.spread import Spread

SHAPES = [
    ("ring", 1, None), ("ring", 2, None), ("ring", 5, None), ("ring", 8, None), ("mesh", 12, 4), ("mesh", 9, 3),
    ("mesh", 4, 1), ("all-to-all", 6, None), ("switch", 2, None), ("switch", 8, None),
]  # fmt: skip


def topology(kind, nodes, columns=None, *, gb_per_s=100.0, latency_ns=50.0):
    return Topology(topology=kind, nodes=nodes, columns=columns, link_gb_per_s=gb_per_s, latency_ns=latency_ns)


def both(top):
    return Network(top, "closed"), Network(top, "event")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", COLLECTIVES)
def test_collectives_are_equal_in_both_modes(shape, name):
    closed, event = both(topology(*shape))
    sizes = np.array([0, 1000, 3e6])
    difference = closed.collective_ps(name, sizes)[1:] - event.collective_ps(name, sizes)[1:]
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_balanced_exchange_is_equal_in_both_modes(shape):
    closed, event = both(topology(*shape))
    matrix = np.full((shape[1], shape[1]), 4096.0)
    assert abs(int(closed.exchange_ps(matrix)) - int(event.exchange_ps(matrix))) <= 1


@pytest.mark.parametrize(
    ("shape", "expected_ns"),
    [
        (("ring", 8, None), 7 * (50 + 1e6 / 8 / 2 / 100)),
        (("mesh", 12, 4), 3 * (50 + 1e6 / 12 / 100) + 2 * (50 + 4e6 / 12 / 100)),
        (("all-to-all", 6, None), 50 + 1e6 / 6 / 100),
        (("switch", 8, None), 50 + 7e6 / 8 / 100),
    ],
    ids=str,
)
def test_all_gather_has_its_textbook_time(shape, expected_ns):
    assert int(Network(topology(*shape)).collective_ps("all_gather", 1e6)) == pytest.approx(expected_ns * 1e3, abs=2)


@given(data=st.data(), shape=st.sampled_from([s for s in SHAPES if s[1] > 1]))
def test_uneven_exchange_never_beats_the_busiest_link(data, shape):
    n = shape[1]
    sizes = data.draw(st.lists(st.integers(0, 100_000), min_size=n * n, max_size=n * n))
    matrix = np.array(sizes, dtype=float).reshape(n, n)
    top = topology(*shape, latency_ns=0)
    event = int(Network(top, "event").exchange_ps(matrix))
    assert event >= int(Network(top).exchange_ps(matrix)) - 1
    # Never slower than one message after the other.
    alone = sum(top.transfer_ps(matrix[a, b]) for a in range(n) for b in range(n) if a != b)
    assert event <= alone + 1


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=9))
def test_fair_rates_fill_links_and_leave_nobody_worse_off(rows):
    crossed = np.array([row if any(row) else [True] + row[1:] for row in rows], dtype=float)
    rates = fair_rates(crossed)
    load = rates @ crossed
    assert (rates > 0).all()
    assert (load <= 1 + 1e-9).all()
    # Every message has a full link on which nobody is faster: the definition of max-min fairness.
    for message, rate in enumerate(rates):
        bottleneck = [
            link
            for link in np.flatnonzero(crossed[message])
            if load[link] > 1 - 1e-9 and rates[crossed[:, link] > 0].max() <= rate * (1 + 1e-9)
        ]
        assert bottleneck


def test_contention_keeps_a_long_way_waiting():
    # On a ring of nine at 1 kB/us all messages go backwards; no link carries more than 4 kB. 5 to 2 shares a link with 4 to 3
    # (rate 1/2), then with 6 to 4 (2/3, since that one shares 6 to 5 with two others), and has 4/3 kB left after 3 us.
    matrix = np.zeros((9, 9))
    for source, target, size in ((4, 3, 1000), (5, 2, 3000), (6, 4, 1000), (6, 5, 2000), (8, 5, 1000)):
        matrix[source, target] = size
    top = topology("ring", 9, gb_per_s=1, latency_ns=0)
    assert int(Network(top).exchange_ps(matrix)) == 4_000_000
    assert int(Network(top, "event").exchange_ps(matrix)) == pytest.approx(13e6 / 3, abs=2)


def test_a_message_pays_each_hop_of_its_way():
    matrix = np.zeros((3, 3))
    matrix[0, 1] = 1e6
    for kind, hops in (("ring", 1), ("switch", 1), ("all-to-all", 1)):
        assert int(Network(topology(kind, 3, latency_ns=10), "event").exchange_ps(matrix)) == 10_000_000 + hops * 10_000
    matrix = np.zeros((9, 9))
    matrix[0, 8] = 1e6
    assert int(Network(topology("mesh", 9, 3, latency_ns=10), "event").exchange_ps(matrix)) == 10_040_000


def test_many_exchanges_at_once_equal_one_by_one():
    rng = np.random.default_rng(3)
    network = Network(topology("mesh", 6, 3))
    matrices = rng.integers(0, 9999, (4, 5, 6, 6)).astype(float)
    times = network.exchange_ps(matrices)
    assert times.shape == (4, 5)
    assert int(times[2, 3]) == int(network.exchange_ps(matrices[2, 3]))


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match="all_gather"):
        Network(topology("ring", 4)).collective_ps("allgather", 8)
    with pytest.raises(ConfigError, match=r"expected \[..., 4, 4\]"):
        Network(topology("ring", 4)).exchange_ps(np.zeros((3, 3)))
    with pytest.raises(ConfigError, match="not negative"):
        Network(topology("ring", 4)).collective_ps("all_gather", [-1])
    with pytest.raises(ConfigError, match="did you mean 'event'"):
        Network(topology("ring", 4), "events")
    with pytest.raises(ConfigError, match="columns"):
        topology("mesh", 10, 4)


@given(st.integers(1, 9), st.integers(0, 200))
def test_a_spread_is_even_and_begins_with_the_first(most, count):
    spread = Spread(most)
    for item in range(count):
        spread.add(item)
    assert len(spread.items) == min(count, len(spread.items)) <= most
    if count:
        assert spread.items[0] == 0
        steps = set(np.diff(spread.items).tolist())
        assert len(steps) <= 1
        # Nothing is left out at the end that a whole step would reach.
        assert count - spread.items[-1] <= max(steps, default=max(count, 1))


def test_the_closed_form_states_its_error_over_what_was_asked():
    network = Network(topology("ring", 4))
    assert network.error() is None
    network.collective_ps("all_reduce", 4096)
    assert network.error() == pytest.approx(0, abs=1e-6)
    # By hand, a link at 100 GB/s and 50 ns a hop: the link 1 -> 2 carries 4000 bytes (40 ns), the longest way has two hops. But 0 -> 2 has
    # arrived long before the 3000 bytes of 1 -> 2, which pay one hop.
    uneven = np.zeros((4, 4))
    uneven[0, 1], uneven[0, 2], uneven[1, 2] = 1000, 1000, 3000
    assert network.exchange_ps(uneven[None])[0] == 140_000
    # 0 -> 2 has half of both its links for 20 ns and arrives after 100 more; 1 -> 2 ends after 40 and 50.
    assert Network(topology("ring", 4), "event").exchange_ps(uneven) == 120_000
    assert network.error() == pytest.approx(140 / 120 - 1)
    assert Network(topology("ring", 4), "event").error() is None
