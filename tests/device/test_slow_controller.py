"""moeram-sim command by command against the plain, slow controller, on small traces of every standard of Ramulator 2.0."""

from __future__ import annotations

import random

import pytest
import yaml
from slow_controller import fields, simulate
from slow_standard import resolve
from subjects import NAMES, data_of, pair_of

from moeram.hardware.cycle import load_core

REQUESTS = 220
MAPPERS = ("RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR")
OF_RAMULATOR = [name for name in NAMES if name.endswith("@2.0")]


def plan(name: str, seed: int):
    """Presets, sizes, shortened refresh, mapper, ratios, row policy, watermarks and a trace, drawn from the seed."""
    draw = random.Random(f"{name} {seed}")
    data, pair = data_of(name), pair_of(name, bool(seed % 2))
    levels = data["levels"]
    fixed = "channel" in data["organization"].get("density_factors", [])
    sizes = {} if fixed else {"channel": draw.choice([1, 2])}
    sizes |= {"rank": draw.choice([1, 2])} if "rank" in levels else {}
    only_row_zero = data["behaviour"].get("two_step_opening", {}).get("looks_for_row_zero")
    shown = resolve(data, *pair, sizes)
    # Refreshes short and often, so that a few hundred requests meet several of them.
    cycles = {"nREFI": 260} | {key: 50 for key in ("nRFC", "nRFC1", "nRFCab") if key in shown.values}
    can_close = "close-row" in data["requests"] and {"rank", "bankgroup"} <= set(levels)
    options = {
        "mapper": "RoBaRaCoCh" if only_row_zero else draw.choice(MAPPERS),
        "ratios": draw.choice([(1, 1), (4, 1), (3, 2), (1, 5)]),
        "refresh": True,
        "cap": draw.choice([0, 1, 3]) if can_close else 0,
        "low": draw.choice([0.2, 0.25, 0.1]),
        "high": draw.choice([0.8, 0.75, 0.4]),
    }
    bits, offset = fields(shown)
    capacity = sum(bits) - (bits[-2] if only_row_zero else 0)
    near = [draw.randrange(1 << capacity) << offset for _ in range(12)]
    writes = draw.choice([0, 0.3, 0.5])
    lines, stream = [], 0
    for _ in range(REQUESTS):
        stream += 1 << offset
        address = draw.choice([draw.choice(near), draw.randrange(1 << capacity) << offset, stream, stream])
        lines.append((int(draw.random() < writes), address % (1 << (capacity + offset))))
    return pair, sizes, cycles, options, lines


def run_engine(folder, name, pair, sizes, cycles, options, lines, *, skip: bool):
    (folder / "x.trace").write_text("".join(f"{('LD', 'ST')[kind]} {address}\n" for kind, address in lines))
    front, memory = options["ratios"]
    groups = {entry["group"]: {} for entry in data_of(name).get("settings", {}).values() if "group" in entry}
    policy = {"impl": "ClosedRowPolicy", "cap": options["cap"]} if options["cap"] else {"impl": "OpenRowPolicy"}
    controller = {
        "impl": "Generic", "wr_low_watermark": options["low"], "wr_high_watermark": options["high"],
        "Scheduler": {"impl": "FRFCFS"}, "RefreshManager": {"impl": "AllBank"}, "RowPolicy": policy,
        "plugins": [{"ControllerPlugin": {"impl": "TraceRecorder", "path": "cmd"}}],
    }  # fmt: skip
    dram = {"impl": name, "org": {"preset": pair[0], **sizes}, "timing": {"preset": pair[1], **cycles}, **groups}
    config = {
        "Frontend": {"impl": "LoadStoreTrace", "path": "x.trace", "clock_ratio": front},
        "MemorySystem": {"impl": "GenericDRAM", "clock_ratio": memory, "DRAM": dram, "AddrMapper": {"impl": options["mapper"]}, "Controller": controller},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    text, _ = load_core().run_ramulator(str(folder / "config.yaml"), folder=str(folder), skip=skip)
    return dict(line.strip().split(": ", 1) for line in text.splitlines() if ": " in line)


@pytest.mark.parametrize(
    "seed", [0, 1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", OF_RAMULATOR)
def test_every_command_and_the_main_statistics(tmp_path, name, seed):
    pair, sizes, cycles, options, lines = plan(name, seed)
    channels = simulate(resolve(data_of(name), *pair, sizes, cycles), lines, options)
    for skip in (True, False):
        statistics = run_engine(tmp_path, name, pair, sizes, cycles, options, lines, skip=skip)
        for channel in channels:
            written = (tmp_path / f"cmd.ch{channel.number}").read_text().splitlines()
            assert written == channel.issued, first_difference(written, channel.issued, options)
            assert int(statistics["memory_system_cycles"]) == channel.clock
            for key in (
                "row_hits",
                "row_misses",
                "row_conflicts",
                "num_read_reqs",
                "num_write_reqs",
                "queue_len",
                "read_latency",
            ):
                assert int(statistics[f"{key}_{channel.number}"]) == channel.statistics.get(key, 0), (key, options)
    assert sum(len(channel.issued) for channel in channels) > REQUESTS / 3


def first_difference(written: list[str], expected: list[str], options: dict) -> str:
    for number, (ours, theirs) in enumerate(zip(written, expected, strict=False), start=1):
        if ours != theirs:
            return f"command {number}: {ours}, expected {theirs}; {options}"
    return f"{len(written)} commands, expected {len(expected)}; {options}"
