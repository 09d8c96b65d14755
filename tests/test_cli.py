"""The command line: the whole way on a small pool, what it says to bad input, and its help.

`causalmix_core.cli.main` runs in this process, so that slow libraries are imported once; a traceback
would fail a test. That the installed command behaves the same is checked where processes matter.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from causalmix_core.corpus import STATE_FEATURES, list_snapshots, open_snapshot
from causalmix_core.effects import minimum_runs
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LIVE
from causalmix_core.workspace import Workspace, WorkspaceConfig
from jobs import LocalEngine
from tests.command_line import Run, Said, commands

DOMAINS = ("code", "prose", "sums")
COMMANDS = commands()


@pytest.fixture
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swarms of one worker, so that torch is loaded once."""
    monkeypatch.setattr(LocalEngine, "means", staticmethod(lambda: ("cpu", 1)))


@pytest.fixture(autouse=True)
def _no_swarm_outlives_its_test(tmp_path: Path) -> Iterator[None]:
    """Ends what a test has started in its workspace, however the test itself ended."""
    yield
    for process in psutil.process_iter():
        try:
            if any(Path(a).is_relative_to(tmp_path) for a in process.cmdline()):
                process.kill()
        except psutil.Error:
            continue


@pytest.fixture
def sources(workspace: Workspace, tmp_path: Path) -> Path:
    """A folder with one subfolder or file per domain, as people keep them."""
    folder = tmp_path / "texts"
    for domain, source in workspace.config().domains.items():
        if domain == "code":
            (folder / "code").mkdir(parents=True)
            shutil.copy(source.path, folder / "code" / "part-1.jsonl")
        else:
            shutil.copy(source.path, folder / f"{domain}.jsonl")
    return folder


def write_runs(workspace: Workspace, count: int) -> None:
    """Rows of the run table as a finished shard of `count` probes leaves them."""
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(len(DOMAINS)), size=count)
    rows = pd.DataFrame(
        {
            "run": [f"imported-{i:04d}" for i in range(count)],
            "job": "imported",
            "probe": range(count),
            "status": "finished",
            "snapshot": open_snapshot(workspace).id,
            "assignment": "randomised",
            **{f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)},
            **{f"state/{f}": rng.normal(size=count) for f in STATE_FEATURES},
            **{f"loss/{d}": 3 - np.log(weights[:, i] + 0.1) for i, d in enumerate(DOMAINS)},
        }
    )
    rows.to_parquet(workspace.runs / "imported-0000.parquet", index=False)


