"""What a trace must know of the model that was recorded."""

from __future__ import annotations

from dataclasses import dataclass

from moeram.model import MoEModel


@dataclass(frozen=True, kw_only=True)
class TraceShape:
    """Layers and experts of the recorded model; a ``MoEModel`` without its widths.

    Args:
        name: What the model is called.
        layers: Number of transformer layers.
        moe_layers: Ids of the layers with experts, ascending.
        experts: Routed experts of one layer.
        top_k: Routed experts that one token uses in one layer.
    """

    name: str
    layers: int
    moe_layers: tuple[int, ...]
    experts: int
    top_k: int


def shape_of(model: MoEModel | TraceShape) -> TraceShape:
    """The shape of ``model``."""
    if isinstance(model, TraceShape):
        return model
    return TraceShape(
        name=model.name,
        layers=model.layers,
        moe_layers=tuple(model.moe_layers),
        experts=model.experts,
        top_k=model.top_k,
    )
