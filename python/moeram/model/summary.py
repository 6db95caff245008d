"""What a model asks of memory: bytes, cache, state, active parameters, operations per byte by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from moeram.errors import ConfigError
from moeram.model.attention import KINDS
from moeram.model.moe_model import MoEModel
from moeram.model.precision import PARTS

MOST_TOKENS = 10**12  # far beyond any batch or context, and exact in every figure
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTEXTS_TOKENS = (1024, 8192, 32768, 131072)
UNIFORM = "closed form, uniform routing: E (1 - (1 - k/E)^B) distinct experts in a layer, tokens independent"


@dataclass(frozen=True, kw_only=True)
class BatchPoint:
    """One decode step of a batch, by closed form under uniform routing; the cache is not in it.

    distinct_experts: expected distinct routed experts of one layer. tokens_per_expert: batch x top_k / distinct.
    expert_ops_per_byte: of the routed experts. step_weight_bytes, step_ops_per_byte: of all weights of the step.
    For a dense model the first three are None.
    """

    batch: int
    distinct_experts: float | None
    tokens_per_expert: float | None
    expert_ops_per_byte: float | None
    step_weight_bytes: float
    step_ops_per_byte: float


@dataclass(frozen=True, kw_only=True)
class ContextPoint:
    """The cache of one sequence at one context length: bytes to hold, bytes read for one more token."""

    context_tokens: int
    kv_cache_bytes: int
    kv_read_bytes: int


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A model in numbers; `facts` has names with units, in order of printing."""

    name: str
    source: str
    facts: dict[str, int]
    attention_layers: dict[str, int]
    precision: dict[str, str]
    batches: tuple[BatchPoint, ...]
    batches_are: str
    contexts: tuple[ContextPoint, ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return nested dicts and lists of numbers and text, as for JSON."""
        return asdict(self)


def expected_distinct_experts(experts: int, top_k: int, batch: int) -> float:
    """Expected distinct experts that a batch uses in one layer if routing is uniform and tokens are independent.

    A token misses an expert with probability 1 - k/E, a batch of B with its B-th power: E (1 - (1 - k/E)^B).
    """
    return experts * (1 - (1 - top_k / experts) ** batch)


def summarise(
    model: MoEModel, *, batches: Sequence[int] = BATCHES, contexts_tokens: Sequence[int] = CONTEXTS_TOKENS
) -> Summary:
    """Return a model in numbers.

    Args:
        batches: Tokens of a decode step.
        contexts_tokens: Context lengths of one sequence.

    Raises:
        ConfigError: A batch or context below 1 or above MOST_TOKENS.
    """
    for what, values in (("batch", batches), ("context", contexts_tokens)):
        if wrong := [value for value in values if not 1 <= value <= MOST_TOKENS]:
            given = str(wrong[0]) if abs(wrong[0]) < 10**20 else "a number of more than 20 digits"
            raise ConfigError(f"{what}: given {given}, allowed: 1 to {MOST_TOKENS}")
    kinds = {kind: model.layers_of_kind(kind) for kind in KINDS}
    if model.attention.latent:
        kinds = {f"latent {kind}" if kind != "linear" else kind: count for kind, count in kinds.items()}
    return Summary(
        name=model.name,
        source=model.source,
        facts=_facts(model),
        attention_layers={kind: count for kind, count in kinds.items() if count},
        precision={part: getattr(model.precision, part).name for part in PARTS},
        batches=tuple(_batch_point(model, batch) for batch in batches),
        batches_are=f"{UNIFORM}; reading the cache is not counted",
        contexts=tuple(
            ContextPoint(
                context_tokens=tokens,
                kv_cache_bytes=model.kv_cache_bytes(tokens),
                kv_read_bytes=model.kv_read_bytes(tokens),
            )
            for tokens in contexts_tokens
        ),
        notes=model.notes,
    )


def _facts(model: MoEModel) -> dict[str, int]:
    routed = len(model.moe_layers) * model.experts * model.expert_bytes
    inner, hidden, stored = model.expert_intermediate_size, model.hidden_size, model.precision.experts
    scales = 2 * stored.scale_bytes(inner, hidden) + stored.scale_bytes(hidden, inner) if inner else 0
    return {
        "parameters": model.parameters,
        "active_parameters": model.active_parameters,
        "weight_bytes": model.weight_bytes,
        "layers": model.layers,
        "layers_with_experts": len(model.moe_layers),
        "experts_per_layer": model.experts,
        "experts_per_token": model.top_k,
        "shared_experts_per_layer": model.shared_experts,
        "parameters_per_expert": model.expert_parameters,
        "bytes_per_expert": model.expert_bytes,
        "of_these_scale_bytes": scales,
        "bytes_per_shared_expert": model.shared_expert_bytes,
        "routed_experts_bytes": routed,
        "shared_experts_bytes": model.experts_total_bytes - routed,
        "other_weight_bytes": model.non_expert_bytes,
        "kv_elements_per_token": model.kv_elements_per_token,
        "kv_bytes_per_token": model.kv_bytes_per_token,
        "kv_bytes_per_token_beyond_windows": model.kv_growth_bytes_per_token,
        "state_bytes_per_sequence": model.state_bytes_per_sequence,
        "state_bytes_moved_per_token": 2 * model.state_bytes_per_sequence,
        "convolution_state_bytes_per_sequence": model.conv_state_bytes_per_sequence,
    }


def _batch_point(model: MoEModel, batch: int) -> BatchPoint:
    """Two operations per weight and token; norms and convolutions count as bytes only, the embedding as rows read."""
    operations, read_bytes = 0, 0.0
    distinct = expected_distinct_experts(model.experts, model.top_k, batch) if model.moe_layers else None
    for matrix in model.matrices:
        if matrix.part != "other" and not matrix.lookup:
            operations += 2 * batch * matrix.used * matrix.parameters
        if matrix.lookup:
            read_bytes += batch * getattr(model.precision, matrix.part).bytes(1, matrix.columns)
        elif matrix.part == "experts":
            assert distinct is not None
            read_bytes += matrix.count * model.matrix_bytes(matrix) * distinct / model.experts
        else:
            read_bytes += matrix.count * model.matrix_bytes(matrix)
    tokens = None if distinct is None else batch * model.top_k / distinct
    return BatchPoint(
        batch=batch,
        distinct_experts=distinct,
        tokens_per_expert=tokens,
        expert_ops_per_byte=None if tokens is None else 2 * tokens * model.expert_parameters / model.expert_bytes,
        step_weight_bytes=read_bytes,
        step_ops_per_byte=operations / read_bytes,
    )
