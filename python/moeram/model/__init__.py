"""Shapes of mixture-of-experts models: what is stored, what is read per token."""

from __future__ import annotations

from moeram.model.moe_model import MoEModel
from moeram.model.zoo import load_model, model_names

__all__ = ["MoEModel", "load_model", "model_names"]
