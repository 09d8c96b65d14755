"""Runs from elsewhere on the command line: imported, predicted from, and refused in one line where bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalmix_core.graph import load_graph
from causalmix_core.mixture import load_mixture
from causalmix_core.probes import read_runs
from causalmix_core.probes.importing import list_imports
from causalmix_core.workspace import Workspace
from tests.command_line import Run
from tests.probes.importing.conftest import published, regmix_texts

__all__ = ["published"]
DOMAINS = ("arxiv", "github", "pile_cc")


@pytest.fixture
def bare(causalmix: Run, tmp_path: Path) -> Workspace:
    """A workspace as `causalmix init` makes it, without any text."""
    assert causalmix("init", tmp_path / "bare").status == 0
    return Workspace.open(tmp_path / "bare")


def write_pair(folder: Path, n: int = 32, **changes: str) -> tuple[object, ...]:
    """Write RegMix tables of `n` runs; gives the options that name them."""
    texts = regmix_texts(n) | changes
    for role, text in texts.items():
        (folder / f"{role}.csv").write_text(text)
    return (
        "--format",
        "regmix",
        "--mixtures",
        folder / "mixtures.csv",
        "--outcomes",
        folder / "outcomes.csv",
    )


def test_from_other_peoples_tables_to_predictions_and_a_mixture(
    causalmix: Run, bare: Workspace, tmp_path: Path
) -> None:
    here = ("-w", bare.root)
    said = causalmix("runs", "import", *write_pair(tmp_path), "--name", "pile", *here)
    assert (said.status, said.err) == (0, "")
    assert "Imported 32 runs of 3 domains with 2 outcomes as pile" in said.out
    assert "were divided by their sums" in said.out
    asked = tmp_path / "asked.csv"
    asked.write_text(
        "index,train_the_pile_github,train_the_pile_arxiv,train_the_pile_pile_cc\n7,0.2,0.5,0.3\n9,0,1,0\n"
    )
    output = tmp_path / "predictions.csv"
    said = causalmix(
        "predict", "--mixtures", asked, "--outcome", "metric/the_pile_arxiv_val_loss",
        "--estimator", "linear_regression", "--output", output, *here,
    )  # fmt: skip
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"Wrote loss/arxiv of 2 mixtures to {output}, predicted from 32 runs")
    table = pd.read_csv(output)
    assert table.columns.tolist() == ["index", "mean", "lower", "upper"]
    assert table["index"].tolist() == [7, 9]
    assert table["mean"].to_numpy() == pytest.approx([4.5, 4.0], abs=0.03)  # the loss is 5 - weight
    assert (table["lower"] < table["mean"]).all()
    assert (table["mean"] < table["upper"]).all()
    assert (table["upper"] - table["lower"]).max() < 0.2
    assert causalmix("discover", *here).status == 0
    assert load_graph(bare, "import-pile").runs == 32
    assert "at the mean of 32 runs" in causalmix("estimate", "--estimator", "linear_regression", *here).out
    said = causalmix("suggest", "--estimator", "linear_regression", "--policy", "analytical", *here)
    assert said.status == 0
    assert load_mixture(bare, "suggested").snapshot == "import-pile"
    exported = causalmix("export", *here)
    assert "train_tokens" in exported.out
    assert "pool_tokens:" not in exported.out


def test_runs_that_varied_the_state_use_the_pools_where_the_file_has_none(
    causalmix: Run, bare: Workspace, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    weights, state = rng.dirichlet(np.ones(2), 40), rng.normal(size=40)
    table = pd.DataFrame(
        {
            "weight/a": weights[:, 0],
            "weight/b": weights[:, 1],
            "state/s": state,
            "loss/a": weights[:, 0] + state,
        }
    )
    table.to_parquet(tmp_path / "runs.parquet")
    here = ("-w", bare.root)
    assert causalmix("runs", "import", "--table", tmp_path / "runs.parquet", *here).status == 0
    asked = tmp_path / "asked.csv"
    outcome = ("--mixtures", asked, "--outcome", "a", "--output", tmp_path / "out.csv", *here)
    asked.write_text("a,b\n0.5,0.5\n")
    said = causalmix("predict", *outcome)
    assert f"the mean of the runs is used: s {state.mean():.4g}." in said.out
    assert pd.read_csv(tmp_path / "out.csv")["mean"][0] == pytest.approx(0.5 + state.mean(), abs=0.1)
    asked.write_text("a,b,s\n0.5,0.5,1.0\n0.5,0.5,-1.0\n")
    said = causalmix("predict", *outcome)
    assert "without a pool state" not in said.out
    found = pd.read_csv(tmp_path / "out.csv")
    assert found["index"].tolist() == [0, 1]
    assert found["mean"].to_numpy() == pytest.approx([1.5, -0.5], abs=0.15)


def test_a_preview_saves_nothing_and_its_mapping_can_be_given_back(
    causalmix: Run, bare: Workspace, tmp_path: Path
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("run,mix_a,mix_b,quality\n1,0.2,0.8,1\n2,0.5,0.5,2\n3,0.9,0.1,3\n4,0.4,0.6,4\n")
    here = ("-w", bare.root)
    mapping = tmp_path / "mapping.yaml"
    said = causalmix("runs", "import", "--table", table, "--preview", "--save-mapping", mapping, *here)
    assert "Refused: No outcome was found" in said.out
    assert "4 rows can be used, 0 have a problem." in said.out
    assert not list(bare.runs.glob("*.parquet"))
    edited = mapping.read_text().replace(
        "mix_b: weight/b\n", "mix_b: weight/b\n    quality: outcome/quality\n"
    )
    mapping.write_text(edited)
    refused = causalmix("runs", "import", "--table", table, "--mapping", mapping, *here)
    assert "not known whether quality should be high or low" in refused.err
    told = ("--higher", "quality", "--assignment", "adaptive", "--proxy", "1M llama")
    said = causalmix("runs", "import", "--table", table, "--mapping", mapping, *told, *here)
    assert said.status == 0
    frame = read_runs(bare.runs, "import-table").frame
    assert frame["benchmark/quality"].tolist() == [1, 2, 3, 4]
    assert set(frame["assignment"]) == {"adaptive"}
    assert set(frame["proxy"]) == {'{"name": "1M llama"}'}


def test_domains_of_path_encoded_mixtures_are_named_in_their_order(
    causalmix: Run, refused: Callable[..., str], bare: Workspace, tmp_path: Path
) -> None:
    lines = [
        f"/x/70M_{i}-{w}-{1 - w}/10\t/v/valid.Github.bin\t{3 - w}" for i, w in enumerate((0.25, 0.5, 0.75))
    ]
    (tmp_path / "70M.txt").write_text("\n".join(lines))
    options = (
        "runs",
        "import",
        "--format",
        "mixing-laws",
        "--outcomes",
        tmp_path / "70M.txt",
        "-w",
        bare.root,
    )
    assert "--domains names 3 domains, but a mixture in the files has 2" in refused(
        *options, "--domains", "a,b,c"
    )
    assert causalmix(*options, "--domains", "Github,Pile-CC", "--step", "10").status == 0
    assert read_runs(bare.runs, "import-mixing-laws-70M").frame["weight/Github"].tolist() == [0.25, 0.5, 0.75]


def test_bad_tables_are_refused_in_one_line_and_leave_nothing(
    causalmix: Run, refused: Callable[..., str], bare: Workspace, tmp_path: Path
) -> None:
    texts = regmix_texts(6)
    pair = write_pair(
        tmp_path, 6, outcomes=texts["outcomes"].replace("\n3,", "\n3,nan").replace("\n4,", "\n44,")
    )
    here = ("-w", bare.root)
    line = refused("runs", "import", *pair, *here)
    assert "3 rows cannot be used" in line
    assert "outcomes.csv, line 4" in line
    assert "run 44 is not in mixtures.csv" in line
    assert not list(bare.runs.glob("*.parquet"))
    assert "4 runs of 3 domains" in causalmix("runs", "import", *pair, "--skip-bad-rows", *here).out
    assert "3 bad rows were skipped" in list_imports(bare.runs)[0].notices[-1]
    assert "imported already" in refused("runs", "import", *pair, "--skip-bad-rows", "--name", "b", *here)
    asked = tmp_path / "mixtures.csv"
    output = ("--output", tmp_path / "out.csv", *here)
    assert "no outcome europarl" in refused("predict", "--mixtures", asked, "--outcome", "europarl", *output)
    assert "no runs of a pool x" in refused(
        "predict", "--mixtures", asked, "--outcome", "arxiv", "--pool", "x", *output
    )
    assert "needs the mixtures and the outcomes" in refused("runs", "import", *pair[:4], *here)
    assert "cannot be read" in refused("runs", "import", "--table", tmp_path / "none.csv", *here)
    assert not (tmp_path / "out.csv").exists()


def test_published_tables_are_scored_as_anybody_can(
    causalmix: Run, bare: Workspace, tmp_path: Path, published: Path
) -> None:
    from scipy.stats import spearmanr

    said = causalmix(
        "runs", "import", "--format", "regmix", "--mixtures", published / "train_mixture_1m.csv",
        "--outcomes", published / "train_pile_loss_1m.csv", "-w", bare.root,
    )  # fmt: skip
    assert "Imported 512 runs of 17 domains with 13 outcomes" in said.out
    output = tmp_path / "predictions.csv"
    said = causalmix(
        "predict", "--mixtures", published / "test_mixture_1m.csv", "--outcome", "pile_cc",
        "--estimator", "linear_regression", "--output", output, "-w", bare.root,
    )  # fmt: skip
    truth = pd.read_csv(published / "test_pile_loss_1m.csv").set_index("index")[
        "metric/the_pile_pile_cc_val_loss"
    ]
    found = pd.read_csv(output).set_index("index")
    assert len(found) == 256
    # RegMix reports 90.2 for its linear regression on these tables.
    assert spearmanr(found["mean"], truth.loc[found.index]).statistic == pytest.approx(0.90, abs=0.02)
