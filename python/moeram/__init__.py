"""moeram: mixture-of-experts decoding on tiered memory with near-memory units, cycle by cycle.

>>> import moeram
>>> record = moeram.run("quickstart", batch=[1, 8])  # doctest: +SKIP
>>> record["decomposition"].to_pandas()  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

from moeram import experiment as _experiment
from moeram.errors import CapacityError, ConfigError, EngineError, MoeramError, TraceError
from moeram.experiment import Record

try:
    __version__ = metadata.version("moeram")
except metadata.PackageNotFoundError:  # a source checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["CapacityError", "ConfigError", "EngineError", "MoeramError", "Record", "TraceError", "__version__", "run"]


def run(name_or_path: str | Path, *, progress: _experiment.Progress | None = None, **overrides: Any) -> Record:
    """Run an experiment by name ("quickstart") or path and return its record.

    Args:
        progress: called as progress(done, total, label) while it runs.
        overrides: options to replace: batch=[1, 8], routing__path="traces.npz" or routing={"path": "traces.npz"}.

    Returns:
        A Record; record["points"] and the other tables have to_csv, to_parquet and to_pandas.

    Raises:
        ConfigError, TraceError, CapacityError: wrong input, found before anything runs. EngineError: the engine cannot
            go on.
    """
    return _experiment.run(_experiment.load(name_or_path, values=overrides), progress)
