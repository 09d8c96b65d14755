"""Work on the corpus in real background processes: how it ends, is cancelled, killed, and done again."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from causalmix_core.corpus import Filter, MeasureSpec, measurements, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LIVE
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig
from jobs import (
    FilterTask,
    IngestTask,
    JobFolder,
    LocalEngine,
    MeasureTask,
    TaskStatus,
    cancel_task,
    resume_task,
    submit_task,
    task_jobs,
    task_status,
)
from jobs.tasks import run_task
from tests.jobs.test_local import until


def ends(workspace: Workspace, job: str) -> TaskStatus:
    until(f"{job} ends", lambda: task_status(workspace, job).state not in LIVE)
    return task_status(workspace, job)


@pytest.fixture
def large(tmp_path: Path) -> Workspace:
    """A pool that takes some seconds to read."""
    words = [f"w{i}" for i in range(4000)]
    with (tmp_path / "web.jsonl").open("w") as file:
        for i in range(60_000):
            file.write(
                json.dumps({"text": " ".join(words[(i * 7) % 3000 :][: 40 + i % 30]) + f" {i}"}) + "\n"
            )
    config = WorkspaceConfig(name="large", domains={"web": DomainSource(path="../web.jsonl")})
    return Workspace.create(tmp_path / "workspace", config)


def test_sources_are_read_and_filtered_in_the_background(workspace: Workspace) -> None:
    first = open_snapshot(workspace)
    config = workspace.config()
    own = workspace.root / "sums.jsonl"
    own.write_text(Path(config.domains["sums"].path).read_text() + '\n{"text": "one more sum: 1 + 1 = 2"}')
    domains = {**config.domains, "sums": DomainSource(path=str(own))}
    workspace.save_config(config.model_copy(update={"domains": domains}))
    job = submit_task(workspace, IngestTask())
    assert task_jobs(workspace) == [job]
    assert LocalEngine().jobs(workspace) == []  # no swarm
    status = ends(workspace, job)
    assert (status.state, status.fraction, status.message) == ("finished", 1.0, "")
    second = open_snapshot(workspace)
    assert status.report is not None
    assert status.report.snapshot == second.id != first.id
    assert status.report.documents["sums"] == 61

    chosen = Filter(name="few", sql="document < 20")
    status = ends(workspace, submit_task(workspace, FilterTask(snapshot=second.id, filter=chosen)))
    assert status.state == "finished"
    assert open_snapshot(workspace).documents == 58
    with pytest.raises(CausalMixError, match="nothing to resume"):
        resume_task(workspace, status.job)


def test_a_mistake_is_said_in_words_and_mended(workspace: Workspace) -> None:
    config = workspace.config()
    missing = {**config.domains, "books": DomainSource(path="nowhere")}
    workspace.save_config(config.model_copy(update={"domains": missing}))
    status = ends(workspace, submit_task(workspace, IngestTask()))
    assert status.state == "failed"
    assert status.message.startswith("Domain books: There is no file or folder")
    workspace.save_config(config)
    resume_task(workspace, status.job)
    assert ends(workspace, status.job).state == "finished"


def test_a_task_is_cancelled_and_killed_and_leaves_the_pool_as_it_was(large: Workspace) -> None:
    job = submit_task(large, IngestTask())
    until("documents are read", lambda: "reading" in task_status(large, job).doing)
    with pytest.raises(CausalMixError, match="does that already"):
        submit_task(large, IngestTask())
    cancel_task(large, job)
    assert ends(large, job).state == "cancelled"
    assert not [p for p in large.snapshots.iterdir() if not p.name.startswith(".")]

    resume_task(large, job)
    until("documents are read", lambda: "reading" in task_status(large, job).doing)
    process = psutil.Process(JobFolder(large, job).attempts()[-1].pid)
    workers = process.children()
    os.kill(process.pid, signal.SIGKILL)
    assert ends(large, job).state == "interrupted"
    psutil.wait_procs(workers, timeout=30)
    assert not [w for w in workers if w.is_running() and w.status() != psutil.STATUS_ZOMBIE]
    Workspace.open(large.root)  # sweeps
    assert not [p for p in large.snapshots.iterdir() if not p.name.startswith(".")]
    assert not list(large.snapshots.glob(".tmp*"))


def test_measuring_goes_on_behind_what_is_measured(workspace: Workspace, tmp_path: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=256, n_positions=64, n_embd=16, n_layer=1, n_head=1))
    model.save_pretrained(tmp_path / "model")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path / "model")

    snapshot = open_snapshot(workspace)
    spec = MeasureSpec(model=str(tmp_path / "model"), max_tokens=32, documents_per_shard=40, batch_tokens=512)
    job = submit_task(workspace, MeasureTask(snapshot=snapshot.id, spec=spec))
    assert ends(workspace, job).state == "finished", JobFolder(workspace, job).log_path.read_text()
    record = measurements(workspace, snapshot.id)[0]
    assert record.documents == snapshot.documents
    with snapshot.connect() as con:
        measured = con.execute("SELECT count(normalized_loss) FROM documents").fetchone()
    assert measured == (snapshot.documents,)
    # Measured already: another task with the same models has nothing to do but to say so.
    before = record.database.stat().st_mtime_ns
    again = ends(workspace, submit_task(workspace, MeasureTask(snapshot=snapshot.id, spec=spec)))
    assert again.state == "finished"
    assert record.database.stat().st_mtime_ns == before


def test_two_processes_do_not_do_one_task(workspace: Workspace) -> None:
    job = submit_task(workspace, IngestTask())
    ends(workspace, job)
    folder = JobFolder(workspace, job)
    mine = len(list(folder.events()))
    (folder.path / f"attempt-{len(folder.attempts()):04d}.json").write_text(
        f'{{"pid": {os.getpid()}, "started": {psutil.Process().create_time()}}}'
    )
    assert run_task(workspace, job) == 0  # another process, this one, claims to run it
    assert len(list(folder.events())) == mine


def test_a_damaged_task_is_named(workspace: Workspace) -> None:
    job = submit_task(workspace, IngestTask())
    ends(workspace, job)
    (workspace.jobs / job / "task.json").write_text('{"job": "x"}')
    with pytest.raises(CausalMixError, match=r"task\.json is damaged"):
        task_status(workspace, job)
    with pytest.raises(CausalMixError, match="no task elsewhere"):
        task_status(workspace, "elsewhere")
