"""R4: decode throughput with tiers and topic placement over the whole memory at the slowest tier."""

from __future__ import annotations

import numpy as np

from moeram.repro.stratum.decode import baseline, lengths_of, of_stratum
from moeram.repro.stratum.machines import CASES, STRATUM, chips_of
from moeram.repro.target import Found, Setting, Target


def gain(setting: Setting, case: str, batch: int, over: str = "no_tiering") -> float:
    """Return the mean over lengths of the gain of topic placement over another placement."""
    gains = [
        of_stratum(setting, case, batch, length, over).time_ps / of_stratum(setting, case, batch, length).time_ps
        for length in lengths_of(setting, case)
    ]
    return float(np.mean(gains))


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the gain of every model."""
    found = {}
    for case in CASES:
        cycles = chips_of(CASES[case], setting).closed_form.row_cycle_ns
        found[f"gain_{case}"] = Found(
            ours=gain(setting, case, setting["batch"], baseline(setting)),
            fidelity=of_stratum(setting, case, setting["batch"], lengths_of(setting, case)[0]).fidelity,
            bound=max(cycles) / min(cycles),
        )
    return found


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the gain over no tiering and over random rows (the same compact memory without a ranking), with other batches."""
    return {
        f"gain_{case}": {
            f"over {other.replace('_', ' ')}, batch {batch}": gain(setting, case, batch, other)
            for other in ("no_tiering", "random_rows")
            for batch in (1, 8, 32)
        }
        for case in CASES
    }


TARGET = Target(
    id="R4", parameters=(*STRATUM, "batch"), readings=("random_rows", "engine"), evaluate=evaluate, beside=beside,
    note="whole decode step: projections behind the interposer and launch floors do not know tiers; the bound is tier 8's row cycle over tier 1's",
)  # fmt: skip
