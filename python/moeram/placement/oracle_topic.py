"""The ceiling of Algorithm 1's rule, not of other rules: Algorithm 1 with the usage of the very tokens that batches are drawn from. No policy could know it."""

from __future__ import annotations

from moeram.errors import ConfigError
from moeram.placement.plan import Plan
from moeram.placement.policy import PlacementInput
from moeram.placement.stratum import over_topics, place_ranked, rank_experts


def oracle_topic(given: PlacementInput) -> Plan:
    """Rank by what held-out tokens of this topic use; in a batch of several topics as `topic_aware` does.

    Raises:
        ConfigError: whoever asks does not say what is held out.
    """
    if given.held_out is None:
        raise ConfigError("placement oracle_topic is the ceiling of single-step experiments; it has no place where held-out usage is not known")
    mixed = given.requests is not None
    frequency = over_topics(given.held_out, given.requests) if mixed else given.held_out[given.topic]
    return place_ranked("oracle_topic", rank_experts(frequency, given.budget.shared_experts), given.budget)
