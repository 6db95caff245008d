"""Layer lists: one JSON file per topic, ``{layer: [[expert ids] per token]}``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.model import MoEModel
from moeram.routing.chunks import TokenChunk, token_chunk
from moeram.routing.readers.digits import numbers_of, rows_skeleton, sound
from moeram.routing.readers.files import expert_layers, json_files, parse_json, read_bytes, selections, topic_name
from moeram.routing.recording import RoutingTrace
from moeram.routing.shape import TraceShape
from moeram.routing.trace import TraceRouting


def read_layer_lists(path: Path, model: MoEModel, seed: int = 0) -> TraceRouting:
    """Read one topic from a file, or all topics from the ``.json`` and ``.json.gz`` files of a folder.

    The first half of the tokens of each topic ranks, the second half is held out; ``seed`` changes nothing.

    Raises:
        TraceError: A file is missing, malformed, empty or does not fit ``model``.
    """
    files = json_files(path) if path.is_dir() else [path]
    if not files:
        raise TraceError(f"{path}: no .json or .json.gz file in this folder")
    topics = {topic_name(file): read_topic(file, model) for file in files}
    halves = {topic: len(tokens) // 2 for topic, tokens in topics.items()}
    what = (
        f"tokens of {path}, topics {', '.join(topics)}, {sum(map(len, topics.values()))} tokens in all "
        f"{len(model.moe_layers)} layers with experts"
    )
    how = "per topic the first half of the tokens ranks, draws take distinct tokens of the second half"
    return TraceRouting(
        model,
        {topic: tokens[: halves[topic]] for topic, tokens in topics.items()},
        {topic: tokens[halves[topic] :] for topic, tokens in topics.items()},
        notes=(what, how),
        place=str(path),
    )


def trace_layer_lists(path: Path, shape: TraceShape) -> RoutingTrace:
    """The same files as a trace: each topic is one request, of which neither phase nor steps are known.

    Raises:
        TraceError: As in ``read_layer_lists``.
    """
    files = json_files(path) if path.is_dir() else [path]
    if not files:
        raise TraceError(f"{path}: no .json or .json.gz file in this folder")

    def read() -> Iterator[TokenChunk]:
        topics: tuple[str, ...] = ()
        for number, file in enumerate(files):
            topics = (*topics, topic_name(file))
            yield token_chunk(read_topic(file, shape), topics=topics, topic=number, request=number, place=str(file))

    note = "the files name no requests and no phases: the tokens of a topic are taken as one request"
    return RoutingTrace(
        place=str(path), format="layer_lists", shape=shape, layers=shape.moe_layers, read=read, notes=(note,)
    )


def read_topic(path: Path, model: MoEModel | TraceShape) -> np.ndarray:
    """All tokens of one file in order, int16 [tokens, layers, top_k].

    Raises:
        TraceError: The file is malformed, holds fewer than two tokens or does not fit ``model``.
    """
    content = read_bytes(path)
    tokens = _plain(content, model)
    if tokens is not None:
        return tokens
    table = parse_json(content, path)
    if not isinstance(table, dict):
        raise TraceError(f"{path}: expected an object {{layer: [[expert ids] per token]}}")
    columns = []
    for key in expert_layers(table, model, str(path)):
        rows = selections(table[key], model, lambda row, key=key: f"{path}: layer {key}, token {row}")
        if columns and len(rows) != len(columns[0]):
            first = model.moe_layers[0]
            raise TraceError(f"{path}: layer {key} has {len(rows)} tokens, layer {first} has {len(columns[0])}")
        columns.append(rows)
    if len(columns[0]) < 2:
        raise TraceError(f"{path}: {len(columns[0])} tokens; at least 2 are needed: one half ranks, one is drawn")
    return np.stack(columns, axis=1)


def _plain(content: bytes, model: MoEModel | TraceShape) -> np.ndarray | None:
    """The tokens if ``content`` is as most writers make it: the layers with experts in order, nothing else; or None."""
    found = numbers_of(content)
    layers = len(model.moe_layers)
    if found is None or len(found.values) % layers:
        return None
    count, rest = divmod(len(found.values) // layers - 1, model.top_k)
    wanted = b"{" + b",".join([b'"":' + rows_skeleton(count, model.top_k)] * layers) + b"}"
    if rest or count < 2 or found.skeleton != wanted:
        return None
    table = found.values.reshape(layers, 1 + count * model.top_k)
    keys_are_layers = np.array_equal(table[:, 0], model.moe_layers) and found.quoted(slice(None, None, table.shape[1]))
    tokens = table[:, 1:].reshape(layers, count, model.top_k)
    if not keys_are_layers or not sound(tokens, model.experts):
        return None
    return np.ascontiguousarray(tokens.transpose(1, 0, 2).astype(np.int16))
