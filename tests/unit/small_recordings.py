"""Small recordings that tests write, right and wrong."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq

from moeram.routing import TraceShape

SHAPE = TraceShape(name="small", layers=4, moe_layers=(1, 3), experts=6, top_k=2)
OTHER = TraceShape(name="other", layers=4, moe_layers=(1, 3), experts=8, top_k=2)


def line(request=0, token=0, layer=1, ids=(0, 1), **more):
    return {"req_id": request, "token_idx": token, "layer": layer, "topk_ids": list(ids)} | more


def lines(*rows):
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()


def pass_row(**change):
    row = {"forward_pass_id": 1, "batch_size": 2, "seq_lens_sum": 9, "forward_mode": "decode", "expert_activation": 3.0}
    return row | change


def canonical(tmp_path, **change):
    facts = {"version": 1, "model": "small", "layers": 4, "moe_layers": [1, 3], "experts": 6, "top_k": 2}
    facts |= {"covered_layers": [1, 3], "notes": []} | change.pop("facts", {})
    columns = {
        "request": pa.array([0, 0, 0, 0], pa.int32()),
        "token": pa.array([0, 0, 1, 1], pa.int32()),
        "layer": pa.array([1, 3, 1, 3], pa.int16()),
        "phase": ["decode"] * 4,
        "step": pa.array([1, 1, 2, 2], pa.int32()),
        "topic": ["a"] * 4,
        "experts": pa.array([[0, 1], [2, 3], [4, 5], [0, 5]], pa.list_(pa.int16())),
        "weights": pa.nulls(4, pa.list_(pa.float32())),
    } | change
    table = pa.table({name: values for name, values in columns.items() if values is not None})
    path = tmp_path / "t.parquet"
    pq.write_table(table.replace_schema_metadata({"moeram.routing": json.dumps(facts)}), path)
    return path
