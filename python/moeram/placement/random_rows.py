"""Random placement: the rows of Algorithm 1, given to experts by chance: what occupying fast rows gains by itself."""

from __future__ import annotations

import numpy as np

from moeram.placement.plan import Plan
from moeram.placement.policy import PlacementInput
from moeram.placement.stratum import place_ranked

_STREAM = 0x726F7773  # keeps these choices apart from all other uses of the experiment's seed


def random_rows(given: PlacementInput) -> Plan:
    """Draw a permutation of all experts, shared ones too; anew for each topic, so that no single draw decides."""
    rng = np.random.default_rng([given.seed, _STREAM, given.topic])
    return place_ranked("random_rows", rng.permutation(given.budget.expert_count), given.budget)
