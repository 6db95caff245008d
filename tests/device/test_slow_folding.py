"""A trace of which moeram-sim takes most as repetition has the statistics of the plain, slow controller, which knows of none."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from slow_controller import simulate
from slow_standard import resolve
from subjects import data_of

KEYS = ("row_hits", "row_misses", "row_conflicts", "num_read_reqs", "num_write_reqs", "queue_len", "read_latency")
HBM3 = ("HBM3@2.0", ("HBM3_4Gb", "HBM3_2Gbps"), {"channel": 2}, {})
DDR4 = ("DDR4@2.0", ("DDR4_8Gb_x8", "DDR4_2400R"), {"channel": 1, "rank": 2}, {"nREFI": 4000})


def sequential(count: int, step: int, stores: int) -> list[tuple[int, int]]:
    """Return loads of ascending addresses, every `stores`-th a store far away; then the last ones again."""
    lines = [(int(i % stores == 0), i // stores * step + i % stores * (1 << 20)) for i in range(count)]
    return lines + lines[-40:] + [(0, address) for _, address in lines[-40:]]


@pytest.mark.parametrize(("case", "lines"), [(HBM3, sequential(2600, 32, 2)), (DDR4, sequential(2600, 64, 3))])
def test_a_folded_trace_is_that_of_the_slow_controller(moeram_sim, tmp_path, case, lines):
    name, pair, sizes, cycles = case
    options = {"mapper": "RoBaRaCoCh", "ratios": (1, 1), "refresh": True, "cap": 0, "low": 0.2, "high": 0.8}
    channels = simulate(resolve(data_of(name), *pair, sizes, cycles), lines, options)
    (tmp_path / "x.trace").write_text("".join(f"{('LD', 'ST')[kind]} {address}\n" for kind, address in lines))
    parts = {"Scheduler": "FRFCFS", "RefreshManager": "AllBank", "RowPolicy": "OpenRowPolicy"}
    controller = {"impl": "Generic", **{key: {"impl": value} for key, value in parts.items()}}
    dram = {"impl": name, "org": {"preset": pair[0], **sizes}, "timing": {"preset": pair[1], **cycles}}
    memory = {"impl": "GenericDRAM", "clock_ratio": 1, "DRAM": dram, "AddrMapper": {"impl": "RoBaRaCoCh"}}
    front = {"impl": "LoadStoreTrace", "clock_ratio": 1, "path": "x.trace"}
    config = {"Frontend": front, "MemorySystem": {**memory, "Controller": controller}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    words = [str(moeram_sim), "-f", "config.yaml", "--folded-share"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert float(re.search(r"folded_share: (\S+)", done.stderr)[1]) > 0.2
    statistics = dict(line.strip().split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    for channel in channels:
        assert int(statistics["memory_system_cycles"]) == channel.clock
        for key in KEYS:
            assert int(statistics[f"{key}_{channel.number}"]) == channel.statistics.get(key, 0), key
