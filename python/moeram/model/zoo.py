"""Models by name: ``configs/models/NAME.yaml``, or by the path of such a file."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from moeram.errors import ConfigError
from moeram.model.moe_model import MoEModel
from moeram.options import Options, build, config_names, config_path, load_config


class ModelOptions(Options):
    """Keys of a model file; dimensions in elements, as in a Hugging Face ``config.json``.

    Layers with experts are ``first_moe_layer``, ``first_moe_layer + moe_layer_step``, ... below ``layers``.
    """

    name: str
    source: str
    layers: int = Field(ge=1)
    first_moe_layer: int = Field(default=0, ge=0)
    moe_layer_step: int = Field(default=1, ge=1)
    hidden_size: int = Field(ge=1)
    expert_intermediate_size: int = Field(ge=1)
    experts: int = Field(ge=1)
    top_k: int = Field(ge=1)
    shared_experts: int = Field(default=0, ge=0)
    shared_intermediate_size: int = Field(default=0, ge=0)
    dense_intermediate_size: int = Field(default=0, ge=0)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    vocab_size: int = Field(ge=1)
    tied_embeddings: bool = False
    bytes_per_weight: int = Field(default=2, ge=1)
    bytes_per_activation: int = Field(default=2, ge=1)


def load_model(name_or_path: str | Path) -> MoEModel:
    """Read the model called ``name_or_path``, or stored in the YAML file of that path.

    Raises:
        ConfigError: No such model, or the file is wrong; the message names the file and every wrong key.
    """
    path = config_path("models", name_or_path)
    values = dict(build(ModelOptions, load_config("models", path)))
    first, step = values.pop("first_moe_layer"), values.pop("moe_layer_step")
    try:
        return MoEModel(**values, moe_layers=tuple(range(first, values["layers"], step)))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def model_names() -> tuple[str, ...]:
    """Names that ``load_model`` knows, sorted."""
    return tuple(config_names("models"))
