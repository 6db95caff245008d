"""EPLB weight matrices: ``.npy`` [layers, experts], the load that the balancer saw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.chunks import UNKNOWN, CountChunk
from moeram.routing.readers.limits import check_size
from moeram.routing.recording import CountTrace, covered_layers
from moeram.routing.shape import TraceShape


def counts_eplb(path: Path, shape: TraceShape) -> CountTrace:
    """Token counts or weights per layer and logical expert; all layers of the model or only those with experts.

    Raises:
        TraceError: No plain array, or one of another model; NaN or negative weights.
    """
    try:
        check_size(path.stat().st_size, path)
        weights = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise TraceError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError, TypeError, SyntaxError, MemoryError) as error:
        what = "pickled objects are refused" if "pickle" in str(error).lower() else str(error)
        raise TraceError(f"{path}: not a whole .npy file of plain numbers ({what})") from None
    if not isinstance(weights, np.ndarray) or weights.ndim != 2 or weights.dtype.kind not in "iuf":
        raise TraceError(f"{path}: an EPLB weight matrix is one array of numbers [layers, experts]")
    layers, rows = covered_layers(len(weights), shape, str(path))
    kind = np.float64 if weights.dtype.kind == "f" else np.int64
    counts = weights[rows].astype(kind)[None]

    def read() -> Iterator[CountChunk]:
        yield CountChunk(
            counts=counts,
            topic=np.zeros(1, dtype=np.int16),
            topics=("all",),
            phase=np.full(1, UNKNOWN, dtype=np.int8),
            passes=False,
            place=str(path),
        )

    return CountTrace(place=str(path), format="eplb", shape=shape, layers=layers, read=read)
