"""The canonical trace file: Parquet, one row per token and layer (docs/routing.md states the schema)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moeram.errors import TraceError
from moeram.files import whole_file
from moeram.routing.chunks import NO_EXPERT, NO_STEP, PHASES, TokenChunk
from moeram.routing.recording import RoutingTrace

if TYPE_CHECKING:
    import pyarrow as pa

METADATA_KEY = b"moeram.routing"
VERSION = 1


def load_pyarrow() -> tuple:
    """``pyarrow`` and ``pyarrow.parquet``.

    Raises:
        TraceError: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise TraceError(f"this format needs pyarrow ({error}); install it with `pip install pyarrow`") from None
    return pyarrow, pyarrow.parquet


def write_trace(trace: RoutingTrace, path: str | Path) -> int:
    """Write ``trace`` as a canonical file and return its number of rows; ``path`` appears only when it is whole.

    Raises:
        TraceError: The trace is damaged; ``path`` stays as it was.
        ConfigError: The file cannot be written.
    """
    with whole_file(path) as partial:
        return _write(trace, partial)


def _write(trace: RoutingTrace, path: Path) -> int:
    _, parquet = load_pyarrow()
    schema = trace_schema(trace)
    rows = 0
    with path.open("wb") as sink, parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for chunk in trace.chunks():
            batch = chunk_rows(chunk, trace.layers, schema)
            writer.write_batch(batch, row_group_size=max(batch.num_rows, 1))
            rows += batch.num_rows
    return rows


def trace_schema(trace: RoutingTrace) -> pa.Schema:
    """Columns of a canonical file; its metadata hold the shape, the covered layers and the notes as JSON."""
    pa, _ = load_pyarrow()
    shape = trace.shape
    facts = {
        "version": VERSION,
        "model": shape.name,
        "layers": shape.layers,
        "moe_layers": list(shape.moe_layers),
        "experts": shape.experts,
        "top_k": shape.top_k,
        "covered_layers": list(trace.layers),
        "source_format": trace.format,
        "notes": list(trace.notes),
    }
    fields = [
        pa.field("request", pa.int32(), nullable=False),
        pa.field("token", pa.int32(), nullable=False),
        pa.field("layer", pa.int16(), nullable=False),
        pa.field("phase", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("step", pa.int32()),
        pa.field("topic", pa.dictionary(pa.int16(), pa.string()), nullable=False),
        pa.field("experts", pa.list_(pa.field("element", pa.int16(), nullable=False)), nullable=False),
        pa.field("weights", pa.list_(pa.field("element", pa.float32(), nullable=False))),
    ]
    return pa.schema(fields, metadata={METADATA_KEY: json.dumps(facts).encode()})


def chunk_rows(chunk: TokenChunk, layers: tuple[int, ...], schema: pa.Schema) -> pa.RecordBatch:
    """Rows of a chunk, layer by layer within a token; layers that were not recorded have no row."""
    pa, _ = load_pyarrow()
    count, covered, top_k = chunk.experts.shape
    keep = (chunk.experts[:, :, 0] != NO_EXPERT).ravel()
    whole = bool(keep.all())

    def spread(column: np.ndarray) -> np.ndarray:
        rows = np.repeat(column, covered)
        return rows if whole else rows[keep]

    def lists(values: np.ndarray, field: pa.Field) -> pa.Array:
        rows = values.reshape(count * covered, top_k)
        rows = rows if whole else rows[keep]
        offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int32) * top_k)
        return pa.ListArray.from_arrays(offsets, pa.array(rows.ravel()), type=field.type)

    step = spread(chunk.step)
    layer = np.tile(np.asarray(layers, dtype=np.int16), count)
    size = int(keep.sum())
    columns = [
        pa.array(spread(chunk.request)),
        pa.array(spread(chunk.token)),
        pa.array(layer if whole else layer[keep]),
        pa.DictionaryArray.from_arrays(pa.array(spread(chunk.phase)), pa.array(PHASES)),
        pa.array(step, mask=step == NO_STEP),
        pa.DictionaryArray.from_arrays(pa.array(spread(chunk.topic)), pa.array(chunk.topics)),
        lists(chunk.experts, schema.field("experts")),
        pa.nulls(size, schema.field("weights").type)
        if chunk.weights is None
        else lists(chunk.weights.astype(np.float32), schema.field("weights")),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
