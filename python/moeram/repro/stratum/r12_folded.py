"""R12: tiering over no tiering with 512 folded layers, 1024 tokens in and out."""

from __future__ import annotations

from moeram.repro.stratum.decode import baseline, of_stratum
from moeram.repro.stratum.machines import STRATUM
from moeram.repro.target import Found, Setting, Target

_LENGTH = 1024
# Stacks of the published fit whose row cycles of tiers 8 and 1 have the ratio (U25): 40.77 / 33.9 ns and 44.3 / 34.1 ns.
_LAYERS = {1.2: 512, 1.3: 664}


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return the gain of every model."""
    layers, batch = _LAYERS[setting["folded_ratio"]], setting["batch"]
    found = {}
    for case in ("llama4", "mixtral", "olmoe"):
        tiered, slow = (
            of_stratum(setting, case, batch, _LENGTH, placement, layers) for placement in ("topic_aware", baseline(setting))
        )
        found[f"gain_{case}"] = Found(
            ours=slow.time_ps / tiered.time_ps, bound=setting["folded_ratio"], fidelity=tiered.fidelity
        )
    return found


TARGET = Target(
    id="R12", parameters=(*STRATUM, "batch", "folded_ratio"), readings=("random_rows", "engine"), evaluate=evaluate
)
