"""Model-based features against plain transformers and numpy; shards, resuming and publishing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertLMHeadModel,
    GPT2Config,
    GPT2ForSequenceClassification,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from causalmix_core.corpus import Snapshot, open_snapshot, scorers
from causalmix_core.corpus.model_features import (
    MeasureSpec,
    load_scorers,
    measure_shard,
    measure_snapshot,
    measurement_folder,
    measurement_id,
    measurements,
    missing_shards,
    plan_measurement,
    publish_measurement,
    read_plan,
    shard_path,
    shards_of,
    write_shard,
)
from causalmix_core.corpus.scorers import CausalScorer, StyleScorer, locate_model, resolve_device
from causalmix_core.errors import CausalMixError
from causalmix_core.proxy import ProxySpec
from causalmix_core.proxy.reference import (
    ReferenceModel,
    load_reference,
    reference_folder,
    reference_of,
    save_reference,
    train_reference,
)
from causalmix_core.workspace import Workspace, WorkspaceConfig

TINY = ProxySpec(hidden_size=16, layers=1, heads=1, sequence_length=32, batch_size=4, tokens=4096)
TEXTS = [
    "The cat sat on the mat, and the dog looked on.",
    "x",
    "def f(a, b):\n    return a + b  # adds\n" * 9,
    "Eine Überraschung! 日本語のテキスト und mehr <|end|> Zeichen 🙂🙂",
    "12 + 30 = 42\n" * 40,
    " ",
]
"""Short and long ones, several scripts, and one that spells a special token."""


def save_tokenizer(folder: Path, *, begin: bool) -> PreTrainedTokenizerFast:
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
    backend.train_from_iterator([TEXTS[0], TEXTS[2]] * 3, trainer)
    if begin:
        backend.post_processor = processors.TemplateProcessing(
            single="<|begin|> $A", special_tokens=[("<|begin|>", 0)]
        )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|begin|>", eos_token="<|end|>")
    tokenizer.save_pretrained(folder)
    return tokenizer


def seeded(make: type[PreTrainedModel], config: object, folder: Path) -> None:
    """Save a model whose random weights are large enough to have opinions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = make(config)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.3 * torch.randn_like(p))
        model.save_pretrained(folder)


def save_gpt2(folder: Path, positions: int = 512) -> Path:
    config = GPT2Config(
        vocab_size=290, n_positions=positions, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=1
    )
    seeded(GPT2LMHeadModel, config, folder)
    save_tokenizer(folder, begin=False)
    return folder