def test_the_whole_way(causalmix: Run, sources: Path, tmp_path: Path, one_worker: None) -> None:
    root, effects, exported = tmp_path / "study", tmp_path / "effects.csv", tmp_path / "mixture.yaml"

    said = causalmix("init", root, "--from", sources)
    assert said.status == 0
    assert f"Made the workspace {root}" in said.out
    for domain in DOMAINS:
        assert re.search(rf"{domain} +{sources / domain}", said.out)
    assert said.out.endswith(f"Next: causalmix ingest -w {root}\n")

    said = causalmix("ingest", "-w", root)
    assert said.status == 0
    snapshot = open_snapshot(Workspace.open(root))
    assert f"Snapshot {snapshot.id} made" in said.out
    assert re.search(r"code: 18 documents\n", said.out)
    assert re.search(r"sums: 60 documents\n", said.out)

    said = causalmix("ingest", "-w", root)
    assert f"Snapshot {snapshot.id} is up to date" in said.out
    assert [s.id for s in list_snapshots(Workspace.open(root))] == [snapshot.id]

    probes = minimum_runs(len(DOMAINS)) + 3
    said = causalmix("probe", "-w", root, "--probes", probes, "--tokens", 8192)
    assert said.status == 0, said.err
    job = re.search(r"^Job (\S+) runs in the background\.$", said.out, re.MULTILINE)
    assert job
    assert f"Job {job[1]}: finished, {probes} probes finished, 0 diverged." in said.out
    said = causalmix("jobs", "list", "-w", root)
    assert said.out.split() == [job[1], "finished", "100%", f"{probes}/{probes}", "probes", "local"]

    said = causalmix("discover", "-w", root)
    assert said.status == 0, said.err
    assert re.search(r"weight/\w+ +\S+ +loss/\w+", said.out)
    assert f"Saved graph main, revision 1, from {probes} probes." in said.out
    assert "revision 2" in causalmix("discover", "-w", root).out

    said = causalmix("estimate", "-w", root, "--output", effects)
    assert said.status == 0, said.err
    table = pd.read_csv(effects)
    assert set(table["domain"]) == set(DOMAINS)
    assert set(table["outcome"]) == {*(f"loss/{d}" for d in DOMAINS), "objective"}
    assert (table["lower"] <= table["effect"]).all()
    assert (table["effect"] <= table["upper"]).all()
    first = table.iloc[0]
    assert f"{first['outcome']}\n" in said.out
    assert f"{first['effect']:+.5f} [{first['lower']:+.5f}, {first['upper']:+.5f}]" in said.out
    assert "Note: " in said.out

    said = causalmix("suggest", "-w", root, "--name", "next", "--radius", 0.2)
    assert said.status == 0, said.err
    printed = {d: float(re.search(rf"{d} +([\d.]+)%", said.out)[1]) for d in DOMAINS}  # type: ignore[index]
    assert "objective" in said.out
    assert "Saved mixture next, revision 1. Next: causalmix export next" in said.out

    said = causalmix("export", "next", "-w", root, "-o", exported, "--token-budget", 1_000_000)
    assert said.out == f"Wrote {exported}\n"
    written = yaml.safe_load(exported.read_text())
    weights = {d["name"]: d["weight"] for d in written["domains"]}
    assert sum(weights.values()) == pytest.approx(1, abs=1e-12)
    assert {d: round(100 * w, 2) for d, w in weights.items()} == pytest.approx(printed, abs=0.011)
    assert sum(d["train_tokens"] for d in written["domains"]) == written["token_budget"] == 1_000_000
    assert {d["name"]: d["pool_tokens"] for d in written["domains"]} == snapshot.tokens()
    origin = written["provenance"]
    assert (origin["graph"]["name"], origin["graph"]["revision"]) == ("main", 2)
    assert origin["probes"] == probes
    assert origin["jobs"] == [job[1]]
    assert origin["snapshot"] == snapshot.id
    assert origin["estimator"] == "gaussian_process"
    assert origin["policy"] == "trust_region"
    moved = sum(abs(weights[d] - origin["reference"][d]) for d in DOMAINS) / 2
    assert moved <= origin["trust_radius"] + 1e-5 == pytest.approx(0.2, abs=1e-4)
    assert yaml.safe_load(causalmix("export", "next", "-w", root).out)["token_budget"] == 1_000_000_000


def test_a_swarm_in_the_background_is_stopped_and_gone_on_with(
    causalmix: Run, refused: Callable[..., str], workspace: Workspace, one_worker: None
) -> None:
    at = ("-w", workspace.root)
    said = causalmix("probe", *at, "--detach", "--tokens", 1_000_000_000, "--workers", 1)
    job = LocalEngine().jobs(workspace)[0]
    assert said == Said(0, f"Job {job} runs in the background.\n", "")

    def listed() -> str:
        line = causalmix("jobs", "list", *at).out
        assert line.startswith(f"{job}  ")
        assert " 0/48 probes " in line
        return line.split()[1]

    def ends(state: str) -> None:
        deadline = time.monotonic() + 60
        while (now := listed()) in LIVE:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert now == state

    assert listed() in LIVE
    assert re.search(r"is (starting|queued|running)", refused("jobs", "resume", job, *at))
    assert "cancel it before you delete it" in refused("jobs", "delete", job, "--yes", *at)
    assert causalmix("jobs", "pause", job, *at).out.startswith(f"Asked job {job} to pause")
    ends("paused")
    assert "there is nothing to pause" in refused("jobs", "pause", job, *at)
    assert "does not wait" in refused("jobs", "move", job, "--up", 1, *at)
    assert "No probe" in refused("jobs", "retry", job, *at)
    shown = causalmix("jobs", "status", job, *at).out
    assert shown.startswith(f"{job}: paused\n")
    assert re.search(r"probes +0 of 48 finished, 0 diverged\n", shown)
    assert causalmix("jobs", "cancel", job, *at).out.startswith(f"Asked job {job} to stop")
    ends("cancelled")

    # Watched to its end, which is a bad one: it says why and does not end like a success.
    shutil.rmtree(open_snapshot(workspace).root)
    said = causalmix("jobs", "resume", job, *at)
    assert said.status == 1
    assert f"Job {job}: failed, 0 probes finished, 0 diverged.\n" in said.out
    assert said.err.startswith("causalmix: There is no snapshot")
    assert said.err.count("\n") == 1
    told = causalmix("jobs", "log", job, *at, "--lines", 5).out
    assert re.search(r"  failed: There is no snapshot", told)

    assert "Repeat it with --yes" in refused("jobs", "delete", job, *at)
    assert (
        causalmix("jobs", "delete", job, "--yes", "--runs", *at).out == f"Deleted job {job} and 0 probes.\n"
    )
    assert causalmix("jobs", "list", *at) == Said(0, "", "")


