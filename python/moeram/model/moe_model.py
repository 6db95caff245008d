"""The shape of one transformer, with a mixture of experts or without."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from moeram.errors import ConfigError
from moeram.model.attention import Attention
from moeram.model.precision import Precision
from moeram.model.weights import Matrix, inventory

_AT_LEAST_ONE = ("layers", "hidden_size", "heads", "kv_heads", "head_dim", "vocab_size")
_OF_EXPERTS = ("expert_intermediate_size", "experts", "top_k")
_NOT_NEGATIVE = ("shared_experts", "shared_intermediate_size", "dense_intermediate_size")
_MOST_LAYERS = 10_000


@dataclass(frozen=True, kw_only=True)
class MoEModel:
    """Dimensions of a decoder with SwiGLU experts (gate, up and down projection: three matrices).

    A dense model has no `moe_layers` and 0 in every field of experts.

    Args:
        name: What the model is called.
        layers: Number of transformer layers.
        moe_layers: Ids of the layers with experts, ascending; the other layers hold a dense FFN.
        hidden_size: Width of the residual stream, elements.
        expert_intermediate_size: Inner width of one routed expert, elements.
        experts: Routed experts of one layer.
        top_k: Routed experts that one token uses in one layer.
        shared_experts: Experts of one layer that every token uses besides its routed ones.
        shared_intermediate_size: Inner width of one shared expert, elements.
        dense_intermediate_size: Inner width of the dense FFN, elements; used only if a layer has no experts.
        heads, kv_heads, head_dim: Attention heads, key/value heads and elements of one head; see `Attention.latent`.
        vocab_size: Rows of the embedding.
        tied_embeddings: Whether the output head is the embedding itself.
        attention: Kind of attention of each layer.
        precision: How every part is stored.
        source: Where the dimensions come from.
        notes: Defaults taken and parts left out, as sentences.

    Raises:
        ConfigError: A dimension is impossible or contradicts another one.
    """

    name: str
    layers: int
    moe_layers: tuple[int, ...]
    hidden_size: int
    expert_intermediate_size: int
    experts: int
    top_k: int
    shared_experts: int
    shared_intermediate_size: int
    dense_intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    tied_embeddings: bool
    attention: Attention = field(default_factory=Attention)
    precision: Precision = field(default_factory=Precision)
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        dense = not (self.moe_layers or any(getattr(self, key) for key in (*_OF_EXPERTS, "shared_experts")))
        for key in _AT_LEAST_ONE if dense else (*_AT_LEAST_ONE, *_OF_EXPERTS):
            if getattr(self, key) < 1:
                raise ConfigError(f"model {self.name}: {key} is {getattr(self, key)}, allowed: 1 or more")
        for key in _NOT_NEGATIVE:
            if getattr(self, key) < 0:
                raise ConfigError(f"model {self.name}: {key} is {getattr(self, key)}, allowed: 0 or more")
        if not dense:
            self._check_experts()
        self._check_layers(dense)
        if self.heads % self.kv_heads:
            raise ConfigError(f"model {self.name}: heads ({self.heads}) is no multiple of kv_heads ({self.kv_heads})")

    def _check_layers(self, dense: bool) -> None:
        if self.layers > _MOST_LAYERS:
            raise ConfigError(f"model {self.name}: layers is {self.layers}, allowed: at most {_MOST_LAYERS}")
        if not self.moe_layers and not dense:
            raise ConfigError(
                f"model {self.name}: moe_layers is empty; a model with experts needs at least one layer with experts"
            )
        if list(self.moe_layers) != sorted(set(self.moe_layers)):
            raise ConfigError(f"model {self.name}: moe_layers {self.moe_layers} must be ascending and distinct")
        if self.moe_layers and (self.moe_layers[0] < 0 or self.moe_layers[-1] >= self.layers):
            raise ConfigError(f"model {self.name}: moe_layers must lie in 0..{self.layers - 1}, got {self.moe_layers}")
        if len(self.moe_layers) < self.layers and not self.dense_intermediate_size:
            raise ConfigError(f"model {self.name}: it has layers without experts, so dense_intermediate_size is needed")

    def _check_experts(self) -> None:
        if self.top_k > self.experts:
            raise ConfigError(f"model {self.name}: top_k ({self.top_k}) exceeds experts ({self.experts})")
        if bool(self.shared_experts) != bool(self.shared_intermediate_size):
            raise ConfigError(
                f"model {self.name}: shared_experts ({self.shared_experts}) and shared_intermediate_size "
                f"({self.shared_intermediate_size}) must both be 0 or both be given"
            )

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """Every weight matrix, see `inventory`."""
        return inventory(self)

    def matrix_bytes(self, matrix: Matrix) -> int:
        """Bytes of one matrix in the format of its part, scales and zero points included."""
        return getattr(self.precision, matrix.part).bytes(matrix.rows, matrix.columns)

    def _bytes(self, matrices: Iterable[Matrix]) -> int:
        return sum(matrix.count * self.matrix_bytes(matrix) for matrix in matrices)

    @property
    def bytes_per_weight(self) -> int:
        """Bytes of one routed-expert weight's value, rounded up to a whole byte, without scales (4-bit formats: 1)."""
        return -(-self.precision.experts.bits // 8)

    @property
    def bytes_per_activation(self) -> int:
        """Bytes of one activation that moves between units."""
        return self.precision.activations.bits // 8

    def _ffn_bytes(self, part: str, width: int) -> int:
        stored = getattr(self.precision, part)
        return 2 * stored.bytes(width, self.hidden_size) + stored.bytes(self.hidden_size, width) if width else 0

    @property
    def expert_parameters(self) -> int:
        """Weights of one routed expert: 3 hidden x intermediate."""
        return 3 * self.hidden_size * self.expert_intermediate_size

    @property
    def expert_bytes(self) -> int:
        """Bytes of one routed expert: gate and up [intermediate, hidden] and down [hidden, intermediate].

        Values, scales and zero points of each matrix are each rounded up to a whole byte (`Format.bytes`).
        """
        return self._ffn_bytes("experts", self.expert_intermediate_size)

    @property
    def shared_expert_bytes(self) -> int:
        """Bytes of one shared expert, as `expert_bytes`; 0 if the model has none."""
        return self._ffn_bytes("shared", self.shared_intermediate_size)

    @property
    def experts_total_bytes(self) -> int:
        """Bytes of all routed and shared experts of all layers."""
        layer_bytes = self.experts * self.expert_bytes + self.shared_experts * self.shared_expert_bytes
        return len(self.moe_layers) * layer_bytes

    @property
    def non_expert_parameters(self) -> int:
        """Weights outside the experts: attention, router, dense FFN, embeddings, head, norms, convolutions."""
        return sum(matrix.count * matrix.parameters for matrix in self._non_experts())

    @property
    def non_expert_bytes(self) -> int:
        """Bytes of all weights outside the experts, see ``non_expert_parameters``."""
        return self._bytes(self._non_experts())

    def _non_experts(self) -> list[Matrix]:
        return [matrix for matrix in self.matrices if matrix.part not in ("experts", "shared")]

    @property
    def parameters(self) -> int:
        """Number of weights of the whole model."""
        return sum(matrix.count * matrix.parameters for matrix in self.matrices)

    @property
    def active_parameters(self) -> int:
        """Weights that one token uses: all but the routed experts it does not select; embedding and head included."""
        return sum(matrix.used * matrix.parameters for matrix in self.matrices)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return self._bytes(self.matrices)

    @property
    def kv_elements_per_layer(self) -> int:
        """Elements cached of one token by a layer with a cache: 2 x kv_heads x head_dim, or those of MLA's latent."""
        latent = self.attention.latent
        return latent.cached_elements if latent else 2 * self.kv_heads * self.head_dim

    @property
    def kv_layer_bytes(self) -> int:
        """Bytes cached of one token by a layer with a cache; every head's key and value is a row of the format."""
        latent, stored = self.attention.latent, self.precision.kv_cache
        return stored.bytes(1, latent.cached_elements) if latent else stored.bytes(2 * self.kv_heads, self.head_dim)

    def layers_of_kind(self, kind: str) -> int:
        """Number of layers whose attention is of a kind."""
        return sum(self.attention.kind(layer) == kind for layer in range(self.layers))

    @property
    def kv_layers(self) -> int:
        """Layers that cache something per token: all but the linear ones."""
        return self.layers - self.layers_of_kind("linear")

    @property
    def kv_elements_per_token(self) -> int:
        """Elements cached of one token in all layers, as long as no window or chunk is full."""
        return self.kv_layers * self.kv_elements_per_layer

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes cached of one token in all layers, as long as no window or chunk is full (an upper bound beyond)."""
        return self.kv_layers * self.kv_layer_bytes

    @property
    def kv_growth_bytes_per_token(self) -> int:
        """Bytes that each further token adds once all windows and chunks are full: those of the full layers."""
        return self.layers_of_kind("full") * self.kv_layer_bytes

    def kv_cache_bytes(self, context_tokens: int) -> int:
        """Bytes of the cache of one sequence: sum over layers of kept tokens x bytes (`Attention.kept_tokens`)."""
        kinds = [self.attention.kind(layer) for layer in range(self.layers)]
        return sum(self.attention.kept_tokens(kind, context_tokens) for kind in kinds) * self.kv_layer_bytes

    def kv_read_bytes(self, context_tokens: int) -> int:
        """Bytes of the cache read for the last token of one sequence, see `Attention.read_tokens`."""
        kinds = [self.attention.kind(layer) for layer in range(self.layers)]
        return sum(self.attention.read_tokens(kind, context_tokens) for kind in kinds) * self.kv_layer_bytes

    @property
    def state_bytes_per_sequence(self) -> int:
        """Bytes of the recurrent states of the linear layers; read and written once per token at any context length."""
        linear = self.attention.linear
        if linear is None:
            return 0
        rows = linear.value_heads * linear.key_head_dim
        return self.layers_of_kind("linear") * self.precision.state.bytes(rows, linear.value_head_dim)

    @property
    def conv_state_bytes_per_sequence(self) -> int:
        """Bytes that the convolutions of the linear layers remember, in the format of activations."""
        linear = self.attention.linear
        elements = linear.conv_state_elements if linear else 0
        return self.layers_of_kind("linear") * elements * self.bytes_per_activation
