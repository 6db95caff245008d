"""MoE-CAP expert records: JSON lines, one forward pass each, with the mean number of experts that a layer used.

Keys: ``forward_pass_id, batch_size, seq_lens_sum, forward_mode`` ("prefill" or "decode"), ``expert_activation``.
No expert ids are recorded, so only the number of different experts against the batch is known.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.chunks import DECODE, PREFILL
from moeram.routing.readers.files import text_lines
from moeram.routing.readers.json_lines import line_files, parse_line
from moeram.routing.recording import PassTrace
from moeram.routing.shape import TraceShape

_KEYS = ("forward_pass_id", "batch_size", "seq_lens_sum", "forward_mode", "expert_activation")
_MODES = {"prefill": PREFILL, "extend": PREFILL, "decode": DECODE}


def passes_moe_cap(path: Path, shape: TraceShape) -> PassTrace:
    """All passes of a file, or of the ``.jsonl`` files of a folder.

    The tokens of a decode pass are its batch, those of a prefill pass ``processed_tokens`` or ``seq_lens_sum``.

    Raises:
        TraceError: A line is malformed or its number of experts is impossible for ``shape``.
    """
    rows = []
    for file in line_files(path):
        for number, line in text_lines(file):
            rows.append(_pass(parse_line(line, f"{file}:{number}"), shape, f"{file}:{number}"))
    if not rows:
        raise TraceError(f"{path}: the file holds no pass")
    phase, tokens, distinct = zip(*rows, strict=True)
    return PassTrace(
        place=str(path),
        format="moe_cap",
        shape=shape,
        phase=np.array(phase, dtype=np.int8),
        tokens=np.array(tokens, dtype=np.int64),
        distinct=np.array(distinct, dtype=np.float64),
        layers=shape.moe_layers,
        notes=("only the mean number of different experts of each forward pass was recorded, no expert ids",),
    )


def _pass(row: dict, shape: TraceShape, place: str) -> tuple[int, int, float]:
    missing = [key for key in _KEYS if key not in row]
    if missing:
        raise TraceError(f"{place}: key {missing[0]!r} is missing; a line has {', '.join(_KEYS)}")
    mode = row["forward_mode"]
    if mode not in _MODES:
        raise TraceError(f"{place}: forward_mode {mode!r}; allowed: {', '.join(_MODES)}")
    key = (
        "batch_size" if _MODES[mode] == DECODE else "processed_tokens" if "processed_tokens" in row else "seq_lens_sum"
    )
    tokens, distinct = row[key], row["expert_activation"]
    if type(tokens) is not int or tokens < 1:
        raise TraceError(f"{place}: {key} {tokens!r} is no whole number of 1 or more")
    if type(distinct) not in (int, float) or not math.isfinite(distinct):
        raise TraceError(f"{place}: expert_activation {distinct!r} is no finite number")
    most = min(shape.experts, tokens * shape.top_k)
    if not shape.top_k <= distinct <= most:
        raise TraceError(
            f"{place}: expert_activation {distinct}: {tokens} tokens of {shape.name} use {shape.top_k} to {most} experts of a "
            "layer"
        )
    return _MODES[mode], tokens, float(distinct)
