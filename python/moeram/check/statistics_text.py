"""Statistics as Ramulator 2.0 and moeram-sim print them: YAML-like, with repeated keys and log lines between."""

from __future__ import annotations

import math
import re

from moeram.errors import TraceError

_LINE = re.compile(r"^( *)(- )?([A-Za-z_][\w.@ -]*):(?: (.*))?$")
RELATIVE_TOLERANCE = 1e-6  # averages are single-precision numbers printed with nine digits


def parse_statistics(text: str, where: str) -> dict[str, str]:
    """Return {"MemorySystem.Controller[1].row_hits_1": "12", ...} in the order of the text.

    The n-th repetition of a key in one map gets [n]; lines before the first top-level key and log lines ("[name] [level] ...") are
    left out.

    Raises:
        TraceError: no statistics in it.
    """
    values: dict[str, str] = {}
    open_maps: list[tuple[int, str]] = []  # (indentation, path)
    seen: dict[str, int] = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None or line.startswith("["):
            continue
        indentation = len(match[1]) + len(match[2] or "")
        while open_maps and open_maps[-1][0] >= indentation:
            open_maps.pop()
        if indentation > 0 and not open_maps:
            continue
        path = ".".join([open_maps[-1][1]] if open_maps else []) + ("." if open_maps else "") + match[3]
        repeat = seen.get(path, 0)
        seen[path] = repeat + 1
        path += f"[{repeat}]" if repeat else ""
        open_maps.append((indentation, path))
        if match[4]:
            values[path] = match[4].split("  #")[0].strip().strip("'\"")
    if not any(path.startswith("MemorySystem.") for path in values):
        raise TraceError(f"{where}: holds no statistics of a memory system")
    return values


def first_difference(ours: dict[str, str], theirs: dict[str, str]) -> tuple[str, str, str] | None:
    """Return (key, value, other value) of the first key that differs in the order of `ours`; "missing" where there is none."""
    for key, value in ours.items():
        other = theirs.get(key, "missing")
        if not _equal(value, other):
            return key, value, other
    extra = next((key for key in theirs if key not in ours), None)
    return None if extra is None else (extra, "missing", theirs[extra])


def _equal(value: str, other: str) -> bool:
    if value == other:
        return True
    try:
        if re.fullmatch(r"[-+]?\d+", value) and re.fullmatch(r"[-+]?\d+", other):
            return int(value) == int(other)
        first, second = (float(text.replace(".nan", "nan").replace(".inf", "inf")) for text in (value, other))
    except ValueError:
        return False
    return math.isclose(first, second, rel_tol=RELATIVE_TOLERANCE) or (math.isnan(first) and math.isnan(second))