def test_without_a_graph_every_weight_is_assumed_to_matter(causalmix: Run, workspace: Workspace) -> None:
    write_runs(workspace, 20)
    assert "revision 1" in causalmix("suggest", "-w", workspace.root).out
    assert "revision 2" in causalmix("suggest", "-w", workspace.root).out
    origin = yaml.safe_load(causalmix("export", "-w", workspace.root).out)["provenance"]
    assert (origin["graph"]["name"], origin["graph"]["revision"]) == ("assumed", None)
    assert origin["revision"] == 2


class TestBadInput:
    """Every mistake is answered by one line that names it, and nothing is lost."""

    def test_workspace_is_a_file(self, refused: Callable[..., str], tmp_path: Path) -> None:
        path = tmp_path / "notes.md"
        path.write_text("mine")
        assert f"{path} is a file" in refused("init", path)
        assert f"{path} is a file" in refused("ingest", "-w", path)
        assert path.read_text() == "mine"

    def test_workspace_exists_already(self, refused: Callable[..., str], workspace: Workspace) -> None:
        before = workspace.config_path.read_bytes()
        assert "already holds a workspace" in refused("init", workspace.root)
        assert workspace.config_path.read_bytes() == before

    @pytest.mark.parametrize("verb", ["ingest", "probe", "discover", "estimate", "suggest", "export", "ui"])
    def test_no_workspace(self, refused: Callable[..., str], tmp_path: Path, verb: str) -> None:
        line = refused(verb, "-w", tmp_path / "nowhere")
        assert f"no workspace at {tmp_path / 'nowhere'}" in line
        assert "causalmix init" in line
        assert not (tmp_path / "nowhere").exists()

    @pytest.mark.parametrize("verb", ["probe", "discover", "estimate", "suggest"])
    def test_nothing_ingested(self, refused: Callable[..., str], tmp_path: Path, verb: str) -> None:
        Workspace.create(tmp_path / "empty", WorkspaceConfig(name="Empty"))
        assert "causalmix ingest" in refused(verb, "-w", tmp_path / "empty")

    @pytest.mark.parametrize("verb", ["discover", "estimate", "suggest"])
    def test_no_probes(self, refused: Callable[..., str], workspace: Workspace, verb: str) -> None:
        assert "no finished probes" in refused(verb, "-w", workspace.root)

    def test_damaged_configuration(self, refused: Callable[..., str], workspace: Workspace) -> None:
        workspace.config_path.write_text("name: W\ndomains: [code]\n")
        line = refused("ingest", "-w", workspace.root)
        assert str(workspace.config_path) in line
        assert "domains" in line

    def test_unknown_file_type(self, refused: Callable[..., str], sources: Path, tmp_path: Path) -> None:
        (sources / "code" / "paper.pdf").write_bytes(b"%PDF")
        workspace = tmp_path / "study"
        made = Workspace.create(workspace, WorkspaceConfig(name="Study"))
        made.save_config(
            WorkspaceConfig.model_validate(
                {"name": "Study", "domains": {"code": {"path": str(sources / "code")}}}
            )
        )
        for part in (sources / "code").glob("*.jsonl"):
            part.unlink()
        line = refused("ingest", "-w", workspace)
        assert "Domain code" in line
        assert "1 of unknown type" in line
        assert ".jsonl" in line

    def test_nothing_but_unknown_file_types(self, refused: Callable[..., str], tmp_path: Path) -> None:
        folder = tmp_path / "papers"
        folder.mkdir()
        (folder / "paper.pdf").write_bytes(b"%PDF")
        assert str(folder) in refused("init", tmp_path / "study", "--from", folder)
        assert not (tmp_path / "study").exists()

    def test_empty_domain(
        self, causalmix: Run, refused: Callable[..., str], sources: Path, tmp_path: Path
    ) -> None:
        (sources / "books").mkdir()
        assert causalmix("init", tmp_path / "study", "--from", sources).status == 0
        line = refused("ingest", "-w", tmp_path / "study")
        assert "Domain books" in line
        assert str(sources / "books") in line
        assert not list((tmp_path / "study" / "snapshots").iterdir())

    def test_two_domains_of_the_same_name(
        self, refused: Callable[..., str], sources: Path, tmp_path: Path
    ) -> None:
        shutil.copy(sources / "sums.jsonl", sources / "code.jsonl")
        line = refused("init", tmp_path / "study", "--from", sources)
        assert f"{sources / 'code'} and {sources / 'code.jsonl'} would both be the domain 'code'" in line

    def test_a_name_that_cannot_be_a_domain(
        self, refused: Callable[..., str], sources: Path, tmp_path: Path
    ) -> None:
        (sources / "sums.jsonl").rename(sources / "my sums.jsonl")
        line = refused("init", tmp_path / "study", "--from", sources)
        assert str(sources / "my sums.jsonl") in line

    def test_no_such_source(self, refused: Callable[..., str], tmp_path: Path) -> None:
        line = refused("init", tmp_path / "study", "--from", tmp_path / "nowhere")
        assert str(tmp_path / "nowhere") in line

    def test_unusable_lines_are_skipped_and_reported(
        self, causalmix: Run, sources: Path, tmp_path: Path
    ) -> None:
        good = (sources / "sums.jsonl").read_bytes()
        documents = good.count(b"\n") + 1
        bad = [b'{"text": "\xff\xfe"}', b"not json {", b'{"body": "no text here"}']
        (sources / "sums.jsonl").write_bytes(good + b"\n" + b"\n".join(bad) + b"\n")
        causalmix("init", tmp_path / "study", "--from", sources)
        said = causalmix("ingest", "-w", tmp_path / "study")
        assert said.status == 0
        line = next(x for x in said.out.splitlines() if "sums" in x)
        assert f"{documents} documents, skipped 3" in line
        assert f"1 not UTF-8: sums.jsonl line {documents + 1}" in line
        assert f"1 not JSON: sums.jsonl line {documents + 2}" in line
        assert f"1 without the text field: sums.jsonl line {documents + 3}" in line

    def test_text_in_another_field(
        self, causalmix: Run, refused: Callable[..., str], sources: Path, tmp_path: Path
    ) -> None:
        causalmix("init", tmp_path / "study", "--from", sources, "--text-field", "body")
        line = refused("ingest", "-w", tmp_path / "study")
        assert "Domain code" in line
        assert "'body'" in line

    @pytest.mark.parametrize("verb", ["estimate", "suggest"])
    def test_too_few_probes(self, refused: Callable[..., str], workspace: Workspace, verb: str) -> None:
        needed = minimum_runs(len(DOMAINS))
        write_runs(workspace, needed - 1)
        line = refused(verb, "--estimator", "linear_dml", "-w", workspace.root)
        assert f"{needed - 1} finished probes" in line
        assert f"at least {needed}" in line

    def test_too_few_probes_to_discover(self, refused: Callable[..., str], workspace: Workspace) -> None:
        write_runs(workspace, 3)
        assert "there are 3" in refused("discover", "-w", workspace.root)
        assert not list(workspace.graphs.iterdir())

    @pytest.mark.parametrize("verb", ["estimate", "suggest"])
    def test_unknown_graph(self, refused: Callable[..., str], workspace: Workspace, verb: str) -> None:
        write_runs(workspace, 20)
        line = refused(verb, "-w", workspace.root, "--graph", "theirs")
        assert "There is no graph 'theirs'" in line

    def test_unknown_mixture(self, refused: Callable[..., str], workspace: Workspace) -> None:
        assert "no mixture named best" in refused("export", "best", "-w", workspace.root)

    @pytest.mark.parametrize("name", ["../escape", "", "a b"])
    def test_impossible_names(self, refused: Callable[..., str], workspace: Workspace, name: str) -> None:
        write_runs(workspace, 20)
        assert "cannot be a name" in refused("suggest", "-w", workspace.root, "--name", name)
        assert not list(workspace.mixtures.glob("*.json"))

    @pytest.mark.parametrize(
        "verb", ["status", "resume", "cancel", "pause", "retry", "log", "move --up=1", "delete --yes"]
    )
    @pytest.mark.parametrize("job", ["nobody", "", ".", "../jobs", "../runs"])
    def test_unknown_job(
        self, refused: Callable[..., str], workspace: Workspace, verb: str, job: str
    ) -> None:
        before = sorted(workspace.root.rglob("*"))
        assert f"There is no job {job}" in refused("jobs", *verb.split(), job, "-w", workspace.root)
        assert sorted(workspace.root.rglob("*")) == before

    @pytest.mark.parametrize("options", [[], ["--up", "1", "--down", "1"]])
    def test_moved_nowhere(
        self, refused: Callable[..., str], workspace: Workspace, options: list[str]
    ) -> None:
        assert "either --up or --down" in refused("jobs", "move", "a", *options, "-w", workspace.root)

    def test_unknown_engine(self, refused: Callable[..., str], workspace: Workspace) -> None:
        line = refused("probe", "-w", workspace.root, "--engine", "cloud")
        assert "no engine named cloud; installed: local" in line

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (["--probes", "0"], "probes"),
            (["--probes", "-3"], "probes"),
            (["--probes", "1000000"], "probes"),
            (["--tokens", "0"], "tokens"),
            (["--seed", "-1"], "seed"),
        ],
    )
    def test_swarm_out_of_range(
        self, refused: Callable[..., str], workspace: Workspace, options: list[str], named: str
    ) -> None:
        assert f"{named}: " in refused("probe", "-w", workspace.root, *options)
        assert not list(workspace.jobs.iterdir())

    @pytest.mark.parametrize("radius", ["0", "1.5", "-1", "nan"])
    def test_radius_out_of_range(
        self, refused: Callable[..., str], workspace: Workspace, radius: str
    ) -> None:
        write_runs(workspace, 20)
        assert "radius" in refused("suggest", "-w", workspace.root, "--radius", radius)

    def test_alpha_out_of_range(self, refused: Callable[..., str], workspace: Workspace) -> None:
        write_runs(workspace, 40)
        assert "alpha is 5" in refused("discover", "-w", workspace.root, "--method", "pc", "--alpha", 5)

    def test_output_folder_is_missing(
        self, refused: Callable[..., str], workspace: Workspace, tmp_path: Path
    ) -> None:
        write_runs(workspace, 20)
        target = tmp_path / "nowhere" / "effects.csv"
        assert f"Cannot write {target}" in refused("estimate", "-w", workspace.root, "--output", target)

    @pytest.mark.parametrize("keep", [[], ["--keep"]])
    def test_demo_into_a_folder_with_files(
        self, refused: Callable[..., str], tmp_path: Path, keep: list[str]
    ) -> None:
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
        line = refused("demo", tmp_path / "thesis", *keep)
        assert f"{tmp_path / 'thesis'} exists and is not empty" in line
        assert [p.name for p in tmp_path.rglob("*")] == ["thesis", "chapter.txt"]
        assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"

    def test_demo_out_of_range(self, refused: Callable[..., str], tmp_path: Path) -> None:
        assert "probes: " in refused("demo", tmp_path / "demo", "--probes", 0)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        "arguments",
        [
            ["probe", "--proxy", "huge"],
            ["probe", "--probes", "many"],
            ["estimate", "--estimator", "magic"],
            ["discover", "--method", "magic"],
            ["suggest", "--policy", "magic"],
            ["ui", "--port", "0"],
            ["ui", "--port", "70000"],
            ["init"],
            ["frobnicate"],
        ],
    )
    def test_usage_errors(self, causalmix: Run, workspace: Workspace, arguments: list[str]) -> None:
        if arguments[0] in ("probe", "estimate", "discover", "suggest", "ui"):
            arguments = [*arguments, "-w", str(workspace.root)]
        said = causalmix(*arguments)
        assert said.status == 2
        assert "Usage: causalmix" in said.err
        assert "Error" in said.err
        assert not list(workspace.jobs.iterdir())


