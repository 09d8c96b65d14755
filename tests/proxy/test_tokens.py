"""Tokenizers of proxies: what they make of a text, and what they leave in the workspace."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec, design_swarm
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.proxy import ProxySpec, proxy_tokens, reference, token_files, tokens
from causalmix_core.proxy.pool import cut_windows
from causalmix_core.proxy.text_sample import PIECE, spread_text, training_documents
from causalmix_core.proxy.token_files import tokenise, tokenised, tokens_of
from causalmix_core.proxy.tokens import BpeTokens, ByteTokens, ModelTokens, Tokens
from causalmix_core.workspace import Workspace
from tests.proxy.small_models import TEXTS, save_model, save_tokenizer

BPE = ProxySpec(tokenizer="bpe", vocabulary=600, hidden_size=16, layers=1, heads=1, tokens=4096)
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokens]:
    """One tokenizer of each kind, and the two kinds that models bring: with and without a begin token."""
    plain, begin = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("begin")
    save_tokenizer(plain)
    save_tokenizer(begin, begin=True)
    backend = tokenizers.Tokenizer(tokenizers.models.BPE())
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator([*TEXTS, "Überraschung 日本語のテキスト 🙂🙂"] * 4, trainer)
    return {
        "bytes": ByteTokens(),
        "bpe": BpeTokens(backend, 512),
        "plain": ModelTokens(AutoTokenizer.from_pretrained(plain), "plain", 320),
        "begin": ModelTokens(AutoTokenizer.from_pretrained(begin), "begin", 70_000),
    }


@settings(deadline=None, max_examples=60)
@given(st.lists(UNICODE, min_size=1, max_size=5), st.integers(2, 7))
def test_every_byte_belongs_to_a_token(kinds: dict[str, Tokens], texts: list[str], length: int) -> None:
    texts = [*texts, "a<|end|>b <|begin|>"]  # spelt out, not the special tokens
    for kind, own in kinds.items():
        documents = list(own.documents(texts))
        for text, document, ids in zip(texts, documents, own.ids(texts), strict=True):
            assert document.sizes.sum() == len(text.encode())
            assert document.ids.dtype == own.dtype == (np.uint32 if kind == "begin" else np.uint16)
            np.testing.assert_array_equal(document.ids, ids)
            assert ids[-1] == own.end
            assert tuple(ids[: len(own.before)]) == own.before
            inside = ids[len(own.before) : -1]
            assert own.end not in inside
            assert inside.tolist() == own.plain(text)
        whole = tokenise(texts, own, sized=True)
        windows, sizes = cut_windows(whole, length, 10**6)
        left = sizes.size
        assert sizes.sum() + whole.sizes[left:].sum() == sum(len(t.encode()) for t in texts)
        np.testing.assert_array_equal(windows.ravel(), whole.tokens[:left])


def test_tokens_of_a_bpe_stand_for_the_bytes_that_they_spell(kinds: dict[str, Tokens]) -> None:
    text = "Eine Überraschung! 日本語のテキスト  und mehr 🙂🙂"
    bpe = kinds["bpe"]
    (document,) = bpe.documents([text])
    raw, at = text.encode(), 0
    for number, size in zip(document.ids[:-1], document.sizes, strict=False):
        (alone,) = bpe.documents([raw[at : at + size].decode("utf-8", errors="ignore")])
        if len(alone.ids) == 2:  # whole characters
            assert alone.ids[0] == number
        at += int(size)
    assert at == len(raw)
    assert len(document.ids) < len(raw)


@pytest.mark.parametrize("kind", ["bpe", "plain", "begin"])
def test_long_texts_are_cut_where_tokens_begin(
    kinds: dict[str, Tokens], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [" ".join(TEXTS) * 3, "", "short", TEXTS[0] * 9]
    whole = [d.ids for d in kinds[kind].documents(texts)]
    monkeypatch.setattr(tokens, "AT_ONCE", 97)
    for expected, found in zip(whole, kinds[kind].documents(texts), strict=True):
        np.testing.assert_array_equal(found.ids, expected)


def test_a_bpe_is_trained_once_on_training_documents(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = open_snapshot(workspace)
    trained: list[int] = []
    train = token_files._train_bpe
    monkeypatch.setattr(token_files, "_train_bpe", lambda *a: trained.append(a[1]) or train(*a))
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda _: tokens_of(snapshot, BPE), range(3)))
    path = workspace.models / "tokenizers" / f"{snapshot.id}-600.json"
    first = path.read_bytes()
    assert trained == [600]
    assert len({t.fingerprint for t in found}) == 1
    assert (found[0].size, found[0].end) == (600, 599)
    assert train(snapshot, 600).encode() == first  # the same documents make the same one
    assert tokens_of(snapshot, BPE.model_copy(update={"vocabulary": 512})).size == 512
    assert trained == [600, 512]
    sample = "".join(token_files._sample(snapshot, 10**9))
    heldout = [t for d in snapshot.domains for t in snapshot.texts(d, "heldout")["text"]]
    assert heldout
    assert not [t for t in heldout if t[:200] in sample]
    path.write_text("{}")
    with pytest.raises(CausalMixError, match=r"600\.json is damaged. Delete the file"):
        tokens_of(snapshot, BPE)


def test_a_sample_is_spread_over_the_domain(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = open_snapshot(workspace)
    sizes = training_documents(snapshot, "code")[1]
    texts = snapshot.texts("code", "train")["text"].tolist()
    assert list(spread_text(snapshot, "code", 10**9)) == texts
    part = list(spread_text(snapshot, "code", PIECE))
    assert "".join(part) == "".join(texts).encode()[:PIECE].decode(errors="ignore")
    monkeypatch.setattr("causalmix_core.proxy.text_sample.PIECE", 500)
    part = list(spread_text(snapshot, "code", 5_000))
    assert 4_900 <= sum(len(t.encode()) for t in part) <= 5_000
    stream, at = "".join(texts), []
    for piece in part:
        at.append(stream.index(piece, at[-1] if at else 0))
    assert at[0] == 0
    assert at[-1] > 0.85 * sizes.sum()
    assert max(np.diff(at)) < 0.2 * sizes.sum()


def test_small_domains_have_their_share_of_a_bpe(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = open_snapshot(workspace)
    asked: dict[str, int] = {}
    monkeypatch.setattr(token_files, "spread_text", lambda s, d, b: asked.update({d: b}) or iter(()))
    assert list(token_files._sample(snapshot, 9_000)) == []
    assert sum(asked.values()) <= 9_000
    assert min(asked.values()) > token_files.FLOOR * 3_000
    sizes = {d: training_documents(snapshot, d)[1].sum() for d in snapshot.domains}
    assert max(asked, key=asked.__getitem__) == max(sizes, key=sizes.__getitem__)


def test_a_tokenised_pool_is_found_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot = open_snapshot(workspace)
    bpe = tokens_of(snapshot, BPE)
    made = tokenise(snapshot.texts("prose", "heldout")["text"].tolist(), bpe, sized=True)
    first = tokenised(snapshot, "prose", "heldout", bpe)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("tokenised again")

    with monkeypatch.context() as patched:
        patched.setattr(token_files, "tokenise", refuse)
        again = tokenised(snapshot, "prose", "heldout", bpe)
    for found in (first, again):
        for name in ("tokens", "starts", "sizes"):
            np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
    train = tokenised(snapshot, "prose", "train", bpe)
    assert len(train.starts) == len(snapshot.rows("prose", "train")) + 1
    assert not len(train.sizes)

    (folder,) = (p for p in (workspace.models / "tokenizers").iterdir() if p.is_dir())
    (folder / "prose-heldout.tokens.npy").write_bytes(b"half of a file")
    np.testing.assert_array_equal(tokenised(snapshot, "prose", "heldout", bpe).tokens, made.tokens)
    for age in range(4):
        other = folder.with_name(f"{snapshot.id}-{age:012x}")
        other.mkdir()
        os.utime(other, (age, age))
    tokenised(snapshot, "sums", "heldout", bpe)
    left = {p.name for p in folder.parent.iterdir() if p.is_dir()}
    assert len(left) == token_files.KEPT_POOLS
    assert folder.name in left

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(token_files, "_save", full)
    assert len(tokenised(snapshot, "code", "heldout", bpe).tokens)


def test_tokens_of_a_domain_as_the_proxy_counts_them(workspace: Workspace, tmp_path: Path) -> None:
    snapshot = open_snapshot(workspace)
    assert proxy_tokens(snapshot, ProxySpec()) == snapshot.tokens()  # this workspace counts bytes
    model = ProxySpec(pretrained=str(save_model(tmp_path / "m", "llama", begin=True)))
    for spec in (BPE, model):
        counted = proxy_tokens(snapshot, spec)
        own = tokens_of(snapshot, spec)
        for domain, number in counted.items():
            exact = sum(len(tokenised(snapshot, domain, s, own).tokens) for s in ("train", "heldout"))
            assert number == pytest.approx(exact, rel=0.03)
            assert number < snapshot.tokens()[domain]
        assert proxy_tokens(snapshot, spec) == counted
        for kept in (workspace.models / "tokenizers").glob("*.counts"):
            kept.write_text("[1]")
        assert proxy_tokens(snapshot, spec) == counted


def test_a_swarm_of_bpe_proxies(workspace: Workspace, tiny_swarm: Callable[..., SwarmSpec]) -> None:
    snapshot = open_snapshot(workspace)
    swarm = SwarmSpec(probes=2, proxy=BPE, heldout_windows=8)
    bpe, by_bytes = load_token_pool(snapshot, swarm), load_token_pool(snapshot, tiny_swarm(probes=2))
    assert bpe.feature_names == by_bytes.feature_names
    for domain in snapshot.domains:
        np.testing.assert_array_equal(bpe.train[domain].features, by_bytes.train[domain].features)
        assert len(bpe.train[domain].tokens) < len(by_bytes.train[domain].tokens)
        # the pool's state is that of the text, whatever counts the tokens
        np.testing.assert_array_equal(bpe.train[domain].sizes, by_bytes.train[domain].lengths)
    rows = run_shard(
        bpe, snapshot.id, swarm, design_swarm(swarm, proxy_tokens(snapshot, BPE)), job="j", device="cpu"
    )
    assert rows["status"].tolist() == ["finished"] * 2
    for domain in snapshot.domains:
        predicted = bpe.sizes[domain][:, 1:]
        assert 1 < predicted.mean() < 6
        bits = rows[f"loss/{domain}"] / np.log(2) / predicted.mean()
        np.testing.assert_allclose(rows[f"bpb/{domain}"], bits)
    assert ProxySpec.model_validate_json(rows["proxy"][0]) == BPE
    assert '"tokenizer":"bpe","vocabulary":600' in rows["proxy"][0]
    long = swarm.model_copy(update={"proxy": BPE.model_copy(update={"sequence_length": 2048})})
    with pytest.raises(CausalMixError, match=r"Domain .* tokens, fewer than one sequence of 2048"):
        load_token_pool(snapshot, long)
    with pytest.raises(CausalMixError, match="A reference proxy reads bytes"):
        reference.train_reference(snapshot, BPE, "cpu")


def test_the_embeddings_follow_the_vocabulary() -> None:
    import torch

    with torch.device("meta"):
        model = BPE.model_class(BPE.hf_config())
    counted = sum(p.numel() for p in model.parameters())
    assert BPE.parameters + BPE.embedding_parameters == counted
    assert BPE.embedding_parameters == 2 * 600 * 16
    assert BPE.token_type is np.uint16
    assert ProxySpec(tokenizer="bpe", vocabulary=65536).token_type is np.uint16


def test_tokenizers_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    tokenizer = save_tokenizer(tmp_path)
    with pytest.raises(CausalMixError, match="290 tokens and the model knows only 100"):
        ModelTokens(tokenizer, "m", 100)
    tokenizer.eos_token = tokenizer.bos_token = None
    with pytest.raises(CausalMixError, match="no token that ends a text"):
        ModelTokens(tokenizer, "m", 320)
