"""Where a result comes from: versions, inputs, seed, machine, time and memory."""

from __future__ import annotations

import os
import platform
import sys
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from moeram.experiment import Record, ServingResult
from moeram.runs.key import digest, input_digests, run_key

_PACKAGES = ("numpy", "pydantic", "typer", "rich", "PyYAML", "matplotlib", "pyarrow")


def provenance(record: Record | ServingResult, version: str) -> dict[str, Any]:
    """Return the provenance of a record as plain values; `version` is moeram's own."""
    experiment = record.experiment
    return {
        "moeram": version,
        "key": run_key(experiment, version),
        "config_sha256": digest(experiment.resolved()),
        "inputs_sha256": input_digests(experiment),
        "seed": experiment.seed,
        "fidelity": record.fidelity,
        "routing_fidelity": record.routing_fidelity,
        "notes": list(record.notes),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "wall_time_s": round(record.wall_time_s, 3),
        "peak_memory_bytes": peak_memory_bytes(),
        **record.cost(),
        "host": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "packages": {name: _version(name) for name in _PACKAGES},
        **record.resolved,
    }


def peak_memory_bytes() -> int | None:
    """Return the most memory that this process ever held, or None where the system does not tell.

    Linux' ru_maxrss also counts what the parent held when it forked; the high-water mark of the process itself does not.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
