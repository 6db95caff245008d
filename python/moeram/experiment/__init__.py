"""Experiments: the options of all rooms in one YAML file, and run(experiment) -> Record; serving runs likewise."""

from __future__ import annotations

from moeram.experiment.options import Experiment, load
from moeram.experiment.prepare import Prepared, prepare
from moeram.experiment.serving import ServingResult, run_serving
from moeram.experiment.serving_options import ServingExperiment, load_serving
from moeram.experiment.simulate import Progress, Record, run

__all__ = [
    "Experiment", "Prepared", "Progress", "Record", "ServingExperiment", "ServingResult", "load", "load_serving", "prepare", "run",
    "run_serving",
]  # fmt: skip
