"""A device as the engine plays it against closed forms of its own timing parameters.

Expected values use the timing parameters by their names (nBL, nCCDS, nRFC, nREFI ...), the rows of the standard where a name differs from
standard to standard, and nothing of the device model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moeram.check.bench import Bench, bench, cycles_of, most_in_window
from moeram.check.command_file import CommandTrace
from moeram.check.commands import check_trace
from moeram.check.rulebook import standard_data
from moeram.errors import ConfigError, EngineError, did_you_mean

PEAK_TOLERANCE = 0.05
_INTERVALS = 4  # refresh intervals that a stream runs through
_READS_WITHOUT_REFRESH = 20000
_ROW_READS = 60
_LONG_WAIT_TICKS = 2000


@dataclass(frozen=True, kw_only=True)
class Line:
    """One measured figure. lowest and highest: what passes, both included; note: what a failure is known to come from."""

    name: str
    unit: str
    measured: float
    expected: float
    lowest: float
    highest: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """True if the figure lies within its tolerance."""
        return self.lowest <= self.measured <= self.highest


@dataclass(frozen=True, kw_only=True)
class DeviceReport:
    """The lines of one pair of presets; refused: why the engine did not run at all."""

    standard: str
    organization: str
    timing: str
    lines: tuple[Line, ...]
    refused: str = ""

    @property
    def passed(self) -> bool:
        """True if every line passed."""
        return not self.refused and all(line.passed for line in self.lines)


def preset_pairs(standard: str, organization: str | None = None, timing: str | None = None) -> list[tuple[str, str]]:
    """Return the pairs of presets of a standard, restricted to those named.

    Raises:
        ConfigError: an unknown standard or preset.
    """
    data = standard_data(standard)
    chosen = []
    for kind, name in (("organization", organization), ("timing", timing)):
        names = list(data[kind]["presets"])
        if name is not None and name not in names:
            raise ConfigError(f"{standard}: {kind} preset {name!r} is unknown{did_you_mean(name, names)}")
        chosen.append([name] if name is not None else names)
    return [(first, second) for first in chosen[0] for second in chosen[1]]


def check_device(standard: str, organization: str, timing: str) -> DeviceReport:
    """Measure one pair of presets: stream bandwidth with and without refresh, latency, row cycle, activates, rules."""
    lines: tuple[Line, ...] = ()
    refused = ""
    try:
        made = bench(standard, organization, timing)
        lines = tuple(_lines(made))
    except ConfigError as error:
        refused = " ".join(str(error).split())
    except EngineError as error:
        reason = " ".join(str(error).split())
        lines = (Line(name="runs that end", unit="", measured=0, expected=1, lowest=1, highest=1, note=reason),)
    return DeviceReport(standard=standard, organization=organization, timing=timing, lines=lines, refused=refused)


def _lines(device: Bench) -> list[Line]:
    quiet, _ = device.run(device.stream(), _READS_WITHOUT_REFRESH)
    traces = [quiet]
    lines = [_peak(device, quiet, "stream bandwidth without refresh", 0.0)]
    interval, busy = device.ticks("nREFI"), device.ticks("nRFC", "nRFC1", "nRFCab")
    if interval and busy:
        reads = int(_INTERVALS * interval / _ticks_per_read(device)) + 200
        refreshed, _ = device.run(device.stream(), reads, refresh=True)
        traces.append(refreshed)
        lines += [_peak(device, refreshed, "stream bandwidth", busy / interval), *_refresh(device, refreshed, interval)]
    lines.append(_latency(device))
    rows, conflict = _row_cycle(device)
    activates, window = _activates(device)
    traces += [rows, activates]
    lines += [conflict, *window]
    broken = [check_trace(trace, device.book) for trace in traces]
    checked = sum(report.commands for report in broken)
    count = sum(sum(report.counts.values()) for report in broken)
    first = next((" ".join(report.describe_first().split()) for report in broken if report.first), "")
    lines.append(
        Line(
            name=f"rule violations in {checked} commands",
            unit="",
            measured=count,
            expected=0,
            lowest=0,
            highest=0,
            note=first,
        )
    )
    return lines


def _read(device: Bench) -> str:
    return next(name for name in device.data["requests"].values() if device.book.commands[name].accessing)


def _bus_ticks(device: Bench, command: str) -> float:
    return (
        float(device.data["commands"][command].get("bus_cycles", 1 / device.ticks_per_cycle)) * device.ticks_per_cycle
    )


def _ticks_per_read(device: Bench) -> float:
    """Ticks of one read in an ideal stream of the whole channel: data bus, column to column, command bus."""
    burst = device.ticks("nBL", "nBL16", "nBL_min") or 0
    apart = device.ticks("nCCDS", "nCCD", "nCCDR") or 0
    return max(max(burst, apart) / device.count("pseudochannel"), _bus_ticks(device, _read(device)))


def _gb_per_s(device: Bench, ticks_per_read: float) -> float:
    return device.facts["transaction_bytes"] / (ticks_per_read * device.tick_ns)


def _peak(device: Bench, trace: CommandTrace, name: str, lost: float) -> Line:
    """Bytes read in whole refresh intervals after a warm-up, against bytes / max(nBL, nCCDS, bus) * (1 - nRFC / nREFI)."""
    at = cycles_of(trace, _read(device))
    span = device.ticks("nREFI") if lost else None
    start = at[len(at) // 10] if len(at) else 0
    intervals = (trace.cycles[-1] - start) // span if span else 0
    end = start + intervals * span if intervals else trace.cycles[-1]
    served = int(((at > start) & (at <= end)).sum())
    measured = _gb_per_s(device, (end - start) / served) if served else 0.0
    expected = _gb_per_s(device, _ticks_per_read(device)) * (1 - lost)
    return Line(
        name=name,
        unit="GB/s",
        measured=measured,
        expected=expected,
        lowest=(1 - PEAK_TOLERANCE) * expected,
        highest=1.002 * expected,
        note=_why(device) if lost else "",
    )


def _why(device: Bench) -> str:
    return "" if device.facts["standard"].endswith("@2.1") else "edition 2.0; see the known faults in its data file"


def _refresh(device: Bench, trace: CommandTrace, interval: int) -> list[Line]:
    """Refreshes of each node in the whole run: one per nREFI."""
    name = next((name for name in device.data["requests"].values() if device.book.commands[name].refreshing), None)
    at = cycles_of(trace, name) if name else np.zeros(0)
    level = device.data["behaviour"]["refresh"]["level"]
    depth = device.book.levels.index(level) if level in device.book.levels else 0
    nodes = int(np.prod(device.book.counts[1 : depth + 1]))
    expected = int(trace.cycles[-1] // interval)
    measured = len(at) / nodes
    return [
        Line(
            name="refreshes of each node",
            unit="",
            measured=measured,
            expected=expected,
            lowest=expected - 1,
            highest=expected,
            note=_why(device) if measured < expected - 1 else "",
        )
    ]


def _latency(device: Bench) -> Line:
    """A read of a closed bank, alone: one tick to be seen, nRCD, read latency; a longer opening command delays by the rest."""
    requests = min(_ROW_READS, device.book.counts[device.book.bank_level] * device.count("bankgroup"))
    _, statistics = device.run(device.new_rows(), requests, wait=_LONG_WAIT_TICKS)
    served = int(statistics["num_read_reqs_0"]) - 1  # the run ends when the last one is accepted
    measured = int(statistics["read_latency_0"]) / served * device.tick_ns
    bus = _bus_ticks(device, _opening(device)) - _bus_ticks(device, _read(device))
    least = (1 + _opening_to_read(device) + bus + device.facts["read_latency_cycles"]) * device.tick_ns
    slack = (device.ticks_per_cycle - 1 + (device.ticks("nCAS") or 0)) * device.tick_ns
    return Line(
        name="unloaded latency, closed row",
        unit="ns",
        measured=measured,
        expected=least,
        lowest=least - 1e-6,
        highest=least + slack + 1e-6,
    )


def _opening_to_read(device: Bench) -> int:
    return device.ticks("nRCDRD", "nRCDr", "nRCD") or 0


def _opening(device: Bench) -> str:
    two_step = device.data["behaviour"].get("two_step_opening")
    if two_step:
        return two_step["first"]
    return next(name for name, command in device.book.commands.items() if command.effect == "open")


def _row_cycle(device: Bench) -> tuple[CommandTrace, Line]:
    """Another row of one bank with every read: max(nRC, nRAS + nRP, nRCD + nRTP + nRP); bus times of commands cancel."""
    opening = _opening(device)
    trace, _ = device.run(device.one_bank(), _ROW_READS)
    at = cycles_of(trace, opening)
    measured = float(np.diff(at[2:]).mean()) if len(at) > 4 else 0.0
    back = device.ticks("nRP", "nRPpb") or 0
    expected = max(
        device.ticks("nRC") or 0,
        (device.ticks("nRAS") or 0) + back,
        _opening_to_read(device) + (device.ticks("nRTPL", "nRTP", "nRTPSB") or 0) + back,
    )
    slack = 2 * (device.ticks_per_cycle - 1)
    scale = device.tick_ns
    return trace, Line(
        name="row cycle of one bank",
        unit="ns",
        measured=measured * scale,
        expected=expected * scale,
        lowest=expected * scale - 1e-6,
        highest=(expected + slack) * scale + 1e-6,
    )


def _activates(device: Bench) -> tuple[CommandTrace, list[Line]]:
    """Another row of another bank with every read: never more than four activates of a node in nFAW."""
    opening = _opening(device)
    trace, _ = device.run(device.new_rows(), 2000)
    length = device.ticks("nFAW")
    if not length:
        return trace, []
    node = "pseudochannel" if "pseudochannel" in device.book.levels else None
    chosen = trace.command == trace.names.index(opening)
    entries = trace.address[chosen, device.book.levels.index(node)] if node else np.zeros(int(chosen.sum()))
    most = max(most_in_window(trace.cycles[chosen][entries == value], length) for value in np.unique(entries))
    return trace, [
        Line(name="most activates in nFAW", unit="", measured=most, expected=4, lowest=1, highest=4),
    ]
