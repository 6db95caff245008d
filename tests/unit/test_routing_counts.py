"""Counts: splitting, spreading to unmeasured layers, exact inclusion in draws, and messages about bad archives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeram.errors import TraceError
from moeram.model import load_model
from moeram.routing import RoutingSource, open_routing
from moeram.routing.counts import CountsRouting, CountTable

MODEL = dataclasses.replace(
    load_model("mixtral-8x7b"), name="small", layers=6, moe_layers=tuple(range(6)), experts=5, top_k=2
)
COUNTS = np.array([[[50, 40, 30, 20, 10], [60, 5, 5, 70, 60]], [[1, 90, 3, 95, 11], [40, 40, 40, 40, 40]]])


def write(path, *, leave_out="", **changes):
    arrays = {"domains": np.array(["a", "b"]), "layers": np.array([1, 4]), "top_k": np.array(2), "counts": COUNTS}
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if name != leave_out})
    return path


@pytest.fixture
def archive(tmp_path):
    return write(tmp_path / "counts.npz")


def test_halves_are_the_counts_split_in_two(archive):
    source = open_routing(archive, MODEL, seed=3)
    assert isinstance(source, RoutingSource)
    assert (source.topics, source.measured_layers, source.fidelity) == (("a", "b"), (1, 4), "drawn")
    ranking, held_out = source.ranking_usage()[:, [1, 4]], source.held_out_usage()[:, [1, 4]]
    assert (ranking + held_out == COUNTS).all()
    assert (ranking.sum(axis=-1) == COUNTS.sum(axis=-1) // 2).all()
    assert (ranking != held_out).any()


def test_thinning_has_the_mean_and_variance_of_drawing_without_replacement():
    """Hypergeometric: n of N selections, K of them on the expert: mean n K / N, variance n K/N (1-K/N) (N-n)/(N-1)."""
    table = CountTable(place="here", topics=("a",), layers=(0,), counts=np.array([[[50, 40, 30, 20, 10]]]))
    first = np.array([CountsRouting(table, MODEL, seed=seed).ranking_usage()[0, 0] for seed in range(2000)])
    share = np.array([50, 40, 30, 20, 10]) / 150
    variance = 75 * share * (1 - share) * 75 / 149
    assert first.mean(axis=0) == pytest.approx(75 * share, abs=5 * np.sqrt(variance.max() / 2000))
    assert first.var(axis=0) == pytest.approx(variance, rel=0.2)


def test_unmeasured_layers_copy_the_nearest_with_permuted_experts(archive):
    wide = dataclasses.replace(MODEL, layers=60, moe_layers=tuple(range(60)))
    usage = open_routing(archive, wide).ranking_usage()
    # Columns hold an expert's use under both topics: a permutation common to the topics moves whole columns.
    columns = [sorted(map(tuple, usage[:, layer].T.tolist())) for layer in range(60)]
    assert all(columns[layer] == columns[1] for layer in (0, 1, 2))
    assert all(columns[layer] == columns[4] for layer in range(3, 60))
    assert columns[1] != columns[4]
    assert len({usage[:, layer].tobytes() for layer in range(5, 60)}) > 20, "not one permutation for all layers"


def test_a_tie_goes_to_the_lower_layer(tmp_path):
    source = open_routing(write(tmp_path / "c.npz", layers=np.array([1, 3])), MODEL)
    usage = source.held_out_usage()
    assert sorted(usage[0, 2].tolist()) == sorted(usage[0, 1].tolist()) != sorted(usage[0, 3].tolist())


def test_seeds_repeat_and_differ(archive):
    usage = [open_routing(archive, MODEL, seed=seed).held_out_usage() for seed in (1, 1, 2)]
    assert (usage[0] == usage[1]).all() and (usage[0] != usage[2]).any()
    source = open_routing(archive, MODEL)
    draws = [source.draw(0, 9, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert (draws[0] == draws[1]).all() and (draws[0] != draws[2]).any()


def test_notes_say_what_was_drawn(archive):
    notes = " ".join(open_routing(archive, MODEL).notes)
    assert "layers 1, 4" in notes and "other 4 layers copy the nearest measured layer" in notes
    two = dataclasses.replace(MODEL, layers=5, moe_layers=(1, 4), dense_intermediate_size=8)
    assert "copy" not in " ".join(open_routing(archive, two).notes)


def test_draws_include_each_expert_with_its_exact_probability(archive):
    """P(expert in a token) = top_k x count / all counts; the tolerance is five standard errors of 40,000 tokens."""
    source = open_routing(archive, MODEL, seed=7)
    rng = np.random.default_rng(11)
    for topic in (0, 1):
        tokens = np.concatenate([source.draw(topic, 100, rng) for _ in range(400)])
        drawn = (tokens[..., None] == np.arange(5)).any(axis=2).mean(axis=0)
        usage = source.held_out_usage()[topic]
        expected = 2 * usage / usage.sum(axis=-1, keepdims=True)
        assert drawn == pytest.approx(expected, abs=5 * np.sqrt(0.25 / 40_000))


def test_distinct_experts_of_a_batch_are_those_of_independent_tokens(archive):
    """Tokens share the shuffled order of a draw, which must not couple them: E = sum 1 - (1 - p)^batch."""
    source = open_routing(archive, MODEL, seed=7)
    rng = np.random.default_rng(12)
    distinct = np.mean(
        [[len(np.unique(layer)) for layer in source.draw(0, 3, rng).swapaxes(0, 1)] for _ in range(4000)], 0
    )
    usage = source.held_out_usage()[0]
    expected = (1 - (1 - 2 * usage / usage.sum(axis=-1, keepdims=True)) ** 3).sum(axis=-1)
    assert distinct == pytest.approx(expected, abs=5 * 0.8 / np.sqrt(4000))


def test_every_pair_of_experts_occurs_together(archive):
    """Systematic sampling in a fixed order never picks neighbours; the order is shuffled."""
    source = open_routing(archive, MODEL)
    rng = np.random.default_rng(3)
    pairs = {tuple(sorted(row)) for _ in range(300) for row in source.draw(1, 4, rng)[:, 4].tolist()}
    assert pairs == {(i, j) for j in range(5) for i in range(j)}


@pytest.mark.parametrize("start", [0, 2**32 - 1])
def test_the_ends_of_the_unit_interval_belong_to_used_experts(start):
    class Fixed:
        """Shuffles nothing and starts every token at the same point."""

        def random(self, shape):
            return np.broadcast_to(np.arange(shape[1]), shape)

        def integers(self, low, high, shape):
            assert low <= start < high
            return np.full(shape, start)

    counts = np.array([[[0, 4000, 0, 4000, 0]]])
    table = CountTable(place="here", topics=("a",), layers=(0,), counts=counts)
    source = CountsRouting(table, dataclasses.replace(MODEL, top_k=1), seed=0)
    expected = 1 if start == 0 else 3
    assert source.draw(0, 2, Fixed())[:, 0].tolist() == [[expected]] * 2


def test_an_expert_of_every_token_is_in_every_token():
    counts = np.array([[[10_000, 5_000, 5_000, 0, 0]]])
    table = CountTable(place="here", topics=("a",), layers=(0,), counts=counts)
    for seed in range(20):
        source = CountsRouting(table, MODEL, seed=seed)
        if source.held_out_usage()[0, 0, 0] >= 5_000:  # thinning left it in at least every token: capped at one
            tokens = source.draw(0, 500, np.random.default_rng(seed))
            assert (tokens[:, 0] == 0).any(axis=1).all()
            return
    raise AssertionError("no seed gave the case")


@settings(max_examples=60, deadline=None)
@given(data=st.data(), experts=st.integers(2, 12), batch=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_any_counts_give_valid_rows(data, experts, batch, seed):
    top_k = data.draw(st.integers(1, experts))
    model = dataclasses.replace(MODEL, experts=experts, top_k=top_k)
    tokens = [
        np.random.default_rng([seed, i]).permutation(experts)[:top_k] for i in range(data.draw(st.integers(4, 40)))
    ]
    counts = np.bincount(np.concatenate(tokens), minlength=experts)
    table = CountTable(place="here", topics=("a",), layers=(2,), counts=counts[None, None])
    try:
        source = CountsRouting(table, model, seed=seed)
    except TraceError as error:
        assert "too few selections" in str(error)
        return
    drawn = source.draw(0, batch, np.random.default_rng(seed))
    assert (drawn.shape, drawn.dtype) == ((batch, 6, top_k), np.int16)
    assert drawn.min() >= 0 and drawn.max() < experts
    assert (np.diff(np.sort(drawn, axis=-1), axis=-1) > 0).all(), "distinct in each row"
    used = source.held_out_usage()[0]
    assert all(used[layer, drawn[:, layer]].min() > 0 for layer in range(6)), "an unused expert was drawn"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"leave_out": "counts"}, "array 'counts' is missing; counts need domains, layers, top_k, counts"),
        (
            {"counts": COUNTS[:, :, :4]},
            "counts of 4 experts, 2 a token; small has 5 experts, 2 a token: .*another model",
        ),
        ({"top_k": np.array(3)}, "counts of 5 experts, 3 a token; small has 5 experts, 2"),
        ({"counts": COUNTS[:1]}, r"counts has shape \(1, 2, 5\)"),
        ({"counts": COUNTS / 2}, "counts must hold integers, got float64"),
        ({"counts": COUNTS.astype(object)}, "not a readable .npz archive of plain arrays"),
        ({"counts": COUNTS * [[[1, 1, -1, 1, 1]]]}, "domain a, layer 1: expert 2 has a negative count"),
        ({"counts": COUNTS * 0}, "domain a, layer 1: 0 selections; at least two tokens"),
        ({"counts": COUNTS + [[[0, 0, 0, 0, 900]]]}, "domain a, layer 1: expert 4 was selected 910 times by"),
        ({"counts": COUNTS * 10**8}, "domain a, layer 1: 1000000000 or more selections; divide the counts"),
        ({"layers": np.array([1, 6])}, "layer 6 is no layer with experts of small"),
        ({"layers": np.array([4, 1])}, r"layers \(4, 1\) must be ascending and distinct"),
        ({"domains": np.array(["a", "a"])}, "domains must be a list of distinct names"),
        ({"domains": np.array([1, 2])}, "domains must be a list of distinct names"),
    ],
)
def test_bad_archives(tmp_path, changes, words):
    path = write(tmp_path / "counts.npz", **changes)
    with pytest.raises(TraceError, match=words) as caught:
        open_routing(path, MODEL)
    assert str(path) in str(caught.value)


def test_damaged_archives(tmp_path, archive):
    whole = archive.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"hello", whole[:200] + b"\xff" * 40 + whole[240:]):
        archive.write_bytes(content)
        with pytest.raises(TraceError, match=r"counts\.npz: not a readable \.npz archive"):
            open_routing(archive, MODEL)
    np.save(tmp_path / "single", COUNTS)
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    with pytest.raises(TraceError, match=r"single\.npz: not a readable \.npz archive"):
        open_routing(tmp_path / "single.npz", MODEL)
    with pytest.raises(TraceError, match=r"gone\.npz: no such file"):
        open_routing(tmp_path / "gone.npz", MODEL, format="counts")
