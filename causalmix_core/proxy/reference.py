"""The reference proxy: one small language model, trained on the pool itself, that measures documents.

Features such as the loss of a document need a language model. Large ones must be fetched and need a GPU;
the reference is at hand everywhere: the proxy of a `ProxySpec`, trained once on the training documents of a
snapshot mixed by size. It is kept when the pool changes, so that the losses of two snapshots compare.

    models/reference-<snapshot id>/
        config.json model.safetensors   as `save_pretrained` of transformers writes them
        causalmix.json                  what it was trained on, and how
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from causalmix_core import __version__
from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.quiet import quiet_transformers
from causalmix_core.proxy.spec import ProxySpec
from causalmix_core.proxy.text_sample import training_documents
from causalmix_core.proxy.tokens import ByteTokens
from causalmix_core.proxy.training import _schedule
from causalmix_core.workspace import Workspace, scratch_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from causalmix_core.corpus.snapshot import Snapshot

RECORD_NAME = "causalmix.json"
PREFIX = "reference-"
PIECE = 16
"""Sequences that are read of a document at a stretch: a single long document must not be all that the
reference has seen."""

ReferenceProgress = Callable[[int, int, float], None]
"""Called with the steps done, all steps, and the mean training loss since the last call."""


class ReferenceRecord(BaseModel):
    """`causalmix.json`: what a reference was trained on, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    snapshot: str
    spec: ProxySpec
    tokens: int = Field(gt=0)
    """Training tokens, repeated ones counted as often as they were read."""
    seed: int
    loss: float = Field(ge=0)
    """Mean training loss of the last part of training, nats per byte."""
    created_at: datetime
    version: str


@dataclass(frozen=True)
class ReferenceModel:
    """A trained reference.

    Attributes:
        model: a language model of the spec's family on byte tokens, float32, in evaluation mode.
        record: where it comes from.
    """

    model: PreTrainedModel
    record: ReferenceRecord


def reference_folder(workspace: Workspace, snapshot_id: str) -> Path:
    """Where the reference that is trained on a snapshot lies."""
    return workspace.models / f"{PREFIX}{snapshot_id}"


def reference_of(workspace: Workspace) -> Path | None:
    """The folder of the newest complete reference of a workspace; None when there is none."""
    found = [
        (record.created_at, folder.name, folder)
        for folder in workspace.models.glob(f"{PREFIX}*")
        if (record := reference_record(folder)) is not None
    ]
    return max(found)[2] if found else None


def reference_record(folder: Path) -> ReferenceRecord | None:
    """What a folder's reference was trained on; None when the folder holds no complete reference."""
    if not (folder / "config.json").is_file() or not (folder / "model.safetensors").is_file():
        return None
    try:
        return ReferenceRecord.model_validate_json((folder / RECORD_NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def train_reference(
    snapshot: Snapshot,
    spec: ProxySpec,
    device: str,
    progress: ReferenceProgress | None = None,
    *,
    seed: int = 0,
    progress_every: int = 20,
) -> ReferenceModel:
    """Train a proxy on the training documents of a snapshot, mixed by size.

    Documents are cut into pieces of `PIECE` sequences, and pieces are drawn at random from the whole pool
    without repetition: every byte is equally likely, so domains appear by their size. When the pool is
    smaller than `spec.tokens`, it is read again in another order. The pieces and the initial weights
    depend on the seed alone.

    Args:
        snapshot: whose documents it learns.
        spec: the proxy and its training.
        device: a torch device.
        progress: called every `progress_every` steps and at the end; an exception in it ends the
            training (cancel).
        seed: of the pieces and of the initial weights.
        progress_every: steps between two calls.

    Raises:
        CausalMixError: the training documents hold less than one sequence, a file is damaged, the training
            diverged, or the spec asks for other tokens than bytes.
    """
    import torch

    if spec.tokenizer != "bytes":
        # What it measures is compared across snapshots, each of which would have a BPE of its own.
        raise CausalMixError(
            "A reference proxy reads bytes, so that its losses compare across snapshots. Choose the "
            "tokenizer 'bytes' and no pretrained model."
        )

    rng = np.random.default_rng(seed)
    sequences = _sequences(snapshot, spec, rng)
    model = _new_model(spec, seed).to(device).train()
    matrices = [p for p in model.parameters() if p.dim() > 1]
    norms = [p for p in model.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices}, {"params": norms, "weight_decay": 0.0}],
        lr=spec.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=spec.weight_decay,
    )
    running, since, loss = torch.zeros((), device=device), 0, float("nan")
    for step, rows in enumerate(_batches(len(sequences), spec, rng)):
        for group in optimiser.param_groups:
            group["lr"] = spec.learning_rate * _schedule(step, spec)
        x = torch.from_numpy(sequences[rows].astype(np.int64)).to(device)
        now = model(input_ids=x, labels=x, use_cache=False).loss
        now.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        running += now.detach()
        since += 1
        if since == progress_every or step + 1 == spec.steps:
            loss = float(running) / since
            if not np.isfinite(loss):
                raise CausalMixError(
                    f"The reference proxy diverged at step {step + 1} of {spec.steps}. "
                    f"Lower its learning rate ({spec.learning_rate:g})."
                )
            if progress:
                progress(step + 1, spec.steps, loss)
            running, since = torch.zeros((), device=device), 0
    record = ReferenceRecord(
        snapshot=snapshot.id,
        spec=spec,
        tokens=spec.sequences * spec.sequence_length,
        seed=seed,
        loss=loss,
        created_at=datetime.now(UTC),
        version=__version__,
    )
    return ReferenceModel(model.eval(), record)


