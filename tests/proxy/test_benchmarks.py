"""Benchmarks of lm-evaluation-harness on tasks of a folder: likelihoods by hand, and columns of a shard."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import RunTable, SwarmSpec, design_swarm, read_runs
from causalmix_core.probes import shard as shard_module
from causalmix_core.probes.outcomes import direction_of
from causalmix_core.probes.settling import settle_swarm
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.proxy import ProxySpec, benchmarks, training
from causalmix_core.proxy.benchmarks import _windows, answer, check_tasks, language_model, load_benchmarks
from causalmix_core.proxy.tokens import ByteTokens, ModelTokens, Tokens
from causalmix_core.workspace import Workspace
from tests.conftest import TINY
from tests.proxy.small_models import save_model, save_tokenizer

QUESTIONS = [
    {"question": "1 + 1 =", "choices": ["2", "oranges and apples"], "answer": 0},
    {"question": "def f", "choices": ["(a):", "\t\t\t\t\t\t"], "answer": 0},
    {"question": "2 + 2 = ", "choices": ["5 ", "~"], "answer": 1},
]
CHOICES = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: questions.jsonl
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{answer}}}}"
tag: {tag}
"""
ROLLING = """task: prose_perplexity
dataset_path: json
dataset_kwargs:
  data_files:
    test: deeper/texts.jsonl
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list:
  - metric: bits_per_byte
    aggregation: bits_per_byte
    higher_is_better: false
"""
PARROT = """task: parrot
dataset_path: json
dataset_kwargs:
  data_files:
    test: questions.jsonl
output_type: generate_until
test_split: test
doc_to_text: "{{question}}"
doc_to_target: "{{choices[0]}}"
generation_kwargs:
  until: ["."]
metric_list:
  - metric: bleu
    higher_is_better: true
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tasks with their data beside them, in folders that this process does not stand in."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    tasks = tmp_path / "tasks"
    for part in (tasks, tasks / "deeper"):
        part.mkdir()
        (part / "questions.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    (tasks / "deeper" / "texts.jsonl").write_text(json.dumps({"text": "The cat sat on the mat. " * 5}))
    (tasks / "sums.yaml").write_text(CHOICES.format(name="sums", tag="all_sums"))
    (tasks / "deeper" / "more.yaml").write_text(CHOICES.format(name="more_sums", tag="all_sums"))
    (tasks / "perplexity.yaml").write_text(ROLLING)
    (tasks / "parrot.yaml").write_text(PARROT)
    return tasks


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokens]:
    path = tmp_path_factory.mktemp("tokenizer")
    return {"bytes": ByteTokens(), "model": ModelTokens(save_tokenizer(path, begin=True), "m", 320)}


def reader_of(vocabulary: int, context: int) -> tuple[torch.nn.Module, object]:
    """A model with random opinions, and what it predicts."""
    spec = ProxySpec(sequence_length=context, tokenizer="bpe", vocabulary=512, family="gpt2")
    config = spec.hf_config("sdpa")
    config.vocab_size = vocabulary
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = spec.model_class(config).eval()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.3 * torch.randn_like(p))

    def read(tokens: torch.Tensor) -> torch.Tensor:
        assert tokens.shape[1] <= context
        with torch.no_grad():
            return model(input_ids=tokens).logits

    return model, read


def by_hand(model: torch.nn.Module, ids: list[int], first: int) -> tuple[float, bool]:
    """One token at a time, each from all that comes before it."""
    total, greedy = 0.0, True
    for at in range(first, len(ids)):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids[:at]])).logits[0, -1].double()
        total += float(logits.log_softmax(0)[ids[at]])
        greedy &= int(logits.argmax()) == ids[at]
    return total, greedy


@pytest.mark.parametrize("kind", ["bytes", "model"])
def test_likelihoods_are_those_by_hand(kinds: dict[str, Tokens], kind: str) -> None:
    tokens = kinds[kind]
    model, read = reader_of(tokens.size, 64)
    before = [0] if kind == "model" else [256]
    pairs = [("The cat", " sat on"), ("The cat ", "sat on"), ("", "A mat"), ("é", "日"), ("a", "b" * 40)]
    requests = [SimpleNamespace(args=p) for p in pairs]
    proxy = language_model(read, tokens, context=64)
    found = proxy.loglikelihood(requests)
    for (given, asked), (likelihood, greedy) in zip(pairs, found, strict=True):
        ids = [*before, *tokens.plain(given + asked)]
        start = len(before) + (len(tokens.plain(given.rstrip())) if given else 0)
        expected = by_hand(model, ids, start)
        assert likelihood == pytest.approx(expected[0], abs=1e-3)
        assert greedy == expected[1]
    assert found[0] == pytest.approx(found[1])  # the space belongs to the word

    likeliest: list[int] = list(before)
    for _ in range(3):
        with torch.no_grad():
            likeliest.append(int(model(input_ids=torch.tensor([likeliest])).logits[0, -1].argmax()))
    if kind == "bytes" and max(likeliest[1:]) < 128:
        text = bytes(likeliest[1:]).decode()
        assert proxy.loglikelihood([SimpleNamespace(args=("", text))])[0][1]


def test_long_texts_are_read_in_the_windows_of_the_harness(kinds: dict[str, Tokens]) -> None:
    tokens, context = kinds["bytes"], 16
    model, read = reader_of(tokens.size, context)
    for length in (1, 15, 16, 17, 33, 50):
        text = ("The cat sat on the mat. " * 3)[:length]
        expected = 0.0
        windows = get_rolling_token_windows(tokens.plain(text), tokens.end, context, 1)
        for given, asked in map(make_disjoint_window, windows):
            expected += by_hand(model, [*given, *asked], len(given))[0]
        (found,) = language_model(read, tokens, context=context).loglikelihood_rolling(
            [SimpleNamespace(args=(text,))]
        )
        assert found == pytest.approx(expected, abs=1e-3)
    for length, first in ((80, 3), (80, 79), (20, 18)):
        covered = [t for start, stop, at in _windows(length, first, context) for t in range(at, stop)]
        assert covered == list(range(first, length))
        assert all(
            0 <= s < at and stop - s - 1 <= context for s, stop, at in _windows(length, first, context)
        )


def test_batches_do_not_matter(kinds: dict[str, Tokens], monkeypatch: pytest.MonkeyPatch) -> None:
    _, read = reader_of(257, 64)
    requests = [SimpleNamespace(args=("x" * n, "y" * (n % 7 + 1))) for n in range(1, 40)]
    proxy = language_model(read, kinds["bytes"], context=64)
    together = proxy.loglikelihood(requests)
    monkeypatch.setattr(benchmarks, "LOGIT_BYTES", 1)
    np.testing.assert_allclose(proxy.loglikelihood(requests), together, rtol=1e-4)


def test_a_task_is_scored_by_the_likelihood_of_its_choices(
    folder: Path, kinds: dict[str, Tokens], capfd: pytest.CaptureFixture[str]
) -> None:
    model, read = reader_of(257, 64)
    loaded = load_benchmarks(folder, ["all_sums", "prose_perplexity"])
    assert {n: (t.metric, t.higher_is_better) for n, t in loaded.tasks.items()} == {
        "sums": ("acc", True),
        "more_sums": ("acc", True),
        "prose_perplexity": ("bits_per_byte", False),
    }
    found = answer(loaded, read, kinds["bytes"], context=64)
    right = 0
    for q in QUESTIONS:
        given = q["question"].rstrip()
        asked = [q["question"][len(given) :] + " " + c for c in q["choices"]]
        ids = [[256, *(given + a).encode()] for a in asked]
        scores = [by_hand(model, i, 1 + len(given.encode()))[0] for i in ids]
        right += int(np.argmax(scores)) == q["answer"]
    assert found["sums"] == found["more_sums"] == pytest.approx(right / 3)
    text = "The cat sat on the mat. " * 5
    rolling = language_model(read, kinds["bytes"], context=64).loglikelihood_rolling(
        [SimpleNamespace(args=(text,))]
    )
    assert found["prose_perplexity"] == pytest.approx(-rolling[0] / np.log(2) / len(text))
    assert answer(loaded, read, kinds["bytes"], context=64) == found  # tasks can be asked again
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["scratch", "full", "lora"])
def test_a_shard_has_a_column_for_each_task(
    workspace: Workspace, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (workspace.root / "tasks").symlink_to(folder)
    proxy = TINY
    if kind != "scratch":
        model = str(save_model(tmp_path / "m", "llama"))
        proxy = ProxySpec(pretrained=model, tuning=kind, sequence_length=32, tokens=1024)
    swarm = settle_swarm(
        SwarmSpec(
            probes=3, proxy=proxy, heldout_windows=8, tasks=("sums", "prose_perplexity"), tasks_folder="tasks"
        ),
        workspace,
    )
    assert Path(swarm.tasks_folder or "").is_absolute()
    assert SwarmSpec.model_validate_json(swarm.model_dump_json()) == swarm
    snapshot = open_snapshot(workspace)
    pool = load_token_pool(snapshot, swarm)
    asked: dict[int, object] = {}
    visit = shard_module._Examination.visit

    def remember(self: shard_module._Examination, number: int, read: object) -> None:
        asked[number] = read
        visit(self, number, read)

    monkeypatch.setattr(shard_module._Examination, "visit", remember)
    told: list[int] = []
    rows = run_shard(
        pool, snapshot.id, swarm, design_swarm(swarm, snapshot.tokens()), job="j", device="cpu",
        progress=lambda step, losses: told.append(step),
    )  # fmt: skip
    # the progress is told again before each probe is asked, so that a job can be stopped there
    assert told.count(swarm.proxy.steps) == 1 + 3
    loaded = load_benchmarks(folder, swarm.tasks)
    for number in range(3):
        scores = answer(loaded, asked[number], pool.tokens, context=32)
        assert rows["benchmark/sums"][number] == scores["sums"]
        assert rows["benchmark-loss/prose_perplexity"][number] == scores["prose_perplexity"]
    assert rows["benchmark-loss/prose_perplexity"].nunique() == 3
    outcomes = RunTable.from_frame(rows).outcomes
    assert [o for o in outcomes if o.startswith("loss/")] == [f"loss/{d}" for d in snapshot.domains]
    assert {o for o in outcomes if not o.startswith("loss/")} == {
        "benchmark/sums",
        "benchmark-loss/prose_perplexity",
    }


def test_a_probe_that_diverged_is_not_asked(
    workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = SwarmSpec(probes=2, proxy=TINY, heldout_windows=8, tasks=("sums",), tasks_folder=str(folder))
    snapshot = open_snapshot(workspace)
    build, stacks = training.new_stacks, []
    monkeypatch.setattr(training, "new_stacks", lambda *a: stacks.extend(build(*a)) or list(stacks))

    def break_the_first(step: int, losses: np.ndarray) -> None:
        if step == 10:
            with torch.no_grad():
                next(iter(stacks[0].parameters.values()))[0].fill_(float("nan"))

    rows = run_shard(
        load_token_pool(snapshot, swarm), snapshot.id, swarm, design_swarm(swarm, snapshot.tokens()), job="j",
        device="cpu", progress=break_the_first, progress_every=1,
    )  # fmt: skip
    assert rows["status"].tolist() == ["failed", "finished"]
    assert rows["benchmark/sums"].notna().tolist() == [False, True]
    rows.to_parquet(workspace.runs / "j-0000.parquet", index=False)
    table = read_runs(workspace.runs)
    assert table.outcomes == [*(f"loss/{d}" for d in snapshot.domains), "benchmark/sums"]
    assert "benchmark/sums" in table.frame


def test_the_direction_of_a_column() -> None:
    assert direction_of("benchmark/sums") == "higher"
    assert {direction_of(c) for c in ("loss/a", "bpb/a", "benchmark-loss/p")} == {"lower"}
    assert direction_of("weight/a") is None


def test_tasks_that_cannot_be_asked_are_refused_in_words(
    folder: Path, tmp_path: Path, kinds: dict[str, Tokens], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        CausalMixError, match=r"no task 'nope' in .*It has: all_sums, more_sums, parrot, prose"
    ):
        check_tasks(folder, ["sums", "nope"])
    with pytest.raises(CausalMixError, match="There is no folder"):
        check_tasks(tmp_path / "nowhere", ["sums"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CausalMixError, match="holds no YAML file"):
        check_tasks(empty, ["sums"])
    (empty / "broken.yaml").write_text("task: [")
    with pytest.raises(CausalMixError, match="It has: none"):
        check_tasks(empty, ["broken"])
    with pytest.raises(CausalMixError, match=r"written freely \(output_type generate_until\)"):
        load_benchmarks(folder, ["parrot"])
    with pytest.raises(CausalMixError, match="do not write text freely"):
        language_model(reader_of(257, 16)[1], kinds["bytes"], context=16).generate_until([])
    (folder / "questions.jsonl").unlink()
    with pytest.raises(CausalMixError, match=r"The task sums cannot be loaded: .*Correct .*sums\.yaml"):
        load_benchmarks(folder, ["sums"])
    (folder / "online.yaml").write_text(
        CHOICES.format(name="online", tag="x").replace("path: json", "path: some/dataset-on-the-hub")
    )
    with pytest.raises(CausalMixError, match=r"The task online cannot be loaded: .*must lie on this machine"):
        load_benchmarks(folder, ["online"])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CausalMixError, match="Benchmarks need lm-evaluation-harness"):
        check_tasks(folder, ["sums"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"tasks": ("a",)}, "no tasks_folder"),
        ({"tasks_folder": "x"}, "but no tasks"),
        ({"tasks": ("a", "a"), "tasks_folder": "x"}, "named twice"),
    ],
)
def test_tasks_and_their_folder_belong_together(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SwarmSpec(**fields)
