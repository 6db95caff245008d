"""Processor time of moeram-sim on nine cases, beside Ramulator 2.0's.

Run: python benchmarks/engine_speed.py [--ramulator2 PATH] [--cases a,b] [--rounds 5] [--no-fold] [--instructions] [--json]

With --ramulator2 both programs run in turn on the same files (ratios of one run). Without it the ratio is taken against
figures of Ramulator 2.0 be93be7 recorded on another machine, on traces of the same kind but other random numbers: a
rough guide only. --no-fold has moeram-sim simulate every request of a load/store trace; it may take repetitions as done
otherwise (same results). --instructions counts instructions per accepted request with valgrind on the first part of each trace.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import moeram


@dataclass(frozen=True)
class Case:
    """One configuration and trace, and Ramulator 2.0's recorded processor time in seconds (two-core cloud EPYC, g++ 12 -O3)."""

    what: str
    trace: str
    dram: tuple[str, str, str]  # standard, organisation, timing
    recorded_s: float
    channels: int = 1
    ranks: int = 0  # 0: the standard has none or its preset decides
    ratio: tuple[int, int] = (1, 1)  # clock ratios of front end and memory
    instructions: int = 0  # of SimpleO3; 0: a load/store trace


HBM3 = ("HBM3", "HBM3_4Gb", "HBM3_2Gbps")
DDR4 = ("DDR4", "DDR4_8Gb_x8", "DDR4_2400R")
DDR5 = ("DDR5", "DDR5_16Gb_x8", "DDR5_3200AN")
CASES = {
    "a": Case("sequential reads, HBM3", "seq16", HBM3, 2.33),
    "a64": Case("the same in steps of 64 bytes", "seq64", HBM3, 2.32),
    "b": Case("random reads, HBM3", "random", HBM3, 2.42),
    "c": Case("random reads and writes, DDR5", "mixed", DDR5, 2.98),
    "d": Case("SimpleO3 in its cache, DDR4", "cached", DDR4, 0.81, ranks=2, ratio=(8, 3), instructions=20_000_000),
    "d2": Case("SimpleO3 in memory, DDR4", "missing", DDR4, 1.05, ranks=2, ratio=(8, 3), instructions=3_000_000),
    "e": Case("SimpleO3, mostly idle, DDR4", "idle", DDR4, 0.56, ranks=2, ratio=(8, 3), instructions=40_000_000),
    "e2": Case("a request every 1000 cycles, DDR4", "light", DDR4, 0.36, ranks=2, ratio=(1, 1000)),
    "f": Case("sequential reads, HBM3, 16 channels", "seq16_long", HBM3, 11.62, channels=16, ratio=(16, 1)),
}
SHORT = 12  # instructions are counted on 1/12 of each trace


def sequential(lines: int, step: int) -> Iterator[str]:
    """Yield loads of ascending addresses."""
    return (f"LD 0x{i * step:x}\n" for i in range(lines))


def scattered(lines: int, seed: int, span: int, stores: float) -> Iterator[str]:
    """Yield loads and stores of random lines of 64 bytes below `span`."""
    draw = random.Random(seed)
    return (f"{'ST' if draw.random() < stores else 'LD'} {draw.randrange(span // 64) * 64}\n" for _ in range(lines))


def core_trace(lines: int, seed: int, bubbles: tuple[int, int], span: int, stores: float) -> Iterator[str]:
    """Yield lines of a SimpleO3 trace: instructions without memory, a load and perhaps a store."""
    draw = random.Random(seed)
    for _ in range(lines):
        store = f" {draw.randrange(span // 64) * 64}" if draw.random() < stores else ""
        yield f"{draw.randrange(*bubbles)} {draw.randrange(span // 64) * 64}{store}\n"


