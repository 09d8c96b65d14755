"""What a proxy is: a small language model of a known family and how it is trained, in one validated value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
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
"""Of bytes: the 256 byte values and one token that ends a document."""
END_OF_DOCUMENT = 256
"""The token that ends a document, of bytes."""

PresetName = Literal["nano", "micro", "milli", "centi", "deci", "deca", "hecto"]
Family = Literal["llama", "qwen2", "gpt2", "gpt_neox"]
"""Architectures as `transformers` names them: `gpt_neox` is the one of Pythia."""
Precision = Literal["float32", "bfloat16"]
Attention = Literal["eager", "sdpa"]
TokenizerKind = Literal["bytes", "bpe", "model"]
Tuning = Literal["full", "lora"]
LATER: dict[str, object] = {
    "family": "llama",
    "precision": "float32",
    "tokenizer": "bytes",
    "vocabulary": 4096,
    "pretrained": None,
    "revision": None,
    "tuning": "full",
    "lora_rank": 8,
    "lora_alpha": 16,
}
"""Fields that came later than the first run tables, and what proxies were before."""
SHAPE_FIELDS = ("family", "hidden_size", "layers", "heads")
"""Fields that say how a proxy from scratch is built; a pretrained model brings its own."""
FINETUNING_RATES: dict[Tuning, float] = {"full": 2e-5, "lora": 2e-4}
"""Learning rates of a pretrained proxy where none is given: what trains from scratch would destroy it."""


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a language model that decide what it costs.

    Attributes:
        family: the architecture, as `transformers` names it.
        vocabulary: rows of the token embeddings.
        hidden_size: width.
        intermediate_size: width of the feed-forward layers.
        layers: how many there are.
        heads: attention heads per layer.
        parameters: parameters without the embeddings.
        embedding_parameters: of the tokens at both ends, counted once where they are shared, and of the
            positions where they are learnt.
        positions: tokens that it can read at once; None where there is no limit.
    """

    family: str
    vocabulary: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    parameters: int
    embedding_parameters: int
    positions: int | None


