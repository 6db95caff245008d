"""Statistics of routing as plain values, for JSON and tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from moeram.routing.batches import BIN_NAMES
from moeram.routing.fitting import RoutingFit
from moeram.routing.recording import CountTrace, PassTrace, Recording
from moeram.routing.summary import RoutingStatistics

_BY_LAYER = (
    "skew",
    "topic_skew",
    "pair_top_share",
    "same_expert_next",
    "next_token_coverage",
    "next_layer_coverage",
    "prefill_decode_correlation",
)
_BY_KEY = {"lru_hit_rate": "experts in the cache", "distinct_experts": "batch"}


def statistics_dict(found: RoutingStatistics) -> dict[str, Any]:
    """All statistics as plain values: per layer and as a mean; undefined ones are None with their reason."""
    result: dict[str, Any] = {
        "place": found.place,
        "format": found.format,
        "model": found.shape.name,
        "experts": found.shape.experts,
        "top_k": found.shape.top_k,
        "layers": list(found.layers),
        "scope": found.scope,
        "topics": list(found.topics),
        "tokens": found.tokens,
        "requests": found.requests,
        "sampled_requests": found.sampled_requests,
        "selections": None if found.usage is None else float(found.usage.sum()),
    }
    for name in _BY_LAYER:
        result[name] = _values(getattr(found, name))
    for name in _BY_KEY:
        table = getattr(found, name)
        result[name] = None if table is None else {str(key): _values(values) for key, values in table.items()}
    result["load_shares"] = None
    if found.load_shares is not None:
        result["load_shares"] = {
            str(batch): dict(zip(BIN_NAMES, map(_values, shares), strict=True))
            for batch, shares in found.load_shares.items()
        }
    result["dominant"] = None
    if found.dominant is not None:
        result["dominant"] = [{"layer": layer, "expert": e, "share": share} for layer, e, share in found.dominant]
    result["usage"] = None
    if found.usage is not None:
        result["usage"] = {topic: found.scope_usage_of(i).tolist() for i, topic in enumerate(found.topics)}
    result["undefined"] = dict(found.undefined)
    result["notes"] = list(found.notes)
    return result


def statistics_rows(found: RoutingStatistics) -> list[tuple[str, str, str]]:
    """(statistic, mean over layers, range over layers) as text; an undefined one says why instead."""
    rows = [
        (name.replace("_", " "), *_texts(getattr(found, name), found.undefined.get(name, ""))) for name in _BY_LAYER
    ]
    for name, what in _BY_KEY.items():
        table = getattr(found, name)
        if table is None:
            rows.append((name.replace("_", " "), "undefined", found.undefined.get(name, "")))
        for key, values in (table or {}).items():
            rows.append((f"{name.replace('_', ' ')}, {what} {key}", *_texts(values, "")))
    for batch, shares in (found.load_shares or {}).items():
        means = [_mean(share) for share in shares]
        text = " / ".join("-" if mean is None else f"{mean:.3f}" for mean in means)
        rows.append((f"used experts with {' / '.join(BIN_NAMES)} tokens, batch {batch}", text, ""))
    if found.load_shares is None:
        rows.append(("tokens per used expert", "undefined", found.undefined.get("load_shares", "")))
    return rows


def fit_dict(found: RoutingFit) -> dict[str, Any]:
    """The fitted options and the error of every statistic as plain values."""
    return {
        "options": found.options.model_dump(mode="json"),
        "errors": [
            {
                "statistic": error.statistic,
                "recorded": error.recorded,
                "fitted": error.fitted,
                "error": error.error,
                "unit": error.unit,
                "reason": error.reason,
            }
            for error in found.errors
        ],
        "recorded": {
            "place": found.recorded.place,
            "requests": found.recorded.requests,
            "tokens": found.recorded.tokens,
        },
    }


def check_recording(recording: Recording) -> dict[str, Any]:
    """Read all of ``recording`` against its rules and say what it holds.

    Raises:
        TraceError: The first broken rule, with file and place.
    """
    facts: dict[str, Any] = {"place": recording.place, "format": recording.format, "kind": recording.kind}
    if isinstance(recording, PassTrace):
        return facts | {"passes": len(recording.tokens)}
    if isinstance(recording, CountTrace):
        return facts | {
            "entries": sum(len(chunk.counts) for chunk in recording.chunks()),
            "layers": len(recording.layers),
        }
    tokens = selections = 0
    for chunk in recording.chunks():
        tokens += len(chunk)
        selections += int((chunk.experts >= 0).sum())
    return facts | {"tokens": tokens, "selections": selections, "layers": len(recording.layers)}


def _values(array: np.ndarray | None) -> dict[str, Any] | None:
    if array is None:
        return None
    return {"mean": _mean(array), "by_layer": [None if math.isnan(value) else float(value) for value in array]}


def _mean(array: np.ndarray) -> float | None:
    return float(np.nanmean(array)) if np.isfinite(array).any() else None


def _texts(array: np.ndarray | None, reason: str) -> tuple[str, str]:
    if array is None or not np.isfinite(array).any():
        return "undefined", reason
    return f"{np.nanmean(array):.3f}", f"{np.nanmin(array):.3f} .. {np.nanmax(array):.3f}"
