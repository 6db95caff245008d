"""A trace many times as long is summarised in the same memory, in each format that is read as a stream."""

from __future__ import annotations

import importlib.util
import io
import os
import subprocess
import sys
import tarfile

import pytest

from moeram.routing import open_tokens

TIMES = 12
SELECTIONS = 1_500_000
CHILD = """
import re, sys
from pathlib import Path
Path("/proc/self/clear_refs").write_text("5")  # the peak that a child has from its parent is not its own
from moeram.routing import TraceShape, open_tokens, summarise
shape = TraceShape(name="olmoe shape", layers=16, moe_layers=tuple(range(16)), experts=64, top_k=8)
found = summarise(open_tokens(sys.argv[1], shape), sample_selections=1 << 18, batches=(4,), draws=4)
peak = int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(int(found.usage.sum()), peak // 1024)
"""


def summarised(path):
    """Selections and the largest resident memory in MB of a process that summarises ``path``."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, env=environment, check=False
    )
    assert child.returncode == 0, child.stderr
    return tuple(map(int, child.stdout.split()))


@pytest.fixture(scope="module")
def speed(repository):
    """The writers of the benchmark, which know nothing of the readers."""
    path = repository / "benchmarks" / "routing_speed.py"
    spec = importlib.util.spec_from_file_location("routing_speed", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def repeated(path, header=0):
    """A file with all lines of ``path`` after the first ``header`` many times."""
    lines = path.read_bytes().split(b"\n", header)
    long = path.with_name(f"long-{path.name}")
    long.write_bytes(b"\n".join(lines[:-1]) + b"\n" * bool(header) + lines[-1] * TIMES)
    return long


def archived(folder, times, path):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for copy in range(times):
            for file in sorted(folder.rglob("*.json")):
                content = file.read_bytes()
                member = tarfile.TarInfo(f"topic/{copy}-{file.name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process is read from /proc")
@pytest.mark.parametrize(
    "format", ["canonical", "flame_moe", "dynande", "llama_cpp", "vllm", "json_lines", "selections"]
)
def test_memory_does_not_grow_with_the_trace(tmp_path, speed, format):
    """18 million selections beside 1.5 million: as Python objects they would be gigabytes, as int64 132 MB more; DynaNDE's files are 1.3 GB."""
    write = (speed.COLUMNAR | speed.TEXT)[format]
    (tmp_path / "a").mkdir()
    short = write(speed.trace_of(speed.OLMOE, SELECTIONS), tmp_path / "a")
    if format in ("canonical", "flame_moe", "dynande"):
        (tmp_path / "b").mkdir()
        long = write(speed.trace_of(speed.OLMOE, SELECTIONS * TIMES), tmp_path / "b")
    elif format == "selections":
        short, long = (archived(tmp_path / "a", times, tmp_path / f"{times}.tar.gz") for times in (1, TIMES))
    else:
        long = repeated(short, header=format == "llama_cpp")
    assert open_tokens(long, speed.OLMOE).format == format
    few, little = summarised(short)
    many, much = summarised(long)
    assert many > 0.9 * TIMES * few
    assert little < 300
    print(f"{format}: {little} MB, then {much} MB")
    ahead = 16 * 32 * 0.25 if format == "dynande" else 0  # Arrow reads 32 blocks of each of the 16 files ahead
    assert much - little < 96 + ahead, f"{little} MB, then {much} MB"
