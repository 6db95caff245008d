"""What run.py found, for people."""

from __future__ import annotations

from typing import Any

import engine_speed
import growth
import near_memory_speed
import pim_speed

# Cold wall time in seconds: with all reuse, and with less.
TARGETS_S = {"olmoe": (0.5, 2), "mixtral": (0.5, 3), "scout": (0.5, 5), "sieve": (10, None), "gpu": (1, 6)}
WARM_TARGET_S = 0.05
# Wall and processor time: cold, again in the same process, in another one that finds the files of the first.
TIMES = ("wall_s", "cpu_s", "again_s", "again_cpu_s", "from_disk_s", "from_disk_cpu_s")
SERVING_TARGET_S = 60


def print_report(report: dict[str, Any]) -> None:
    """Print what --json would give."""
    _print_steps(report["full_steps"])
    _print_elsewhere(report["full_steps"])
    _print_serving(report["serving"])
    _print_threads(report["threads"])
    print("\nthe engine on its own")
    engine_speed.print_table(report["engine"]["ramulator2"])
    print()
    near_memory_speed.print_ratios(report["engine"]["near_memory"])
    print("\nGEMV 4096 x 14336 in fp16 on PIM command sets")
    pim_speed.print_table(report["pim"])
    print("\ngrowth of the processor time of one thread, exponents of power laws")
    print(growth.table(report["growth"]))


def _print_steps(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'step':52} {'reuse':9} {'cold s':>8} {'cpu s':>8} {'again s':>8} {'cpu s':>8} {'disk s':>8} {'cpu s':>8} {'MB':>6} {'GB read':>8} {'M cmds':>8}  targets"
    )
    for row in rows:
        if "estimated_cpu_s" in row:
            print(f"{row['title']:52} {row['reuse']:9} not run, {row['estimated_cpu_s']:.0f} s of processor time by its channels")
            continue
        times = (f"{row[name]:8.3f}" if row[name] is not None else " " * 8 for name in TIMES)
        folded = "" if row["folded_share"] is None else f", {row['folded_share']:.1%} folded"
        print(
            f"{row['title']:52} {row['reuse']:9} {' '.join(times)} {row['peak_mb']:6.0f} "
            f"{row['weight_bytes'] / 1e9:8.1f} {row['commands'] / 1e6:8.1f}  {_verdict(row)}{folded}"
        )


def _verdict(row: dict[str, Any]) -> str:
    allowed = TARGETS_S[row["case"]][0 if row["reuse"] == "all" else 1]
    if allowed is None:
        return ""
    kept = row["wall_s"] < allowed
    if row["reuse"] != "all":
        return f"{'met' if kept else 'MISSED'} (cold < {allowed} s)"
    warm = max(row["again_s"], row["from_disk_s"]) < WARM_TARGET_S
    return f"{'met' if kept else 'MISSED'} (cold < {allowed} s), {'met' if warm else 'MISSED'} (again and disk < {WARM_TARGET_S} s)"


def _print_elsewhere(rows: list[dict[str, Any]]) -> None:
    print("\nthe same number of commands elsewhere")
    for row in rows:
        if row["reuse"] == "all":
            print(
                f"{row['title']:52} Ramulator 2.0 {row['ramulator2_s']:10.1f} s   "
                f"AttAcc simulator {row['attacc_simulator_s'] / 3600:8.2f} h"
            )


def _print_serving(rows: list[dict[str, Any]]) -> None:
    print(f"\nserving: Mixtral on Stratum-L, Poisson at 4 a second, lengths of {rows[0]['lengths']} cut at 1,024 and 256")
    print(f"{'requests':>8} {'memo before':16} {'wall s':>8} {'cpu s':>8} {'steps':>8} {'simulated s':>12} {'peak MB':>8} {'record MB':>10}")
    for row in rows:
        target = "" if row["requests"] < 1000 else f"  {'met' if row['wall_s'] < SERVING_TARGET_S else 'MISSED'} (< {SERVING_TARGET_S} s)"
        print(
            f"{row['requests']:8} {row['memo_before']:16} {row['wall_s']:8.1f} {row['cpu_s']:8.1f} {row['steps']:8} "
            f"{row['simulated_s']:12.1f} {row['peak_bytes'] / 1e6:8.0f} {row['record_bytes'] / 1e6:10.1f}{target}"
        )


def _print_threads(threads: dict[str, Any]) -> None:
    print(
        f"\nthreads: {threads['one_s']:.2f} s on one, {threads['two_s']:.2f} s on two ({threads['gain']:.2f} x, "
        f"{threads['cpu_of_two_over_one']:.2f} x the processor time); serial share "
        f"{threads['serial_share']:.1%}; projected "
        + ", ".join(f"{gain:.1f} x on {cores}" for cores, gain in threads["projected_gain"].items())
    )
