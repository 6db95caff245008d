"""Shapes of mixture-of-experts models: what is stored, what is read per token."""

from __future__ import annotations

from moeram.model.attention import Attention, LatentAttention, LinearAttention
from moeram.model.huggingface import read_huggingface
from moeram.model.moe_model import MoEModel
from moeram.model.precision import Format, Precision, parse_format, parse_precision, with_formats
from moeram.model.zoo import load_model, model_names

__all__ = [
    "Attention",
    "Format",
    "LatentAttention",
    "LinearAttention",
    "MoEModel",
    "Precision",
    "load_model",
    "model_names",
    "parse_format",
    "parse_precision",
    "read_huggingface",
    "with_formats",
]
