"""moeram: mixture-of-experts decoding on tiered memory with near-memory units, cycle by cycle.

>>> import moeram
>>> record = moeram.run("quickstart", batch=[1, 8])  # doctest: +SKIP
>>> record["decomposition"].to_pandas()  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moeram import experiment as _experiment
from moeram.errors import CapacityError, ConfigError, EngineError, MoeramError, TraceError
from moeram.experiment import Record

if TYPE_CHECKING:
    from moeram.runs import SweepResult

try:
    __version__ = metadata.version("moeram")
except metadata.PackageNotFoundError:  # a source checkout that was never installed
    __version__ = "0+unknown"

__all__ = [
    "CapacityError", "ConfigError", "EngineError", "MoeramError", "Record", "TraceError", "__version__", "cmake_prefix", "run",
    "sweep",
]  # fmt: skip


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


def sweep(
    name_or_path: str | Path,
    *,
    over: Mapping[str, Any],
    folder: str | Path,
    workers: int | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> SweepResult:
    """Run an experiment of either kind, or a YAML file of a sweep, over values of its keys (docs/sweeps.md).

    Args:
        over: key -> values; every combination is run. folder: of the store, finished points in it are not run again.
        workers: processes, None: one for each core; 1: everything in this process. With more, a script needs the usual
            `if __name__ == "__main__":`.
        parameters: key -> value for every point.

    Returns:
        A SweepResult; result.table("points") is one table of all points. Failed points have their error there.

    Raises:
        ConfigError: nothing varies, the folder cannot be used, or no point has valid options.
    """
    from moeram import runs
    from moeram.experiment.options import plain_values

    given = runs.read_sweep(name_or_path)
    grid = {**given.over, **{key: plain_values(list(values)) for key, values in over.items()}}
    fixed = {**given.fixed, **plain_values(parameters or {})}
    wanted = runs.Sweep(**{**given.model_dump(), "over": grid, "fixed": fixed})
    return runs.run_sweep(wanted, folder, __version__, workers=workers)


def cmake_prefix() -> Path:
    """Return the folder for CMAKE_PREFIX_PATH with which `find_package(moeram)` finds this installation.

    Raises:
        ConfigError: this is a source checkout that was never installed.
    """
    folder = Path(__file__).resolve().parent
    if not (folder / "lib" / "cmake" / "moeram" / "moeram-config.cmake").is_file():
        raise ConfigError(f"{folder}: holds no C++ package; install moeram with pip, or use cmake --install")
    return folder
