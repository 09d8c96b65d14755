"""Tiny language models with tokenizers of their own, saved as `save_pretrained` saves them."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from causalmix_core.proxy import Family, ProxySpec

TEXTS = ["The cat sat on the mat, and the dog looked on.", "def f(a, b):\n    return a + b  # adds\n" * 9]
SHAPE = ProxySpec(hidden_size=16, layers=2, heads=2, sequence_length=64)


def save_tokenizer(folder: Path, *, begin: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE with a few merges; with `begin` it puts `<|begin|>` before every text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=290,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|begin|>", "<|end|>"],
        show_progress=False,
    )
    backend.train_from_iterator(TEXTS * 3, trainer)
    if begin:
        backend.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", 0)]
        )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|begin|>", eos_token="<|end|>")
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_model(folder: Path, family: Family, *, tied: bool = False, begin: bool = False) -> Path:
    """A model of a family with random weights, dropout where the family has any, and a tokenizer."""
    config = SHAPE.model_copy(update={"family": family}).hf_config("sdpa")
    config.vocab_size = 320
    config.tie_word_embeddings = tied
    config.use_cache = True
    for name in ("resid_pdrop", "attn_pdrop", "hidden_dropout", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = SHAPE.model_copy(update={"family": family}).model_class(config)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.1 * torch.randn_like(p))
        model.save_pretrained(folder)
    save_tokenizer(folder, begin=begin)
    return folder
