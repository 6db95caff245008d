"""The code of an outside module as a hash, so that results of another code are never taken for its own."""

from __future__ import annotations

import hashlib
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, ModuleSpec
from importlib.util import find_spec
from pathlib import Path

_CODE = (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)
_first: dict[tuple[str, ...], str] = {}


def module_sha256(module: str) -> str | None:
    """Return a SHA-256 (hex) of the file of a module, or of all code of the package that it is in; None where that cannot be told.

    What has changed since this process first asked cannot be told either: the process may still run what it loaded before.
    """
    try:
        spec = find_spec(module.partition(".")[0])
        if spec is None:
            return None
        files, places = _files(spec), tuple(spec.submodule_search_locations or [str(spec.origin)])
        found = hashlib.sha256()
        for name, file in files:
            found.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    except (ImportError, ValueError, OSError):
        return None
    if not files:
        return None
    digest = found.hexdigest()
    return digest if _first.setdefault(places, digest) == digest else None


def _files(spec: ModuleSpec) -> list[tuple[str, Path]]:
    """Files of code by their name in the package, sorted."""
    if spec.submodule_search_locations is None:
        origin = Path(spec.origin or "")
        return [(origin.name, origin)] if origin.name.endswith(_CODE) else []
    return sorted(
        (file.relative_to(folder).as_posix(), file)
        for folder in map(Path, spec.submodule_search_locations)
        for file in folder.rglob("*")
        if file.name.endswith(_CODE) and file.is_file()
    )