def test_the_installed_command_reports_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from causalmix_core.cli import main; main()", "ingest"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "CAUSALMIX_WORKSPACE"},
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"causalmix: There is no workspace at {tmp_path}")
    assert done.stderr.count("\n") == 1


def test_the_workspace_may_come_from_the_environment(
    causalmix: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(workspace.root))
    assert causalmix("jobs", "list") == Said(0, "", "")


def test_demo_keeps_a_workspace_that_is_there(causalmix: Run, workspace: Workspace) -> None:
    before = {p: p.stat().st_mtime_ns for p in workspace.root.rglob("*")}
    said = causalmix("demo", workspace.root, "--keep")
    assert said.status == 0
    assert "is there already" in said.out
    assert {p: p.stat().st_mtime_ns for p in workspace.root.rglob("*")} == before


class TestPort:
    """`ui` takes the next free port and says so."""

    @pytest.fixture
    def taken(self) -> Iterator[int]:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            yield other.getsockname()[1]

    def test_the_next_free_port(self, taken: int) -> None:
        from causalmix_core.cli import _free_port

        found = _free_port(taken)
        assert taken < found < taken + 50
        assert _free_port(found) == found

    def test_no_free_port_is_said(self) -> None:
        from causalmix_core.cli import _free_port

        with socket.socket() as other:
            with contextlib.suppress(OSError):  # somebody else has it, which is as good
                other.bind(("127.0.0.1", 65535))
            with pytest.raises(CausalMixError, match=r"No free port from 65535 to 65535"):
                _free_port(65535)

    def test_ui_names_both_ports(self, workspace: Workspace, taken: int) -> None:
        command = ["-c", "from causalmix_core.cli import main; main()", "ui", "-w", str(workspace.root)]
        with subprocess.Popen(
            [sys.executable, *command, "--port", str(taken)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as server:
            assert server.stdout is not None
            lines = [server.stdout.readline() for _ in range(2)]
            os.killpg(server.pid, signal.SIGKILL)
        used = re.fullmatch(rf"Port {taken} is taken; using (\d+)\.\n", lines[0])
        assert used
        assert f"http://127.0.0.1:{used[1]} " in lines[1]


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_explains_every_verb_and_option(verb: str, causalmix: Run) -> None:
    command = COMMANDS[verb]
    said = causalmix(*verb.split(), "--help")
    assert said.status == 0
    assert command.help
    assert command.help.split(".")[0].split()[0] in said.out
    for parameter in command.params:
        names = [o for o in parameter.opts if o.startswith("--")] or [parameter.name]
        assert parameter.help, names
        # The help is drawn as a table that may cut a name in a narrow terminal; its first letters stay.
        assert any(name[:12].lower() in said.out.lower() for name in names), names


def test_the_verbs_are_those_of_the_way(causalmix: Run) -> None:
    way = ["init", "ingest", "probe", "discover", "estimate", "suggest", "export", "demo", "ui"]
    corpus = ["source list", "source add", "source remove", "snapshots", "stats", "documents", "compare"]
    corpus += ["sql", "filter list", "filter save", "filter preview", "filter apply", "measure"]
    corpus += ["jobs cancel", "jobs delete", "jobs list", "jobs log", "jobs move", "jobs pause"]
    corpus += ["jobs resume", "jobs retry", "jobs status"]
    corpus += ["runs list", "runs import", "runs export", "runs exclude", "runs include"]
    corpus += ["predict", "leaderboard", "refute", "explain"]
    corpus += ["graph list", "graph show", "graph diff", "graph export", "graph import"]
    corpus += ["formats", "import-mixture"]
    corpus += ["policies", "shift", "compare-mixtures", "report"]
    assert sorted(COMMANDS) == sorted(way + corpus)
    said = causalmix("--help")
    assert all(verb.split()[0] in said.out for verb in COMMANDS)


def test_version(causalmix: Run) -> None:
    from causalmix_core import __version__

    assert causalmix("--version") == Said(0, f"causalmix {__version__}\n", "")


def test_a_swarm_of_listed_mixtures_is_checked_before_it_runs(
    causalmix: Run, refused: Callable[..., str], workspace: Workspace, tmp_path: Path
) -> None:
    rows = pd.DataFrame({"code": [0.2, 0.5], "prose": [0.3, 0.25], "sums": [0.5, 0.25]})
    listed = tmp_path / "mixtures.csv"
    rows.assign(sums=[0.1, 0.25]).to_csv(listed, index=False)
    assert "mixtures.csv" in refused("probe", "-w", workspace.root, "--mixtures", listed)
    rows.to_csv(listed, index=False)
    assert "leave out --design grid" in refused(
        "probe", "-w", workspace.root, "--mixtures", listed, "--design", "grid"
    )
    assert LocalEngine().jobs(workspace) == []
    said = causalmix("probe", "-w", workspace.root, "--mixtures", listed, "--tokens", 10**9, "--detach")
    job = LocalEngine().jobs(workspace)[0]
    assert said.out == f"Job {job} runs in the background.\n"
    swarm = LocalEngine().status(workspace, job).swarm
    assert (swarm.probes, swarm.design) == (2, "list")
    assert [m["code"] for m in swarm.mixtures] == [0.2, 0.5]


def test_a_grid_has_as_many_probes_as_mixtures(
    causalmix: Run, refused: Callable[..., str], workspace: Workspace
) -> None:
    at = ("-w", workspace.root)
    assert "leave it out with another design" in refused("probe", *at, "--grid-steps", 2, "--design", "sobol")
    assert ": a grid design is randomised" in refused(
        "probe", *at, "--grid-steps", 2, "--assignment", "adaptive"
    )
    assert LocalEngine().jobs(workspace) == []
    causalmix("probe", *at, "--grid-steps", 2, "--tokens", 10**9, "--detach")
    swarm = LocalEngine().status(workspace, LocalEngine().jobs(workspace)[0]).swarm
    assert (swarm.design, swarm.grid_steps, swarm.probes) == ("grid", 2, 6)


def test_what_a_proxy_is_made_of(
    causalmix: Run, refused: Callable[..., str], workspace: Workspace, tmp_path: Path
) -> None:
    at = ("-w", workspace.root)
    assert "vocabulary has a meaning for the tokenizer 'bpe' only" in refused(
        "probe", *at, "--vocabulary", 512
    )
    assert str(tmp_path / "nowhere") in refused("probe", *at, "--pretrained", tmp_path / "nowhere")
    assert "no tasks_folder" in refused("probe", *at, "--task", "arithmetic")
    assert LocalEngine().jobs(workspace) == []
    causalmix(
        "probe",
        *at,
        "--family",
        "gpt2",
        "--tokenizer",
        "bpe",
        "--vocabulary",
        512,
        "--tokens",
        10**9,
        "--detach",
    )
    proxy = LocalEngine().status(workspace, LocalEngine().jobs(workspace)[0]).swarm.proxy
    assert (proxy.family, proxy.tokenizer, proxy.vocabulary, proxy.tokens) == ("gpt2", "bpe", 512, 10**9)