def save_llama(folder: Path) -> Path:
    config = LlamaConfig(
        vocab_size=320, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=512, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    seeded(LlamaForCausalLM, config, folder)
    save_tokenizer(folder, begin=True)
    return folder


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_gpt2(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    """A workspace without a snapshot, to look for models from."""
    return Workspace.create(tmp_path / "empty", WorkspaceConfig(name="Empty"))


def causal(folder: Path, empty: Workspace, max_tokens: int = 400, batch_tokens: int = 800) -> CausalScorer:
    return CausalScorer.load(
        locate_model(str(folder), empty), max_tokens=max_tokens, batch_tokens=batch_tokens, device="cpu"
    )


def plain_scores(folder: Path, text: str, begin: bool, max_tokens: int) -> tuple[float, float]:
    """Normalized loss and HES of one document by plain transformers and numpy."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    ids = tokenizer(text, split_special_tokens=True, add_special_tokens=begin)["input_ids"][:max_tokens]
    x = torch.tensor([ids])
    with torch.no_grad():
        out = model(input_ids=x, labels=x)
    predicted = len(ids) - 1
    spelt = tokenizer.convert_ids_to_tokens(ids[1:])
    covered = sum(map(len, spelt))  # a byte-level token has one character per byte
    z = out.logits[0, :-1].numpy().astype(float)
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    entropy = np.sort(-(p * np.log(p)).sum(1))[::-1]
    return float(out.loss) * predicted / covered, entropy[: max(1, int(0.005 * predicted))].sum()


@pytest.mark.parametrize("begin", [False, True])
def test_scores_are_those_of_plain_transformers(
    begin: bool, gpt2: Path, llama: Path, empty: Workspace
) -> None:
    folder = llama if begin else gpt2
    measured = causal(folder, empty).score(TEXTS)
    assert measured.schema.names == ["normalized_loss", "high_entropy_sum"]
    assert set(measured.schema.types) == {pa.float32()}
    for i, text in enumerate(TEXTS):
        if text in ("x", " ") and not begin:
            # the only token of the text has nothing before it that could predict it
            assert measured["normalized_loss"][i].as_py() is None
            assert measured["high_entropy_sum"][i].as_py() is None
            continue
        loss, high = plain_scores(folder, text, begin, 400)
        assert measured["normalized_loss"][i].as_py() == pytest.approx(loss, abs=1e-4)
        assert measured["high_entropy_sum"][i].as_py() == pytest.approx(high, abs=1e-4)


def test_several_tokens_make_up_the_top_of_a_long_document(gpt2: Path, empty: Workspace) -> None:
    text = "".join(chr(33 + (i * i) % 90) for i in range(450))
    measured = causal(gpt2, empty, max_tokens=450).score([text])
    loss, high = plain_scores(gpt2, text, False, 450)
    one = plain_scores(gpt2, text[:100], False, 450)[1]
    assert measured["normalized_loss"][0].as_py() == pytest.approx(loss, abs=1e-4)
    assert measured["high_entropy_sum"][0].as_py() == pytest.approx(high, abs=1e-4)
    assert high > 1.9 * one  # two of about 430 tokens


def test_batch_mates_do_not_matter(llama: Path, empty: Workspace) -> None:
    alone = pa.concat_tables([causal(llama, empty).score([text]) for text in TEXTS])
    scorer = causal(llama, empty, batch_tokens=4000)
    together = scorer.score(TEXTS[::-1] + TEXTS)
    for name in alone.column_names:
        expected = alone[name].to_numpy()
        np.testing.assert_allclose(together[name].to_numpy()[len(TEXTS) :], expected, atol=1e-4)
        np.testing.assert_allclose(together[name].to_numpy()[: len(TEXTS)][::-1], expected, atol=1e-4)


def test_the_vocabulary_may_be_projected_in_chunks(gpt2: Path, empty: Workspace) -> None:
    scorer = causal(gpt2, empty)
    whole = scorer.score(TEXTS)
    scorer._chunk = 3
    assert scorer.score(TEXTS).equals(whole)


def test_documents_longer_than_the_context_are_read_in_windows(tmp_path: Path, empty: Workspace) -> None:
    folder = save_gpt2(tmp_path / "short", positions=32)
    text = TEXTS[0] * 3
    measured = causal(folder, empty).score([text])
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    ids = tokenizer(text)["input_ids"]
    assert len(ids) > 2 * 32
    total, at = 0.0, 1
    while at < len(ids):
        stop = 32 if at == 1 else min(at + 16, len(ids))
        start = max(0, stop - 32)
        labels = [-100] * (at - start) + ids[at:stop]
        with torch.no_grad():
            out = model(input_ids=torch.tensor([ids[start:stop]]), labels=torch.tensor([labels]))
        total += float(out.loss) * (stop - at)
        at = stop
    covered = sum(map(len, tokenizer.convert_ids_to_tokens(ids[1:])))
    assert measured["normalized_loss"][0].as_py() == pytest.approx(total / covered, abs=1e-4)


@given(st.integers(0, 90), st.integers(1, 3), st.integers(2, 40))
def test_windows_predict_every_token_once(length: int, first: int, context: int) -> None:
    document = scorers._Encoded(np.arange(length), first, 0)
    predicted = []
    for window in scorers._windows(0, document, context):
        assert window.width <= context
        assert window.start < window.first < window.stop  # something stands before what is predicted
        if window.start:
            assert window.first - window.start >= context // 2
        predicted += range(window.first, window.stop)
    assert predicted == list(range(first, length))


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200), st.booleans())
def test_batches_hold_every_window_once(widths: list[int], tokens: int, equal: bool) -> None:
    windows = [scorers._Window(i, 0, width, 0) for i, width in enumerate(widths)]
    batches = list(scorers._batches(windows, tokens, equal=equal))
    assert sorted(w.document for batch, _ in batches for w in batch) == list(range(len(widths)))
    for batch, done in batches:
        widest = max(w.width for w in batch)
        assert len(batch) == 1 or len(batch) * widest <= tokens
        assert not equal or {w.width for w in batch} == {widest}
        assert 0 <= done < 1


def test_long_documents_are_measured_on_their_first_tokens(
    gpt2: Path, empty: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = TEXTS[2] * 50 + TEXTS[3]
    expected = plain_scores(gpt2, long, False, 40)
    asked = []
    scorer = causal(gpt2, empty, max_tokens=40)
    for characters in (8, 1):  # with one character per token the first cut is too short, and is widened
        monkeypatch.setattr(scorers, "_CHARACTERS_PER_TOKEN", characters)
        measured = scorer.score([long], asked.append)
        assert measured["normalized_loss"][0].as_py() == pytest.approx(expected[0], abs=1e-4)
        assert measured["high_entropy_sum"][0].as_py() == pytest.approx(expected[1], abs=1e-4)
    assert asked == [0.0, 0.0]


def test_a_character_that_tokens_share_counts_where_it_ends(gpt2: Path, empty: Workspace) -> None:
    text = "é is spelt with two tokens, and the first is not predicted"
    ids = PreTrainedTokenizerFast.from_pretrained(gpt2)(text)["input_ids"]
    with torch.no_grad():
        x = torch.tensor([ids])
        loss = float(AutoModelForCausalLM.from_pretrained(gpt2)(input_ids=x, labels=x).loss)
    measured = causal(gpt2, empty).score([text])["normalized_loss"][0].as_py()
    assert measured == pytest.approx(loss * (len(ids) - 1) / (len(text.encode()) - 2), abs=1e-4)


def test_a_loss_that_is_no_number_becomes_null(tmp_path: Path, empty: Workspace) -> None:
    folder = save_llama(tmp_path / "broken")
    model = LlamaForCausalLM.from_pretrained(folder)
    bad = PreTrainedTokenizerFast.from_pretrained(folder)("Q", add_special_tokens=False)["input_ids"][0]
    with torch.no_grad():
        model.model.embed_tokens.weight[bad] = float("nan")
    model.save_pretrained(folder)
    measured = causal(folder, empty).score(["A question", "A Question", "and one more"])
    for name in measured.column_names:
        assert [v is None for v in measured[name].to_pylist()] == [False, True, False]
    with torch.no_grad():
        model.lm_head.weight[bad] = float("nan")  # now every probability is no number
    model.save_pretrained(folder)
    with pytest.raises(CausalMixError, match="gives no numbers"):
        causal(folder, empty)


def test_scoring_is_silent_and_can_be_cancelled(
    gpt2: Path, empty: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    scorer = causal(gpt2, empty)
    scorer.score(TEXTS)
    assert capfd.readouterr() == ("", "")

    def stop(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scorer.score(TEXTS, stop)


# --- the reference proxy as the model


@pytest.fixture(scope="module")
def trained(_ingested: Path) -> ReferenceModel:
    snapshot = open_snapshot(Workspace.open(_ingested))
    return train_reference(snapshot, TINY.model_copy(update={"tokens": 16384}), "cpu")


@pytest.fixture
def measured_by_reference(workspace: Workspace, trained: ReferenceModel) -> tuple[Workspace, Snapshot]:
    save_reference(reference_folder(workspace, trained.record.snapshot), trained)
    return workspace, open_snapshot(workspace)


def test_the_reference_predicts_its_own_text_better_than_shuffled_bytes(
    measured_by_reference: tuple[Workspace, Snapshot],
) -> None:
    workspace, snapshot = measured_by_reference
    scorer = CausalScorer.load(
        locate_model("reference", workspace), max_tokens=400, batch_tokens=4000, device="cpu"
    )
    texts = [snapshot.texts(d, "heldout")["text"].iloc[0][:300] for d in snapshot.domains]
    rng = np.random.default_rng(0)
    shuffled = ["".join(rng.permutation(list(t))) for t in texts]
    scores = scorer.score(texts + shuffled)["normalized_loss"].to_numpy()
    assert (scores[: len(texts)] < scores[len(texts) :]).all()


def test_the_reference_predicts_every_byte_after_the_end_of_a_document(
    measured_by_reference: tuple[Workspace, Snapshot],
) -> None:
    workspace, _ = measured_by_reference
    source = locate_model("reference", workspace)
    scorer = CausalScorer.load(source, max_tokens=31, batch_tokens=31, device="cpu")
    model = load_reference(Path(str(source.folder))).model
    for text, kept in (("é", 2), ("a", 1), ("ab" * 40, 30)):
        ids = torch.tensor([[256, *text.encode()[:kept]]])
        with torch.no_grad():
            loss = float(model(input_ids=ids, labels=ids).loss)
        assert scorer.score([text])["normalized_loss"][0].as_py() == pytest.approx(loss, abs=1e-4)


# --- models that rate texts


def save_llama_rater(folder: Path, outputs: int = 1, **fields: object) -> Path:
    config = LlamaConfig(
        vocab_size=290, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=600, num_labels=outputs, bos_token_id=0,
        eos_token_id=1, **fields,
    )  # fmt: skip
    seeded(LlamaForSequenceClassification, config, folder)
    save_tokenizer(folder, begin=True)
    return folder


def save_roberta_rater(folder: Path) -> Path:
    """An encoder whose positions start behind the padding's: 30 + 2 of them hold 30 tokens."""
    config = RobertaConfig(
        vocab_size=290, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=32, num_labels=1, pad_token_id=1,
    )  # fmt: skip
    seeded(RobertaForSequenceClassification, config, folder)
    save_tokenizer(folder, begin=True)
    return folder


def plain_rating(folder: Path, text: str, window: int, output: int = 0) -> float:
    """The rating of one document by plain transformers, one window at a time."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    parts = [ids[i : i + window] for i in range(0, len(ids), window)]
    with torch.no_grad():
        ratings = [float(model(input_ids=torch.tensor([[0, *p]])).logits[0, output]) for p in parts]
    return float(np.average(ratings, weights=[len(p) for p in parts]))


@pytest.mark.parametrize("kind", ["llama", "roberta"])
def test_ratings_are_those_of_plain_transformers(kind: str, tmp_path: Path, empty: Workspace) -> None:
    folder = tmp_path / kind
    save_llama_rater(folder) if kind == "llama" else save_roberta_rater(folder)
    scorer = StyleScorer.load(
        locate_model(str(folder), empty), max_tokens=900, batch_tokens=1000, device="cpu"
    )
    texts = [*TEXTS, TEXTS[2] * 2 + TEXTS[4], ""]
    rated = scorer.score(texts)
    assert rated.schema.names == ["writing_style"]
    assert rated["writing_style"].type == pa.float32()
    assert rated["writing_style"][len(texts) - 1].as_py() is None
    for text, value in zip(texts[:-1], rated["writing_style"].to_pylist(), strict=False):
        window = 511 if kind == "llama" else 29  # less the begin token
        assert value == pytest.approx(plain_rating(folder, text, window), abs=1e-4)


def test_one_number_of_several_must_be_named(tmp_path: Path, empty: Workspace) -> None:
    folder = save_llama_rater(tmp_path / "several", outputs=4)
    source = locate_model(str(folder), empty)
    with pytest.raises(CausalMixError, match=r"gives 4 numbers, not one.*writing_style_output"):
        StyleScorer.load(source, max_tokens=100, batch_tokens=100, device="cpu")
    with pytest.raises(CausalMixError, match="at most 3, not 4"):
        StyleScorer.load(source, max_tokens=100, batch_tokens=100, device="cpu", output=4)
    scorer = StyleScorer.load(source, max_tokens=100, batch_tokens=100, device="cpu", output=2)
    value = scorer.score([TEXTS[0]])["writing_style"][0].as_py()
    assert value == pytest.approx(plain_rating(folder, TEXTS[0], 511, output=2), abs=1e-4)


def test_a_model_that_sorts_texts_is_refused(tmp_path: Path, empty: Workspace) -> None:
    folder = save_llama_rater(tmp_path / "classes", 3, problem_type="single_label_classification")
    with pytest.raises(CausalMixError, match="sorts texts into 3 classes"):
        StyleScorer.load(
            locate_model(str(folder), empty), max_tokens=100, batch_tokens=100, device="cpu", output=0
        )


def test_models_of_another_task_are_refused(tmp_path: Path, gpt2: Path, empty: Workspace) -> None:
    bert = BertConfig(
        vocab_size=290, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    seeded(BertForMaskedLM, bert, tmp_path / "masked")
    seeded(BertLMHeadModel, bert, tmp_path / "sees")
    rater = GPT2Config(vocab_size=290, n_embd=16, n_layer=1, n_head=2, num_labels=1)
    seeded(GPT2ForSequenceClassification, rater, tmp_path / "rater")
    for name in ("masked", "sees", "rater"):
        save_tokenizer(tmp_path / name, begin=False)
    for name, reason in {
        "masked": "BertForMaskedLM, which is no causal language model",
        "sees": "sees the tokens that it should predict",
        "rater": "GPT2ForSequenceClassification, which is no causal language model",
    }.items():
        with pytest.raises(CausalMixError, match=reason):
            causal(tmp_path / name, empty)
    with pytest.raises(CausalMixError, match="GPT2LMHeadModel, which is no sequence-regression model"):
        StyleScorer.load(locate_model(str(gpt2), empty), max_tokens=9, batch_tokens=9, device="cpu")


def test_what_cannot_be_loaded_is_named(
    tmp_path: Path, gpt2: Path, empty: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CausalMixError, match="no reference proxy yet"):
        locate_model("reference", empty)
    with pytest.raises(CausalMixError, match="There is no folder /nowhere/at/all"):
        locate_model("/nowhere/at/all", empty)
    with pytest.raises(CausalMixError, match=r"some/model.*HF_HUB_OFFLINE.*Name a folder"):
        locate_model("some/model", empty)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(CausalMixError, match="is a file"):
        locate_model(str(tmp_path / "file"), empty)
    (tmp_path / "bare").mkdir()
    with pytest.raises(CausalMixError, match=r"no config\.json"):
        locate_model(str(tmp_path / "bare"), empty)

    broken = save_gpt2(tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CausalMixError, match="Cannot load the model of"):
        causal(broken, empty)
    silent = save_gpt2(tmp_path / "silent")
    (silent / "tokenizer.json").unlink()
    with pytest.raises(CausalMixError, match="tokenizer"):
        causal(silent, empty)
    foreign = tmp_path / "foreign"
    seeded(GPT2LMHeadModel, GPT2Config(vocab_size=100, n_embd=16, n_layer=1, n_head=2), foreign)
    save_tokenizer(foreign, begin=False)
    with pytest.raises(CausalMixError, match="knows only 100: they do not belong together"):
        causal(foreign, empty).score(TEXTS)
    config = json.loads((gpt2 / "config.json").read_text())
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    (unknown / "config.json").write_text(json.dumps({**config, "model_type": "no_such_type"}))
    with pytest.raises(CausalMixError, match="Cannot load the model of"):
        causal(unknown, empty)


def test_weights_that_are_not_there_are_never_made_up(tmp_path: Path, empty: Workspace) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_llama(tmp_path / "partial")
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(CausalMixError, match=r"not complete: lm_head\.weight is not in its files"):
        causal(folder, empty)


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(CausalMixError, match="no GPU"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"


def test_a_batch_that_does_not_fit_is_halved(
    gpt2: Path, empty: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = causal(gpt2, empty, batch_tokens=4000)
    expected = scorer.score(TEXTS)
    forward, sizes = scorer._forward, []

    def small(windows: Sequence[object], documents: Sequence[object]):
        sizes.append(len(windows))
        if len(windows) > 2:
            raise torch.OutOfMemoryError
        return forward(windows, documents)

    monkeypatch.setattr(scorer, "_forward", small)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    again = scorer.score(TEXTS)
    assert max(sizes) > 2
    for name in expected.column_names:
        np.testing.assert_allclose(again[name].to_numpy(), expected[name].to_numpy(), atol=1e-4)

    def none(windows: object, documents: object):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(scorer, "_forward", none)
    with pytest.raises(CausalMixError, match="Lower max_tokens"):
        scorer.score(TEXTS)


# --- shards and publishing

SPEC = MeasureSpec(max_tokens=64, batch_tokens=4096, device="cpu", documents_per_shard=40)


def counts(snapshot: Snapshot) -> dict[str, int]:
    return {d: snapshot.manifest.domains[d].documents for d in snapshot.domains}


def test_shards_hold_every_document_once_and_in_order(
    measured_by_reference: tuple[Workspace, Snapshot],
) -> None:
    workspace, snapshot = measured_by_reference
    plan = plan_measurement(workspace, snapshot, SPEC)
    loaded = load_scorers(plan)
    told: list[tuple[int, int]] = []
    shards = [
        measure_shard(snapshot, SPEC, i, loaded, lambda *t: told.append(t))
        for i in range(shards_of(snapshot, SPEC))
    ]
    everything = pa.concat_tables(shards)
    assert everything.schema.names == ["domain", "document", "normalized_loss", "high_entropy_sum"]
    keys = list(zip(everything["domain"].to_pylist(), everything["document"].to_pylist(), strict=True))
    assert keys == [(d, i) for d, n in counts(snapshot).items() for i in range(n)]
    assert [s.num_rows for s in shards[:-1]] == [40] * (len(shards) - 1)
    assert told[0] == (0, 40)
    assert told[-1] == (shards[-1].num_rows, shards[-1].num_rows)
    alone = loaded.causal.score([snapshot.texts("code", "train")["text"].iloc[0]])
    first = int(snapshot.texts("code", "train")["document"].iloc[0])
    assert shards[0]["normalized_loss"][first].as_py() == pytest.approx(
        alone["normalized_loss"][0].as_py(), abs=1e-4
    )
    with pytest.raises(CausalMixError, match="no shard 99"):
        measure_shard(snapshot, SPEC, 99, loaded)


def test_a_killed_measurement_goes_on_where_it_was(
    measured_by_reference: tuple[Workspace, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    from causalmix_core.corpus import model_features

    workspace, snapshot = measured_by_reference
    shards = shards_of(snapshot, SPEC)
    assert shards >= 3

    def kill(fraction: float, doing: str) -> None:
        if doing.startswith("measuring: 60"):
            raise KeyboardInterrupt

    monkeypatch.setattr(model_features, "_TEXTS_AT_ONCE", 20)
    with pytest.raises(KeyboardInterrupt):
        measure_snapshot(workspace, snapshot, SPEC, kill)
    folder = next(p for p in (workspace.measurements / snapshot.id).iterdir())
    assert missing_shards(folder) == list(range(1, shards))
    assert measurements(workspace, snapshot.id) == []

    full = measure_snapshot(workspace, snapshot, SPEC)
    assert missing_shards(folder) == []
    before = {p.name: p.read_bytes() for p in folder.glob("part-*")}

    # one part is lost, one is half-written, and the publication is undone
    shard_path(folder, 1).unlink()
    shard_path(folder, 0).write_bytes(before["part-00000.parquet"][:100])
    (folder / "measurement.json").unlink()
    assert missing_shards(folder) == [0, 1]
    with pytest.raises(CausalMixError, match=f"2 of {shards} shards are missing"):
        publish_measurement(snapshot, folder)
    done: list[int] = []
    measure = model_features.measure_shard
    monkeypatch.setattr(model_features, "measure_shard", lambda *a: (done.append(a[2]), measure(*a))[1])
    again = measure_snapshot(workspace, snapshot, SPEC)
    assert done == [0, 1]
    assert {p.name: p.read_bytes() for p in folder.glob("part-*")} == before
    assert again.model_dump(exclude={"created_at"}) == full.model_dump(exclude={"created_at"})
    assert measure_snapshot(workspace, snapshot, SPEC) == again  # nothing left to do
    assert done == [0, 1]


def test_published_features_are_columns_of_the_database(
    workspace: Workspace, tmp_path: Path, llama: Path
) -> None:
    rater = save_llama_rater(tmp_path / "rater")
    snapshot = open_snapshot(workspace)
    spec = SPEC.model_copy(update={"model": str(llama), "writing_style_model": str(rater)})
    with duckdb.connect(str(snapshot.root / "corpus.duckdb"), read_only=True) as before:
        record = measure_snapshot(workspace, snapshot, spec)  # while somebody reads the snapshot
        old = before.execute("SELECT * FROM documents").df()
        tables = {
            r[0]: r[1]
            for r in before.execute("SELECT table_name, estimated_size FROM duckdb_tables()").fetchall()
        }
        domains = before.execute("SELECT * FROM domains").df()
    assert record.features == ["normalized_loss", "high_entropy_sum", "writing_style"]
    assert record.nulls == dict.fromkeys(record.features, 0)
    assert record.documents == len(old)
    assert measurements(workspace, snapshot.id) == [record]
    with duckdb.connect(str(record.database), read_only=True) as con:
        new = con.execute("SELECT * FROM documents").df()
        copied = {
            r[0]: r[1]
            for r in con.execute("SELECT table_name, estimated_size FROM duckdb_tables()").fetchall()
        }
        assert con.execute("SELECT * FROM domains").df().equals(domains)
    assert copied == tables
    assert new[list(old.columns)].equals(old)  # the same rows in the same order
    assert [c for c in new.columns if c not in old.columns] == record.features
    parts = pa.concat_tables(
        [pq.read_table(p) for p in sorted(record.folder.glob("part-*.parquet"))]
    ).to_pandas()
    merged = new.merge(parts, on=["domain", "document"], suffixes=("", "_part"))
    assert len(merged) == len(old)
    for name in record.features:
        assert (merged[name] == merged[name + "_part"]).all()
    assert {p.name for p in record.folder.iterdir() if not p.name.startswith("part-")} == {
        "plan.json", "corpus.duckdb", "measurement.json",
    }  # fmt: skip


def test_nulls_are_counted(workspace: Workspace, gpt2: Path) -> None:
    snapshot = open_snapshot(workspace)
    spec = SPEC.model_copy(update={"model": str(gpt2)})
    plan = plan_measurement(workspace, snapshot, spec)
    folder = measurement_folder(workspace, snapshot.id, plan.id)
    loaded = load_scorers(plan)
    for shard in missing_shards(folder):
        table = measure_shard(snapshot, spec, shard, loaded)
        if shard == 1:  # the model had no finite number for two documents
            loss = table["normalized_loss"].to_pylist()
            loss[3] = loss[5] = None
            table = table.set_column(2, "normalized_loss", pa.array(loss, pa.float32()))
        write_shard(folder, shard, table)
    record = publish_measurement(snapshot, folder)
    assert record.nulls == {"normalized_loss": 2, "high_entropy_sum": 0}
    with duckdb.connect(str(record.database), read_only=True) as con:
        nulls = con.execute("SELECT count(*) FROM documents WHERE normalized_loss IS NULL").fetchone()
    assert nulls == (2,)


def test_shards_that_do_not_fit_the_snapshot_are_refused(
    measured_by_reference: tuple[Workspace, Snapshot],
) -> None:
    workspace, snapshot = measured_by_reference
    plan = plan_measurement(workspace, snapshot, SPEC)
    folder = measurement_folder(workspace, snapshot.id, plan.id)
    loaded = load_scorers(plan)
    for shard in missing_shards(folder):
        write_shard(folder, shard, measure_shard(snapshot, SPEC, shard, loaded))
    table = pq.read_table(shard_path(folder, 0))
    write_shard(folder, 0, pa.concat_tables([table.slice(0, 39), table.slice(0, 1)]))  # one twice, one never
    with pytest.raises(CausalMixError, match=r"1 are not measured"):
        publish_measurement(snapshot, folder)
    assert measurements(workspace, snapshot.id) == []
    assert not (folder / "corpus.duckdb").exists()
    assert not list(folder.glob(".tmp-*"))


def test_only_complete_measurements_are_listed_newest_first(
    measured_by_reference: tuple[Workspace, Snapshot],
) -> None:
    workspace, snapshot = measured_by_reference
    short = measure_snapshot(workspace, snapshot, SPEC.model_copy(update={"max_tokens": 16}))
    longer = measure_snapshot(workspace, snapshot, SPEC)
    assert [r.id for r in measurements(workspace, snapshot.id)] == [longer.id, short.id]
    assert [r.database.is_file() for r in measurements(workspace, snapshot.id)] == [True, True]
    longer.database.unlink()
    assert [r.id for r in measurements(workspace, snapshot.id)] == [short.id]
    (short.folder / "measurement.json").write_text("{}", encoding="utf-8")
    assert measurements(workspace, snapshot.id) == []
    assert measurements(workspace, "0" * 12) == []
    with pytest.raises(CausalMixError, match="There is no measurement in"):
        read_plan(workspace.measurements / "nowhere")


def test_the_first_measurement_trains_the_reference_and_later_snapshots_keep_it(workspace: Workspace) -> None:
    snapshot = open_snapshot(workspace)
    told: list[tuple[float, str]] = []
    record = measure_snapshot(workspace, snapshot, SPEC, lambda *t: told.append(t), TINY)
    folder = reference_of(workspace)
    assert folder == workspace.models / f"reference-{snapshot.id}"
    assert record.model.folder == str(folder)
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert {doing.split(":")[0] for _, doing in told} == {
        "training the reference proxy", "loading the model", "measuring",
        "joining the features to the documents",
    }  # fmt: skip
    before = (folder / "model.safetensors").read_bytes()
    longer = measure_snapshot(workspace, snapshot, SPEC.model_copy(update={"max_tokens": 20}))
    assert longer.model.fingerprint == record.model.fingerprint
    assert (folder / "model.safetensors").read_bytes() == before


def test_the_id_of_a_measurement_depends_on_what_decides_its_results() -> None:
    known = measurement_id(SPEC, "a")
    assert measurement_id(SPEC.model_copy(update={"model": "/elsewhere", "batch_tokens": 64}), "a") == known
    others = [
        measurement_id(SPEC, "b"),
        measurement_id(SPEC, "a", "c"),
        measurement_id(SPEC.model_copy(update={"max_tokens": 65}), "a"),
        measurement_id(SPEC.model_copy(update={"documents_per_shard": 41}), "a"),
    ]
    assert len({known, *others}) == 5


def test_a_model_is_known_by_its_files(gpt2: Path, tmp_path: Path, empty: Workspace) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(gpt2, copy)
    (copy / "README.md").write_text("a copy", encoding="utf-8")
    assert locate_model(str(copy), empty).fingerprint == locate_model(str(gpt2), empty).fingerprint
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)
    assert locate_model(str(copy), empty).fingerprint != locate_model(str(gpt2), empty).fingerprint


@pytest.mark.parametrize(
    "fields",
    [{"max_tokens": 1}, {"batch_tokens": 100, "max_tokens": 200}, {"device": "tpu"}, {"model": ""}, {"x": 1}],
)
def test_impossible_settings_are_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match="validation error"):
        MeasureSpec(**fields)


def test_the_reference_does_not_rate_style(measured_by_reference: tuple[Workspace, Snapshot]) -> None:
    workspace, snapshot = measured_by_reference
    with pytest.raises(CausalMixError, match="cannot rate writing style"):
        plan_measurement(workspace, snapshot, SPEC.model_copy(update={"writing_style_model": "reference"}))
