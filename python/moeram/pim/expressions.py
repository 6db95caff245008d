"""Arithmetic of declared programs: + - * // % and comparisons on whole numbers or arrays of them, min, max, ceil_div, bits."""

from __future__ import annotations

import ast
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy as np

from moeram.errors import ConfigError, did_you_mean

Names = dict[str, Any]

_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.USub, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_NODES = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call, ast.Name, ast.Load, ast.Constant, *_OPERATORS)
_LONGEST = 400


def _ceil_div(a: Any, b: Any) -> Any:
    return -(-a // b)


def _least(a: Any, b: Any) -> Any:
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else np.minimum(a, b)


def _most(a: Any, b: Any) -> Any:
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else np.maximum(a, b)


def _bits(first: int, count: int) -> int:
    return ((1 << count) - 1) << first


_FUNCTIONS: Names = {"ceil_div": _ceil_div, "min": _least, "max": _most, "bits": _bits}


@lru_cache(maxsize=4096)
def _compiled(text: str) -> tuple[CodeType, frozenset[str]]:
    try:
        tree = ast.parse(text, mode="eval") if len(text) <= _LONGEST else None
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        tree = None
    if tree is None:
        raise ConfigError(f"{text[:64]!r} is no expression")
    for node in ast.walk(tree):
        plain = isinstance(node, _NODES) and not (isinstance(node, ast.Constant) and type(node.value) is not int)
        called = not isinstance(node, ast.Call) or (
            isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS and len(node.args) == 2 and not node.keywords
        )
        if not plain or not called:
            raise ConfigError(f"{text!r}: whole numbers, names, + - * // % and comparisons, {', '.join(_FUNCTIONS)} of two are expected")
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name)) - _FUNCTIONS.keys()
    return compile(tree, "<program>", "eval"), names


def names_in(expression: str | int) -> frozenset[str]:
    """Return the names that an expression uses, functions left out."""
    return frozenset() if isinstance(expression, int) else _compiled(expression)[1]


def evaluate(expression: str | int, names: Names) -> Any:
    """Return the value of an expression: an int, or an array where a name is one.

    Raises:
        ConfigError: it is none, has an unknown name (names the nearest one) or divides by zero.
    """
    if isinstance(expression, int):
        return expression
    code, used = _compiled(expression)
    for name in used:
        if name not in names:
            raise ConfigError(f"{expression!r}: {name!r} is no name here{did_you_mean(name, names)}")
    try:
        value = eval(code, {"__builtins__": {}}, {**_FUNCTIONS, **{name: names[name] for name in used}})
    except ZeroDivisionError:
        raise ConfigError(f"{expression!r} divides by zero") from None
    return int(value) if isinstance(value, bool) else value
