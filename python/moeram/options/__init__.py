"""Options from YAML: every complaint names its file, line and key, and all of them are reported at once."""

from __future__ import annotations

from moeram.options.build import Options, allowed_keys, build
from moeram.options.configs import config_names, config_path, load_config
from moeram.options.tree import (
    Tree,
    dotted,
    dump_yaml,
    load_yaml,
    nested,
    overlay,
    override,
    parse_yaml,
    tree_of,
    tree_of_values,
)

__all__ = [
    "Options",
    "Tree",
    "allowed_keys",
    "build",
    "config_names",
    "config_path",
    "dotted",
    "dump_yaml",
    "load_config",
    "load_yaml",
    "nested",
    "overlay",
    "override",
    "parse_yaml",
    "tree_of",
    "tree_of_values",
]
