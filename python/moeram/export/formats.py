"""From what a file holds to what another simulator reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from moeram.errors import ConfigError, TraceError, did_you_mean
from moeram.export.lines import first_line, write_lines
from moeram.export.pim import AIM_INSTRUCTIONS, PimProgram, pim_lines, read_pim
from moeram.export.requests import RequestStream, aim_lines, dramsim3_lines, ramulator2_lines, read_requests

_REQUEST_WRITERS: dict[str, Callable[[RequestStream, int], Iterator[str]]] = {
    "ramulator2": ramulator2_lines,
    "dramsim3": dramsim3_lines,
    "attacc": ramulator2_lines,  # its LD and ST lines are the same
    "aim": aim_lines,
}
FORMATS = tuple(_REQUEST_WRITERS)


def export(source: Path | RequestStream, target: Path, *, to: str, source_format: str = "auto", interval_cycles: int = 1) -> None:
    """Write a trace, a PIM program or a stream as the input of another simulator.

    Args:
        source: a file in one of FORMATS, or a stream such as that of `step_stream`.
        source_format: of a file; "auto" looks at its first line.
        interval_cycles: between requests that have no cycle of their own, where the target wants one (dramsim3).

    Raises:
        ConfigError: unknown format, or a PIM program for another simulator than its own. TraceError: the source is
            malformed; names file and line. Nothing is left at `target` then.
    """
    if to not in FORMATS:
        raise ConfigError(f"--to {to}: unknown format{did_you_mean(to, FORMATS)}")
    if interval_cycles < 1:
        raise ConfigError(f"interval_cycles: {interval_cycles}; at least 1 is expected")
    opened = source if isinstance(source, RequestStream) else _open(Path(source), source_format)
    if isinstance(opened, RequestStream):
        write_lines(target, _REQUEST_WRITERS[to](opened, interval_cycles))
        return
    if opened.set != to:
        raise ConfigError(f"{opened.origin}: a program of {opened.set}; its commands have no counterpart in {to}")
    write_lines(target, pim_lines(opened))


def _open(path: Path, source_format: str) -> RequestStream | PimProgram:
    kind = _detect(path) if source_format == "auto" else source_format
    if kind not in FORMATS:
        raise ConfigError(f"--from {kind}: unknown format{did_you_mean(kind, FORMATS)}")
    if kind in ("ramulator2", "dramsim3"):
        return read_requests(path, kind)
    return read_pim(path, kind)


def _detect(path: Path) -> str:
    """A file with LD and ST lines at first may turn out to be an AttAcc program: then --from attacc says so."""
    words = first_line(path).split()
    if words and words[0] in ("LD", "ST"):
        return "ramulator2"
    if words and words[0].startswith("PIM_"):
        return "attacc"
    if len(words) > 1 and (words[0] == "AiM" or " ".join(words[:2]) in AIM_INSTRUCTIONS):
        return "aim"
    if len(words) == 3 and words[1] in ("READ", "WRITE"):
        return "dramsim3"
    raise TraceError(f"{path}: the first line is of none of the formats {', '.join(FORMATS)}; name one with --from")