def trace_lines(name: str, share: int) -> Iterator[str]:
    """Yield the lines of a trace, or of the first 1/share of it."""
    makers = {
        "seq16": lambda: sequential(1_000_000 // share, 16),
        "seq64": lambda: sequential(1_000_000 // share, 64),
        "seq16_long": lambda: sequential(4_000_000 // share, 16),
        "random": lambda: scattered(500_000 // share, 11, 1 << 29, 0),
        "mixed": lambda: scattered(300_000 // share, 12, 1 << 34, 0.5),
        "light": lambda: scattered(20_000 // share, 13, 1 << 33, 0.2),
        "cached": lambda: core_trace(8, 14, (4, 7), 1 << 12, 0),
        "missing": lambda: core_trace(200_000, 15, (0, 40), 1 << 30, 0.3),
        "idle": lambda: core_trace(400, 16, (20_000, 200_000), 1 << 30, 0),
    }
    return makers[name]()


def write_case(folder: Path, name: str, share: int = 1) -> Path:
    """Write a case's trace and configuration; returns the configuration's path."""
    case = CASES[name]
    folder.mkdir(parents=True, exist_ok=True)
    trace = folder / f"{case.trace}.trace"
    if not trace.exists():
        with trace.open("w") as file:
            file.writelines(trace_lines(case.trace, share))
    front = {"impl": "LoadStoreTrace", "clock_ratio": case.ratio[0], "path": trace.name}
    if case.instructions:
        front = {"impl": "SimpleO3", "clock_ratio": case.ratio[0], "traces": [trace.name]}
        front |= {"num_expected_insts": case.instructions // share}
        front |= {"Translation": {"impl": "NoTranslation", "max_addr": 1 << 31}}
    standard, organization, timing = case.dram
    sizes = {"channel": case.channels} | ({"rank": case.ranks} if case.ranks else {})
    dram = {"impl": standard, "org": {"preset": organization, **sizes}, "timing": {"preset": timing}}
    parts = {"Scheduler": "FRFCFS", "RefreshManager": "AllBank", "RowPolicy": "OpenRowPolicy"}
    controller = {"impl": "Generic", **{key: {"impl": value} for key, value in parts.items()}}
    if standard == "DDR5":
        dram["RFM"] = {"BRC": 2}
    memory = {"impl": "GenericDRAM", "clock_ratio": case.ratio[1], "DRAM": dram}
    memory |= {"Controller": controller, "AddrMapper": {"impl": "RoBaRaCoCh"}}
    config = folder / f"{name}.yaml"
    config.write_text(json.dumps({"Frontend": front, "MemorySystem": memory}))  # JSON is YAML
    return config


def words(program: Path, config: Path, fold: bool) -> list[str]:
    """Return the command line of a run in the folder of its configuration."""
    switch = [] if fold or "LoadStoreTrace" not in config.read_text() else ["-p", "Frontend.fold=false"]
    return [str(program), "-f", config.name, *switch]


def run(program: Path, config: Path, fold: bool = True) -> tuple[float, float, str]:
    """Return the processor time of a whole process in seconds, its peak memory in MiB and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(words(program, config, fold), cwd=config.parent, stdout=output, stderr=subprocess.PIPE)
        _, complaint = child.communicate()
        if child.returncode:
            sys.exit(f"{program} -f {config.name}: {complaint.decode(errors='replace').strip()}")
        output.seek(0)
        text = output.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1024, text


def figure(output: str, key: str) -> int:
    """Return a statistic of the memory system."""
    found = re.search(rf"^\s*{key}: (\d+)$", output, re.MULTILINE)
    if found is None:
        sys.exit(f"the output has no {key}")
    return int(found[1])


def instructions_per_request(program: Path, folder: Path, name: str, fold: bool) -> float:
    """Count instructions of two lengths of a run: the difference leaves out reading the standard."""
    counts = []
    for share in (SHORT, 2 * SHORT):
        config = write_case(folder / str(share), name, share)
        counting = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *words(program, config, fold)]
        done = subprocess.run(counting, cwd=config.parent, check=True, capture_output=True, text=True)
        requests = sum(figure(done.stdout, f"total_num_{kind}_requests") for kind in ("read", "write"))
        counts.append((int(re.search(r"Collected : (\d+)", done.stderr)[1]), requests))
    (longer, more), (shorter, fewer) = counts
    return (longer - shorter) / (more - fewer) if more > fewer else float("nan")


def measure(name: str, folder: Path, programs: dict[str, Path], rounds: int, fold: bool) -> dict[str, object]:
    """Run the programs in turn and keep the least processor time of each."""
    config = write_case(folder, name)
    best: dict[str, float] = {}
    output = ""
    for _ in range(rounds):
        for label, program in programs.items():
            seconds, _, text = run(program, config, fold or label != "moeram")
            best[label] = min(best.get(label, seconds), seconds)
            output = text if label == "moeram" else output
    theirs = best.get("ramulator2", CASES[name].recorded_s)
    requests = sum(figure(output, f"total_num_{kind}_requests") for kind in ("read", "write"))
    return {
        "case": name,
        "what": CASES[name].what,
        "requests": requests,
        "cycles": figure(output, "memory_system_cycles"),
        "cpu_s": best["moeram"],
        "ramulator2_cpu_s": theirs,
        "ramulator2_is": "measured here" if "ramulator2" in best else "recorded elsewhere",
        "ratio": theirs / max(best["moeram"], 1e-3),
    }


def default_program() -> Path | None:
    """Return the moeram-sim that was installed with the package."""
    beside = [Path(moeram.__file__).resolve().parent.parent / "bin", Path(sys.prefix) / "bin"]
    found = next((place / "moeram-sim" for place in beside if (place / "moeram-sim").is_file()), None)
    return found or (Path(which) if (which := shutil.which("moeram-sim")) else None)


def print_table(rows: list[dict[str, object]]) -> None:
    """Print one line per case."""
    print(f"{'case':5s}{'':36s}{'requests':>9s}{'cycles':>10s}{'cpu s':>8s}{'2.0 cpu s':>11s}{'ratio':>8s}  instr/request")
    for row in rows:
        count = row.get("instructions_per_request")
        print(
            f"{row['case']:5s}{row['what']:36s}{row['requests']:9d}{row['cycles']:10d}{row['cpu_s']:8.3f}"
            f"{row['ramulator2_cpu_s']:11.2f}{row['ratio']:8.1f}  {'' if count is None else f'{count:.0f}'}"
        )
    print(f"Ramulator 2.0: {rows[0]['ramulator2_is']}")


def main() -> None:
    """Run the chosen cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=default_program(), help="moeram-sim to measure")
    parser.add_argument("--ramulator2", type=Path, help="your own build of Ramulator 2.0, run on the same files in turn")
    parser.add_argument("--cases", default=",".join(CASES), help="names, separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-fold", action="store_true", help="simulate every request of a trace")
    parser.add_argument("--instructions", action="store_true", help="count instructions per request (needs valgrind)")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    names = arguments.cases.split(",")
    if unknown := [name for name in names if name not in CASES]:
        parser.error(f"unknown case {unknown[0]}; there are {', '.join(CASES)}")
    if arguments.program is None:
        parser.error("moeram-sim is not installed; name it with --program")
    if arguments.instructions and shutil.which("valgrind") is None:
        parser.error("--instructions needs valgrind")
    programs = {"moeram": arguments.program.resolve()}
    if arguments.ramulator2:
        programs["ramulator2"] = arguments.ramulator2.resolve()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as scratch:
        rows = []
        for name in names:
            rows.append(measure(name, Path(scratch), programs, arguments.rounds, not arguments.no_fold))
            if arguments.instructions and not CASES[name].instructions:
                count = instructions_per_request(programs["moeram"], Path(scratch), name, not arguments.no_fold)
                rows[-1]["instructions_per_request"] = count
    if arguments.json:
        print(json.dumps(rows, indent=1))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
