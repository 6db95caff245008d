"""The CAP radar of several systems from one file: figures that are given, or those of serving runs that were kept."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from moeram.errors import ConfigError
from moeram.experiment.options import existing_path
from moeram.metrics import Table
from moeram.metrics.cap import radar_table
from moeram.options import Options, build, load_yaml

# Figure -> table and column of a run's folder, which row of it.
_OF_RUN = {"latency_ms": ("latencies", "mean_ms", ("latency", "TPOT")), "cost_usd": ("cost", "hardware_usd", None)}


class RadarSystem(Options):
    """One system. latency_ms: mean time per output token; cost_usd: of the hardware; both from a serving run's folder (`run`) where they
    are not given. accuracy: of the model on some task, 0 to 1: nothing here can know it.
    """

    accuracy: Annotated[float, Field(ge=0, le=1)]
    latency_ms: Annotated[float, Field(gt=0)] | None = None
    cost_usd: Annotated[float, Field(ge=0)] | None = None
    run: Annotated[str, AfterValidator(existing_path)] | None = None

    @model_validator(mode="after")
    def _known(self) -> RadarSystem:
        missing = [name for name in _OF_RUN if getattr(self, name) is None]
        if missing and self.run is None:
            raise ValueError(f"no {missing[0]} and no run to take it from")
        if not missing and self.run is not None:
            raise ValueError("run is given, but latency_ms and cost_usd are too; allowed: what the run has, or the figures")
        return self


class Radar(Options):
    """Systems by name. cost_tick_usd: the cost that reaches the centre, the second-largest tick of the paper's axis."""

    cost_tick_usd: Annotated[float, Field(gt=0)]
    systems: dict[str, RadarSystem]


def read_radar(path: str | Path) -> Table:
    """Return radii (20 to 100) of the systems in a YAML file, beside the figures they come from.

    Raises:
        ConfigError: whatever is wrong with the file, all at once; a run without latencies or costs; systems that no axis tells apart.
    """
    radar = build(Radar, load_yaml(path))
    figures = {name: _figures(name, system) for name, system in radar.systems.items()}
    table = radar_table(figures, cost_tick_usd=radar.cost_tick_usd)
    rows = []
    for row in table.rows():
        given = figures[row["system"]]
        rows.append(row | {"latency_ms": given["latency_ms"], "cost_usd": given["cost_usd"], "accuracy_share": given["accuracy"]})
    return Table.from_rows("radar", rows, list(rows[0]))


def _figures(name: str, system: RadarSystem) -> dict[str, float]:
    found = {"accuracy": system.accuracy}
    for figure in _OF_RUN:
        given = getattr(system, figure)
        found[figure] = _of_run(name, Path(system.run or ""), figure) if given is None else given
    return found


def _of_run(name: str, folder: Path, figure: str) -> float:
    table, column, wanted = _OF_RUN[figure]
    try:
        with open(folder / f"{table}.csv", encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if wanted is None or row.get(wanted[0]) == wanted[1]]
        if figure == "latency_ms" and rows[0][column] == "" and rows[0].get("values") == "0":
            raise ConfigError(f"{name}: {folder} has no TPOT: every answer has one token, and none follows the first; give latency_ms")
        return float(rows[0][column])
    except (OSError, LookupError, ValueError, TypeError):
        hint = "; run it with -p cost.running_years=3" if table == "cost" else ""
        raise ConfigError(f"{name}: {folder} has no table {table} of a serving run with {column}{hint}") from None
