"""The GPUs by measured kernels instead of the roofline: tables of the user's, which moeram does not ship."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from moeram.errors import ConfigError
from moeram.hardware.measured import MeasuredTables, read_tables
from moeram.repro.routing import decode_step
from moeram.repro.stratum.decode import lengths_of, of_gpus, of_stratum
from moeram.repro.stratum.machines import CASES, gpus
from moeram.repro.target import Setting

NOT_SUPPLIED = "not supplied"


def measured_speedup(setting: Setting, case: str) -> float | str:
    """Return the mean gain over lengths over GPUs with measured kernels where the tables have them, or why there is none.

    Tables price MoE layers by the number of tokens, whatever experts they use.
    """
    tables = _tables_of(setting.measured, CASES[case].gpu)
    if tables is None:
        return NOT_SUPPLIED if not setting.measured else f"no tables of {CASES[case].gpu}"
    try:
        pricer = gpus(CASES[case], setting, tables)
    except ConfigError:
        return "no table has this model's kernels"
    gains = []
    for length in lengths_of(setting, case):
        requests = of_gpus(setting, case, setting["batch"], length).requests
        time_ps = pricer.price(decode_step(requests, length + length // 2)).time_ps
        ours = of_stratum(setting, case, setting["batch"], length)
        gains.append(ours.tokens_per_s * time_ps * 1e-12 / requests)
    return float(np.mean(gains))


@lru_cache(maxsize=8)
def _tables_of(files: tuple[str, ...], gpu: str) -> MeasuredTables | None:
    """Return the tables of a GPU, whose files begin with its short name, as in h100_moe.parquet; None without any."""
    mine = [path for path in files if path.rpartition("/")[2].startswith(f"{gpu.partition('_')[0]}_")]
    return read_tables(mine) if mine else None
