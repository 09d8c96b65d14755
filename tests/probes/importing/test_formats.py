"""Each format, read from text as its tool writes it, against what is known to stand in it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.importing import (
    IMPORTERS,
    SourceFile,
    guess_format,
    make_draft,
    read_files,
    resolve_outcome,
)
from tests.probes.importing.conftest import Draft, files_of, regmix_texts

SET = "/data/pythia-pile.valid.domains//pythia-pile.valid."


def test_the_published_regmix_tables_are_read_as_they_are(published: Path) -> None:
    files = {
        "mixtures": SourceFile.of(published / "train_mixture_1m.csv"),
        "outcomes": SourceFile.of(published / "train_pile_loss_1m.csv"),
    }
    assert guess_format([files["outcomes"], files["mixtures"]]) == ("regmix", files)
    tables = read_files("regmix", files)
    draft = make_draft("regmix", tables, IMPORTERS["regmix"].guess(tables))
    assert (len(draft.frame), len(draft.domains), len(draft.outcomes)) == (512, 17, 13)
    assert not draft.problems
    assert not draft.refusals
    assert draft.mapping.assignment == "randomised"
    raw = pd.read_csv(published / "train_mixture_1m.csv").set_index("index")
    raw.columns = [c.removeprefix("train_the_pile_") for c in raw]
    ours = draft.frame[[f"weight/{d}" for d in raw]].to_numpy()
    assert ours == pytest.approx((raw.div(raw.sum(axis=1), axis=0)).to_numpy())
    assert "summed to 0.9960 to 1.0030" in draft.notices[0]
    losses = pd.read_csv(published / "train_pile_loss_1m.csv")
    assert draft.frame["loss/pile_cc"].tolist() == losses["metric/the_pile_pile_cc_val_loss"].tolist()
    headers = draft.mapping.headers()
    for name in ("loss/pile_cc", "pile_cc", "metric/the_pile_pile_cc_val_loss"):
        assert resolve_outcome(name, draft.outcomes, headers) == "loss/pile_cc"
    with pytest.raises(CausalMixError, match="no outcome europarl"):
        resolve_outcome("europarl", draft.outcomes, headers)


def test_regmix_tables_of_other_data_have_other_prefixes(draft: Draft) -> None:
    found = draft(
        "regmix",
        {
            "mixtures": "index,mix/web,mix/code\n1,0.4,0.6\n2,0.5,0.5\n",
            "outcomes": "index,eval/code/loss,eval/books/loss\n2,3.0,4.0\n1,2.0,4.5\n",
        },
    )
    assert found.domains == ["code", "web"]
    assert found.outcomes == ["loss/books", "loss/code"]
    assert found.frame["loss/code"].tolist() == [2.0, 3.0]


def test_olmix_rows_are_joined_by_run_and_columns_by_name(draft: Draft) -> None:
    texts = {
        "mixtures": "run,name,dclm,dclm:code\na,x,0.25,0.75\nb,y,0.5,0.5\nc,z,1,0\n",
        "outcomes": "name,mmlu_stem_bpb,arc_acc,run\nz,1.3,0.2,c\nx,1.1,0.4,a\ny,1.2,0.3,b\n",
    }
    found = draft("olmix", texts)
    assert found.frame.set_index("source_run").to_dict("index") == {
        "a": {"weight/dclm": 0.25, "weight/dclm_code": 0.75, "benchmark-loss/mmlu_stem_bpb": 1.1,
              "benchmark/arc_acc": 0.4},
        "b": {"weight/dclm": 0.5, "weight/dclm_code": 0.5, "benchmark-loss/mmlu_stem_bpb": 1.2,
              "benchmark/arc_acc": 0.3},
        "c": {"weight/dclm": 1.0, "weight/dclm_code": 0.0, "benchmark-loss/mmlu_stem_bpb": 1.3,
              "benchmark/arc_acc": 0.2},
    }  # fmt: skip
    swapped = {role: shuffled_columns(text) for role, text in texts.items()}
    assert draft("olmix", swapped).content() == found.content()


def shuffled_columns(text: str) -> str:
    """The same CSV with its columns turned round and its rows too."""
    header, *rows = [line.split(",")[::-1] for line in text.splitlines()]
    return "\n".join(",".join(row) for row in [header, *rows[::-1]])


def test_a_metric_of_unknown_direction_is_refused_until_somebody_says(draft: Draft) -> None:
    texts = {
        "mixtures": "run,a,b\n1,0.4,0.6\n2,0.5,0.5\n3,1,0\n",
        "outcomes": "run,arc\n1,0.1\n2,0.2\n3,0.3\n",
    }
    found = draft("olmix", texts)
    assert "not known whether arc should be high or low" in found.refusals[0]
    with pytest.raises(CausalMixError, match="should be high or low"):
        found.usable(skip_bad_rows=True)
    said = found.mapping.with_targets({"outcome/arc": "benchmark/arc"})
    assert draft("olmix", texts, said).usable().outcomes == ["benchmark/arc"]


def laws(weights: dict[str, tuple[float, ...]], steps: tuple[int, ...] = (1000, 2000)) -> list[str]:
    """Lines as the published files have them; the loss is 4 - weight - step / 10,000."""
    return [
        f"/ckpts/base2//70M_base2_{run}-{'-'.join(map(str, mixture))}/{step}\t{SET}{name}.bin\t"
        f"{4 - mixture[i] - step / 10_000}"
        for run, mixture in weights.items()
        for step in steps
        for i, name in enumerate(("Github", "Pile-CC"))
    ]


def test_mixtures_are_read_from_the_paths_of_data_mixing_laws(draft: Draft) -> None:
    lines = laws({"1": (0.25, 0.75), "2": (0.375, 0.625), "13": (0.5, 0.5), "0": (0, 1)})
    rng = np.random.default_rng(0)
    # The published files repeat lines, and their order means nothing.
    text = "\n".join(rng.permutation([*lines, *lines[:5]]))
    found = draft("mixing-laws", {"outcomes": text}, ending=".txt")
    assert not found.problems
    rows = found.frame.set_index("source_run").sort_index()
    assert rows.loc["70M_base2_2-0.375-0.625"].to_dict() == pytest.approx(
        {
            "weight/domain-1": 0.375,
            "weight/domain-2": 0.625,
            "loss/Github": 4 - 0.375 - 0.2,
            "loss/Pile-CC": 4 - 0.625 - 0.2,
        }
    )
    assert "step 2000 is read" in found.notices[0]
    named = found.mapping.with_targets(
        {"weight/domain-1": "weight/Github", "weight/domain-2": "weight/Pile-CC"}
    )
    early = draft("mixing-laws", {"outcomes": text}, named, step=1000, ending=".txt")
    assert early.domains == ["Github", "Pile-CC"]
    assert (early.frame["loss/Github"] - 4 + early.frame["weight/Github"] + 0.1).abs().max() < 1e-12
    with pytest.raises(CausalMixError, match="no step 5"):
        draft("mixing-laws", {"outcomes": text}, step=5, ending=".txt")


def test_lines_that_are_none_or_contradict_each_other_are_named(draft: Draft) -> None:
    lines = laws({"1": (0.25, 0.75), "2": (0.375, 0.625), "3": (0.5, 0.5)}, steps=(10,))
    lines += [
        lines[0].rsplit("\t", 1)[0] + "\t9.0",
        "/models/pythia_70m_step20000\t/x.Github.bin\t1.5",
        "half a line",
    ]
    found = draft("mixing-laws", {"outcomes": "\n".join(lines)}, ending=".txt")
    said = "\n".join(map(str, found.problems))
    assert "outcomes.txt, line 7: Github: another line says 3.749" in said
    assert "line 8: /models/pythia_70m_step20000 does not end in `<run>/<step>`" in said
    assert "line 9: half does not end in `<run>/<step>`" in said
    assert len(found.usable(skip_bad_rows=True).frame) == 2


def test_wandb_exports_are_read_with_prefixes_without_and_as_dictionaries(draft: Draft) -> None:
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(2), 4)
    frame = pd.DataFrame(
        {
            "Name": [f"run-{i}" for i in range(4)],
            "State": "finished",
            "config.lr": 0.001,
            "config.mix.code": weights[:, 0],
            "config.mix.web": weights[:, 1],
            "config.state.dup": rng.random(4),
            "summary.eval/loss_code": 3 - weights[:, 0],
            "summary.eval/arc_acc": weights[:, 1],
            "summary.train/loss": 2.0,
            "summary._step": 100,
        }
    )
    found = draft("wandb", {"table": frame.to_csv(index=False)})
    assert found.domains == ["code", "web"]
    assert found.outcomes == ["benchmark/arc_acc", "loss/code"]
    assert "state/dup" in found.frame
    assert found.mapping.assignment == "observational"
    assert any("train/loss" in n for n in found.notices)
    plain = frame.rename(columns=lambda c: c.removeprefix("config.").removeprefix("summary."))
    assert draft("wandb", {"table": plain.to_csv(index=False)}).content() == found.content()
    nested = pd.DataFrame(
        {
            "config": [
                json.dumps({"mix": {"code": w[0], "web": w[1]}, "state": {"dup": d}})
                for w, d in zip(weights.tolist(), frame["config.state.dup"], strict=True)
            ],
            "summary": [
                str({"eval/loss_code": a, "eval/arc_acc": b})
                for a, b in zip(
                    frame["summary.eval/loss_code"].tolist(),
                    frame["summary.eval/arc_acc"].tolist(),
                    strict=True,
                )
            ],
            "name": frame["Name"],
        }
    )
    assert draft("wandb", {"table": nested.to_csv(index=False)}).content() == found.content()
    crashed = frame.assign(State=["finished", "crashed", "finished", "finished"])
    problem = draft("wandb", {"table": crashed.to_csv(index=False)}).problems
    assert [str(p) for p in problem] == ["table.csv, line 3: the run is crashed."]


def test_mlflow_exports_are_read(draft: Draft) -> None:
    text = (
        "run_id,experiment_id,status,start_time,params.w_code,params.w_web,params.lr,metrics.loss_web,tags.mlflow.user\n"
        "a,1,FINISHED,2026,0.3,0.7,0.1,2.5,ann\nb,1,FINISHED,2026,0.6,0.4,0.1,2.7,ann\nc,1,FAILED,2026,1,0,0.1,,ann\n"
    )
    assert guess_format([SourceFile("runs.csv", text.encode())])[0] == "mlflow"
    found = draft("mlflow", {"table": text})
    assert found.domains == ["code", "web"]
    assert found.outcomes == ["loss/web"]
    assert found.frame["source_run"].tolist() == ["a", "b"]
    assert "the run is FAILED" in str(found.problems[0])


def test_any_table_takes_our_own_columns_as_they_are(draft: Draft, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "run": ["a", "b", "c"],
            "weight/x": [0.2, 0.5, 0.9],
            "weight/y": [0.8, 0.5, 0.1],
            "state/dup": [0.1, 0.2, 0.3],
            "loss/x": [3.0, 2.0, 1.0],
            "bpb/x": [1.0, 1.0, 1.0],
            "objective": [3.0, 2.0, 1.0],
        }
    )
    found = draft("table", {"table": frame.to_csv(index=False)})
    assert list(found.frame) == ["source_run", "weight/x", "weight/y", "state/dup", "loss/x"]
    frame.to_parquet(tmp_path / "t.parquet")
    tables = read_files("table", {"table": SourceFile.of(tmp_path / "t.parquet")})
    again = make_draft("table", tables, IMPORTERS["table"].guess(tables))
    assert again.content() == found.content()


def test_files_are_recognised_and_wrong_ones_are_refused_in_words() -> None:
    regmix = files_of(regmix_texts())
    assert guess_format(list(regmix.values())[::-1])[0] == "regmix"
    with pytest.raises(
        CausalMixError, match="RegMix needs the mixtures and the outcomes; given is the mixtures"
    ):
        read_files("regmix", {"mixtures": regmix["mixtures"]})
    with pytest.raises(CausalMixError, match="leave the step out"):
        read_files("regmix", regmix, step=3)
    for name, data, words in (
        ("x.csv", b"a,b\n", "holds no row"),
        ("x.csv", b"a,a\n1,2\n", "'a' is there twice"),
        ("x.csv", b'a,b\n"1,2\n', "no readable CSV"),
        ("x.csv", b"\xff\xfe", "no UTF-8"),
        ("x.parquet", b"PAR1", "no readable Parquet"),
        ("x.xlsx", b"", "are read from .csv"),
    ):
        with pytest.raises(CausalMixError, match=words):
            read_files("table", {"table": SourceFile(name, data)})
    with pytest.raises(CausalMixError, match="has no column `index`"):
        read_files("regmix", files_of({"mixtures": "a,b\n0,1\n", "outcomes": "a\n1\n"}))
