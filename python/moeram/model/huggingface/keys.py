"""Typed look-ups in a ``config.json``: every complaint names the file and the key, every default taken is noted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from moeram.errors import ConfigError

_NESTED = ("text_config", "language_config", "llm_config")
_LARGEST = 2**31 - 1


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; duplicate keys, NaN and infinities are refused.

    Raises:
        ConfigError: no such file, not UTF-8, not JSON, or no object.
    """
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file, object_pairs_hook=_once, parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    except RecursionError:
        raise ConfigError(f"{path}: not valid JSON: nested too deeply") from None
    except ValueError as error:  # JSON, UTF-8, the two below, integers of thousands of digits
        raise ConfigError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: allowed: a JSON object {{...}}, given {type(value).__name__}")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice!r} is given twice")
    return result


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


class Keys:
    """The part of a ``config.json`` that describes the language model.

    A key that is missing and a key that is ``null`` are the same here. Look-ups take several spellings; where more
    than one is given they must agree. Keys of a nested text config do not fall back to the outer config unless said.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.outer = read_json(path)
        self.prefix, self.inner = "", self.outer
        self.notes: list[str] = []
        for name in _NESTED:
            nested = self.outer.get(name)
            if isinstance(nested, dict):
                self.prefix, self.inner = f"{name}.", nested
                break

    def error(self, key: str, message: str) -> ConfigError:
        """Return the error for a key of the language model's part."""
        return ConfigError(f"{self.path}: {self.prefix}{key}: {message}")

    def find(self, *spellings: str, outer: bool = False) -> tuple[str, Any] | None:
        """Return (spelling, value) of the first spelling given, or None; dots reach into nested objects.

        Raises:
            ConfigError: two spellings are given and differ.
        """
        sections = (self.inner, self.outer) if outer else (self.inner,)
        found: tuple[str, Any] | None = None
        for section in sections:
            for spelling in spellings:
                value = _reach(section, spelling)
                if value is None:
                    continue
                if found is None:
                    found = (spelling, value)
                elif type(value) is not type(found[1]) or value != found[1]:
                    raise self.error(spelling, f"is {_short(value)}, but {found[0]} is {_short(found[1])}")
            if found is not None:
                return found
        return None

    def given(self, spelling: str) -> bool:
        """Whether the key is written at all, ``null`` included."""
        return spelling in self.inner

    def missing(self, *spellings: str, why: str = "") -> ConfigError:
        """Return the error for a key that is needed."""
        others = f" (other spellings: {', '.join(spellings[1:])})" if len(spellings) > 1 else ""
        return self.error(spellings[0], f"missing, a value is needed here{why}{others}")

    def whole(self, *spellings: str, least: int = 1) -> int:
        """Return a whole number of at least `least`.

        Raises:
            ConfigError: missing, no whole number, out of range.
        """
        found = self.find(*spellings)
        if found is None:
            raise self.missing(*spellings)
        return self._whole(*found, least)

    def whole_or(self, default: int, *spellings: str, least: int = 0, note: str = "") -> int:
        """Return a whole number, or the default; `note` says that it was taken."""
        found = self.find(*spellings)
        if found is not None:
            return self._whole(*found, least)
        if note:
            self.notes.append(f"{spellings[0]} is not given: {note}")
        return default

    def _whole(self, key: str, value: Any, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= _LARGEST:
            raise self.error(key, f"given {_short(value)}, allowed: a whole number of {least} or more")
        return value

    def flag_or(self, default: bool, *spellings: str, outer: bool = False, note: str = "") -> bool:
        """Return true or false, or the default; `note` says that it was taken."""
        found = self.find(*spellings, outer=outer)
        if found is None:
            if note:
                self.notes.append(f"{spellings[0]} is not given: {note}")
            return default
        if not isinstance(found[1], bool):
            raise self.error(found[0], f"given {_short(found[1])}, allowed: true or false")
        return found[1]

    def word(self, *spellings: str, outer: bool = False) -> str | None:
        """Return text, or None."""
        found = self.find(*spellings, outer=outer)
        if found is not None and not isinstance(found[1], str):
            raise self.error(found[0], f"given {_short(found[1])}, allowed: text")
        return found[1] if found else None

    def items(self, spelling: str, kind: type) -> list[Any] | None:
        """Return a list whose entries are all of one type, or None."""
        found = self.find(spelling)
        if found is None:
            return None
        value = found[1]
        if not isinstance(value, list) or any(type(item) is not kind for item in value):
            words = {int: "whole numbers", str: "words"}[kind]
            raise self.error(spelling, f"given {_short(value)}, allowed: a list of {words}")
        return value


def _reach(section: dict[str, Any], spelling: str) -> Any:
    value: Any = section
    for part in spelling.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
