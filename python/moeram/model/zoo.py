"""Models by name: ``configs/models/NAME.yaml``, by the path of such a file, or of a Hugging Face ``config.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from moeram.errors import ConfigError
from moeram.model.attention import Attention, LatentAttention, LinearAttention
from moeram.model.huggingface import read_huggingface
from moeram.model.moe_model import MoEModel
from moeram.model.precision import Precision, parse_format, with_formats
from moeram.options import Options, build, config_names, config_path, load_config


def _known_format(text: str) -> str:
    try:
        parse_format(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return text


_FormatName = Annotated[str, AfterValidator(_known_format)]


class PrecisionOptions(Options):
    """Formats by part; ``weights`` stands for experts, shared, attention and dense. What is not named is bf16, the
    recurrent state fp32."""

    weights: _FormatName | None = None
    experts: _FormatName | None = None
    shared: _FormatName | None = None
    attention: _FormatName | None = None
    dense: _FormatName | None = None
    router: _FormatName | None = None
    embedding: _FormatName | None = None
    other: _FormatName | None = None
    kv_cache: _FormatName | None = None
    state: _FormatName | None = None
    activations: _FormatName | None = None


class LatentOptions(Options):
    """Keys of ``attention.latent``, see `LatentAttention`."""

    kv_rank: int = Field(ge=1)
    q_rank: int = Field(ge=0)
    rope_head_dim: int = Field(ge=1)
    nope_head_dim: int = Field(ge=1)
    value_head_dim: int = Field(ge=1)


class LinearOptions(Options):
    """Keys of ``attention.linear``, see `LinearAttention`."""

    key_heads: int = Field(ge=1)
    key_head_dim: int = Field(ge=1)
    value_heads: int = Field(ge=1)
    value_head_dim: int = Field(ge=1)
    conv_kernel: int = Field(ge=1)


class AttentionOptions(Options):
    """Keys of ``attention``, see `Attention`."""

    pattern: tuple[str, ...] = ("full",)
    window_tokens: int = Field(default=0, ge=0)
    chunk_tokens: int = Field(default=0, ge=0)
    output_gate: bool = False
    latent: LatentOptions | None = None
    linear: LinearOptions | None = None


class ModelOptions(Options):
    """Keys of a model file; dimensions in elements, as in a Hugging Face ``config.json``.

    Layers with experts are ``first_moe_layer``, ``first_moe_layer + moe_layer_step``, ... below ``layers``; a model with
    0 experts is dense.
    """

    name: str
    source: str
    layers: int = Field(ge=1)
    first_moe_layer: int = Field(default=0, ge=0)
    moe_layer_step: int = Field(default=1, ge=1)
    hidden_size: int = Field(ge=1)
    expert_intermediate_size: int = Field(ge=0)
    experts: int = Field(ge=0)
    top_k: int = Field(ge=0)
    shared_experts: int = Field(default=0, ge=0)
    shared_intermediate_size: int = Field(default=0, ge=0)
    dense_intermediate_size: int = Field(default=0, ge=0)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    vocab_size: int = Field(ge=1)
    tied_embeddings: bool = False
    attention: AttentionOptions = AttentionOptions()
    precision: PrecisionOptions = PrecisionOptions()
    notes: tuple[str, ...] = ()


def load_model(name_or_path: str | Path) -> MoEModel:
    """Read the model called ``name_or_path``, or stored at that path: a YAML file, a Hugging Face ``config.json`` (any
    name that ends in ``.json``) or a folder with one.

    Raises:
        ConfigError: No such model, or the file is wrong; the message names the file and every wrong key.
    """
    text = str(name_or_path)
    if text.endswith(".json"):
        return read_huggingface(text)
    if ("/" in text or "\\" in text) and Path(text).expanduser().is_dir():
        return read_huggingface(Path(text) / "config.json")
    path = config_path("models", name_or_path)
    options = build(ModelOptions, load_config("models", path))
    try:
        return _model(options)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _model(options: ModelOptions) -> MoEModel:
    values = dict(options)
    first, step = values.pop("first_moe_layer"), values.pop("moe_layer_step")
    shape = dict(values.pop("attention"))
    latent, linear = shape.pop("latent"), shape.pop("linear")
    attention = Attention(
        **shape,
        latent=LatentAttention(**dict(latent)) if latent else None,
        linear=LinearAttention(**dict(linear)) if linear else None,
    )
    formats = {part: name for part, name in values.pop("precision") if name is not None}
    layers = range(first, values["layers"], step) if values["experts"] else ()
    return MoEModel(
        **values, moe_layers=tuple(layers), attention=attention, precision=with_formats(Precision(), formats)
    )


def model_names() -> tuple[str, ...]:
    """Names that ``load_model`` knows, sorted."""
    return tuple(config_names("models"))
