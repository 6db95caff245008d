"""The inventory of a model's matrices, from which parameters, bytes and operations are counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moeram.model.moe_model import MoEModel


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Equal matrices of a model.

    part: whose format stores it (a field of `Precision`). rows, columns: outputs and inputs of one matrix, elements.
    count: how many there are in the model; used: how many of them one token needs. lookup: read one row per token
    instead of multiplied (the embedding).
    """

    part: str
    name: str
    rows: int
    columns: int
    count: int
    used: int
    lookup: bool = False

    @property
    def parameters(self) -> int:
        """Elements of one of them."""
        return self.rows * self.columns


def inventory(model: MoEModel) -> tuple[Matrix, ...]:
    """All matrices of a model, SwiGLU FFNs with three matrices each.

    Left out: biases, norms of Q and K, attention sinks, the gate of a shared expert, layers for multi-token prediction
    and towers for images. Together below 0.3 % of any shipped model without its prediction layers.
    """
    return tuple(matrix for matrix in (*_ffn(model), *_attention(model), *_rest(model)) if matrix.count)


def _swiglu(part: str, name: str, hidden: int, inner: int, count: int, used: int) -> Iterator[Matrix]:
    yield Matrix(part=part, name=f"{name}, gate and up", rows=inner, columns=hidden, count=2 * count, used=2 * used)
    yield Matrix(part=part, name=f"{name}, down", rows=hidden, columns=inner, count=count, used=used)


def _ffn(model: MoEModel) -> Iterator[Matrix]:
    sparse, hidden = len(model.moe_layers), model.hidden_size
    dense = model.layers - sparse
    inner, shared = model.expert_intermediate_size, model.shared_experts * sparse
    yield from _swiglu("experts", "routed experts", hidden, inner, model.experts * sparse, model.top_k * sparse)
    yield from _swiglu("shared", "shared experts", hidden, model.shared_intermediate_size, shared, shared)
    yield from _swiglu("dense", "dense FFN", hidden, model.dense_intermediate_size, dense, dense)
    yield Matrix(part="router", name="router", rows=model.experts, columns=hidden, count=sparse, used=sparse)


def _attention(model: MoEModel) -> Iterator[Matrix]:
    kinds = Counter(model.attention.kind(layer) for layer in range(model.layers))
    linear = kinds.pop("linear", 0)
    shapes = _latent_shapes(model) if model.attention.latent else _grouped_shapes(model)
    for name, rows, columns in shapes:
        count = kinds.total()
        yield Matrix(part="attention", name=name, rows=rows, columns=columns, count=count, used=count)
    for part, name, rows, columns in _linear_shapes(model) if linear else ():
        yield Matrix(part=part, name=name, rows=rows, columns=columns, count=linear, used=linear)


def _grouped_shapes(model: MoEModel) -> list[tuple[str, int, int]]:
    hidden, width = model.hidden_size, model.heads * model.head_dim
    kv = model.kv_heads * model.head_dim
    query = 2 * width if model.attention.output_gate else width
    return [("Q", query, hidden), ("K", kv, hidden), ("V", kv, hidden), ("O", hidden, width)]


def _latent_shapes(model: MoEModel) -> list[tuple[str, int, int]]:
    latent, hidden, heads = model.attention.latent, model.hidden_size, model.heads
    assert latent is not None
    query = heads * (latent.nope_head_dim + latent.rope_head_dim)
    down_up = [("Q down", latent.q_rank, hidden), ("Q up", query, latent.q_rank)]
    return [
        *(down_up if latent.q_rank else [("Q", query, hidden)]),
        ("KV down", latent.cached_elements, hidden),
        ("KV up", heads * (latent.nope_head_dim + latent.value_head_dim), latent.kv_rank),
        ("O", hidden, heads * latent.value_head_dim),
    ]


def _linear_shapes(model: MoEModel) -> list[tuple[str, str, int, int]]:
    """Gated delta net (arXiv 2412.06464): Q, K, V and the gate Z, two scalars per value head, O, the convolution."""
    linear, hidden = model.attention.linear, model.hidden_size
    assert linear is not None
    values = linear.value_heads * linear.value_head_dim
    return [
        ("attention", "linear attention QKVZ", linear.conv_channels + values, hidden),
        ("attention", "linear attention decay and step", 2 * linear.value_heads, hidden),
        ("attention", "linear attention O", hidden, values),
        ("other", "linear attention convolution", linear.conv_channels, linear.conv_kernel),
    ]


def _rest(model: MoEModel) -> Iterator[Matrix]:
    hidden, vocab = model.hidden_size, model.vocab_size
    tied = model.tied_embeddings
    name = "embedding and head" if tied else "head"
    if not tied:
        yield Matrix(part="embedding", name="embedding", rows=vocab, columns=hidden, count=1, used=1, lookup=True)
    yield Matrix(part="embedding", name=name, rows=vocab, columns=hidden, count=1, used=1)
    norms = 2 * model.layers + 1
    yield Matrix(part="other", name="norms", rows=1, columns=hidden, count=norms, used=norms)
