"""A trace of which moeram-sim takes most as repetition has the statistics of the plain, slow controller, which knows of none."""

from __future__ import annotations

import json
import re
import subprocess

from slow_controller import simulate
from slow_standard import resolve
from subjects import data_of

KEYS = ("row_hits", "row_misses", "row_conflicts", "num_read_reqs", "num_write_reqs", "queue_len", "read_latency")
NAME, PAIR, SIZES = "HBM3@2.0", ("HBM3_4Gb", "HBM3_2Gbps"), {"channel": 1}


def test_a_folded_trace_is_that_of_the_slow_controller(moeram_sim, tmp_path):
    # What was read last is written, then read again: it has to meet the right rows and the waiting writes.
    lines = [(0, i * 16) for i in range(2200)]
    lines += [(1, address) for _, address in lines[-40:]] + lines[-40:]
    options = {"mapper": "RoBaRaCoCh", "ratios": (1, 1), "refresh": True, "cap": 0, "low": 0.2, "high": 0.8}
    (channel,) = simulate(resolve(data_of(NAME), *PAIR, SIZES), lines, options)
    (tmp_path / "x.trace").write_text("".join(f"{('LD', 'ST')[kind]} {address}\n" for kind, address in lines))
    parts = {"Scheduler": "FRFCFS", "RefreshManager": "AllBank", "RowPolicy": "OpenRowPolicy"}
    controller = {"impl": "Generic", **{key: {"impl": value} for key, value in parts.items()}}
    dram = {"impl": NAME, "org": {"preset": PAIR[0], **SIZES}, "timing": {"preset": PAIR[1]}}
    memory = {"impl": "GenericDRAM", "clock_ratio": 1, "DRAM": dram, "AddrMapper": {"impl": "RoBaRaCoCh"}}
    front = {"impl": "LoadStoreTrace", "clock_ratio": 1, "path": "x.trace"}
    config = {"Frontend": front, "MemorySystem": {**memory, "Controller": controller}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    words = [str(moeram_sim), "-f", "config.yaml", "--folded-share"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert float(re.search(r"folded_share: (\S+)", done.stderr)[1]) > 0.2
    statistics = dict(line.strip().split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert int(statistics["memory_system_cycles"]) == channel.clock
    for key in KEYS:
        assert int(statistics[f"{key}_0"]) == channel.statistics.get(key, 0), key
