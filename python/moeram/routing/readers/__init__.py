"""Readers of routing files: one function per format, (path, model, seed) -> RoutingSource."""

from __future__ import annotations

from moeram.routing.readers.counts_npz import read_counts
from moeram.routing.readers.layer_lists import read_layer_lists
from moeram.routing.readers.selections import read_selections

READERS = {"layer_lists": read_layer_lists, "selections": read_selections, "counts": read_counts}

__all__ = ["READERS", "read_counts", "read_layer_lists", "read_selections"]
