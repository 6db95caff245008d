"""The ring's bandwidth (R14): nothing is lost at 128 GB/s per link and above, and what is lost below has a closed form."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest

from .conftest import OLMOE, SHAPES

LINKS = (2, 4, 8, 12, 16, 20, 24, 32, 64, 128, 256, 512, 4096)  # bytes a cycle of 1 ns: GB/s
EXPERTS, TOKENS = 16, 16


def layer_ns(engine, shape, layer, batch, link):
    answer = engine.run([layer], batch=batch, shape=shape, options={"ring_bytes_per_cycle": link})
    return answer["time_ps"][0] / 1e3


def ring_ns(slice_bytes, link):
    """Half the ring of 16: 8 hops of whole cycles and two cycles of router and wire."""
    return 8 * (ceil(slice_bytes / link) + 2)


def closed_form_ns(link):
    """16 experts of OLMoE with 16 tokens each, the batch: the tensor cores never wait for rows.

    An expert takes 96 x 16 + 4 x 16 + 16 / 4 ns (matrices, partial sums, Hadamard product); the ring serves one reduce-scatter
    after the other, so the slower of the two sets the pace. Ends: two switches, two links of 80 ns, weighted sum, result row.
    """
    slice_bytes = TOKENS * OLMOE.hidden_size // 16 * 2
    ring, expert = ring_ns(slice_bytes, link), 96 * TOKENS + 4 * TOKENS + TOKENS // 4
    ends = 2 * 100 + 2 * 80 + TOKENS + 8
    return ends + ring + expert + (EXPERTS - 1) * max(expert, ring) + ring


@pytest.mark.parametrize("link", LINKS)
def test_time_over_link_bandwidth_is_its_closed_form(engine, link):
    layer = [(OLMOE.rows * i, TOKENS) for i in range(EXPERTS)]
    assert layer_ns(engine, OLMOE, layer, TOKENS, link) == closed_form_ns(link)


BATCH = 32


def drawn_layer(shape, experts, top_k, seed=1):
    """A batch of 32 tokens, each with its own random experts, which lie in tier 1 one after the other."""
    generator = np.random.default_rng(seed)
    chosen = np.concatenate([generator.choice(experts, top_k, replace=False) for _ in range(BATCH)])
    counts = np.bincount(chosen, minlength=experts)
    return [(shape.rows * i, int(count)) for i, count in enumerate(counts) if count]


ROUTING = list(zip(SHAPES, (64, 8, 16), (8, 2, 1), strict=True))


@pytest.mark.parametrize(("name", "experts", "top_k"), ROUTING, ids=SHAPES)
def test_nothing_is_lost_at_the_published_bandwidth(engine, name, experts, top_k):
    """R14: from 128 GB/s on, the ring shows at the two ends of a layer only, whatever its bandwidth.

    The first all-gather and the last reduce-scatter are all that a faster ring saves, to 35 ns (rows open meanwhile); between the
    experts nothing is lost. From 128 GB/s down the time never falls; at 2 GB/s the ring's own work is all that counts.
    """
    shape = SHAPES[name]
    layer = drawn_layer(shape, experts, top_k)
    times = {link: layer_ns(engine, shape, layer, BATCH, link) for link in LINKS}
    slice_bytes = shape.hidden_size // 16 * 2

    def ends(link):
        return ring_ns(BATCH * slice_bytes, link) + ring_ns(layer[-1][1] * slice_bytes, link)

    assert times[128] - times[4096] == pytest.approx(ends(128) - ends(4096), abs=35)  # first rows open meanwhile
    ordered = [times[link] for link in LINKS]
    assert ordered == sorted(ordered, reverse=True)
    work = ring_ns(BATCH * slice_bytes, 2) + sum(ring_ns(tokens * slice_bytes, 2) for _, tokens in layer)
    assert work <= times[2] <= work + times[4096]
