"""Names of all options of an options class, and changes that several kinds of experiment share."""

from __future__ import annotations

from collections.abc import Iterator

from moeram.options import Options

# Options of generated routing -> another value, and what must stand beside it to matter at all.
OF_GENERATED_ROUTING: dict[str, tuple[object, dict[str, object]]] = {
    "routing.synthetic.popularity": ("uniform", {}),
    "routing.synthetic.zipf_exponent": (2.0, {"routing.synthetic.popularity": "zipf"}),
    "routing.synthetic.bimodal_sigma": (2.0, {"routing.synthetic.popularity": "bimodal"}),
    "routing.synthetic.cold_share": (0.9, {"routing.synthetic.popularity": "bimodal"}),
    "routing.synthetic.cold_depth": (0.5, {"routing.synthetic.popularity": "bimodal"}),
    "routing.synthetic.topics": (2, {}),
    "routing.synthetic.topic_sigma": ([2.0], {}),
    "routing.synthetic.sample_tokens": (16, {}),
}


def leaves(options: type[Options], prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all options, those of nested classes in place of the class."""
    for name, field in options.model_fields.items():
        inner = [one for one in (field.annotation, *getattr(field.annotation, "__args__", ())) if _is_options(one)]
        yield from leaves(inner[0], f"{prefix}{name}.") if inner else [prefix + name]


def _is_options(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Options)
