"""What a serving run means to its users and its owner: latencies, throughput, goodput, utilisation, a time series.

TTFT: from a request's arrival to its first token. TPOT: of a request, time from first to last token over the tokens behind the
first. ITL: any time between two tokens of a request. Goodput: requests that met every limit, a second. Percentiles are those
of the inverted distribution: a value that occurred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError
from moeram.metrics.table import Table
from moeram.serving import IDLE_ENERGY, Origin, ServingRecord

PERCENTILES = (50, 90, 99)
THROUGHPUT_COLUMNS = (
    "requests", "tokens", "span_s", "tokens_per_s", "tokens_per_s_per_gpu", "tokens_per_s_per_user", "bound_tokens_per_s",
    "goodput_requests_per_s", "met_share", "energy_per_token_uj", "work_energy_per_token_uj", "run_energy_per_token_uj", "fidelity",
)  # fmt: skip
_MOST_INTERVALS = 1e6  # of a time series
_PS_PER_MS, _PS_PER_S = 1e9, 1e12


def ttft_ps(record: ServingRecord) -> NDArray[np.int64]:
    """Time to first token of each request."""
    return record.first_token_ps - record.requests.arrival_ps


def tpot_ps(record: ServingRecord) -> NDArray[np.float64]:
    """Time per output token of each request behind its first; nan where there is none."""
    behind = record.requests.output_tokens - 1
    span = (record.finished_ps - record.first_token_ps).astype(float)
    return np.divide(span, behind, out=np.full(len(span), math.nan), where=behind > 0)


def percentile(
    values: NDArray[np.integer] | NDArray[np.floating], percent: int, counts: NDArray[np.int64] | None = None
) -> float:
    """Return the least value that at least `percent` of all are not above; counts: how often each occurs; nan if none."""
    if counts is None:
        counts = np.ones(len(values), dtype=np.int64)
    if not counts.sum():
        return math.nan
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    return float(values[order][np.searchsorted(reached, -(-percent * int(reached[-1]) // 100))])


def latency_table(record: ServingRecord) -> Table:
    """Return mean and percentiles of TTFT, TPOT, ITL and the whole time of a request.

    bound_mean_ms: the mean if, with the same requests in every step, each step had taken its bound.
    """
    tpot = tpot_ps(record)
    whole = record.finished_ps - record.requests.arrival_ps
    columns: dict[str, tuple[NDArray, NDArray[np.int64] | None]] = {
        "TTFT": (ttft_ps(record), None),
        "TPOT": (tpot[~np.isnan(tpot)], None),
        "ITL": (record.gaps_ps, record.gap_counts),
        "request": (whole, None),
    }
    saved = _mean_saved_ps(record)
    rows = []
    for name, (values, counts) in columns.items():
        weights = np.ones(len(values), dtype=np.int64) if counts is None else counts
        mean = float(np.average(values, weights=weights)) if weights.sum() else math.nan
        row = {"latency": name, "mean_ms": mean / _PS_PER_MS, "bound_mean_ms": (mean - saved[name]) / _PS_PER_MS}
        row |= {f"p{percent}_ms": percentile(values, percent, counts) / _PS_PER_MS for percent in PERCENTILES}
        rows.append({**row, "values": int(weights.sum())})
    return Table.from_rows("latencies", rows, list(rows[0]))


def _mean_saved_ps(record: ServingRecord) -> dict[str, float]:
    """Return how much of each mean latency the steps were longer than their bounds."""
    requests, steps = record.requests, record.steps
    start, stop = (times.astype(float) for times in (steps["start_ps"], steps["start_ps"] + steps["time_ps"]))
    edges = np.stack([start, stop], axis=1).ravel()
    sums = np.cumsum(steps["time_ps"] - steps["bound_ps"])
    until = np.repeat(np.concatenate([[0], sums]), 2)[1:-1]
    arrival, first, finished = (
        np.interp(at.astype(float), edges, until.astype(float))
        for at in (requests.arrival_ps, record.first_token_ps, record.finished_ps)
    )
    behind = requests.output_tokens - 1
    several = behind > 0
    decoding = (finished - first)[several]
    return {
        "TTFT": float((first - arrival).mean()),
        "TPOT": float((decoding / behind[several]).mean()) if several.any() else math.nan,
        "ITL": float(decoding.sum() / behind.sum()) if several.any() else math.nan,
        "request": float((finished - arrival).mean()),
    }


def request_table(record: ServingRecord) -> Table:
    """Return a row for each request: what it asked, when it came, joined, got its first token and ended."""
    requests = record.requests
    return Table(
        "requests",
        {
            "arrival_s": requests.arrival_ps / _PS_PER_S,
            "prompt_tokens": requests.prompt_tokens,
            "output_tokens": requests.output_tokens,
            "topic": requests.topic,
            "admitted_s": record.admitted_ps / _PS_PER_S,
            "first_token_s": record.first_token_ps / _PS_PER_S,
            "finished_s": record.finished_ps / _PS_PER_S,
        },
    )


def throughput_table(record: ServingRecord, *, gpus: int, ttft_limit_ms: float, tpot_limit_ms: float) -> Table:
    """Return a table of one row: tokens a second in all, by GPU and by user, goodput under limits, energy a token, bound.

    tokens_per_s_per_user: reciprocal of the mean TPOT. bound_tokens_per_s: had every step taken its bound. energy_per_token_uj: of the
    steps; work_: without idle power and refresh; run_: with the power drawn between steps.

    Raises:
        ConfigError: no GPUs, or limits that nothing can meet.
    """
    if gpus < 1:
        raise ConfigError(f"gpus: given {gpus}, allowed: at least 1")
    for name, limit in (("ttft_limit_ms", ttft_limit_ms), ("tpot_limit_ms", tpot_limit_ms)):
        if not limit > 0:
            raise ConfigError(f"{name}: given {limit}, allowed: more than 0")
    tokens = int(record.steps["decode_tokens"].sum())
    span_s = (record.end_ps - int(record.requests.arrival_ps[0])) / _PS_PER_S
    tpot = tpot_ps(record)
    met = (ttft_ps(record) <= ttft_limit_ms * _PS_PER_MS) & ~(tpot > tpot_limit_ms * _PS_PER_MS)
    saved_s = float((record.steps["time_ps"] - record.steps["bound_ps"]).sum()) / _PS_PER_S
    mean_tpot_s = float(np.nanmean(tpot)) / _PS_PER_S if not np.isnan(tpot).all() else math.nan
    row = {
        "requests": len(record.requests),
        "tokens": tokens,
        "span_s": span_s,
        "tokens_per_s": tokens / span_s,
        "tokens_per_s_per_gpu": tokens / span_s / gpus,
        "tokens_per_s_per_user": 1 / mean_tpot_s,
        "bound_tokens_per_s": tokens / (span_s - saved_s),
        "goodput_requests_per_s": int(met.sum()) / span_s,
        "met_share": float(met.mean()),
        **_energy_per_token(record, tokens),
        "fidelity": record.fidelity,
    }
    return Table.from_rows("throughput", [row], THROUGHPUT_COLUMNS)


def utilisation_table(record: ServingRecord) -> Table:
    """Return how long each part was busy, as a share of the run and of its steps."""
    span_ps, stepping_ps = record.end_ps - int(record.requests.arrival_ps[0]), int(record.steps["time_ps"].sum())
    rows = [
        {"part": part, "busy_s": busy / _PS_PER_S, "share_of_run": busy / span_ps, "share_of_steps": busy / stepping_ps}
        for part, busy in record.parts_ps.items()
    ]
    return Table.from_rows("utilisation", rows, ["part", "busy_s", "share_of_run", "share_of_steps"])


def _energy_per_token(record: ServingRecord, tokens: int) -> dict[str, float]:
    steps = sum(record.energy_pj.values())
    idle = sum(energy for name, energy in record.energy_pj.items() if name in IDLE_ENERGY)
    found = {"": steps, "work_": steps - idle, "run_": steps + record.waiting_pj}
    return {f"{name}energy_per_token_uj": energy / tokens * 1e-6 for name, energy in found.items()}


def energy_table(record: ServingRecord) -> Table:
    """Return energy by component, in all, by token and as mean power over the run; idle: drawn by time alone."""
    tokens = int(record.steps["decode_tokens"].sum())
    span_ps = record.end_ps - int(record.requests.arrival_ps[0])
    rows = [
        {
            "component": name, "idle": name in IDLE_ENERGY, "energy_uj": energy * 1e-6,
            "energy_per_token_uj": energy * 1e-6 / tokens, "mean_power_w": energy / span_ps,
        }
        for name, energy in sorted({**record.energy_pj, "between steps": record.waiting_pj}.items())
    ]  # fmt: skip
    return Table.from_rows("energy", rows, list(rows[0]))


def fidelity_table(origins: Sequence[Origin]) -> Table:
    """Return where the times of each part come from; error: relative, of this level held against the one above it, nan: not known."""
    rows = [
        {**origin._asdict(), "error": math.nan if origin.error is None else origin.error} for origin in origins
    ]
    return Table.from_rows("fidelity", rows, list(Origin._fields))


def check_interval(every_ms: float, span_ps: float) -> None:
    """Refuse an interval of the time series that is too short for a run that takes at least so long.

    Raises:
        ConfigError: more than a million intervals.
    """
    if span_ps / (every_ms * _PS_PER_MS) > _MOST_INTERVALS:
        raise ConfigError(
            f"every_ms: given {every_ms:g}, but requests arrive over {span_ps / _PS_PER_S:g} s; allowed: at least "
            f"{span_ps / _MOST_INTERVALS / _PS_PER_MS:g}, a million intervals"
        )


def series_interval_ns(record: ServingRecord, every_ns: float) -> float:
    """Return the interval itself, or the shortest that makes no more than a million of the run."""
    return max(every_ns, (record.end_ps - int(record.requests.arrival_ps[0])) / _MOST_INTERVALS * 1e-3)


def time_series(record: ServingRecord, every_ns: float) -> Table:
    """Return the run in equal intervals: tokens a second, mean running and waiting requests, reserved cache, busy shares.

    A step's tokens count where it ends; its state and busy time are spread over the intervals that it touches.

    Raises:
        ConfigError: the interval is not positive, or makes more than a million rows.
    """
    begin, end = int(record.requests.arrival_ps[0]), record.end_ps
    width_ps = every_ns * 1e3
    if not width_ps > 0 or (end - begin) / width_ps > _MOST_INTERVALS * (1 + 1e-9):
        raise ConfigError(f"every_ns: given {every_ns:g}, allowed: more than 0 and at most a million intervals")
    edges = begin + width_ps * np.arange(math.ceil((end - begin) / width_ps) + 1)
    start = record.steps["start_ps"].astype(float)
    stop = start + record.steps["time_ps"]
    columns: dict[str, NDArray] = {"start_s": edges[:-1] / _PS_PER_S}
    place = np.minimum(((stop - begin) / width_ps).astype(int), len(edges) - 2)
    tokens = np.bincount(place, weights=record.steps["decode_tokens"], minlength=len(edges) - 1)
    columns["tokens_per_s"] = tokens / width_ps * _PS_PER_S
    for name in ("decode_requests", "waiting", "kv_tokens"):
        columns[f"mean_{name}"] = _spread(edges, start, stop, record.steps[name].astype(float)) / width_ps
    for part, busy in record.step_parts_ps.items():
        share = busy / record.steps["time_ps"]
        columns[f"{part}_busy_share"] = _spread(edges, start, stop, share) / width_ps
    return Table("time_series", columns)


def _spread(
    edges: NDArray[np.float64], start: NDArray[np.float64], stop: NDArray[np.float64], level: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Integrate a level that holds from start to stop [steps] over each interval between edges; steps do not overlap."""
    times = np.stack([start, stop], axis=1).ravel()
    integral = np.repeat(np.cumsum(level * (stop - start)), 2)
    integral[::2] -= level * (stop - start)
    return np.diff(np.interp(edges, times, integral, left=0))
