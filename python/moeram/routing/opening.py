"""Open routing data of any known format."""

from __future__ import annotations

from pathlib import Path

from moeram.errors import TraceError, did_you_mean
from moeram.model import MoEModel
from moeram.routing.readers import READERS
from moeram.routing.readers.files import json_files, read_bytes
from moeram.routing.source import RoutingSource

FORMATS = ("auto", *READERS)
_KNOWN = (
    "known: a .npz archive of counts, a .json[.gz] file {layer: [[ids] per token]} per topic (layer_lists), "
    "a folder of requests [step, ...] per subject (selections)"
)


def open_routing(path: str | Path, model: MoEModel, *, format: str = "auto", seed: int = 0) -> RoutingSource:
    """Open recorded routing that fits ``model``.

    Args:
        path: File or folder.
        model: Shape of the model that was recorded.
        format: One of ``FORMATS``; ``"auto"`` decides by file names and first characters.
        seed: Seed of whatever the format leaves open (only counts do).

    Raises:
        TraceError: The path is missing, its format unknown, or its content malformed or not of ``model``.
    """
    if format not in FORMATS:
        raise TraceError(f"unknown routing format {format!r}{did_you_mean(format, FORMATS)}")
    place = Path(path)
    if not place.exists():
        raise TraceError(f"{place}: no such file or folder; give routing.path the path of recorded routing")
    return READERS[_detect(place) if format == "auto" else format](place, model, seed)


def _detect(path: Path) -> str:
    if path.is_file():
        if path.suffix == ".npz":
            return "counts"
        if path.name.endswith((".json", ".json.gz")):
            return _by_first_character([path])
        raise TraceError(f"{path}: unknown kind of routing file; {_KNOWN}")
    files = json_files(path)
    if files:
        return _by_first_character(files)
    if any(json_files(folder) for folder in path.iterdir() if folder.is_dir()):
        return "selections"
    raise TraceError(f"{path}: no routing found in this folder; {_KNOWN}")


def _by_first_character(files: list[Path]) -> str:
    kinds = {"{": "layer_lists", "[": "selections"}
    first = read_bytes(files[0]).lstrip()[:1].decode(errors="replace")
    if first not in kinds:
        raise TraceError(f"{files[0]}: starts with {first!r}, not with an object or a list; {_KNOWN}")
    return kinds[first]
