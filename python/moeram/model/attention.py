"""Attention of each layer: what is kept of a token, and how much of it grows with the context."""

from __future__ import annotations

from dataclasses import dataclass

from moeram.errors import ConfigError, did_you_mean

KINDS = ("full", "sliding", "chunked", "linear")


def _require(what: str, values: dict[str, int], least: int = 1) -> None:
    for key, value in values.items():
        if value < least:
            raise ConfigError(f"{what}: {key} is {value}, allowed: {least} or more")


@dataclass(frozen=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1); dimensions in elements.

    kv_rank: latent of keys and values. q_rank: latent of queries, 0 for a direct projection. rope_head_dim: the
    rotary key, one for all heads. nope_head_dim, value_head_dim: rest of a head's query and key; a head's value.
    """

    kv_rank: int
    q_rank: int
    rope_head_dim: int
    nope_head_dim: int
    value_head_dim: int

    def __post_init__(self) -> None:
        _require("latent attention", {key: value for key, value in vars(self).items() if key != "q_rank"})
        _require("latent attention", {"q_rank": self.q_rank}, 0)

    @property
    def cached_elements(self) -> int:
        """Elements cached per token and layer: kv_rank + rope_head_dim (512 + 64 = 576 in all DeepSeek models)."""
        return self.kv_rank + self.rope_head_dim


@dataclass(frozen=True, kw_only=True)
class LinearAttention:
    """Gated delta-net layers: a state of constant size instead of a KV cache; dimensions in elements."""

    key_heads: int
    key_head_dim: int
    value_heads: int
    value_head_dim: int
    conv_kernel: int

    def __post_init__(self) -> None:
        _require("linear attention", dict(vars(self)))

    @property
    def conv_channels(self) -> int:
        """Channels of the short convolution over queries, keys and values."""
        return 2 * self.key_heads * self.key_head_dim + self.value_heads * self.value_head_dim

    @property
    def state_elements(self) -> int:
        """Recurrent state of one layer and sequence: value_heads x key_head_dim x value_head_dim."""
        return self.value_heads * self.key_head_dim * self.value_head_dim

    @property
    def conv_state_elements(self) -> int:
        """Inputs that the convolution still needs, of one layer and sequence: conv_channels x (conv_kernel - 1)."""
        return self.conv_channels * (self.conv_kernel - 1)


@dataclass(frozen=True, kw_only=True)
class Attention:
    """What kind of attention each layer has; heads and their width stand in the model itself.

    Args:
        pattern: Kinds of the layers 0, 1, ...; repeated from the start when there are more layers. A pattern that
            repeats itself is stored once, so that equal models compare equal.
        window_tokens: Tokens that a "sliding" layer sees, itself included.
        chunk_tokens: Length of the chunks of "chunked" layers: a token sees those before it in its own chunk.
        output_gate: Whether full layers gate their output (the query projection is twice as wide).
        latent: Set if the layers with a cache keep latents (MLA); heads and head_dim of the model are then nominal.
        linear: Shape of the "linear" layers.

    Raises:
        ConfigError: An unknown kind, or a kind whose dimensions are missing.
    """

    pattern: tuple[str, ...] = ("full",)
    window_tokens: int = 0
    chunk_tokens: int = 0
    output_gate: bool = False
    latent: LatentAttention | None = None
    linear: LinearAttention | None = None

    def __post_init__(self) -> None:
        if not self.pattern:
            raise ConfigError("attention: pattern is empty; allowed: a list of " + ", ".join(KINDS))
        for kind in self.pattern:
            if kind not in KINDS:
                raise ConfigError(f"attention: pattern: no kind {kind!r}{did_you_mean(str(kind), KINDS)}")
        _require("attention", {"window_tokens": self.window_tokens, "chunk_tokens": self.chunk_tokens}, 0)
        needs = {"sliding": "window_tokens", "chunked": "chunk_tokens", "linear": "linear"}
        for kind, key in needs.items():
            if kind in self.pattern and not getattr(self, key):
                raise ConfigError(f"attention: {key} is needed: the pattern has {kind!r} layers")
            if kind not in self.pattern and getattr(self, key):
                raise ConfigError(f"attention: {key} is given, but the pattern has no {kind!r} layer")
        if self.latent and self.output_gate:
            raise ConfigError("attention: output_gate with latent attention is not supported")
        object.__setattr__(self, "pattern", _shortest(self.pattern))

    def kind(self, layer: int) -> str:
        """Kind of a layer: "full", "sliding", "chunked" or "linear"."""
        return self.pattern[layer % len(self.pattern)]

    def kept_tokens(self, kind: str, context_tokens: int) -> int:
        """Tokens whose keys and values a layer must have room for at a context length: all of them in full layers,
        at most the window or one chunk in sliding and chunked ones, none in linear ones."""
        limit = {"full": context_tokens, "sliding": self.window_tokens, "chunked": self.chunk_tokens, "linear": 0}
        return min(context_tokens, limit[kind])

    def read_tokens(self, kind: str, context_tokens: int) -> int:
        """Tokens whose keys and values are read for the last token of a context: `kept_tokens`, except that a chunked
        layer reads its current chunk only: (context_tokens - 1) mod chunk_tokens + 1."""
        if kind == "chunked" and context_tokens:
            return (context_tokens - 1) % self.chunk_tokens + 1
        return self.kept_tokens(kind, context_tokens)


def _shortest(pattern: tuple[str, ...]) -> tuple[str, ...]:
    """The shortest start of a pattern that gives all of it when repeated."""
    for length in range(1, len(pattern)):
        if all(kind == pattern[index % length] for index, kind in enumerate(pattern)):
            return pattern[:length]
    return pattern
