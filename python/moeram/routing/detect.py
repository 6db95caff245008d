"""Which format a file or folder has, by names and first bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from moeram.errors import TraceError
from moeram.routing.readers import READERS
from moeram.routing.readers.dynande import HEADER as DYNANDE_HEADER
from moeram.routing.readers.files import entries, json_files, read_head
from moeram.routing.readers.llama_cpp import HEADER as LLAMA_HEADER
from moeram.routing.readers.selections import ARCHIVES
from moeram.routing.readers.sglang import dump_files, dump_mode
from moeram.routing.readers.tables import open_parquet

_FOLDER_SUFFIXES = (".json", ".json.gz", ".jsonl", ".jsonl.gz", ".parquet", ".pt", ".csv", ".csv.gz", ".npy", ".npz")
_MOST_PROBED = 4


def known_formats() -> str:
    """Names of all formats, for messages."""
    return f"known formats: {', '.join(READERS)} (docs/routing.md says what each looks like)"


def detect(path: Path) -> str:
    """Name of the format of ``path``.

    Raises:
        TraceError: Nothing is there, it is of no known format, or it could be of several.
    """
    if not path.exists():
        raise TraceError(f"{path}: no such file or folder; give routing.path the path of recorded routing")
    return _folder(path) if path.is_dir() else _file(path)


def _file(path: Path) -> str:
    name = path.name
    if name.endswith(ARCHIVES):
        return "selections"
    if name.endswith(".npz"):
        return "counts"
    if name.endswith(".npy"):
        return "eplb"
    if name.endswith(".pt"):
        return _sglang(path)
    if name.endswith(".parquet"):
        return _parquet(path)
    for suffixes, decide in (
        ((".jsonl", ".jsonl.gz"), _lines),
        ((".json", ".json.gz"), _json),
        ((".csv", ".csv.gz"), _csv),
    ):
        if name.endswith(suffixes):
            return decide(path)
    raise TraceError(f"{path}: unknown kind of routing file; {known_formats()}")


def _folder(path: Path) -> str:
    files = [file for file in entries(path) if file.is_file() and file.name.endswith(_FOLDER_SUFFIXES)]
    if files:
        return _agreed(path, files)
    if any(json_files(folder) for folder in entries(path) if folder.is_dir()):
        return "selections"
    for suffix, name in ((".parquet", "flame_moe"), (".csv", "dynande"), (".csv.gz", "dynande")):
        if next(path.rglob(f"*{suffix}"), None) is not None:
            return name
    raise TraceError(f"{path}: no routing found in this folder; {known_formats()}")


def _agreed(path: Path, files: list[Path]) -> str:
    """The one format of some files of each suffix; a folder must not mix formats."""
    found: dict[str, Path] = {}
    probed: dict[str, int] = {}
    unknown = None
    for file in files:
        probed[file.suffix] = probed.get(file.suffix, 0) + 1
        if probed[file.suffix] > _MOST_PROBED:
            continue
        try:
            found.setdefault(_file(file), file)
        except TraceError as error:
            unknown = unknown or error
    if not found:
        raise unknown
    if len(found) > 1:
        listed = ", ".join(f"{file.name} looks like {name}" for name, file in found.items())
        raise TraceError(f"{path}: the folder mixes formats ({listed}); give the format, or a folder with one of them")
    return next(iter(found))


def _head(path: Path) -> str:
    return read_head(path).decode(errors="replace").lstrip()


def _json(path: Path) -> str:
    head = _head(path)
    kinds = {"{": "layer_lists", "[": "selections"}
    if head[:1] not in kinds:
        raise TraceError(f"{path}: starts with {head[:1]!r}, not with an object or a list; {known_formats()}")
    key = re.match(r'\[?\s*\{\s*"([^"]*)"', head)
    if key and not key[1].isdecimal() and re.search(r'"(prompt_)?routed_experts"|"choices"', head):
        return "vllm"
    return kinds[head[:1]]


def _lines(path: Path) -> str:
    candidates = {"topk_ids": "json_lines", "expert_activation": "moe_cap", "choices": "vllm", "routed_experts": "vllm"}
    lines = _head(path).splitlines()[:8]
    for line in lines:
        try:
            keys = set(json.loads(line))
        except (ValueError, TypeError, RecursionError):
            keys = set(re.findall(r'"(\w+)"\s*:', line))
        for key, name in candidates.items():
            if key in keys:
                return name
    wanted = ", ".join(f"{key} ({name})" for key, name in candidates.items())
    raise TraceError(f"{path}: cannot tell its format: the first lines have none of the keys {wanted}; give the format")


def _csv(path: Path) -> str:
    header = _head(path).split("\n", 1)[0].strip().replace(" ", "")
    if header == LLAMA_HEADER:
        return "llama_cpp"
    if header.startswith(DYNANDE_HEADER):
        return "dynande"
    raise TraceError(
        f"{path}: unknown kind of routing file; known: .csv with the header {LLAMA_HEADER!r} (llama_cpp) or "
        f"{DYNANDE_HEADER + ',...'!r} (dynande), this one starts with {header[:40]!r}"
    )


def _parquet(path: Path) -> str:
    with open_parquet(path) as file:
        names = set(file.schema_arrow.names)
    if {"request", "token", "layer", "experts"} <= names:
        return "canonical"
    if {"scores", "indices"} <= names:
        return "flame_moe"
    raise TraceError(
        f"{path}: cannot tell its format: columns {', '.join(sorted(names))}; candidates for .parquet: request, token, "
        "layer, experts, ... (canonical), scores, indices (flame_moe)"
    )


def _sglang(path: Path) -> str:
    mode = dump_mode(dump_files(path)[0])
    if mode is None:
        raise TraceError(
            f"{path}: cannot tell its format; candidates for .pt: dumps of SGLang's expert-distribution recorder with "
            "logical_count (sglang_stat) or records (sglang_per_pass, sglang_per_token)"
        )
    return f"sglang_{mode}"
