"""Mixtures on the command line: suggested under constraints, asked again, moved to another pool, compared,
reported."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from causalmix_core.cli_constraints import ConstraintOptions
from causalmix_core.corpus import ingest, open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.mixture import Group, load_mixture
from causalmix_core.workspace import DomainSource, Workspace
from tests.command_line import Run
from tests.mixture.study import DOMAINS, write_runs

FILE = """
bounds: {code: [0.1, 0.4], prose: [0.2, 1]}
groups: [{name: all text, domains: [prose, sums], highest: 0.75}]
max_epochs: {sums: 4}
"""


@pytest.fixture(scope="module")
def _with_runs(_ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "workspace"
    shutil.copytree(_ingested, root)
    write_runs(Workspace.open(root))
    return root


@pytest.fixture
def study(_with_runs: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(_with_runs, tmp_path / "study")
    return Workspace.open(tmp_path / "study")


def test_a_suggestion_under_constraints_is_saved_asked_again_compared_and_reported(
    causalmix: Run, study: Workspace, tmp_path: Path
) -> None:
    at = ("-w", study.root)
    rules = tmp_path / "rules.yaml"
    rules.write_text(FILE)
    told = ("--constraints", rules, "--bound", "code=5%:35%", "--lock", "prose=0.4", "--radius", "0.3")
    told += ("--token-budget", 400_000)
    said = causalmix("suggest", *at, *told, "--no-harm", "loss/prose=0.4", "--predicted", "--name", "next")
    assert (said.status, said.err) == (0, "")
    assert "Saved mixture next, revision 1. Next: causalmix export next" in said.out
    saved = load_mixture(study, "next")
    assert saved.weights["prose"] == 0.4
    assert saved.weights["code"] <= 0.35
    asked = saved.asked
    assert asked.constraints.bounds == {"code": (0.05, 0.35), "prose": (0.2, 1.0)}
    assert asked.constraints.max_epochs == {"sums": 4.0}
    assert asked.constraints.token_budget == 400_000
    assert (asked.confidence, asked.no_harm) == (False, {"loss/prose": 0.4})
    printed = {d: float(re.search(rf"{d} +([\d.]+)%", said.out)[1]) for d in DOMAINS}  # type: ignore[index]
    assert printed == pytest.approx({d: 100 * w for d, w in saved.weights.items()}, abs=0.006)

    path = study.mixtures / "next.json"
    before = path.read_bytes()
    again = causalmix("suggest", *at, "--from", "mixtures/next.json")
    assert (again.status, again.err) == (0, "")
    assert "The same numbers as in mixtures/next.json" in again.out
    for line in said.out.splitlines():
        if line.startswith("  "):
            assert line in again.out

    edited = json.loads(before)
    edited["predicted"]["objective"]["change"] -= 0.01
    other = tmp_path / "edited.json"
    other.write_text(json.dumps(edited))
    refused = causalmix("suggest", *at, "--from", other)
    assert refused.status == 1
    assert "does not give the numbers in its file: predicted change of objective was" in refused.err
    assert path.read_bytes() == before

    compared = causalmix("compare-mixtures", "next", other, *at)
    assert compared.status == 0
    assert "Both rest on the same." in compared.out
    assert re.search(r"  prose +40\.00% +40\.00% +\+0\.00 points", compared.out)
    assert "Predicted change from next r1 to next r1" in compared.out

    page = tmp_path / "report.html"
    reported = causalmix("report", "next", "--quick", "-o", page, *at)
    assert (reported.status, reported.err) == (0, "")
    assert f"Wrote {page}" in reported.out
    assert "prose locked at 40%" in page.read_text()
    assert "http" not in page.read_text()


def test_policies_stand_side_by_side(
    causalmix: Run, study: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("causalmix_core.mixture.policies.regmix.CANDIDATES", 2000)
    table = tmp_path / "policies.csv"
    said = causalmix("policies", "-w", study.root, "--bound", "code=0:0.3", "-o", table)
    assert (said.status, said.err) == (0, "")
    for label in ("Trust region (T)", "Search (paper's policy S)", "RegMix", "Best probe", "By size", "Even"):
        assert re.search(rf"  {re.escape(label)} +[+-]\d", said.out), label
    assert re.search(r"UniMax +no answer: ", said.out)
    assert re.search(r"Even .*  breaks: .*code at most 30%; the mixture has 33\.33%", said.out)
    found = pd.read_csv(table).set_index("policy")
    assert found.loc["uniform", "weight/code"] == pytest.approx(1 / 3)
    assert not found.loc["uniform", "keeps_constraints"]
    assert found.loc["trust_region", "weight/code"] <= 0.3
    assert (found["objective lower"] <= found["objective upper"]).all()


def test_another_pool_gets_a_mixture_and_reasons_from_the_same_runs(
    causalmix: Run, refused: Callable[..., str], study: Workspace, tmp_path: Path
) -> None:
    old, config = open_snapshot(study).id, study.config()
    half = tmp_path / "prose.jsonl"
    lines = Path(config.domains["prose"].path).read_text().splitlines()
    half.write_text("\n".join(lines[: len(lines) // 2]))
    domains = {**config.domains, "prose": DomainSource(path=str(half))}
    study.save_config(config.model_copy(update={"domains": domains}))
    ingest(study)
    new = open_snapshot(study)
    at = ("-w", study.root)
    said = causalmix("shift", "--to", new.id, "--pool", old, "--name", "moved", *at)
    assert (said.status, said.err) == (0, "")
    assert f"From {old} to snapshot {new.id}, by effects learned from 30 runs" in said.out
    assert re.search(r"state/log_bytes +[\d.]+ -> [\d.]+ +\([+-][\d.]+ deviations; ", said.out)
    assert "difference" in said.out
    saved = load_mixture(study, "moved")
    assert (saved.snapshot, saved.runs_of) == (new.id, old)
    assert saved.reference == new.weights_by_size()
    assert saved.state["state/log_bytes"] == new.state(["log_bytes"])["state/log_bytes"]

    again = causalmix("suggest", "--from", "moved", *at)
    assert "The same numbers as in moved" in again.out
    page = tmp_path / "moved.html"
    assert causalmix("report", "moved", "--quick", "-o", page, *at).status == 0
    assert "What differs from the pool that the runs were trained on" in page.read_text()

    assert "no snapshot 'ffffffffffff'" in refused("shift", "--to", "ffffffffffff", "--pool", old, *at)
    assert "no outcome loss/x" in refused("shift", "--to", new.id, "--pool", old, "--outcome", "loss/x", *at)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bound", "code"], "--bound code: write it as NAME=VALUE"),
        (["--bound", "code=0.3"], "--bound 0.3: write the lowest and the highest weight as LOW:HIGH"),
        (["--bound", "code=a:1"], "'a' is no number"),
        (["--bound", "code=0.5:0.2"], "the bounds of code are 0.5 to 0.2"),
        (["--bound", "news=0:0.3"], "name news, which is no domain of these runs: code, prose, sums"),
        (["--lock", "code=1.5"], "code is locked at 1.5"),
        (["--max-epochs", "4", "--max-epochs", "code=2"], "one number for all domains, or DOMAIN=TIMES"),
        (["--max-epochs", "-1"], "a positive number of epochs"),
        (["--lock", "code=0.6", "--lock", "prose=0.6"], "code locked at 60%"),
        (["--no-harm", "loss/code=much"], "'much' is no number"),
        (["--no-harm", "loss/news"], "loss/news may not get worse, but is no outcome"),
        (["--step", "0"], "The step is 0; it is the part of the way"),
        (["--radius", "0"], "The radius is 0"),
        (["--from", "mixtures/none.json"], "no file mixtures/none.json"),
        (["--from", "x.json", "--policy", "search"], "leave the other options out"),
        (["--from", "x.json", "--bound", "code=0:1"], "leave the other options out"),
        (["--constraints", "none.yaml"], "none.yaml cannot be read"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_line(
    refused: Callable[..., str],
    study: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    words: str,
) -> None:
    # Nothing of this needs effects of any quality.
    monkeypatch.setattr("causalmix_core.effects.fitting.calibrate", lambda sample, info, response, seed: None)
    assert words in refused("suggest", "-w", study.root, *options)
    assert not list(study.mixtures.glob("*.json"))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("rules.yaml", "bounds: {code: [0, 1], code: [0, 0.2]}", "the name code stands there twice, line 1"),
        ("rules.json", '{"radius": 0.1, "radius": 0.2}', "the name radius stands there twice"),
        ("rules.yaml", "bonds: {code: [0, 1]}", "bonds: Extra inputs are not permitted"),
        ("rules.yaml", "- code", "holds no constraints. Give one of: bounds, locked"),
        ("rules.yaml", "bounds: [", "neither YAML nor JSON"),
        ("rules.json", "{", "neither YAML nor JSON"),
    ],
)
def test_a_file_of_constraints_is_read_strictly(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CausalMixError, match=re.escape(words)):
        ConstraintOptions(file=tmp_path / name).constraints(1000)


def test_options_stand_on_top_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(FILE + "radius: 0.1\ntoken_budget: 5\n")
    plain = ConstraintOptions(file=path).constraints(1000)
    assert (plain.radius, plain.token_budget) == (0.1, 5)
    found = ConstraintOptions(
        file=path, bound=["code=:20%"], group=["code+sums=0.1:0.5"], max_epochs=["code=2"],
        radius=0.4, token_budget=7, most_domains=2, smallest_change=0.05,
    ).constraints(1000)  # fmt: skip
    assert found.bounds == {"code": (0.0, 0.2), "prose": (0.2, 1.0)}
    assert [g.name for g in found.groups] == ["all text", "code+sums"]
    assert found.groups[1] == Group(name="code+sums", domains=("code", "sums"), lowest=0.1, highest=0.5)
    assert found.max_epochs == {"sums": 4.0, "code": 2.0}
    assert (found.radius, found.token_budget, found.most_domains, found.smallest_change) == (0.4, 7, 2, 0.05)
    nothing = ConstraintOptions().constraints(1000)
    assert (nothing.radius, nothing.token_budget, nothing.bounds) == (0.25, 1000, {})
