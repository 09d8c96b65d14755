"""Benchmarks of lm-evaluation-harness, answered by a proxy: the tasks of a folder, offline.

A task is a YAML file as lm-evaluation-harness reads it (Gao et al., doi 10.5281/zenodo.10256836); its data
lie beside it. Only what ranks given answers or measures the likelihood of a text can be asked of a proxy;
tasks in which text is written freely are refused. Paths in a task start at its own folder. A task may name
Python functions that lie beside it (`!function`): they run like any program that the user starts.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.quiet import quiet_transformers
from causalmix_core.proxy.tokens import Tokens

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    from causalmix_core.proxy.stack import Reader

ANSWERED = frozenset({"loglikelihood", "loglikelihood_rolling", "multiple_choice"})
"""Kinds of tasks that a proxy can answer."""
LOGIT_BYTES = 256 << 20
"""Memory for the logits of a batch at most; a single text may take more."""


@dataclass(frozen=True)
class Benchmark:
    """One task.

    Attributes:
        name: as its YAML file says.
        metric: its main metric: the first that the YAML file lists.
        higher_is_better: the direction of the metric.
    """

    name: str
    metric: str
    higher_is_better: bool


@dataclass(frozen=True)
class Benchmarks:
    """Tasks that are ready to be answered.

    Attributes:
        tasks: what they are, by name.
        loaded: the tasks as lm-evaluation-harness has loaded them.
    """

    tasks: dict[str, Benchmark]
    loaded: dict[str, Any]


def check_tasks(folder: Path, names: Sequence[str]) -> None:
    """Refuse tasks that are not there, without loading their data.

    Raises:
        CausalMixError: lm-evaluation-harness is not installed, the folder does not exist or holds no YAML
            file, or a name is that of no task in it.
    """
    _manager(folder, names)


def load_benchmarks(folder: Path, names: Sequence[str]) -> Benchmarks:
    """Load tasks and their data, without asking the network for anything.

    Args:
        folder: where the YAML files are, in folders inside of it too.
        names: of tasks, groups or tags.

    Raises:
        CausalMixError: see `check_tasks`; or a task cannot be loaded, asks for something else than the
            likelihood of texts, or has no metric.
    """
    manager = _manager(folder, names)
    loaded: dict[str, Any] = {}
    for name in names:
        entry = manager.task_index[name]
        members = sorted(entry.tags) if entry.yaml_path is None else [name]
        for member in members:
            loaded |= _load(manager, member)
    tasks = {name: _described(name, task) for name, task in sorted(loaded.items())}
    return Benchmarks(tasks, loaded)


def answer(
    benchmarks: Benchmarks, read: Reader, tokens: Tokens, *, context: int, device: str = "cpu"
) -> dict[str, float]:
    """Ask a proxy all tasks.

    Args:
        benchmarks: the tasks.
        read: what the proxy predicts.
        tokens: its tokenizer.
        context: tokens that it reads at once.
        device: where it is.

    Returns:
        By task, its main metric.

    Raises:
        CausalMixError: a task asks for something that a proxy cannot answer, or fails.
    """
    from lm_eval.evaluator import evaluate

    model = language_model(read, tokens, context=context, device=device)
    with _offline(), _silent():
        try:
            found = evaluate(
                lm=model, task_dict={"tasks": benchmarks.loaded}, bootstrap_iters=0, log_samples=False
            )
        except CausalMixError:
            raise
        except Exception as error:  # tasks are programs of the user
            raise CausalMixError(
                f"The benchmarks {', '.join(benchmarks.tasks)} cannot be answered: "
                f"{_first_line(error)}. Correct their YAML files."
            ) from error
    assert found is not None
    scores = {}
    for name, task in benchmarks.tasks.items():
        values = {k.split(",")[0]: v for k, v in found["results"][name].items()}
        scores[name] = float(values[task.metric])
    return scores


def language_model(read: Reader, tokens: Tokens, *, context: int, device: str = "cpu") -> LM:
    """A proxy as lm-evaluation-harness sees a model.

    A text is read in the tokens that it has as a whole, and an answer is predicted from all that comes before
    it, as far as the proxy can read back. What comes before a text is what comes before every document in
    training: the end of the last one, or the model's begin token.
    """
    from lm_eval.api.model import LM

    before = [*tokens.before] or [tokens.end]
    vocabulary_bytes = 4 * tokens.size

    class ProxyModel(LM):  # type: ignore[misc]  # lm_eval has no types
        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            pairs = []
            for request in requests:
                given, asked = request.args
                # A space that ends the given text belongs to the word that follows.
                spaces = len(given) - len(given.rstrip())
                if spaces:
                    given, asked = given[:-spaces], given[-spaces:] + asked
                start = len(tokens.plain(given)) if given else 0
                pairs.append(([*before, *tokens.plain(given + asked)], len(before) + start))
            return likelihoods(pairs)

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            pairs = [([*before, *tokens.plain(r.args[0])], len(before)) for r in requests]
            return [total for total, _ in likelihoods(pairs)]

        def generate_until(self, requests: list[Any]) -> list[str]:
            raise CausalMixError(
                "Proxies rank given answers; they do not write text freely. Leave out tasks with the "
                "output_type generate_until."
            )

    def likelihoods(pairs: list[tuple[list[int], int]]) -> list[tuple[float, bool]]:
        """Of the tokens of each text from a place on: their log-likelihood, and whether each is likeliest."""
        import torch

        windows = [
            (number, *window)
            for number, (ids, first) in enumerate(pairs)
            for window in _windows(len(ids), first, context)
        ]
        totals, greedy = np.zeros(len(pairs)), np.ones(len(pairs), bool)
        for batch in _batches(windows, vocabulary_bytes):
            width = max(stop - start for _, start, stop, _ in batch) - 1
            inputs = np.full((len(batch), width), tokens.end, np.int64)
            for row, (number, start, stop, _) in enumerate(batch):
                inputs[row, : stop - start - 1] = pairs[number][0][start : stop - 1]
            # What stands to the right of a token does not change its prediction, so padding needs no mask.
            logits = read(torch.from_numpy(inputs).to(device))
            for row, (number, start, stop, first) in enumerate(batch):
                own = logits[row, first - start - 1 : stop - start - 1].float()
                wanted = torch.tensor(pairs[number][0][first:stop], device=own.device)
                chosen = own.log_softmax(-1).gather(1, wanted[:, None])
                totals[number] += float(chosen.double().sum())
                greedy[number] &= bool((own.argmax(-1) == wanted).all())
        return [(float(total), bool(likeliest)) for total, likeliest in zip(totals, greedy, strict=True)]

    return ProxyModel()


def _windows(length: int, first: int, context: int) -> Iterator[tuple[int, int, int]]:
    """Parts of a text that cover its tokens from `first` on: start, stop, and the first token predicted.

    A part holds one token more than is read at once: the last is only predicted. Parts predict as many
    tokens as they can, the last one the rest; where one part is enough, it is the one with the most that
    comes before the tokens asked for. These are the windows of lm-evaluation-harness.
    """
    while first < length:
        stop = min(length, first + context)
        yield max(0, stop - context - 1), stop, first
        first = stop


def _batches(
    windows: list[tuple[int, int, int, int]], vocabulary_bytes: int
) -> Iterator[list[tuple[int, int, int, int]]]:
    """Windows of about the same width together, widest first."""
    ordered = sorted(windows, key=lambda w: (w[1] - w[2], w))
    while ordered:
        _, start, stop, _ = ordered[0]
        size = max(1, LOGIT_BYTES // ((stop - start) * vocabulary_bytes))
        yield ordered[:size]
        ordered = ordered[size:]


def _manager(folder: Path, names: Sequence[str]) -> TaskManager:
    from importlib.util import find_spec

    if find_spec("lm_eval") is None:
        raise CausalMixError(
            "Benchmarks need lm-evaluation-harness, which is not installed. Install it with "
            "`pip install 'causalmix[lm-eval]'`, or leave out the tasks."
        )
    if not folder.is_dir():
        raise CausalMixError(f"There is no folder {folder}. Name the one with the YAML files of the tasks.")
    if next(folder.glob("**/*.yaml"), None) is None:
        raise CausalMixError(f"The tasks folder {folder} holds no YAML file (*.yaml) that describes a task.")
    with _offline():
        from lm_eval.tasks import TaskManager

        manager = TaskManager(include_path=str(folder), include_defaults=False)
    unknown = [n for n in names if n not in manager.task_index]
    if unknown:
        raise CausalMixError(
            f"There is no task {unknown[0]!r} in {folder}. It has: {', '.join(manager.all_tasks) or 'none'}."
        )
    return manager


def _load(manager: TaskManager, name: str) -> dict[str, Any]:
    """A task, or those of a group, with paths that start at its YAML file."""
    path = manager.task_index[name].yaml_path
    assert path is not None
    with _offline(), _silent(), contextlib.chdir(path.parent):
        try:
            tasks: dict[str, Any] = dict(manager.load(name)["tasks"])
        except Exception as error:  # whatever a task stumbles over, its file is what is wrong
            raise CausalMixError(
                f"The task {name} cannot be loaded: {_first_line(error)}. Correct {path}; its data must lie "
                "on this machine."
            ) from error
    for task in tasks.values():
        # What lm-evaluation-harness itself does with tasks that say nothing about examples.
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=1234)
    return tasks


def _described(name: str, task: Any) -> Benchmark:  # noqa: ANN401 (lm_eval has no types)
    kind = task.get_config("output_type")
    if kind not in ANSWERED:
        raise CausalMixError(
            f"The task {name} asks for text that is written freely (output_type {kind}); proxies rank given "
            "answers. Leave the task out."
        )
    better: dict[str, bool] = dict(task.higher_is_better())
    if not better:
        raise CausalMixError(f"The task {name} has no metric. Give its YAML file a metric_list.")
    metric = next(iter(better))
    return Benchmark(name, metric, bool(better[metric]))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(":.")


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Progress bars, which nobody can switch off, go nowhere."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Nothing is downloaded, sent or printed while tasks are loaded and answered."""
    os.environ.setdefault("HF_DATASETS_OFFLINE", "1")  # read when datasets is first imported
    os.environ.setdefault("HF_EVALUATE_OFFLINE", "1")
    with quiet_transformers():
        import datasets
        from huggingface_hub import constants

        before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
        bars = datasets.are_progress_bars_disabled()
        datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
        datasets.disable_progress_bars()
        logger = logging.getLogger("lm_eval")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
            datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
            if not bars:
                datasets.enable_progress_bars()
