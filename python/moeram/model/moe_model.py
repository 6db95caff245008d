"""The shape of one mixture-of-experts transformer."""

from __future__ import annotations

from dataclasses import dataclass

from moeram.errors import ConfigError

_AT_LEAST_ONE = (
    "layers",
    "hidden_size",
    "expert_intermediate_size",
    "experts",
    "top_k",
    "heads",
    "kv_heads",
    "head_dim",
    "vocab_size",
    "bytes_per_weight",
    "bytes_per_activation",
)
_NOT_NEGATIVE = ("shared_experts", "shared_intermediate_size", "dense_intermediate_size")


@dataclass(frozen=True, kw_only=True)
class MoEModel:
    """Dimensions of a decoder with SwiGLU experts (gate, up and down projection: three matrices).

    Args:
        name: What the model is called.
        layers: Number of transformer layers.
        moe_layers: Ids of the layers with experts, ascending; the other layers hold a dense FFN.
        hidden_size: Width of the residual stream, elements.
        expert_intermediate_size: Inner width of one routed expert, elements.
        experts: Routed experts of one layer.
        top_k: Routed experts that one token uses in one layer.
        shared_experts: Experts of one layer that every token uses besides its routed ones.
        shared_intermediate_size: Inner width of one shared expert, elements; equal to the routed width.
        dense_intermediate_size: Inner width of the dense FFN, elements; used only if a layer has no experts.
        heads, kv_heads, head_dim: Attention heads, key/value heads and elements of one head.
        vocab_size: Rows of the embedding.
        tied_embeddings: Whether the output head is the embedding itself.
        bytes_per_weight, bytes_per_activation: Storage of one weight and of one activation (and KV element), bytes.
        source: Where the dimensions come from.

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
    bytes_per_weight: int = 2
    bytes_per_activation: int = 2
    source: str = ""

    def __post_init__(self) -> None:
        for key in _AT_LEAST_ONE:
            if getattr(self, key) < 1:
                raise ConfigError(f"model {self.name}: {key} is {getattr(self, key)}, allowed: 1 or more")
        for key in _NOT_NEGATIVE:
            if getattr(self, key) < 0:
                raise ConfigError(f"model {self.name}: {key} is {getattr(self, key)}, allowed: 0 or more")
        self._check_layers()
        self._check_experts()
        if self.heads % self.kv_heads:
            raise ConfigError(f"model {self.name}: heads ({self.heads}) is no multiple of kv_heads ({self.kv_heads})")

    def _check_layers(self) -> None:
        if not self.moe_layers:
            raise ConfigError(f"model {self.name}: moe_layers is empty; a model needs at least one layer with experts")
        if list(self.moe_layers) != sorted(set(self.moe_layers)):
            raise ConfigError(f"model {self.name}: moe_layers {self.moe_layers} must be ascending and distinct")
        if self.moe_layers[0] < 0 or self.moe_layers[-1] >= self.layers:
            raise ConfigError(f"model {self.name}: moe_layers must lie in 0..{self.layers - 1}, got {self.moe_layers}")
        if len(self.moe_layers) < self.layers and not self.dense_intermediate_size:
            raise ConfigError(f"model {self.name}: it has layers without experts, so dense_intermediate_size is needed")

    def _check_experts(self) -> None:
        if self.top_k > self.experts:
            raise ConfigError(f"model {self.name}: top_k ({self.top_k}) exceeds experts ({self.experts})")
        if self.shared_experts and self.shared_intermediate_size != self.expert_intermediate_size:
            raise ConfigError(
                f"model {self.name}: shared_intermediate_size ({self.shared_intermediate_size}) must equal "
                f"expert_intermediate_size ({self.expert_intermediate_size}): shared experts of another width "
                "are not supported yet"
            )

    @property
    def expert_bytes(self) -> int:
        """Bytes of one expert: 3 hidden x intermediate matrices."""
        return 3 * self.hidden_size * self.expert_intermediate_size * self.bytes_per_weight

    @property
    def experts_total_bytes(self) -> int:
        """Bytes of all routed and shared experts of all layers."""
        return len(self.moe_layers) * (self.experts + self.shared_experts) * self.expert_bytes

    @property
    def non_expert_parameters(self) -> int:
        """Weights outside the experts: attention Q, K, V, O, router, dense FFN, embeddings, head, RMS norms.

        Per layer: Q and O hidden x heads x head_dim each, K and V hidden x kv_heads x head_dim each, two norms of
        width hidden. Per layer with experts: router hidden x experts; per other layer: three hidden x dense
        matrices. Once: embedding and, unless tied, head of vocab x hidden each; one final norm. Norms of Q and K
        (some models) and biases are left out: below 0.01 % of any model here.
        """
        hidden = self.hidden_size
        attention = 2 * hidden * self.head_dim * (self.heads + self.kv_heads)
        router = len(self.moe_layers) * hidden * self.experts
        dense = (self.layers - len(self.moe_layers)) * 3 * hidden * self.dense_intermediate_size
        embeddings = (1 if self.tied_embeddings else 2) * self.vocab_size * hidden
        norms = (2 * self.layers + 1) * hidden
        return self.layers * attention + router + dense + embeddings + norms

    @property
    def non_expert_bytes(self) -> int:
        """Bytes of all weights outside the experts, see ``non_expert_parameters``."""
        return self.non_expert_parameters * self.bytes_per_weight

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes of the keys and values of one token in all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.bytes_per_activation

    @property
    def parameters(self) -> int:
        """Number of weights of the whole model."""
        return self.experts_total_bytes // self.bytes_per_weight + self.non_expert_parameters
