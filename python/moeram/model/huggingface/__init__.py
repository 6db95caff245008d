"""Models from Hugging Face ``config.json`` files, offline."""

from __future__ import annotations

from moeram.model.huggingface.families import FAMILIES, Family
from moeram.model.huggingface.read import read_huggingface

__all__ = ["FAMILIES", "Family", "read_huggingface"]