class ProxySpec(BaseModel):
    """A proxy model and its training: from scratch, or on from a pretrained model.

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
    """Of the forward and backward pass. Weights that are trained and optimiser state are float32 in any
    case."""
    tokenizer: TokenizerKind = "bytes"
    """What a token is. `bytes`: a byte; `bpe`: a piece of a byte-level BPE that is trained on the snapshot;
    `model`: what the pretrained model reads."""
    vocabulary: int = Field(default=4096, ge=512, le=65536)
    """Tokens of the BPE, the one that ends a document among them."""
    pretrained: str | None = Field(default=None, min_length=1)
    """A causal language model to go on from: the folder that `save_pretrained` of transformers has written,
    or a name on the Hugging Face hub. None: from scratch."""
    revision: str | None = Field(default=None, min_length=1)
    """Which state of the pretrained model: the commit on the hub, or a hash of the folder's files. Filled in
    by `settle_proxy`."""
    tuning: Tuning = "full"
    """What of a pretrained model is trained: all weights, or low-rank adapters (LoRA, Hu et al. 2021) beside
    the weights of all linear layers but the last."""
    lora_rank: int = Field(default=8, ge=1, le=256)
    lora_alpha: int = Field(default=16, ge=1, le=1024)
    """The adapters' output is scaled by `lora_alpha / lora_rank`."""

    @model_validator(mode="before")
    @classmethod
    def _as_pretrained_ones_are(cls, data: object) -> object:
        """What follows from a pretrained model, where nothing else is said."""
        if not isinstance(data, dict) or data.get("pretrained") is None:
            return data
        rate = FINETUNING_RATES["lora" if data.get("tuning") == "lora" else "full"]
        return {"tokenizer": "model", "learning_rate": rate, **data}

    @model_validator(mode="after")
    def _no_field_without_meaning(self) -> ProxySpec:
        """Refuse values that would be recorded and do nothing."""
        if self.pretrained is None:
            if self.tokenizer == "model":
                raise ValueError(
                    "the tokenizer 'model' is that of a pretrained model: name one in `pretrained`"
                )
            idle = [f for f in ("revision", "tuning", "lora_rank", "lora_alpha") if self._differs(f)]
            if idle:
                raise ValueError(
                    f"{idle[0]} has a meaning for a pretrained model only: name one in `pretrained`"
                )
        else:
            if self.tokenizer != "model":
                raise ValueError(
                    f"a pretrained model reads the tokens of its own tokenizer, not {self.tokenizer}: "
                    "set tokenizer to 'model' or leave it out"
                )
            idle = [f for f in SHAPE_FIELDS if self._differs(f)]
            if idle:
                raise ValueError(
                    f"{idle[0]} has no meaning for a pretrained model, which has its own: leave it out"
                )
            if self.tuning == "full" and (self._differs("lora_rank") or self._differs("lora_alpha")):
                raise ValueError("lora_rank and lora_alpha have a meaning for the tuning 'lora' only")
        if self.tokenizer != "bpe" and self._differs("vocabulary"):
            raise ValueError("vocabulary has a meaning for the tokenizer 'bpe' only: leave it out")
        return self

    def _differs(self, field: str) -> bool:
        return bool(getattr(self, field) != type(self).model_fields[field].default)

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
        built = () if self.pretrained is None else SHAPE_FIELDS
        return {k: v for k, v in written.items() if k not in built and (k not in LATER or v != LATER[k])}

    @property
    def steps(self) -> int:
        """Optimiser steps per probe."""
        return max(1, self.tokens // (self.sequence_length * self.batch_size))

    @property
    def sequences(self) -> int:
        """Training sequences per probe."""
        return self.steps * self.batch_size

    @property
    def base(self) -> str:
        """What it is made of, for a reader: the family, or the pretrained model and how it is tuned.

        Unlike the sizes of a pretrained model, this is known without its files, which may be gone when its
        runs are looked at.
        """
        if self.pretrained is None:
            return self.family
        return f"{self.pretrained.rstrip('/').rpartition('/')[2]} {self.tuning}"

    @property
    def token_type(self) -> type[np.uint16] | type[np.uint32]:
        """The smallest type of numpy that holds every token."""
        return np.uint16 if self.vocabulary_size <= 1 << 16 else np.uint32

    @property
    def vocabulary_size(self) -> int:
        """Tokens that the model knows."""
        if self.tokenizer == "bytes":
            return VOCABULARY
        return self.vocabulary if self.tokenizer == "bpe" else self.shape.vocabulary

    @property
    def shape(self) -> ModelShape:
        """The sizes of the model. Those of a pretrained one are read from its files.

        Raises:
            CausalMixError: the pretrained model cannot be found.
        """
        if self.pretrained is not None:
            from causalmix_core.proxy.pretrained import shape_of

            return shape_of(self.pretrained, self.revision)
        d, f = self.hidden_size, self.intermediate_size
        if self.gated:
            biases = 3 * d if self.family == "qwen2" else 0
            parameters = self.layers * (4 * d * d + 3 * d * f + 2 * d + biases) + d
        else:
            parameters = self.layers * (4 * d * d + 2 * d * f + 9 * d + f) + 2 * d
        positions = self.sequence_length if self.family == "gpt2" else 0
        return ModelShape(
            family=self.family,
            vocabulary=self.vocabulary_size,
            hidden_size=d,
            intermediate_size=f,
            layers=self.layers,
            heads=self.heads,
            parameters=parameters,
            embedding_parameters=(2 * self.vocabulary_size + positions) * d,
            positions=self.sequence_length,
        )

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
        return self.shape.parameters

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the token embeddings at both ends, and of the positions where they are learnt."""
        return self.shape.embedding_parameters

    def hf_config(self, attention: Attention = "eager") -> PretrainedConfig:
        """The `transformers` configuration of a proxy from scratch.

        Args:
            attention: `eager` is what vmap batches without a fallback on every device; `sdpa` is faster
                for a single model.
        """
        import transformers

        common: dict[str, Any] = {
            "vocab_size": self.vocabulary_size,
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
