"""Which experts tokens use: read from traces or counts, or drawn from a synthetic generator."""

from __future__ import annotations

from moeram.routing.opening import FORMATS, open_routing
from moeram.routing.source import RoutingSource
from moeram.routing.synthetic import SyntheticOptions, SyntheticRouting

__all__ = ["FORMATS", "RoutingSource", "SyntheticOptions", "SyntheticRouting", "open_routing"]
