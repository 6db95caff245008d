"""YAML as plain values that remember where each of them was written.

Scalars are those of YAML 1.2 (`1e9` is a number, `no` a word, `1:30` a word); duplicate keys and tags are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from moeram.errors import ConfigError

Key = tuple[str | int, ...]

_MOST_NODES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Plain values read from YAML and where each of them came from.

    value: nested dicts (keys are str), lists and scalars. origins: key path -> "file:line" or "-p key".
    """

    value: Any
    origins: dict[Key, str]

    def origin(self, key: Key) -> str:
        """Return where the value at this key path, or the nearest one around it, was written."""
        for length in range(len(key), -1, -1):
            if key[:length] in self.origins:
                return self.origins[key[:length]]
        return "configuration"

    def place(self, key: Key) -> str:
        """Return origin and name of a key for a message: "file:line: a.b", or "-p a.b" where the origin says the key."""
        origin, name = self.origin(key), dotted(key)
        return origin if origin == f"-p {name}" or origin.endswith(f"_values.{name}") else f"{origin}: {name}"


def tree_of(value: Any, origin: str) -> Tree:
    """Return a tree for plain values that come from Python; every complaint names `origin`."""
    return Tree(value=value, origins={(): origin})


def tree_of_values(value: Any, origin: str) -> Tree:
    """Return a tree for plain values that a user wrote below a key, such as system_values; complaints name the whole key."""
    origins: dict[Key, str] = {}

    def walk(inner: Any, key: Key) -> None:
        origins[key] = f"{origin}.{dotted(key)}" if key else origin
        for name, below in inner.items() if isinstance(inner, dict) else ():
            walk(below, (*key, name))

    walk(value, ())
    return Tree(value=value, origins=origins)


def load_yaml(path: str | Path) -> Tree:
    """Read a YAML file.

    Raises:
        ConfigError: no such file, not UTF-8, not YAML, duplicate keys, keys that are no words, an unknown tag. Names
            file and line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str, *, lines: bool = True) -> Tree:
    """Read YAML text; `name` stands for the file in messages, with line numbers unless `lines` is False."""
    try:
        loader = _PlainLoader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark and lines else ""
        raise ConfigError(f"{name}{line}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not valid YAML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{name}: not valid YAML: nested too deeply") from None
    reader = _NodeReader(name, lines)
    value = None if root is None else reader.read(root, ())
    if reader.complaints:
        raise ConfigError("\n".join(reader.complaints))
    return Tree(value=value, origins=reader.origins)


class _PlainLoader(yaml.SafeLoader):
    """PyYAML's parser without YAML 1.1's idea of scalars: a plain scalar stays text until `_scalar` looks at it."""

    yaml_implicit_resolvers: dict = {}  # noqa: RUF012


_TEXT, _SEQUENCE, _MAPPING = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WORDS |= dict.fromkeys(("", "~", "null", "Null", "NULL"))
_WORDS |= dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")) | {"-.inf": float("-inf")}
_WORDS |= dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))


def _scalar(text: str) -> Any:
    """Return the value of a plain scalar by YAML 1.2's core schema, but 1e9 (whole, no point) as an int."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) and len(text) < 1000:
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        value = float(text)
        return int(value) if "." not in text and "-" not in text[1:] and value < 1e18 else value
    return text


class _NodeReader:
    """Turns YAML nodes into plain values, remembers origins and gathers complaints."""

    def __init__(self, name: str, lines: bool) -> None:
        self.name, self.lines = name, lines
        self.origins: dict[Key, str] = {}
        self.complaints: list[str] = []
        self._open: set[int] = set()
        self._nodes = 0

    def where(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}" if self.lines else self.name

    def read(self, node: yaml.Node, key: Key) -> Any:
        self.origins.setdefault(key, self.where(node))
        self._nodes += 1
        if self._nodes > _MOST_NODES or id(node) in self._open:
            what = "an alias inside its own anchor" if id(node) in self._open else f"more than {_MOST_NODES} values"
            raise ConfigError(f"{self.where(node)}: {what}")
        self._open.add(id(node))
        try:
            return self._read_kind(node, key)
        finally:
            self._open.discard(id(node))

    def _read_kind(self, node: yaml.Node, key: Key) -> Any:
        expected = {yaml.ScalarNode: _TEXT, yaml.SequenceNode: _SEQUENCE, yaml.MappingNode: _MAPPING}[type(node)]
        if node.tag not in (expected, "!"):
            self.complaints.append(
                f"{self.where(node)}: {dotted(key)}: tag {node.tag!r} is not allowed; write plain values"
            )
            return None
        if isinstance(node, yaml.SequenceNode):
            return [self.read(item, (*key, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        return _scalar(node.value) if node.style is None and node.tag == _TEXT else node.value

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.complaints.append(f"{self.where(key_node)}: {dotted(key)}: a key must be a word")
                continue
            name, path = key_node.value, (*key, key_node.value)
            if name in result:
                self.complaints.append(
                    f"{self.where(key_node)}: {dotted(path)}: given twice, first at {self.origins[path]}"
                )
                continue
            self.origins[path] = self.where(key_node)
            result[name] = self.read(value_node, path)
        return result


def dotted(key: Key) -> str:
    """Return a key path as text: ("routing", "batch", 1) is "routing.batch[1]"."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".") or "top level"


def overlay(tree: Tree, over: Tree) -> Tree:
    """Return `tree` with the values of `over` in place of its own; mappings are merged, all else is replaced."""
    origins = dict(tree.origins)
    value = _merged(tree.value, over.value, (), origins)
    return Tree(value=value, origins=origins | over.origins)


def _merged(below: Any, above: Any, key: Key, origins: dict[Key, str]) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return below | {name: _merged(below.get(name), inner, (*key, name), origins) for name, inner in above.items()}
    for old in [old for old in origins if old[: len(key)] == key]:
        del origins[old]
    return above


def override(tree: Tree, text: str) -> Tree:
    """Return the tree with one value replaced.

    Args:
        text: "a.b.c=value"; the value is YAML ("[1, 2]", "true", "14 ns").

    Raises:
        ConfigError: no "=" or an empty part of the key. Whether the key exists is found by `build`.
    """
    name, equals, value = text.partition("=")
    parts = tuple(name.strip().split("."))
    if not equals or not all(parts):
        raise ConfigError(
            f"-p {text}: given {text!r}, allowed: KEY=VALUE with a dotted key, such as -p routing.path=traces"
        )
    origin = f"-p {name.strip()}"
    new = parse_yaml(value, origin, lines=False)
    return overlay(tree, nested(parts, new.value, origin))


def nested(parts: tuple[str, ...], value: Any, origin: str) -> Tree:
    """Return a tree that holds one value below a key path; every complaint about it names `origin`."""
    for part in reversed(parts):
        value = {part: value}
    return Tree(value=value, origins={parts[:length]: origin for length in range(1, len(parts) + 1)})


def dump_yaml(value: Any) -> str:
    """Return plain values (dicts, lists, tuples, scalars) as YAML text that `parse_yaml` reads back equal."""
    return yaml.dump(value, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=120)


class _PlainDumper(yaml.SafeDumper):
    """PyYAML's dumper, quoting every text that this module would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_node(dumper: _PlainDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar(_TEXT, text, style=None if _scalar(text) is text else '"')


_PlainDumper.add_representer(str, _text_node)
_PlainDumper.add_representer(tuple, lambda dumper, items: dumper.represent_sequence(_SEQUENCE, items, flow_style=True))
_PlainDumper.add_representer(list, lambda dumper, items: dumper.represent_sequence(_SEQUENCE, items, flow_style=True))
