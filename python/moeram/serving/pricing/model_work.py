"""What one forward pass asks of any machine: bytes and operations of a model's parts, as closed forms of a step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moeram.model import MoEModel
from moeram.serving.step import Step

_CLASSES = {
    "attention": "attention", "shared": "shared experts", "dense": "dense FFN", "router": "router", "other": "norms", "embedding": "head",
}  # fmt: skip


class StepWork(NamedTuple):
    """Work of a step, over all layers and requests.

    tokens: through every layer; decode_tokens: of decoding requests among them; logit_tokens: through the head. attention_bytes, attention_ops:
    of decoding; prefill_*: of prompts. read_tokens: kind of attention -> keys [d] that each decoding request reads in a layer of it.
    state_bytes: recurrent states of linear layers, read and written. kv_written_bytes: new keys and values.
    """

    tokens: int
    decode_tokens: int
    logit_tokens: int
    attention_bytes: int
    attention_ops: int
    read_tokens: Mapping[str, NDArray[np.int64]]
    prefill_attention_bytes: int
    prefill_attention_ops: int
    state_bytes: int
    kv_written_bytes: int


class ModelWork:
    """A model as totals over its layers.

    dense_bytes, dense_parameters: weights that every step reads and every token meets: attention projections, dense FFNs, shared
    experts, routers, norms. weight_bytes: the same by what they are, and those of the output head. head_bytes, head_parameters: of the
    output head. The embedding's rows are looked up, not counted. token_operations: of a token outside scores and values, as moe_cap.md 2.4
    counts them; dense_operations: without the routed experts.
    """

    def __init__(self, model: MoEModel) -> None:
        self.model = model
        met = [m for m in model.matrices if m.part != "experts" and not m.lookup]
        heads = [m for m in met if m.part == "embedding"]
        dense = [m for m in met if m.part != "embedding"]
        self.dense_bytes = sum(m.count * model.matrix_bytes(m) for m in dense)
        self.dense_parameters = sum(m.used * m.parameters for m in dense)
        self.head_bytes = sum(m.count * model.matrix_bytes(m) for m in heads)
        self.head_parameters = sum(m.used * m.parameters for m in heads)
        self.weight_bytes = dict.fromkeys(_CLASSES.values(), 0)
        for m in met:
            self.weight_bytes[_CLASSES[m.part]] += m.count * model.matrix_bytes(m)
        self.weight_bytes = {name: size for name, size in self.weight_bytes.items() if size}
        multiplied = [m for m in dense if _CLASSES[m.part] != "norms"]
        self.dense_operations = 2 * sum(m.used * m.parameters for m in multiplied)
        self.token_operations = (
            self.dense_operations + 2 * model.top_k * len(model.moe_layers) * model.expert_parameters
        )
        self._kinds = Counter(model.attention.kind(layer) for layer in range(model.layers))
        # Read once: the model derives them from its shape each time.
        self._kv_layer_bytes, self._kv_token_bytes = model.kv_layer_bytes, model.kv_bytes_per_token
        self._state_bytes = model.state_bytes_per_sequence
        latent = model.attention.latent
        # Scores and values, a multiply-accumulate each; a latent is scored with its rotary part and summed without.
        self._ops_per_read_token = (
            2 * model.heads * (2 * latent.kv_rank + latent.rope_head_dim)
            if latent
            else 4 * model.heads * model.head_dim
        )

    def read_tokens(self, context_tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return keys (and values) that one new token at the end of each context [n] reads, summed over layers."""
        read = self._read_in_layer(context_tokens)
        return np.asarray(sum(layers * read[kind] for kind, layers in self._kinds.items()))

    def _read_in_layer(self, context_tokens: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        attention, read = self.model.attention, {}
        for kind in self._kinds:
            if kind == "full":
                read[kind] = context_tokens
            elif kind == "sliding":
                read[kind] = np.minimum(context_tokens, attention.window_tokens)
            elif kind == "chunked":
                read[kind] = (context_tokens - 1) % attention.chunk_tokens + 1
            else:
                read[kind] = np.zeros_like(context_tokens)
        return read

    def operations(self, work: StepWork) -> int:
        """Return the operations of a step as moe_cap.md 2.4 counts them: without the head."""
        return self.token_operations * work.tokens + work.attention_ops + work.prefill_attention_ops

    def of(self, step: Step) -> StepWork:
        """Return the work of a step.

        A prompt's chunk attends to what is before it and, causally, to itself; windows and chunks limit it as at its middle.
        """
        new = step.tokens_per_request
        # Tokens presented together read the same keys once and are scored one by one.
        read = self._read_in_layer(step.context_tokens)
        decoded = sum(layers * int(read[kind].sum()) for kind, layers in self._kinds.items())
        ends = scored = 0
        if len(step.prefill):
            middle = step.chunk_start + (step.chunk_tokens + 1) // 2
            ends = int(self.read_tokens(step.chunk_start + step.chunk_tokens).sum())
            scored = int((step.chunk_tokens * self.read_tokens(np.maximum(middle, 1))).sum())
        sequences, tokens = len(step.decode) + len(step.prefill), step.tokens
        return StepWork(
            tokens=tokens,
            decode_tokens=len(step.decode) * new,
            logit_tokens=len(step.decode) * new + len(step.prefill),
            attention_bytes=decoded * self._kv_layer_bytes,
            attention_ops=decoded * new * self._ops_per_read_token,
            read_tokens=read,
            prefill_attention_bytes=ends * self._kv_layer_bytes,
            prefill_attention_ops=scored * self._ops_per_read_token,
            state_bytes=2 * sequences * self._state_bytes,
            kv_written_bytes=tokens * self._kv_token_bytes,
        )

    def least_dense_ps(self, work: StepWork, bytes_per_ps: float, operations_per_ps: float) -> float:
        """Return the time of what is read and computed whatever the routing, then of the head, each at these peaks."""
        body = max(self.dense_bytes / bytes_per_ps, 2 * self.dense_parameters * work.tokens / operations_per_ps)
        head = max(self.head_bytes / bytes_per_ps, 2 * self.head_parameters * work.logit_tokens / operations_per_ps)
        return body + head
