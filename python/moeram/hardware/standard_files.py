"""Which files a DRAM standard given by path consists of: what it says depends on all of them, its name on none."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import yaml

from moeram.errors import ConfigError


def standard_files(name_or_path: str) -> dict[str, str]:
    """Return path -> SHA-256 (hex) of a standard's file and of every file that it extends or includes, in the order of their mention.

    Empty for the name of a shipped standard, which is compiled into the engine. Relative paths are those of the working directory, in
    included files those of their own folder, as the engine has it. Files that do not exist are left out: the engine refuses them.

    Raises:
        ConfigError: a file cannot be read, or is no YAML.
    """
    found: dict[str, str] = {}
    open_ends, seen = [(name_or_path, "")], set()  # (path, its folder if it is included)
    while open_ends:
        path, folder = open_ends.pop()
        is_file = bool(folder) or path.endswith((".yaml", ".yml"))  # else the name of a shipped standard
        if (path, folder) in seen or not is_file or not os.path.isfile(path):
            continue
        seen.add((path, folder))
        try:
            content = Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from error
        found[path] = hashlib.sha256(content).hexdigest()
        try:
            extended, included = _mentioned(content)
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            raise ConfigError(f"{path}{f':{mark.line + 1}' if mark else ''}: not readable as YAML: {error}") from error
        places = [os.path.normpath(os.path.join(folder, name)) for name in included]
        open_ends += [(place, os.path.dirname(place) or ".") for place in reversed(places)]
        open_ends += [(name, "") for name in reversed(extended)]
    return found


@lru_cache(maxsize=64)
def _mentioned(content: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what YAML text extends and includes; like the engine, of the first document."""
    root = next(yaml.compose_all(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), None)
    nodes = list(_below(root)) if root is not None else []
    extended = tuple(
        value.value
        for node in nodes
        if isinstance(node, yaml.MappingNode)
        for key, value in node.value
        if key.value == "extends" and isinstance(value, yaml.ScalarNode) and value.tag != "!include"
    )
    return extended, tuple(node.value for node in nodes if isinstance(node, yaml.ScalarNode) and node.tag == "!include")


def _below(root: yaml.Node) -> Iterator[yaml.Node]:
    """Every node once, also where aliases lead to it again."""
    seen, open_ends = set(), [root]
    while open_ends:
        node = open_ends.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            open_ends += [part for pair in reversed(node.value) for part in reversed(pair)]
        elif isinstance(node, yaml.SequenceNode):
            open_ends += reversed(node.value)
