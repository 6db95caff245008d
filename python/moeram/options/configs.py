"""Finding shipped configs by name and any config by path, and reading those that extend another."""

from __future__ import annotations

import copy
import os
from functools import lru_cache
from pathlib import Path

from moeram.errors import ConfigError, did_you_mean
from moeram.options.tree import Tree, load_yaml, overlay

_PACKAGE = Path(__file__).resolve().parents[1]


def config_roots(kind: str) -> tuple[Path, ...]:
    """Return the folders that hold shipped configs of a kind: the installed package's, then a source checkout's."""
    installed, checkout = _PACKAGE / "configs" / kind, _PACKAGE.parents[1] / "configs" / kind
    return tuple(folder for folder in (installed, checkout) if folder.is_dir())


def config_names(kind: str) -> list[str]:
    """Return the sorted names of the shipped configs of a kind ("experiments", "hardware", "models")."""
    return sorted({file.stem for folder in config_roots(kind) for file in folder.glob("*.yaml")})


def config_path(kind: str, name_or_path: str | Path) -> Path:
    """Return the file of a config given by name or by path.

    Args:
        kind: "experiments", "hardware", "models" or "standards".
        name_or_path: a shipped name such as "quickstart", or a path (with a folder or the ending .yaml or .yml).

    Raises:
        ConfigError: no such file, or no such name; names the nearest one.
    """
    text = str(name_or_path)
    if "/" in text or "\\" in text or text.endswith((".yaml", ".yml")):
        path = Path(text).expanduser()
        if not path.is_file():
            raise ConfigError(f"{path}: no such file")
        return path
    for folder in config_roots(kind):
        if os.path.isfile(folder / f"{text}.yaml"):  # False, too, for a name that no file can have
            return folder / f"{text}.yaml"
    raise ConfigError(
        f"{kind}: no config named {text!r}{did_you_mean(text, config_names(kind))} (a path is accepted too)"
    )


def _parsed(path: Path) -> Tree:
    """Parse a file, once while it stays as it is; the tree is the caller's own."""
    try:
        content = path.read_bytes()
    except OSError:
        return load_yaml(path)
    kept = _load(str(path), content)
    return Tree(value=copy.deepcopy(kept.value), origins=dict(kept.origins))


@lru_cache(maxsize=64)
def _load(path: str, content: bytes) -> Tree:
    return load_yaml(path)


def load_config(kind: str, name_or_path: str | Path) -> Tree:
    """Read a config by name or path; a top-level `extends: NAME_OR_PATH` lays it over another config of the same kind.

    Raises:
        ConfigError: as `config_path` and `load_yaml`, or configs that extend each other in a circle.
    """
    chain: list[Tree] = []
    seen: list[Path] = []
    path = config_path(kind, name_or_path)
    while True:
        if path.resolve() in seen:
            raise ConfigError(f"{path}: extends: the configs extend each other in a circle")
        seen.append(path.resolve())
        tree = _parsed(path)
        base = tree.value.pop("extends", None) if isinstance(tree.value, dict) else None
        chain.append(tree)
        if base is None:
            break
        if not isinstance(base, str):
            raise ConfigError(
                f"{tree.origin(('extends',))}: extends: given {base!r}, allowed: the name or path of a config"
            )
        try:
            path = config_path(kind, base)
        except ConfigError as error:
            raise ConfigError(f"{tree.origin(('extends',))}: extends: {error}") from None
    result = chain.pop()
    while chain:
        result = overlay(result, chain.pop())
    return result
