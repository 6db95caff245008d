"""Request traces of other tools, told apart by the columns they have.

| tool | file | columns |
| --- | --- | --- |
| Azure (Splitwise's public traces) | CSV | TIMESTAMP (date and time), ContextTokens, GeneratedTokens |
| SplitwiseSim | CSV | arrival_timestamp (s), prompt_size, token_size |
| Vidur | CSV | arrived_at (s), num_prefill_tokens, num_decode_tokens |
| LLMServingSim | TSV or JSON lines | input_toks, output_toks, arrival_time_ns |

Further columns are not read. Arrivals are counted from the first one; rows need not be in order.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moeram.errors import TraceError, did_you_mean
from moeram.serving.requests import Requests

_MOST_SPAN_PS = 1 << 62


@dataclass(frozen=True, kw_only=True)
class _Layout:
    arrival: str
    prompt: str
    output: str
    to_ps: Callable[[str], int]


def _date_ps(text: str) -> int:
    return int(np.datetime64(text.strip().replace(" ", "T"), "ns").astype(np.int64)) * 1000


def _number_ps(unit_ps: float) -> Callable[[str], int]:
    def to_ps(text: str) -> int:
        value = float(text) * unit_ps
        if not math.isfinite(value):
            raise ValueError(text)
        return round(value)

    return to_ps


LAYOUTS = {
    "azure": _Layout(arrival="TIMESTAMP", prompt="ContextTokens", output="GeneratedTokens", to_ps=_date_ps),
    "splitwise": _Layout(
        arrival="arrival_timestamp", prompt="prompt_size", output="token_size", to_ps=_number_ps(1e12)
    ),
    "vidur": _Layout(
        arrival="arrived_at", prompt="num_prefill_tokens", output="num_decode_tokens", to_ps=_number_ps(1e12)
    ),
    "llmservingsim": _Layout(
        arrival="arrival_time_ns", prompt="input_toks", output="output_toks", to_ps=_number_ps(1e3)
    ),
}


def read_requests(path: str | Path) -> Requests:
    """Read a request trace.

    Raises:
        TraceError: unreadable, no known columns, or a value out of range; names the file and the line.
    """
    file = Path(path)
    rows = _json_lines(file) if file.suffix in (".jsonl", ".json") else _table(file)
    layout: _Layout | None = None
    arrivals, prompts, outputs = [], [], []
    for line, row in rows:
        layout = layout or _layout(file, row)
        arrivals.append(_value(file, line, row, layout.arrival, layout.to_ps))
        prompts.append(_value(file, line, row, layout.prompt, _tokens))
        outputs.append(_value(file, line, row, layout.output, _tokens))
    if not arrivals:
        raise TraceError(f"{file}: no requests")
    first = min(arrivals)
    if max(arrivals) - first > _MOST_SPAN_PS:
        raise TraceError(f"{file}: arrivals span more than 50 days; are they in the unit of their column?")
    times = np.array([arrival - first for arrival in arrivals], dtype=np.int64)
    order = np.argsort(times, kind="stable")
    return Requests(
        arrival_ps=times[order],
        prompt_tokens=np.array(prompts, dtype=np.int64)[order],
        output_tokens=np.array(outputs, dtype=np.int64)[order],
        topic=np.zeros(len(order), dtype=np.int64),
        source=file.name,
    )


def _table(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with open(file, newline="", encoding="utf-8-sig") as text:
            header = text.readline()
            text.seek(0)
            if "\t" in header:
                reader = csv.DictReader(text, delimiter="\t", strict=True)
            elif "," in header:
                reader = csv.DictReader(text, strict=True)
            else:
                reader = csv.DictReader(text, delimiter=" ", skipinitialspace=True, strict=True)
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{file}: cannot be read: {error}") from error


def _json_lines(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        with open(file, encoding="utf-8") as text:
            for number, line in enumerate(text, start=1):
                if line.strip():
                    row = json.loads(line)
                    if not isinstance(row, dict):
                        raise TraceError(f"{file}:{number}: an object with keys is expected on each line")
                    yield number, row
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise TraceError(f"{file}: cannot be read: {error}") from error


def _layout(file: Path, row: Mapping[str, Any]) -> _Layout:
    columns = [str(name) for name in row if name]
    for layout in LAYOUTS.values():
        if {layout.arrival, layout.prompt, layout.output} <= set(columns):
            return layout
    for layout in LAYOUTS.values():
        wanted = [name for name in (layout.arrival, layout.prompt, layout.output) if name not in columns]
        if len(wanted) < 3:
            raise TraceError(f"{file}: no column {wanted[0]!r}{did_you_mean(wanted[0], columns)}")
    known = "; ".join(f"{name}: {x.arrival}, {x.prompt}, {x.output}" for name, x in LAYOUTS.items())
    raise TraceError(f"{file}: columns {', '.join(columns[:8])} are of no known request trace ({known})")


def _tokens(text: str) -> int:
    value = float(text)
    if value != int(value) or not 1 <= value < 1 << 40:
        raise ValueError(text)
    return int(value)


def _value(file: Path, line: int, row: Mapping[str, Any], column: str, read: Callable[[str], int]) -> int:
    given = row.get(column)
    try:
        if given is None or isinstance(given, (bool, list, dict)):
            raise ValueError(given)
        return read(str(given))
    except (ValueError, OverflowError):
        what = "a time" if read is not _tokens else "a whole number of at least 1"
        raise TraceError(f"{file}:{line}: {column}: given {given!r}, allowed: {what}") from None
