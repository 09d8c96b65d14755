"""What a proxy is: a small language model of a known family and how it is trained, in one validated value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

VOCABULARY = 257
"""Byte-level: the 256 byte values and one token that ends a document."""
END_OF_DOCUMENT = 256

PresetName = Literal["nano", "micro", "milli", "centi", "deci", "deca", "hecto"]
Family = Literal["llama", "qwen2", "gpt2", "gpt_neox"]
"""Architectures as `transformers` names them: `gpt_neox` is the one of Pythia."""
Precision = Literal["float32", "bfloat16"]
Attention = Literal["eager", "sdpa"]
LATER: dict[str, str] = {"family": "llama", "precision": "float32"}
"""Fields that came later than the first run tables, and what proxies were before."""


class ProxySpec(BaseModel):
    """A proxy model and its training, from scratch on bytes.

    The defaults are chosen for CPUs: two layers and short sequences already rank mixtures, because
    all proxies of a swarm share their initial weights and the order of their documents.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Family = "llama"
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
    precision: Precision = "float32"
    """Of the forward and backward pass. Weights and optimiser state are float32 in any case."""

    @model_validator(mode="after")
    def _heads_divide(self) -> ProxySpec:
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError(
                f"hidden_size {self.hidden_size} must divide into {self.heads} heads of even size"
            )
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is as it always was: runs compare when their proxies are written alike."""
        written: dict[str, Any] = handler(self)
        return {k: v for k, v in written.items() if k not in LATER or v != LATER[k]}

    @property
    def steps(self) -> int:
        """Optimiser steps per probe."""
        return max(1, self.tokens // (self.sequence_length * self.batch_size))

    @property
    def sequences(self) -> int:
        """Training sequences per probe."""
        return self.steps * self.batch_size

    @property
    def gated(self) -> bool:
        """Whether the feed-forward layers are gated; such families have hardly any biases."""
        return self.family in ("llama", "qwen2")

    @property
    def intermediate_size(self) -> int:
        """Width of the feed-forward layer: 8/3 of the hidden size where it is gated, else 4 times."""
        return max(8, self.hidden_size * 8 // 3 // 8 * 8) if self.gated else 4 * self.hidden_size

    @property
    def parameters(self) -> int:
        """Parameters without the embeddings: attention, feed-forward, norms and biases."""
        d, f = self.hidden_size, self.intermediate_size
        if not self.gated:
            return self.layers * (4 * d * d + 2 * d * f + 9 * d + f) + 2 * d
        biases = 3 * d if self.family == "qwen2" else 0
        return self.layers * (4 * d * d + 3 * d * f + 2 * d + biases) + d

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the token embeddings at both ends, and of the positions where they are learnt."""
        positions = self.sequence_length if self.family == "gpt2" else 0
        return (2 * VOCABULARY + positions) * self.hidden_size

    def hf_config(self, attention: Attention = "eager") -> PretrainedConfig:
        """The `transformers` configuration.

        Args:
            attention: `eager` is what vmap batches without a fallback on every device; `sdpa` is faster
                for a single model.
        """
        import transformers

        common: dict[str, Any] = {
            "vocab_size": VOCABULARY,
            "tie_word_embeddings": False,
            "use_cache": False,
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": None,
            "attn_implementation": attention,
        }
        if self.family == "gpt2":
            return transformers.GPT2Config(
                n_embd=self.hidden_size,
                n_inner=self.intermediate_size,
                n_layer=self.layers,
                n_head=self.heads,
                n_positions=self.sequence_length,
                resid_pdrop=0.0,  # dropout would be luck of its own for each proxy
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                loss_type="ForCausalLM",
                **common,
            )
        common |= {
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "max_position_embeddings": self.sequence_length,
        }
        if self.family == "gpt_neox":
            return transformers.GPTNeoXConfig(hidden_dropout=0.0, attention_dropout=0.0, **common)
        common |= {"num_key_value_heads": self.heads}
        if self.family == "qwen2":
            return transformers.Qwen2Config(**common)
        return transformers.LlamaConfig(**common)

    @property
    def model_class(self) -> type[PreTrainedModel]:
        """The `transformers` class of the family's language model."""
        import transformers

        names = {
            "llama": "LlamaForCausalLM",
            "qwen2": "Qwen2ForCausalLM",
            "gpt2": "GPT2LMHeadModel",
            "gpt_neox": "GPTNeoXForCausalLM",
        }
        found: type[PreTrainedModel] = getattr(transformers, names[self.family])
        return found

    def new_model(self, seed: int, attention: Attention = "eager") -> PreTrainedModel:
        """A model with fresh weights that depend on the seed alone, float32, in training mode, on the CPU."""
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.model_class(self.hf_config(attention)).train()


PRESETS: dict[PresetName, ProxySpec] = {
    "nano": ProxySpec(),
    "micro": ProxySpec(hidden_size=64, heads=4, sequence_length=128, tokens=1_000_000, learning_rate=3e-3),
    "milli": ProxySpec(
        hidden_size=128, layers=4, heads=4, sequence_length=256, tokens=10_000_000, learning_rate=2e-3
    ),
    "centi": ProxySpec(
        hidden_size=208, heads=4, sequence_length=256, batch_size=8, tokens=20_000_000, learning_rate=2e-3
    ),
    "deci": ProxySpec(
        hidden_size=256, layers=5, heads=4, sequence_length=256, batch_size=16, tokens=80_000_000,
        learning_rate=1.5e-3,
    ),
    "deca": ProxySpec(
        hidden_size=512, layers=6, heads=8, sequence_length=512, batch_size=16, tokens=400_000_000,
        learning_rate=1e-3, precision="bfloat16",
    ),
    "hecto": ProxySpec(
        hidden_size=768, layers=8, heads=12, sequence_length=512, batch_size=32, tokens=1_200_000_000,
        learning_rate=6e-4, precision="bfloat16",
    ),
}  # fmt: skip
"""Proxies by size without embeddings: 24 thousand, 0.1, 0.8, 1, 4, 19 and 57 million parameters. From centi
on, 20 training tokens per parameter (Hoffmann et al. 2022); centi is as wide and shallow as RegMix's."""
