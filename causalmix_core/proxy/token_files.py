"""What tokenizers leave in the workspace: a BPE per snapshot, and the pool as its tokens.

    models/tokenizers/
        <snapshot>-<vocabulary>.json     the BPE that was trained on a snapshot
        <snapshot>-<fingerprint>.counts  tokens of each domain as a tokenizer makes them, as JSON
        <snapshot>-<fingerprint>/        the pool as tokens: <domain>-<split>.<array>.npy

Training a BPE takes seconds and tokenising a large pool minutes, so what one process has made is found again
by the others, on this day or the next. Everything here can be deleted at any time: it is made again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.pretrained import load_tokenizer, source_of
from causalmix_core.proxy.quiet import quiet_transformers
from causalmix_core.proxy.spec import ProxySpec
from causalmix_core.proxy.text_sample import spread_text, training_documents
from causalmix_core.proxy.tokens import BpeTokens, ByteTokens, ModelTokens, Tokens
from causalmix_core.workspace import scratch_path, sweep, write_atomic

if TYPE_CHECKING:
    from causalmix_core.corpus.snapshot import Snapshot, Split

TRAINING_BYTES = 64 << 20
BYTES_PER_TOKEN = 4 << 10
"""Text that a BPE is trained on, of all domains together: so much for each of its tokens, and at most
`TRAINING_BYTES`. More changes hardly any of them."""
FLOOR = 0.25
"""Part of it that is shared out evenly; the rest goes by the size of the domains."""
COUNTED_BYTES = 1 << 20
"""Text of a domain that is tokenised to estimate how many tokens all of it has."""
KEPT_POOLS = 3
"""Tokenised pools that stay on the disk; each is about as large as the text itself, mostly smaller."""
LONGEST_TOKEN = 64
"""Bytes of a token at most: rulers of dashes are no words."""


@dataclass(frozen=True)
class TokenisedText:
    """The documents of a part of a domain as tokens, mapped from a file where there is one.

    Attributes:
        tokens: all documents one after another, shape (total,).
        starts: where each document begins, and the total: shape (documents + 1,).
        sizes: bytes of text that each token stands for, uint32, shape (total,); empty where nobody asked.
    """

    tokens: np.ndarray
    starts: NDArray[np.int64]
    sizes: NDArray[np.uint32]


def tokenise(texts: Sequence[str], tokens: Tokens, *, sized: bool = False) -> TokenisedText:
    """Tokenise documents.

    Args:
        texts: the documents.
        tokens: the tokenizer.
        sized: whether to say how many bytes each token stands for.
    """
    ids: list[np.ndarray] = [np.empty(0, tokens.dtype)]
    sizes = [np.empty(0, np.uint32)]
    if sized:
        for document in tokens.documents(texts):
            ids.append(document.ids)
            sizes.append(document.sizes)
    else:
        ids += tokens.ids(texts)
    starts = np.cumsum([len(i) for i in ids]).astype(np.int64)
    return TokenisedText(np.concatenate(ids), starts, np.concatenate(sizes))


def tokens_of(snapshot: Snapshot, spec: ProxySpec) -> Tokens:
    """The tokenizer of a proxy on a snapshot. A BPE is trained the first time that it is asked for.

    Raises:
        CausalMixError: the pretrained model's tokenizer cannot be used, or the workspace cannot be written.
    """
    if spec.tokenizer == "bytes":
        return ByteTokens()
    if spec.tokenizer == "model":
        assert spec.pretrained is not None
        return ModelTokens(load_tokenizer(source_of(spec)), spec.pretrained, spec.vocabulary_size)
    return _bpe(snapshot, spec.vocabulary)


def proxy_tokens(snapshot: Snapshot, spec: ProxySpec) -> dict[str, int]:
    """Tokens of each domain, training and held-out together, as the tokenizer of a proxy counts them.

    Bytes are known exactly. For the others, what `COUNTED_BYTES` of a domain's training text hold is scaled
    to all of its bytes; the answer is kept in the workspace, so that everybody who plans a swarm plans the
    same. The first time may take as long as training a BPE does.

    Raises:
        CausalMixError: see `tokens_of`.
    """
    manifest = snapshot.manifest.domains
    if spec.tokenizer == "bytes":
        return {d: manifest[d].bytes + manifest[d].documents for d in snapshot.domains}
    tokens = tokens_of(snapshot, spec)
    path = _folder(snapshot) / f"{_key(snapshot, tokens)}.counts"
    try:
        kept = json.loads(path.read_bytes())
        if sorted(kept) == snapshot.domains and all(isinstance(n, int) and n > 0 for n in kept.values()):
            return {d: kept[d] for d in snapshot.domains}
    except (OSError, ValueError, AttributeError, TypeError):
        pass  # not there, or damaged
    counted = {}
    for domain in snapshot.domains:
        texts = list(spread_text(snapshot, domain, COUNTED_BYTES))
        size = sum(len(t.encode()) for t in texts)
        around = 1 + len(tokens.before)
        inside = sum(len(ids) - around for ids in tokens.ids(texts))
        entry = manifest[domain]
        counted[domain] = round(inside / max(1, size) * entry.bytes) + around * entry.documents
    write_atomic(path, json.dumps(counted, indent=2) + "\n")
    return counted


def tokenised(snapshot: Snapshot, domain: str, split: Split, tokens: Tokens) -> TokenisedText:
    """The documents of a part of a domain as tokens, from the workspace where they were tokenised before.

    Tokens of held-out documents come with the bytes that they stand for. Bytes are never kept: they are as
    fast to make as to read. Of several processes that ask at once, one tokenises. Where the disk is full,
    the tokens stay in memory.

    Raises:
        CausalMixError: no such domain, or its file is damaged.
    """
    sized = split == "heldout"

    def make() -> TokenisedText:
        return tokenise(snapshot.texts(domain, split, ())["text"].tolist(), tokens, sized=sized)

    if isinstance(tokens, ByteTokens):
        return make()
    folder = _folder(snapshot) / _key(snapshot, tokens)
    stem = folder / f"{domain}-{split}"
    found = _mapped(stem, tokens, sized)
    if found is not None:
        return found
    with _locked(folder):
        found = _mapped(stem, tokens, sized)  # made while this process waited
        if found is not None:
            return found
        made = make()
        try:
            folder.mkdir(exist_ok=True)
            os.utime(folder)
            _forget_old_pools(folder)
            for name in ("tokens", "sizes", "starts"):  # starts come last: with them, all is there
                _save(stem.with_name(f"{stem.name}.{name}.npy"), getattr(made, name))
        except OSError:
            return made
    return _mapped(stem, tokens, sized) or made


def _save(path: Path, array: np.ndarray) -> None:
    scratch = scratch_path(path)
    try:
        with scratch.open("wb") as file:
            np.save(file, array)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _mapped(stem: Path, tokens: Tokens, sized: bool) -> TokenisedText | None:
    """A tokenised text that is there and whole."""
    try:
        found = TokenisedText(
            *(
                np.load(stem.with_name(f"{stem.name}.{name}.npy"), mmap_mode="r")
                for name in ("tokens", "starts", "sizes")
            )
        )
    except (OSError, ValueError):
        return None
    whole = len(found.starts) and len(found.tokens) == found.starts[-1]
    whole = whole and len(found.sizes) == (len(found.tokens) if sized else 0)
    return found if whole and found.tokens.dtype == tokens.dtype else None


def _forget_old_pools(latest: Path) -> None:
    """Delete all but the last few tokenised pools. A process that reads one keeps what it has mapped."""
    sweep(latest)
    pools = sorted((p for p in latest.parent.iterdir() if p.is_dir()), key=lambda p: p.stat().st_mtime)
    for pool in pools[:-KEPT_POOLS]:
        shutil.rmtree(pool, ignore_errors=True)


def _folder(snapshot: Snapshot) -> Path:
    """Where tokenizers lie in the workspace of a snapshot."""
    from causalmix_core.workspace import Workspace

    folder = Workspace(snapshot.root.parent.parent).models / "tokenizers"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise CausalMixError(f"Cannot write {folder}: {error.strerror}.") from error
    return folder


def _key(snapshot: Snapshot, tokens: Tokens) -> str:
    return f"{snapshot.id}-{tokens.fingerprint[:12]}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time works on `path`."""
    try:
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        lock.acquire()
    except OSError as error:
        raise CausalMixError(f"Cannot write {path.parent}: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()


def _bpe(snapshot: Snapshot, vocabulary: int) -> BpeTokens:
    path = _folder(snapshot) / f"{snapshot.id}-{vocabulary}.json"
    if not path.is_file():
        with _locked(path):
            if not path.is_file():
                write_atomic(path, _train_bpe(snapshot, vocabulary))
    stat = path.stat()
    return _read_bpe(path, vocabulary, stat.st_mtime_ns)


@lru_cache(maxsize=4)
def _read_bpe(path: Path, vocabulary: int, changed: int) -> BpeTokens:
    import tokenizers

    try:
        return BpeTokens(tokenizers.Tokenizer.from_file(str(path)), vocabulary)
    except Exception as error:  # the library raises bare Exceptions
        raise CausalMixError(
            f"The tokenizer {path} is damaged. Delete the file: it is made again when it is needed."
        ) from error


def _train_bpe(snapshot: Snapshot, vocabulary: int) -> str:
    """Train a byte-level BPE on the training documents; the same documents make the same one.

    The last token of the vocabulary is left free for the end of documents.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=LONGEST_TOKEN,
        show_progress=False,
    )
    with quiet_transformers():
        budget = min(TRAINING_BYTES, BYTES_PER_TOKEN * vocabulary)
        tokenizer.train_from_iterator(_sample(snapshot, budget), trainer)
    text: str = tokenizer.to_str()
    return text


def _sample(snapshot: Snapshot, budget: int) -> Iterator[str]:
    """Training text of every domain: by its size, but enough of the small ones too."""
    sizes = {d: int(training_documents(snapshot, d)[1].sum()) for d in snapshot.domains}
    total = sum(sizes.values())
    even, by_size = FLOOR * budget / len(sizes), (1 - FLOOR) * budget / total
    for domain, size in sizes.items():
        yield from spread_text(snapshot, domain, size if total <= budget else int(even + by_size * size))
