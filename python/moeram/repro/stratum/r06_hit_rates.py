"""R6: share of the expert accesses that meet a hot expert under topic placement."""

from __future__ import annotations

import numpy as np

from moeram.metrics import hit_rate
from moeram.placement import PlacementInput, bare_budget, place_rows
from moeram.repro.routing import model_of
from moeram.repro.stratum.machines import CASES, ROUTING, source_of
from moeram.repro.target import Found, Setting, Target, not_testable

MODELS = ("mixtral", "olmoe", "llama4")
_INVENTED = "no recorded routing was given (--routing): the generator's topics are invented, so that its hit rates say nothing of the paper's"


def rate(setting: Setting, case: str, *, with_shared: bool = False) -> float:
    """Return the mean over topics of the hit rate on tokens that the ranking did not see."""
    source, model = source_of(CASES[case], setting), model_of(CASES[case].model)
    budget = bare_budget(
        layers=len(source.layers), experts=source.experts, top_k=source.top_k, shared_experts=model.shared_experts
    )
    usage, held_out = source.ranking_usage(), source.held_out_usage()
    rates = [
        hit_rate(
            place_rows("topic_aware", PlacementInput(usage=usage, topic=topic, budget=budget, seed=0)),
            held_out[topic],
            with_shared=with_shared,
        )
        for topic in range(len(source.topics))
    ]
    return float(np.mean(rates))


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the hit rate of every model that has recorded routing, shared experts included (U17)."""
    return {
        f"hit_rate_{case}": Found(ours=rate(setting, case, with_shared=True), fidelity="measured")
        if setting.recorded(CASES[case].model)
        else not_testable(_INVENTED)
        for case in MODELS
    }


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the generator's rates, fitted to OLMoE alone, and chance."""
    synthetic = Setting(paper=setting.paper, changed=setting.changed)
    return {
        f"hit_rate_{case}": {
            "generator fitted to OLMoE": rate(synthetic, case, with_shared=True),
            "routed experts alone": rate(synthetic, case),
            "chance": model_of(CASES[case].model).top_k / model_of(CASES[case].model).experts,
        }
        for case in MODELS
    }


TARGET = Target(id="R6", parameters=ROUTING, evaluate=evaluate, beside=beside)
