"""How fast the engine issues the commands of near-memory work, as ratios in one run.

    python benchmarks/near_memory_speed.py [--layers 200]

One layer reads 50 OLMoE experts (600 rows of every bank) with one token each, in all 16 channels. Printed: commands per
second of one thread, the gain of a second thread, of simulating identical channels once, and of skipping idle cycles.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from moeram.hardware import CycleOptions, NmpWork, cycle, load_system

EXPERTS = 50


def work_of(layers: int) -> NmpWork:
    return NmpWork(
        layer_begin=np.arange(layers + 1, dtype=np.int64) * EXPERTS,
        expert=np.tile(np.arange(EXPERTS, dtype=np.int32), layers),
        first_row=np.tile(np.arange(EXPERTS, dtype=np.int32) * 12, layers),
        tokens=np.ones(EXPERTS * layers, dtype=np.int32),
        batch=1,
    )


def seconds(layers: int, **options: object) -> tuple[float, int]:
    """Return the wall time and the commands of all channels."""
    shape = {"hidden_size": 2048, "intermediate_size": 1024, "bits_per_weight": 16, "bytes_per_activation": 2}
    chosen = CycleOptions(**shape, result_row=32767, **{"threads": 1, "reuse_identical_channels": False, "reuse_experts": False, **options})
    begin = time.perf_counter()
    times = cycle.run(work_of(layers), load_system("stratum_s"), chosen)
    return time.perf_counter() - begin, int(sum(count.sum() for count in times.commands.values()))


def measure(layers: int) -> dict[str, float]:
    """Commands per second of one thread, and how many times less wall time each help leaves."""
    alone_s, commands = seconds(layers)
    two_s, _ = seconds(layers, threads=2)
    once_s, _ = seconds(layers, reuse_identical_channels=True)
    few = max(1, layers // 100)
    skipping_s, _ = seconds(few)
    ticking_s, _ = seconds(few, skip=False)
    return {
        "commands": commands,
        "commands_per_s": commands / alone_s,
        "gain_of_two_threads": alone_s / two_s,
        "gain_of_identical_channels": alone_s / once_s,
        "gain_of_skipping": ticking_s / skipping_s,
        "layers_ticked": few,
    }


def print_ratios(found: dict[str, float]) -> None:
    """Print one line for each."""
    print(f"one thread                    {found['commands_per_s'] / 1e6:8.2f} M commands/s ({found['commands']:.0f} commands)")
    print(f"two threads                   {found['gain_of_two_threads']:8.2f} x")
    print(f"identical channels once       {found['gain_of_identical_channels']:8.2f} x")
    print(f"skipping against ticking      {found['gain_of_skipping']:8.2f} x ({found['layers_ticked']:.0f} layers)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=200)
    print_ratios(measure(parser.parse_args().layers))


if __name__ == "__main__":
    main()
