"""Fit the synthetic routing generator to the expert use of OLMoE and measure how well it fits.

    python benchmarks/fit_synthetic_routing.py olmoe-1b-7b.npz

For each measured layer, find the two sigmas (popularity, topic) whose expected hot-set cover at 12.5 % of the experts
equals the real one, with topic-aware and with static ranking. Then compare moeram's generator, sampled with the given
or default options over several seeds, with the real counts in figures that were not fitted as well. The result is
the table of docs/routing.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from moeram.model import load_model
from moeram.routing import SyntheticOptions, SyntheticRouting
from moeram.routing.readers.counts_npz import read_count_table
from moeram.routing.statistics import distinct_experts, hot_cover, skew

BATCHES = (1, 2, 4, 8, 16, 32)
MODEL = load_model("olmoe-1b-7b")


def covers(usage: np.ndarray, hot: int) -> tuple[np.ndarray, np.ndarray]:
    """Topic-aware and static cover of each layer, mean over topics; ranked and scored on ``usage`` [T, L, E]."""
    topic = hot_cover(usage, usage, hot, within_layer=True).mean(axis=0)
    static = hot_cover(usage.sum(axis=0), usage, hot, within_layer=True).mean(axis=0)
    return topic, static


def expected_use(weights: np.ndarray, top_k: int) -> np.ndarray:
    """Probability of each expert under sampling without replacement, approximately.

    The ``top_k`` smallest of exponential arrival times with rates ``weights`` [..., experts] have arrived by a time t
    that hardly varies: 1 - exp(-w t), with t such that the sum is ``top_k`` (found by bisection on log t).
    """
    low, high = (np.full((*weights.shape[:-1], 1), bound) for bound in (-20.0, 20.0))
    for _ in range(60):
        middle = (low + high) / 2
        enough = -np.expm1(-weights * np.exp(middle)).sum(axis=-1, keepdims=True) > top_k
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return -np.expm1(-weights * np.exp(high))


def fit_layer(usage: np.ndarray, hot: int, replicas: int) -> tuple[float, float]:
    """Popularity and topic sigma for one layer's ``usage`` [topics, experts], by Newton steps on the two covers."""
    topics, experts = usage.shape
    rng = np.random.default_rng(0)
    common = rng.standard_normal((1, replicas, experts))
    own = rng.standard_normal((topics, replicas, experts))
    target = np.array([cover.mean() for cover in covers(usage[:, None], hot)])

    def miss(sigma: np.ndarray) -> np.ndarray:
        use = expected_use(np.exp(sigma[0] * common + sigma[1] * own), MODEL.top_k)
        return np.array([cover.mean() for cover in covers(use, hot)]) - target

    sigma, step = np.array([0.5, 0.5]), 0.02
    for _ in range(8):
        here = miss(sigma)
        slope = np.stack([(miss(sigma + step * axis) - here) / step for axis in np.eye(2)], axis=1)
        sigma = np.maximum(sigma - np.clip(np.linalg.solve(slope, here), -0.3, 0.3), 0.0)
    return float(sigma[0]), float(sigma[1])


def figures(usage: np.ndarray, distinct: dict[int, np.ndarray]) -> dict[str, np.ndarray]:
    """Every compared figure of a layer, [layers]; ``usage`` [topics, layers, experts]."""
    experts = usage.shape[-1]
    rows = {}
    for share in (0.125, 0.25):
        topic, static = covers(usage, round(share * experts))
        rows[f"cover of {share:.1%}, topic-aware"], rows[f"cover of {share:.1%}, static"] = 100 * topic, 100 * static
    rows["skew within a topic"] = skew(usage).mean(axis=0)
    rows["skew over all topics"] = skew(usage.sum(axis=0))
    return rows | {f"distinct experts, batch {batch}": values for batch, values in distinct.items()}


def real_figures(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of the counts; distinct experts of independent tokens: sum of 1 - (1 - probability) ** batch."""
    probability = MODEL.top_k * counts / counts.sum(axis=-1, keepdims=True)
    distinct = {batch: (1 - (1 - probability) ** batch).sum(axis=-1).mean(axis=0) for batch in BATCHES}
    return figures(counts, distinct)


def synthetic_figures(options: SyntheticOptions, seed: int) -> dict[str, np.ndarray]:
    """Figures of one seed of the generator, all layers."""
    source = SyntheticRouting(MODEL, options, seed=seed)
    rng = np.random.default_rng(seed)
    return figures(source.held_out_usage(), {batch: distinct_experts(source, batch, 100, rng) for batch in BATCHES})


def main() -> None:
    """Print the fitted sigmas and the table of figures as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counts", type=Path, help="olmoe-1b-7b.npz")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--replicas", type=int, default=400, help="random layers per evaluation of the fit")
    arguments = parser.parse_args()
    table = read_count_table(arguments.counts, MODEL)
    for layer, usage in zip(table.layers, table.counts.swapaxes(0, 1), strict=True):
        popularity, topic = fit_layer(usage, MODEL.experts // 8, arguments.replicas)
        print(f"layer {layer}: popularity_sigma {popularity:.2f}, topic_sigma {topic:.2f}")
    real = real_figures(table.counts.astype(np.float64))
    options = SyntheticOptions(topics=len(table.topics), sample_tokens=16384)
    seeds = [synthetic_figures(options, seed) for seed in range(arguments.seeds)]
    index = [MODEL.moe_layers.index(layer) for layer in table.layers]
    print(f"\n| figure | {' | '.join(f'layer {layer}' for layer in table.layers)} | mean | mean of 16 layers, spread |")
    print("| --- |" + " --- |" * (len(index) + 2))
    for name, values in real.items():
        drawn = np.array([seed[name] for seed in seeds])
        pairs = list(zip(values, drawn[:, index].mean(axis=0), strict=True))
        pairs.append((values.mean(), drawn[:, index].mean()))
        cells = " | ".join(f"{data:.1f} / {made:.1f}" for data, made in pairs)
        every = drawn.mean(axis=1)
        print(f"| {name} | {cells} | {every.mean():.1f} ± {every.std():.1f} |")


if __name__ == "__main__":
    main()
