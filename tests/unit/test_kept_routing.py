"""Samples of generated routing that outlast the process are those that would be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.experiment.kept_routing import KeptRouting
from moeram.hardware import KernelMemo
from moeram.model import load_model
from moeram.routing import SyntheticOptions, SyntheticRouting

OLMOE = load_model("olmoe-1b-7b")
OPTIONS = SyntheticOptions(topics=2, sample_tokens=32)


def everything(source) -> list[np.ndarray]:
    return [source.ranking_usage(), source.held_out_usage(), source.sample(1, 40, [3, 2, 1]), source.draw(0, 4, np.random.default_rng(1))]


def same(left, right) -> bool:
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def test_what_is_kept_is_what_is_drawn_also_in_another_process(tmp_path):
    drawn = everything(SyntheticRouting(OLMOE, OPTIONS, seed=5))
    for misses in (3, 0):  # both usages and the sample
        memo = KernelMemo(tmp_path)
        assert same(everything(KeptRouting(OLMOE, OPTIONS, seed=5, memo=memo)), drawn)
        assert (memo.counts.misses, memo.counts.disk_hits) == (misses, 3 - misses)


@pytest.mark.parametrize(
    ("options", "seed", "asked"),
    [
        (SyntheticOptions(topics=2, sample_tokens=32, topic_sigma=(0.1,)), 5, (1, 40, [3, 2, 1])),
        (OPTIONS, 6, (1, 40, [3, 2, 1])),
        (OPTIONS, 5, (0, 40, [3, 2, 1])),
        (OPTIONS, 5, (1, 41, [3, 2, 1])),
        (OPTIONS, 5, (1, 40, [3, 2, 2])),
    ],
)
def test_another_sample_is_never_taken_for_it(tmp_path, options, seed, asked):
    KeptRouting(OLMOE, OPTIONS, seed=5, memo=KernelMemo(tmp_path)).sample(1, 40, [3, 2, 1])
    memo = KernelMemo(tmp_path)
    found = KeptRouting(OLMOE, options, seed=seed, memo=memo).sample(*asked)
    assert memo.counts.hits == 0
    assert np.array_equal(found, SyntheticRouting(OLMOE, options, seed=seed).sample(*asked))


def test_numbers_over_all_layers_are_those_of_the_drawn_experts():
    source = SyntheticRouting(OLMOE, OPTIONS, seed=5)
    numbers = source.sample(1, 40, [7]).reshape(40, len(source.layers), source.top_k)
    layer, expert = np.divmod(numbers.astype(np.int64), source.experts)
    assert (layer == np.arange(len(source.layers))[:, None]).all()
    assert np.array_equal(expert, source.draw(1, 40, np.random.default_rng([7])))


def test_large_samples_that_hardly_shrink_are_kept_as_they_are(tmp_path):
    arrays = {"noise": np.random.default_rng(0).integers(0, 1 << 16, 50_000).astype(np.uint16), "a": np.arange(3, dtype=np.uint8), "b": np.arange(7.0)}
    KernelMemo(tmp_path).put("ab" * 32, arrays)
    (path,) = tmp_path.rglob("*.kernel")
    assert path.stat().st_size >= arrays["noise"].nbytes
    found = KernelMemo(tmp_path).get("ab" * 32)
    assert found is not None and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert all(array.flags.aligned for array in found.values())
    path.write_bytes(path.read_bytes()[:-1])
    assert KernelMemo(tmp_path).get("ab" * 32) is None
