"""The reference proxy: what it is trained on, what it learns, and how it is stored."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.proxy import ProxySpec, reference
from causalmix_core.proxy.quiet import quiet_transformers
from causalmix_core.proxy.reference import (
    load_reference,
    reference_folder,
    reference_of,
    reference_record,
    save_reference,
    train_reference,
)
from causalmix_core.proxy.spec import END_OF_DOCUMENT
from causalmix_core.workspace import Workspace

TINY = ProxySpec(hidden_size=16, layers=1, heads=1, sequence_length=32, batch_size=4, tokens=4096)


def weights(model: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy() for name, p in model.named_parameters()}


def test_it_learns_and_depends_on_the_seed_alone(workspace: Workspace) -> None:
    snapshot = open_snapshot(workspace)
    losses: list[tuple[int, int, float]] = []
    before = torch.random.get_rng_state()
    first = train_reference(snapshot, TINY, "cpu", lambda *told: losses.append(told), progress_every=8)
    again = train_reference(snapshot, TINY, "cpu")
    other = train_reference(snapshot, TINY, "cpu", seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert [step for step, _, _ in losses] == [8, 16, 24, 32]
    assert {steps for _, steps, _ in losses} == {TINY.steps}
    assert losses[-1][2] < losses[0][2] - 0.5
    assert first.record.loss == losses[-1][2]
    assert first.record.tokens == 4096
    same, different = weights(again.model), weights(other.model)
    for name, values in weights(first.model).items():
        np.testing.assert_array_equal(values, same[name])
    assert any(not np.array_equal(values, different[name]) for name, values in weights(first.model).items())


def test_it_reads_training_documents_only_and_domains_by_their_size(workspace: Workspace) -> None:
    snapshot = open_snapshot(workspace)
    spec = TINY.model_copy(update={"tokens": 10**8})
    sequences = reference._sequences(snapshot, spec, np.random.default_rng(0))
    train = {d: snapshot.texts(d, "train")["text"].tolist() for d in snapshot.domains}
    size = sum(len(t.encode()) + 1 for texts in train.values() for t in texts)
    # asked for more than there is, it reads every byte once
    assert sequences.size == size // 32 * 32
    assert np.count_nonzero(sequences == END_OF_DOCUMENT) >= sum(map(len, train.values())) - 1
    read = bytes(sequences[sequences != END_OF_DOCUMENT].astype(np.uint8))
    heldout = [t for d in snapshot.domains for t in snapshot.texts(d, "heldout")["text"]]
    assert heldout
    assert not [t for t in heldout if t.encode()[:200] in read]

    part = reference._sequences(
        snapshot, TINY.model_copy(update={"tokens": size // 3}), np.random.default_rng(0)
    )
    assert part.size == size // 3 // (32 * 4) * (32 * 4)
    digits = np.isin(part, np.frombuffer(b"0123456789", np.uint8)).mean()
    everything = np.isin(sequences, np.frombuffer(b"0123456789", np.uint8)).mean()
    assert digits == pytest.approx(everything, rel=0.2)  # sums are nearly all of the pool's digits


def test_each_sequence_is_read_once_before_any_is_read_again() -> None:
    spec = TINY.model_copy(update={"tokens": 32 * 4 * 6})
    batches = list(reference._batches(10, spec, np.random.default_rng(0)))
    assert [len(b) for b in batches] == [4] * 6
    read = np.concatenate(batches)
    assert sorted(read[:10]) == sorted(read[10:20]) == list(range(10))
    assert read[:10].tolist() != read[10:20].tolist()


def test_training_can_be_cancelled(workspace: Workspace) -> None:
    def stop(step: int, steps: int, loss: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_reference(open_snapshot(workspace), TINY, "cpu", stop, progress_every=1)


def test_a_diverging_reference_is_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    build = reference._new_model

    def poisoned(spec: ProxySpec, seed: int):
        model = build(spec, seed)
        with torch.no_grad():
            next(model.parameters()).fill_(float("nan"))
        return model

    monkeypatch.setattr(reference, "_new_model", poisoned)
    with pytest.raises(CausalMixError, match="diverged at step 20 of 32"):
        train_reference(open_snapshot(workspace), TINY, "cpu")


def test_a_pool_smaller_than_a_sequence_is_refused(workspace: Workspace) -> None:
    spec = TINY.model_copy(update={"sequence_length": 10**7})
    with pytest.raises(CausalMixError, match="fewer than one sequence of 10000000"):
        train_reference(open_snapshot(workspace), spec, "cpu")


def test_it_is_stored_as_transformers_stores_models(
    workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    trained = train_reference(open_snapshot(workspace), TINY, "cpu")
    capfd.readouterr()
    folder = save_reference(reference_folder(workspace, trained.record.snapshot), trained)
    loaded = load_reference(folder)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert loaded.record == trained.record
    assert {p.name for p in workspace.models.iterdir()} == {folder.name}
    plain = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    for name, values in weights(trained.model).items():
        np.testing.assert_array_equal(values, weights(loaded.model)[name])
        np.testing.assert_array_equal(values, weights(plain)[name])


def test_the_newest_complete_one_is_used(workspace: Workspace) -> None:
    assert reference_of(workspace) is None
    trained = train_reference(open_snapshot(workspace), TINY, "cpu")
    old = save_reference(workspace.models / "reference-bbbbbbbbbbbb", trained)
    later = trained.record.model_copy(
        update={"created_at": trained.record.created_at.replace(year=trained.record.created_at.year + 1)}
    )
    new = save_reference(
        workspace.models / "reference-aaaaaaaaaaaa", reference.ReferenceModel(trained.model, later)
    )
    assert reference_of(workspace) == new
    (new / "model.safetensors").unlink()
    assert reference_of(workspace) == old
    (old / "causalmix.json").write_text("{", encoding="utf-8")
    assert reference_of(workspace) is None
    assert reference_record(old) is None
    with pytest.raises(CausalMixError, match="no complete reference proxy"):
        load_reference(old)


def test_one_that_is_there_stays_and_foreign_folders_are_not_overwritten(workspace: Workspace) -> None:
    snapshot = open_snapshot(workspace)
    first = train_reference(snapshot, TINY, "cpu")
    folder = save_reference(reference_folder(workspace, snapshot.id), first)
    assert save_reference(folder, train_reference(snapshot, TINY, "cpu", seed=1)) == folder
    assert load_reference(folder).record == first.record
    foreign = workspace.models / "reference-cccccccccccc"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CausalMixError, match="delete it"):
        save_reference(foreign, first)
    assert (foreign / "notes.txt").read_text() == "mine"
    assert not list(workspace.models.glob(".tmp-*"))


def test_damaged_weights_are_named(workspace: Workspace) -> None:
    trained = train_reference(open_snapshot(workspace), TINY, "cpu")
    folder = save_reference(reference_folder(workspace, trained.record.snapshot), trained)
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CausalMixError, match=r"damaged\. Delete the folder"):
        load_reference(folder)


def test_quiet_restores_what_it_found() -> None:
    from huggingface_hub import constants
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled(), constants.HF_HUB_DISABLE_TELEMETRY
    conversion = os.environ.get("DISABLE_SAFETENSORS_CONVERSION")

    def fail() -> None:
        with quiet_transformers():
            assert not logging.is_progress_bar_enabled()
            assert constants.HF_HUB_DISABLE_TELEMETRY
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    after = logging.get_verbosity(), logging.is_progress_bar_enabled(), constants.HF_HUB_DISABLE_TELEMETRY
    assert after == before
    assert os.environ.get("DISABLE_SAFETENSORS_CONVERSION") == conversion
