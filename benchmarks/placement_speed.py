"""Time of Algorithm 1 and of the balancing policies for 61 layers of 256 experts; the limit is 1 s each.

Run: python benchmarks/placement_speed.py [--json]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from moeram.placement import PART_POLICIES, POLICIES, PartBudget, PartInput, PlacementInput, bare_budget

LAYERS, EXPERTS, TOP_K, PARTS, SLOTS = 61, 256, 8, 32, 9
LIMIT_S = 1.0
MUST = ("topic_aware", "static_hot", "eplb", "eplb_global")


def best_of(work: Callable[[], object], times: int) -> float:
    """Return the shortest of several wall times, in seconds."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found)


def measure() -> dict[str, float]:
    """Return the wall time of each policy in seconds."""
    usage = np.random.default_rng(0).gamma(0.5, 1000, (1, LAYERS, EXPERTS)).round()
    rows = PlacementInput(
        usage=usage,
        topic=0,
        budget=bare_budget(layers=LAYERS, experts=EXPERTS, top_k=TOP_K, shared_experts=1),
        seed=0,
    )
    budget = PartBudget(layers=LAYERS, experts=EXPERTS, parts=PARTS, slots=SLOTS, nodes=4, groups=8)
    pairs = np.random.default_rng(1).gamma(0.3, 10, (LAYERS, EXPERTS, EXPERTS))
    pairs = pairs + pairs.transpose(0, 2, 1)
    pairs[:, np.arange(EXPERTS), np.arange(EXPERTS)] = 0
    parts = PartInput(usage=usage[0], budget=budget, pairs=pairs)
    times = {name: best_of(lambda name=name: POLICIES[name](rows), 5) for name in POLICIES if name != "oracle_topic"}  # needs held-out usage
    for name in sorted(set(PART_POLICIES) - {"milp"}):
        times[name] = best_of(lambda name=name: PART_POLICIES[name](parts), 1 if "coactivation" in name else 3)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    times = measure()
    if arguments.json:
        print(json.dumps(times, indent=2))
    else:
        print(f"{LAYERS} layers x {EXPERTS} experts; on parts: {PARTS} parts of {SLOTS} slots, 4 nodes, 8 groups")
        for name, seconds in times.items():
            print(f"{name:24s} {seconds * 1e3:9.1f} ms{'  (limit 1000 ms)' if name in MUST else ''}")
    slow = [name for name in MUST if times[name] > LIMIT_S]
    if slow:
        raise SystemExit(f"slower than {LIMIT_S} s: {', '.join(slow)}")


if __name__ == "__main__":
    main()
