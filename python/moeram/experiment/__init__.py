"""Experiments: the options of all rooms in one YAML file, and run(experiment) -> Record."""

from __future__ import annotations

from moeram.experiment.options import Experiment, load
from moeram.experiment.prepare import Prepared, prepare
from moeram.experiment.simulate import Progress, Record, run

__all__ = ["Experiment", "Prepared", "Progress", "Record", "load", "prepare", "run"]