def save_reference(folder: Path, reference: ReferenceModel) -> Path:
    """Publish a reference as `folder` by one rename; one that is already there stays, and is used.

    Returns:
        The folder.

    Raises:
        CausalMixError: the folder holds something else, or cannot be written.
    """
    scratch = scratch_path(folder)
    try:
        with quiet_transformers():
            reference.model.save_pretrained(scratch)
        (scratch / RECORD_NAME).write_text(reference.record.model_dump_json(indent=2) + "\n", "utf-8")
        for file in scratch.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        scratch.rename(folder)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        if reference_record(folder) is not None:
            return folder
        reason = "the folder is in use, delete it" if folder.exists() else error.strerror
        raise CausalMixError(f"Cannot save the reference proxy as {folder}: {reason}.") from error
    return folder


def load_reference(folder: Path) -> ReferenceModel:
    """Load a saved reference on the CPU.

    Raises:
        CausalMixError: there is none, or it is damaged.
    """
    record = reference_record(folder)
    if record is None:
        raise CausalMixError(
            f"There is no complete reference proxy in {folder}. Delete the folder if it exists, and train a "
            "reference again."
        )
    try:
        with quiet_transformers():
            model = record.spec.model_class.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever the loader stumbles over, the file is what is wrong
        raise CausalMixError(
            f"The reference proxy in {folder} is damaged. Delete the folder and train a reference again."
        ) from error
    return ReferenceModel(model.float().eval(), record)


def _new_model(spec: ProxySpec, seed: int) -> PreTrainedModel:
    return spec.new_model(seed, "sdpa")  # eager is for vmap; this is twice as fast


def _batches(count: int, spec: ProxySpec, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """The sequences of each step; all are read once, in random order, before any is read again."""
    order = rng.permutation(count)
    for _ in range(spec.steps):
        while len(order) < spec.batch_size:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[: spec.batch_size]
        order = order[spec.batch_size :]


def _sequences(snapshot: Snapshot, spec: ProxySpec, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Random pieces of the training documents, packed: shape (at most spec.sequences, sequence_length)."""
    from causalmix_core.corpus.document_texts import document_texts

    length, needed = spec.sequence_length, spec.sequences * spec.sequence_length
    documents, sizes = _training_documents(snapshot)
    piece = PIECE * length
    counts = {d: -(-(sizes[d] + 1) // piece) for d in documents}  # one token ends each document
    total = int(sum(c.sum() for c in counts.values()))
    tokens = int(sum(sizes[d].sum() + len(sizes[d]) for d in documents))
    if tokens < length:
        raise CausalMixError(
            f"The training documents hold {tokens} bytes, fewer than one sequence of {length}. "
            "Add documents or choose a proxy with shorter sequences."
        )
    # Last pieces of documents are short, so a few more than the average asks for.
    wanted = min(total, int(1.1 * needed * total / tokens) + 8)
    chosen = np.sort(rng.choice(total, wanted, replace=False))
    place = rng.permutation(wanted)
    pieces: list[NDArray[np.uint16]] = [np.empty(0, np.uint16)] * wanted
    first, taken = 0, 0
    for domain, numbers in documents.items():
        ends = first + np.cumsum(counts[domain])
        starts = ends - counts[domain]
        last = first + int(counts[domain].sum())
        own = chosen[np.searchsorted(chosen, first) : np.searchsorted(chosen, last)]
        first = last
        if not len(own):
            continue
        of = np.searchsorted(ends, own, side="right")
        rows, begins = np.unique(of, return_index=True)
        groups = np.split(own, begins[1:])
        texts = document_texts(snapshot.documents_file(domain), numbers[rows])
        for row, group, (_, text) in zip(rows, groups, texts, strict=True):
            (document,) = ByteTokens().ids([text])
            for part in (group - starts[row]).tolist():
                pieces[place[taken]] = document[part * piece : (part + 1) * piece].copy()
                taken += 1
    stream = np.concatenate(pieces)[:needed]
    if len(stream) < length:  # every byte was drawn, or the few pieces drawn were all short
        stream = np.resize(stream, length)
    usable = len(stream) // length * length
    sequences: NDArray[np.uint16] = stream[:usable].reshape(-1, length)
    return sequences


def _training_documents(
    snapshot: Snapshot,
) -> tuple[dict[str, NDArray[np.int64]], dict[str, NDArray[np.int64]]]:
    """Numbers and bytes of the training documents of each domain, ascending."""
    found = {d: training_documents(snapshot, d) for d in snapshot.domains}
    return {d: f[0] for d, f in found.items()}, {d: f[1] for d, f in found.items()}
