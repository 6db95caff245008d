"""R1: how many of the activated experts have few tokens, by a generator that was not fitted to the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.model import MoEModel
from moeram.repro.routing import drawn_counts, recorded
from moeram.repro.sieve.machines import CASES, fitted, plain_model, qwen3_next
from moeram.repro.target import Found, Setting, Target
from moeram.routing import RoutingSource, SyntheticOptions, SyntheticRouting

_SEED = 0
_POINTS = {
    "qwen3": {64: ("n1", "n4"), 256: ("n1",)},
    "gptoss": {64: ("n1", "n4"), 256: ("n1", "n4", "active")},
    "qwen3next": {4: ("n1",), 64: ("n1", "n4"), 256: ("n1", "n4")},
}
_OWN_FIT = {"qwen3": "qwen3", "gptoss": "gpt-oss", "qwen3next": "qwen3-next"}


def _model(key: str) -> MoEModel:
    return qwen3_next() if key == "qwen3next" else plain_model(CASES[key].model)


def shares(counts: NDArray[np.int64]) -> dict[str, float]:
    """Return shares of the activated experts with one token and at most four, and of active experts; counts [layers, experts]."""
    active = (counts > 0).sum(axis=1)
    return {
        "n1": float(((counts == 1).sum(axis=1) / active).mean()),
        "n4": float((((counts > 0) & (counts <= 4)).sum(axis=1) / active).mean()),
        "active": float((active / counts.shape[1]).mean()),
    }


def _values(source: RoutingSource, key: str) -> dict[str, float]:
    found = {}
    for batch, names in _POINTS[key].items():
        all_shares = shares(drawn_counts(source, 0, batch, _SEED))
        found |= {f"{key}_b{batch}_{name}": all_shares[name] for name in names}
    return found


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the shares by OLMoE's fit; recorded routing of a model is taken instead where given."""
    found = {}
    for key in _POINTS:
        path = setting.recorded(_model(key).name)
        if path is None:
            source: RoutingSource = SyntheticRouting(_model(key), SyntheticOptions(), seed=_SEED)
        else:
            source = recorded(_model(key).name, path, _SEED)
        found |= {
            name: Found(ours=ours, fidelity="analytic" if path is None else "measured")
            for name, ours in _values(source, key).items()
        }
    return found


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the same by every fit of the sheet; a model's own was made to meet these values and predicts nothing."""
    found: dict[str, dict[str, float | str]] = {}
    for key in _POINTS:
        for fit in (*_OWN_FIT.values(), "uniform"):
            label = f"fit of {fit}" + (" (its own: no prediction)" if _OWN_FIT[key] == fit else "")
            for name, ours in _values(fitted(_model(key), fit), key).items():
                found.setdefault(name, {})[label] = ours
    return found


TARGET = Target(
    id="R1", parameters=(), evaluate=evaluate, beside=beside,
    note="the generator is fitted to OLMoE; the sheet's fits to these very shares stand beside it",
)  # fmt: skip
