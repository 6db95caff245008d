"""Which experts tokens use: read from traces or counts, or drawn from a synthetic generator."""

from __future__ import annotations

from moeram.routing.canonical import write_trace
from moeram.routing.fitting import RoutingFit, fit
from moeram.routing.generator import GeneratorOptions, synthetic_trace
from moeram.routing.opening import FORMATS, open_routing, open_tokens, open_trace
from moeram.routing.readers.limits import limit_documents
from moeram.routing.recording import CountTrace, PassTrace, RoutingTrace
from moeram.routing.shape import TraceShape
from moeram.routing.source import RoutingSource
from moeram.routing.summary import RoutingStatistics, summarise
from moeram.routing.synthetic import SIEVE_FITS, SyntheticOptions, SyntheticRouting

__all__ = [
    "FORMATS",
    "SIEVE_FITS",
    "CountTrace",
    "GeneratorOptions",
    "PassTrace",
    "RoutingFit",
    "RoutingSource",
    "RoutingStatistics",
    "RoutingTrace",
    "SyntheticOptions",
    "SyntheticRouting",
    "TraceShape",
    "fit",
    "limit_documents",
    "open_routing",
    "open_tokens",
    "open_trace",
    "summarise",
    "synthetic_trace",
    "write_trace",
]
