"""Options classes built from trees: all complaints at once, each with its origin, its key path and what is allowed."""

from __future__ import annotations

import functools
import re
import types
import typing
from typing import Any, TypeVar

import pydantic

from moeram.errors import ConfigError, did_you_mean
from moeram.options.tree import Key, Tree, tree_of

OptionsT = TypeVar("OptionsT", bound="Options")


class _OneError(type(pydantic.BaseModel)):
    """Makes a call of the class complain as ``build`` does; pydantic itself does not go through here."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except pydantic.ValidationError as error:
            raise _config_error(cls, tree_of(values, cls.__name__), error) from None


class Options(pydantic.BaseModel, metaclass=_OneError):
    """Base of every options class: immutable, no unknown keys, no silent conversion between types, lists as tuples.

    Raises:
        ConfigError: as ``build``, with the name of the class as origin.
    """

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _sequences_as_tuples(cls, data: Any) -> Any:
        return {key: _tuples(value) for key, value in data.items()} if isinstance(data, dict) else data


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value


def build(options: type[OptionsT], tree: Tree) -> OptionsT:
    """Return an instance of an options class made from a tree.

    Raises:
        ConfigError: one line "file:line: key.path: what was given, what is allowed" for every complaint, all at once.
    """
    value = {} if tree.value is None else tree.value
    try:
        return options.model_validate(value)
    except pydantic.ValidationError as error:
        raise _config_error(options, tree, error) from None


def _config_error(options: type[Options], tree: Tree, error: pydantic.ValidationError) -> ConfigError:
    return ConfigError("\n".join(dict.fromkeys(_complaint(options, tree, item) for item in error.errors())))


def _complaint(options: type[Options], tree: Tree, item: Any) -> str:
    key: Key = _existing(tree, item["loc"])
    words = _WORDING.get(item["type"])
    context = item.get("ctx") or {}
    given = f"given {item['input']!r}"
    if item["type"] == "extra_forbidden":
        message = f"unknown key{did_you_mean(str(key[-1]), allowed_keys(options, key[:-1]))}"
    elif item["type"] == "missing":
        key = (*key, item["loc"][-1])
        message = "missing, a value is needed here"
    elif item["type"] == "literal_error":
        message = given + did_you_mean(str(item["input"]), re.findall(r"'([^']*)'", context["expected"]))
    elif item["type"] == "value_error":
        message = str(context["error"])
    else:
        message = f"{given}, allowed: {words.format(**context) if words else item['msg']}"
    return f"{tree.place(key)}: {message}"


_WORDING = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list [...]",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} entries",
    "string_too_short": "at least {min_length} characters",
}


def _existing(tree: Tree, location: tuple[Any, ...]) -> Key:
    """Return the part of pydantic's location that is written in the tree (it adds names of its own for unions)."""
    key: list[str | int] = []
    value = tree.value
    for part in location:
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        ):
            value = value[part]
            key.append(part)
    return tuple(key)


def allowed_keys(options: type[Options], key: Key) -> list[str]:
    """Return the keys that may stand below a key path of an options class."""
    found: set[type] = {options}
    for part in key:
        inner: set[type] = set()
        for option in found:
            # A place in a list, or a name that the user chose.
            if isinstance(part, int) or part not in option.model_fields:
                inner.add(option)
            else:
                inner |= _option_classes(option.model_fields[part].annotation)
        found = inner
    return sorted(name for option in found for name in option.model_fields)


def _option_classes(annotation: Any) -> set[type]:
    if isinstance(annotation, type) and issubclass(annotation, Options):
        return {annotation}
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated, tuple, list, dict):
        return functools.reduce(set.union, (_option_classes(part) for part in typing.get_args(annotation)), set())
    return set()
