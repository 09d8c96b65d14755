"""Tokenizers of proxies: text as numbers, and how many bytes of text each number stands for.

Bytes of text are what losses of different tokenizers can be compared by, so every tokenizer here says for
each token of a document how many bytes it stands for; they sum to the document's bytes. A document is
what the tokenizer puts before every text, its tokens, and one token that ends it. Texts are texts: what
looks like a special token in one is spelt out.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.spec import END_OF_DOCUMENT, VOCABULARY

if TYPE_CHECKING:
    import tokenizers
    from transformers import PreTrainedTokenizerBase

Encoded = TypeVar("Encoded")

AT_ONCE = 2 << 20
"""Characters that are tokenised together, and the longest piece of a document that is tokenised whole."""
NEAR = 4096
"""Characters in which the beginning of a word is looked for, to cut a longer one."""


@dataclass(frozen=True)
class Document:
    """A document as a proxy reads it.

    Attributes:
        ids: its tokens, shape (n,).
        sizes: bytes of text that each stands for, uint32, shape (n,); 0 for what is no text.
    """

    ids: np.ndarray
    sizes: NDArray[np.uint32]


class Tokens(ABC):
    """A tokenizer.

    Attributes:
        size: how many different tokens there are.
        end: the token that ends a document.
        before: tokens that every document begins with.
        fingerprint: what the tokens of a text depend on; equal fingerprints give equal tokens.
    """

    size: int
    end: int
    before: tuple[int, ...] = ()
    fingerprint: str

    @property
    def dtype(self) -> type[np.uint16] | type[np.uint32]:
        """The smallest type of numpy that holds every token."""
        return np.uint16 if self.size <= 1 << 16 else np.uint32

    @abstractmethod
    def ids(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """The tokens of each text as a document, in order."""

    @abstractmethod
    def documents(self, texts: Sequence[str]) -> Iterator[Document]:
        """One `Document` per text, in order."""

    @abstractmethod
    def plain(self, text: str) -> list[int]:
        """The tokens of a text alone, without what stands before or after documents."""


class ByteTokens(Tokens):
    """Every byte is a token."""

    size = VOCABULARY
    end = END_OF_DOCUMENT
    fingerprint = "bytes"

    def ids(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """The bytes of each text and the token that ends it, uint16."""
        for text in texts:
            raw = np.frombuffer(text.encode(), dtype=np.uint8)
            ids = np.empty(len(raw) + 1, np.uint16)
            ids[:-1] = raw
            ids[-1] = END_OF_DOCUMENT
            yield ids

    def documents(self, texts: Sequence[str]) -> Iterator[Document]:
        """One `Document` per text, in order."""
        for ids in self.ids(texts):
            sizes = np.ones(len(ids), np.uint32)
            sizes[-1] = 0
            yield Document(ids, sizes)

    def plain(self, text: str) -> list[int]:
        """The bytes of a text."""
        return list(text.encode())


class BpeTokens(Tokens):
    """Pieces of a byte-level BPE; the last token of the vocabulary ends a document.

    Args:
        tokenizer: with byte-level tokens, each character of which stands for a byte.
        size: the vocabulary of the proxy; at least one larger than the tokenizer's.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, size: int) -> None:
        vocabulary = tokenizer.get_vocab()
        if len(vocabulary) >= size:
            raise ValueError(f"{len(vocabulary)} tokens do not fit into {size - 1}")
        self.size, self.end = size, size - 1
        self.fingerprint = hashlib.sha256(f"{size} {tokenizer.to_str()}".encode()).hexdigest()
        self._tokenizer = tokenizer
        self._bytes = np.zeros(size, np.uint32)
        for token, number in vocabulary.items():
            self._bytes[number] = len(token)

    def ids(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """The tokens of each text as a document, in order."""
        for pieces in _together(texts, self._encode):
            yield np.concatenate([*pieces, np.array([self.end])]).astype(self.dtype)

    def documents(self, texts: Sequence[str]) -> Iterator[Document]:
        """One `Document` per text, in order."""
        for ids in self.ids(texts):
            yield Document(ids, self._bytes[ids])

    def plain(self, text: str) -> list[int]:
        """The pieces of a text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _encode(self, texts: list[str]) -> list[np.ndarray]:
        found = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(one.ids, np.int64) for one in found]


class ModelTokens(Tokens):
    """The tokens of a pretrained model.

    Args:
        tokenizer: the model's.
        name: what the user called the model.
        size: rows of the model's token embeddings.

    Raises:
        CausalMixError: the tokenizer does not say where its tokens stand, does not belong to the model, or
            has no token that could end a document.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str, size: int) -> None:
        plain = tokenizer("a b", add_special_tokens=False)["input_ids"]
        if not plain or not tokenizer.is_fast:
            raise CausalMixError(
                f"The tokenizer of {name} cannot be used: "
                + ("it knows no tokens." if not plain else "it does not say where its tokens stand.")
                + " Save the model's tokenizer (tokenizer.json) beside the model."
            )
        if len(tokenizer) > size:
            raise CausalMixError(
                f"The tokenizer of {name} has {len(tokenizer)} tokens and the model knows only {size}: they "
                "do not belong together. Save the model's own tokenizer beside it."
            )
        full = tokenizer("a b")["input_ids"]
        at = next((i for i in range(len(full)) if full[i : i + len(plain)] == plain), 0)
        self.before = tuple(full[:at])
        ends = [
            tokenizer.eos_token_id,
            tokenizer.sep_token_id,
            tokenizer.bos_token_id,
            tokenizer.pad_token_id,
        ]
        end = next((int(e) for e in ends if isinstance(e, int)), None)
        if end is None:
            raise CausalMixError(
                f"The tokenizer of {name} has no token that ends a text (eos_token). Set one and save it."
            )
        self.size, self.end = size, end
        backend = tokenizer.backend_tokenizer.to_str()
        told = f"{size} {self.end} {self.before} {backend}"
        self.fingerprint = hashlib.sha256(told.encode()).hexdigest()
        self._tokenizer = tokenizer

    def ids(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """The tokens of each text as a document, in order."""
        for document in self.documents(texts):
            yield document.ids

    def documents(self, texts: Sequence[str]) -> Iterator[Document]:
        """One `Document` per text, in order."""
        for pieces in _together(texts, self._encode):
            ids = [np.array(self.before, np.int64), *(p.ids for p in pieces), np.array([self.end])]
            nothing = np.zeros(len(self.before), np.uint32)
            left = sum(int(p.sizes[0]) for p in pieces if not len(p.ids))  # text without a token
            sizes = [nothing, *(p.sizes for p in pieces if len(p.ids)), np.array([left], np.uint32)]
            yield Document(np.concatenate(ids).astype(self.dtype), np.concatenate(sizes))

    def plain(self, text: str) -> list[int]:
        """The tokens of a text."""
        return self._encode([text])[0].ids.tolist()  # type: ignore[no-any-return]

    def _encode(self, texts: list[str]) -> list[Document]:
        """Tokens of each text; a text without any has one size, of all its bytes."""
        found = self._tokenizer(
            texts,
            add_special_tokens=False,
            split_special_tokens=True,
            return_offsets_mapping=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            padding=False,
            truncation=False,
            verbose=False,
        )
        encoded = []
        for text, ids, offsets in zip(texts, found["input_ids"], found["offset_mapping"], strict=True):
            if not ids:
                encoded.append(Document(np.empty(0, np.int64), np.array([len(text.encode())], np.uint32)))
                continue
            ends = np.array(offsets, np.int64)[:, 1]
            ends[-1] = len(text)  # what a tokenizer strips at the end belongs to its last token
            encoded.append(Document(np.array(ids, np.int64), _sizes(text, np.maximum.accumulate(ends))))
        return encoded


def _sizes(text: str, ends: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Bytes between the characters at which tokens end; one that tokens share counts with the first."""
    if not text.isascii():
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        width = 1 + (points > 0x7F).astype(np.int64) + (points > 0x7FF) + (points > 0xFFFF)
        ends = np.concatenate([[0], np.cumsum(width)])[ends]
    return np.diff(ends, prepend=0).astype(np.uint32)


def _together(texts: Sequence[str], encode: Callable[[list[str]], list[Encoded]]) -> Iterator[list[Encoded]]:
    """Encode many texts at once: for each text the encoded pieces that it was cut into."""
    waiting: list[str] = []
    counts: list[int] = []
    characters = 0

    def encoded() -> Iterator[list[Encoded]]:
        pieces = iter(encode(waiting)) if waiting else iter(())
        for count in counts:
            yield [next(pieces) for _ in range(count)]

    for text in texts:
        pieces = list(_pieces(text))
        waiting += pieces
        counts.append(len(pieces))
        characters += len(text)
        if characters >= AT_ONCE:
            yield from encoded()
            waiting, counts, characters = [], [], 0
    yield from encoded()


def _pieces(text: str) -> Iterator[str]:
    """Cut a very long text, before a word where there is one: byte-level tokens begin there anyway."""
    start = 0
    while len(text) - start > AT_ONCE:
        stop = start + AT_ONCE
        words = (i for i in range(stop - 1, max(start, stop - NEAR), -1) if text[i] == " ")
        alone = (i for i in words if not text[i - 1].isspace() and not text[i + 1].isspace())
        stop = next(alone, stop)
        yield text[start:stop]
        start = stop
    if len(text) > start:
        yield text[start:]
