"""Open routing data of any known format."""

from __future__ import annotations

from pathlib import Path

from moeram.errors import TraceError, did_you_mean
from moeram.model import MoEModel
from moeram.routing.detect import detect
from moeram.routing.readers import READERS, read_counts, read_layer_lists, read_selections
from moeram.routing.readers.canonical import trace_canonical
from moeram.routing.readers.selections import ARCHIVES
from moeram.routing.recorded import source_of
from moeram.routing.recording import DAMAGE, Recording, RoutingTrace, unreadable
from moeram.routing.shape import TraceShape, shape_of
from moeram.routing.source import RoutingSource

FORMATS = ("auto", *READERS)


def open_routing(path: str | Path, model: MoEModel, *, format: str = "auto", seed: int = 0) -> RoutingSource:
    """Open recorded routing that fits ``model`` as a source of draws; all of it is read at once.

    Args:
        path: File or folder.
        model: Shape of the model that was recorded.
        format: One of ``FORMATS``; ``"auto"`` decides by file names and first characters.
        seed: Seed of whatever the format leaves open (only counts and layers that were not recorded do).

    Raises:
        TraceError: The path is missing, its format unknown, or its content malformed or not of ``model``.
    """
    place, name = _resolve(path, format)
    try:
        if name == "counts":
            return read_counts(place, model, seed)
        if name == "layer_lists":
            return read_layer_lists(place, model, seed)
        if name == "selections" and not place.name.endswith(ARCHIVES):
            return read_selections(place, model, seed)
        return source_of(READERS[name](place, shape_of(model)), model, seed=seed)
    except DAMAGE as error:
        raise unreadable(place, name, error) from error


def open_trace(path: str | Path, model: MoEModel | TraceShape | None, *, format: str = "auto") -> Recording:
    """Open recorded routing as a stream of chunks, which is read when its chunks are asked for.

    Args:
        path: File or folder.
        model: Model that was recorded; None for a canonical file, which states it.
        format: As in ``open_routing``.

    Raises:
        TraceError: As in ``open_routing``; the content is checked while it is read.
    """
    place, name = _resolve(path, format)
    if model is None:
        if name != "canonical":
            raise TraceError(f"{place}: a {name} recording does not state its model; name it (--model)")
        return trace_canonical(place, None)
    shape = shape_of(model)
    try:
        return READERS[name](place, shape)
    except DAMAGE as error:
        raise unreadable(place, name, error) from error


def open_tokens(path: str | Path, model: MoEModel | TraceShape | None, *, format: str = "auto") -> RoutingTrace:
    """``open_trace`` for what needs tokens.

    Raises:
        TraceError: Besides ``open_trace``, the recording holds counts only.
    """
    recording = open_trace(path, model, format=format)
    if not isinstance(recording, RoutingTrace):
        raise TraceError(f"{recording.place}: a {recording.format} recording holds {recording.kind}, no tokens")
    return recording


def _resolve(path: str | Path, format: str) -> tuple[Path, str]:
    if format not in FORMATS:
        raise TraceError(f"unknown routing format {format!r}{did_you_mean(format, FORMATS)}")
    place = Path(path)
    if not place.exists():
        raise TraceError(f"{place}: no such file or folder; give routing.path the path of recorded routing")
    return place, detect(place) if format == "auto" else format
