"""The key of a run: a hash of everything that decides its result."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from moeram.errors import TraceError
from moeram.experiment import Experiment
from moeram.hardware import load_system
from moeram.model import load_model

_BLOCK_BYTES = 1 << 20


def run_key(experiment: Experiment, version: str) -> str:
    """Return the SHA-256 (hex) of the resolved options, model, system, input files and the program's version.

    Places of files do not count, their contents do; neither does the number of threads, which never changes a result.
    """
    resolved = experiment.resolved()
    del resolved["threads"]
    resolved["routing"]["path"] = list(input_digests(experiment).values())
    if experiment.topic_prediction.confusion is not None:
        resolved["topic_prediction"]["confusion"] = _file_digest(Path(experiment.topic_prediction.confusion))
    resolved["model"] = asdict(load_model(experiment.model))
    resolved["hardware"] = load_system(experiment.hardware).model_dump()
    resolved["version"] = version
    return digest(resolved)


def digest(values: Any) -> str:
    """Return the SHA-256 (hex) of plain values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def input_digests(experiment: Experiment) -> dict[str, str]:
    """Return path -> SHA-256 (hex) of the recorded routing's files, sorted by path, and of the confusion of topics.

    Raises:
        TraceError: a file cannot be read.
    """
    files: list[Path] = []
    if experiment.routing.path is not None:
        path = Path(experiment.routing.path)
        files += sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    if experiment.topic_prediction.confusion is not None:
        files.append(Path(experiment.topic_prediction.confusion))
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
