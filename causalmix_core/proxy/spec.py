"""What a proxy is: a small Llama-style language model and how it is trained, in one validated value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from transformers import LlamaConfig

VOCABULARY = 257
"""Byte-level: the 256 byte values and one token that ends a document."""
END_OF_DOCUMENT = 256

PresetName = Literal["nano", "micro", "milli"]


class ProxySpec(BaseModel):
    """A proxy model and its training, from scratch on bytes.

    The defaults are chosen for CPUs: two layers and short sequences already rank mixtures, because
    all proxies of a swarm share their initial weights and the order of their documents.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_size: int = Field(default=32, ge=8, le=1024, multiple_of=8)
    layers: int = Field(default=2, ge=1, le=32)
    heads: int = Field(default=2, ge=1, le=32)
    sequence_length: int = Field(default=64, ge=16, le=2048)
    batch_size: int = Field(default=4, ge=1, le=1024)
    """Sequences per optimiser step."""
    tokens: int = Field(default=250_000, ge=1_000, le=10_000_000_000)
    """Training tokens per probe."""
    learning_rate: float = Field(default=5e-3, gt=0, le=1)
    warmup: float = Field(default=0.05, ge=0, le=0.5)
    """Part of training in which the learning rate rises; then it falls linearly to zero."""
    weight_decay: float = Field(default=0.1, ge=0, le=1)
    clip_norm: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _heads_divide(self) -> ProxySpec:
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} must divide into {self.heads} heads of even size"
            )
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps per probe."""
        return max(1, self.tokens // (self.sequence_length * self.batch_size))

    @property
    def sequences(self) -> int:
        """Training sequences per probe."""
        return self.steps * self.batch_size

    @property
    def intermediate_size(self) -> int:
        """Width of the gated feed-forward layer: 8/3 of the hidden size, as in Llama."""
        return max(8, self.hidden_size * 8 // 3 // 8 * 8)

    @property
    def parameters(self) -> int:
        """Parameters without the embeddings: attention, feed-forward and norms."""
        d, f = self.hidden_size, self.intermediate_size
        return self.layers * (4 * d * d + 3 * d * f + 2 * d) + d

    def hf_config(self) -> LlamaConfig:
        """The `transformers` configuration. Attention is eager because vmap batches it without a
        fallback on every device."""
        from transformers import LlamaConfig

        return LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=self.hidden_size,
            intermediate_size=self.intermediate_size,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.heads,
            max_position_embeddings=self.sequence_length,
            tie_word_embeddings=False,
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
            attn_implementation="eager",
        )


PRESETS: dict[PresetName, ProxySpec] = {
    "nano": ProxySpec(),
    "micro": ProxySpec(hidden_size=64, heads=4, sequence_length=128, tokens=1_000_000, learning_rate=3e-3),
    "milli": ProxySpec(
        hidden_size=128, layers=4, heads=4, sequence_length=256, tokens=10_000_000, learning_rate=2e-3
    ),
}
