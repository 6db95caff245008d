"""Names of all options of an options class."""

from __future__ import annotations

from collections.abc import Iterator

from moeram.options import Options


def leaves(options: type[Options], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all options, those of nested classes in place of the class."""
    for name, field in options.model_fields.items():
        inner = [one for one in (field.annotation, *getattr(field.annotation, "__args__", ())) if _is_options(one)]
        yield from leaves(inner[0], f"{prefix}{name}.") if inner else [prefix + name]


def _is_options(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Options)
