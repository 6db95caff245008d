"""The key of a run: a hash of everything that decides its result."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from moeram.errors import TraceError
from moeram.experiment import Experiment, ServingExperiment
from moeram.placement import POLICIES, ROW_GROUP
from moeram.placement.outside import outside_code
from moeram.schedule import GROUP as SCHEDULE_GROUP
from moeram.schedule import POLICIES as SCHEDULES

_BLOCK_BYTES = 1 << 20


def run_key(experiment: Experiment | ServingExperiment, version: str) -> str:
    """Return the SHA-256 (hex) of the resolved options, model, machines, input files, outside policies' code and the program's version.

    Places of files do not count, their contents do; neither do the number of threads and the kernel memo,
    which never change a result.
    """
    digests = {path: list(_digests_below(Path(path)).values()) for path in experiment.input_paths()}
    resolved = _with_contents(experiment.resolved(), digests)
    for indifferent in ("threads", "kernel_memo"):
        resolved.pop(indifferent, None)
    machines = _with_contents(experiment.machines(), digests)
    outside = outside_policies(experiment)
    return digest({**resolved, **machines, "inputs": list(digests.values()), "outside": outside, "version": version})


def outside_policies(experiment: Experiment | ServingExperiment) -> list[dict[str, str | None]]:
    """Return what decides the results of each outside policy that an experiment names, see `outside_code`."""
    if isinstance(experiment, ServingExperiment):
        named = [(experiment.schedule.policy, SCHEDULES, SCHEDULE_GROUP), (experiment.placement.policy, POLICIES, ROW_GROUP)]
    else:
        named = [(name, POLICIES, ROW_GROUP) for name in experiment.placements]
    found = (outside_code(name, shipped, group) for name, shipped, group in named)
    return [one for one in found if one is not None]


def _with_contents(value: Any, digests: dict[str, list[str]]) -> Any:
    if isinstance(value, dict):
        return {key: _with_contents(inner, digests) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_contents(inner, digests) for inner in value]
    return digests.get(value, value) if isinstance(value, str) else value


def digest(values: Any) -> str:
    """Return the SHA-256 (hex) of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def input_digests(experiment: Experiment | ServingExperiment) -> dict[str, str]:
    """Return path -> SHA-256 (hex) of every input file, folders' files sorted by path.

    Raises:
        TraceError: a file cannot be read.
    """
    return {file: found for path in experiment.input_paths() for file, found in _digests_below(Path(path)).items()}


def content_digest(path: str | Path) -> str:
    """Return the SHA-256 (hex) of a file, or one over those of a folder's files in order of their paths.

    Raises:
        TraceError: a file cannot be read.
    """
    found = list(_digests_below(Path(path)).values())
    return digest(found) if Path(path).is_dir() else found[0]


def _digests_below(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {str(file): _file_digest(file) for file in files}


def _file_digest(path: Path) -> str:
    result = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                result.update(block)
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error}") from error
    return result.hexdigest()
