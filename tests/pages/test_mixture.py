"""The mixture page and its views, run by Streamlit's own test runner on runs of a known world."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from causalmix_core.corpus import open_snapshot
from causalmix_core.corpus.derive import apply_filter
from causalmix_core.corpus.filters import Filter
from causalmix_core.corpus.snapshot import use_snapshot
from causalmix_core.mixture import Constraints, load_mixture
from causalmix_core.workspace import Workspace
from pages.mixture_views.held import CONSTRAINTS, NO_HARM
from pages.widgets.mixture_sliders import UNIT, _Payload, to_units

APP = Path(__file__).parents[2] / "app.py"
RUNS = 40
DOMAINS = ("code", "prose", "sums")


def write_runs(workspace: Workspace, pool: str | None = None, states: bool = True) -> None:
    """Runs of a known world: each loss falls with its own weight."""
    rng, snapshot = np.random.default_rng(0), open_snapshot(workspace)
    weights = rng.dirichlet(np.ones(3), RUNS)
    columns: dict[str, object] = {
        "run": [f"j-{i:02d}" for i in range(RUNS)],
        "status": "finished",
        "assignment": "randomised",
        "snapshot": pool or snapshot.id,
    }
    columns |= {f"weight/{d}": weights[:, i] for i, d in enumerate(DOMAINS)}
    if states:
        here = snapshot.state(workspace.config().state_features)
        columns |= {s: v * (1 + 0.1 * rng.normal(size=RUNS)) for s, v in here.items()}
    columns |= {
        f"loss/{d}": 3 - np.log(weights[:, i] + 0.05) + 0.05 * rng.normal(size=RUNS)
        for i, d in enumerate(DOMAINS)
    }
    pd.DataFrame(columns).to_parquet(workspace.runs / "j.parquet")


@pytest.fixture(scope="module")
def shared(_ingested: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Runs, and a second, filtered snapshot that is not in use; tests copy it."""
    root = tmp_path_factory.mktemp("mixture") / "workspace"
    shutil.copytree(_ingested, root)
    workspace = Workspace.open(root)
    first = open_snapshot(workspace)
    apply_filter(
        workspace,
        first,
        Filter(name="short", sql="bytes > 100 and (domain != 'prose' or alpha_ratio > 0.72)"),
    )
    use_snapshot(workspace, first.id)
    write_runs(workspace)
    config = workspace.config()
    workspace.save_config(
        config.model_copy(update={"objective": {"loss/code": 1.0}, "token_budget": 1_000_000})
    )
    return workspace


@pytest.fixture
def mine(shared: Workspace) -> Iterator[Workspace]:
    """The same without saved mixtures; what a test saves or chooses in it is gone after the test."""
    before = shared.config_path.read_bytes()
    yield shared
    shared.config_path.write_bytes(before)
    for path in shared.mixtures.glob("*.json"):
        path.unlink()


@pytest.fixture
def copied(shared: Workspace, tmp_path: Path) -> Workspace:
    """A copy for one test alone."""
    shutil.copytree(shared.root, tmp_path / "copied")
    return Workspace.open(tmp_path / "copied")


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """`open_page(workspace, view)`: the mixture page, with the quickest estimator."""

    def start(workspace: Workspace, view: str = "sliders", **state: object) -> AppTest:
        monkeypatch.setenv("CAUSALMIX_WORKSPACE", str(workspace.root))
        at = AppTest.from_file(str(APP), default_timeout=60).run()
        at.session_state["estimator"] = "linear_dml"
        at.session_state["own_estimator"] = True
        at.session_state["mix"] = view
        for name, value in state.items():
            at.session_state[name] = value
        at.switch_page("pages/mixture.py").run()
        assert not at.exception
        return at

    return start


def words(at: AppTest) -> str:
    """Everything that is written, without the backslashes that keep names from being markup."""
    kinds = (at.markdown, at.caption, at.info, at.success, at.warning, at.error)
    return "\n".join(e.value for kind in kinds for e in kind).replace("\\", "")


def press(at: AppTest, key: str) -> None:
    at.button(key=key).click().run()
    assert not at.exception


def turn(at: AppTest, view: str) -> None:
    at.session_state["mix"] = view
    at.run()
    assert not at.exception


def rows(at: AppTest) -> dict[str, dict[str, object]]:
    """What the sliders are told, by domain."""
    return {r["domain"]: r for r in json.loads(at.get("bidi_component")[0].proto.json)["rows"]}


def units(at: AppTest) -> dict[str, int]:
    return {d: int(str(r["units"])) for d, r in rows(at).items()}


def test_a_suggestion_moves_the_sliders_and_can_be_taken_back(shared, open_page):
    at = open_page(shared)
    before = units(at)
    assert "The sliders stand at the reference" in words(at)
    assert at.button(key="undo").disabled
    press(at, "suggest")
    after = units(at)
    assert after["code"] > before["code"], "only the loss on code counts"
    assert sum(after.values()) == UNIT
    assert "points moved" in words(at)
    assert "By Trust region (T)." in words(at)

    # half of the way: the suggestion on the sliders follows
    at.slider(key="mixture_step").set_value(50).run()
    half = units(at)["code"]
    assert half - before["code"] == pytest.approx((after["code"] - before["code"]) / 2, abs=2)
    press(at, "undo")
    assert units(at) == after
    press(at, "undo")
    assert units(at) == before
    press(at, "redo")
    assert units(at) == after


def test_a_released_slider_is_what_counts_and_its_lock_is_kept(shared, open_page):
    at = open_page(shared)
    revision = json.loads(at.get("bidi_component")[0].proto.json)["revision"]
    moved = {"code": 2000, "prose": 5000, "sums": 3000}
    at.session_state["sliders/released"] = _Payload(revision=revision, units=moved, locked=["sums"])
    at.run()
    assert units(at) == moved
    press(at, "suggest")
    assert units(at)["sums"] == 3000
    assert rows(at)["sums"]["locked"]


def test_a_constraint_shades_the_slider_and_binds_the_suggestion(shared, open_page):
    at = open_page(shared)
    at.multiselect(key="limit_domains").set_value(["code"])
    at.number_input(key="limit_highest").set_value(30.0)
    press(at, "add_limit")
    code = rows(at)["code"]
    assert code["highest"] == 3000
    assert code["highest_because"] == "code at most 30%"
    assert "code at most 30%" in words(at)
    press(at, "suggest")
    assert units(at)["code"] <= 3000
    # by hand one may leave what is allowed; the page says so and leads back
    revision = json.loads(at.get("bidi_component")[0].proto.json)["revision"]
    at.session_state["sliders/released"] = _Payload(
        revision=revision, units={"code": 4000, "prose": 3000, "sums": 3000}, locked=[]
    )
    at.run()
    assert "code at most 30%; the mixture has 40%" in words(at)
    press(at, "bring_back")
    assert units(at)["code"] == 3000
    press(at, "drop_0")
    assert rows(at)["code"]["highest_because"] != "code at most 30%"


def test_constraints_that_clash_are_named_and_nothing_moves(shared, open_page):
    clash = Constraints(bounds={"code": (0.6, 1.0), "prose": (0.6, 1.0)})
    at = open_page(shared)
    at.session_state[CONSTRAINTS] = clash
    at.run()
    before = units(at)
    assert "code at least 60%" in words(at)
    press(at, "suggest")
    assert units(at) == before
    assert [e.value for e in at.error if "clash" in e.value or "60%" in e.value]
    turn(at, "policies")
    assert "60%" in at.error[0].value


@pytest.mark.parametrize(
    ("domains", "low", "high", "said"),
    [
        ([], 0.0, 30.0, "Choose the domain"),
        (["code"], 0.0, 100.0, "is no limit"),
        (["code"], 50.0, 30.0, "swap the two"),
    ],
)
def test_a_limit_that_says_nothing_is_refused(shared, open_page, domains, low, high, said):
    at = open_page(shared)
    at.multiselect(key="limit_domains").set_value(domains)
    at.number_input(key="limit_lowest").set_value(low)
    at.number_input(key="limit_highest").set_value(high)
    press(at, "add_limit")
    assert said in words(at)


def test_a_group_and_repetition_are_limits_too(shared, open_page):
    at = open_page(shared)
    at.multiselect(key="limit_domains").set_value(["code", "sums"])
    at.number_input(key="limit_highest").set_value(40.0)
    at.text_input(key="limit_name").set_value("no prose")
    press(at, "add_limit")
    assert "no prose (code, sums) at most 40%" in words(at)
    at.number_input(key="limit_epochs").set_value(4.0).run()
    kept = at.session_state[CONSTRAINTS]
    assert kept.max_epochs == 4
    assert kept.groups[0].highest == 0.4
    assert rows(at)["code"]["epochs"] == pytest.approx(1_000_000 / open_snapshot(shared).tokens()["code"])


def test_one_point_from_a_chosen_donor(shared, open_page):
    at = open_page(shared)
    at.selectbox(key="exchange_gain").set_value("code")
    at.selectbox(key="exchange_give").set_value("sums").run()
    assert "One point of **code** from **sums**" in words(at)
    before = units(at)
    press(at, "move_point")
    assert units(at)["code"] == before["code"] + 100
    assert units(at)["sums"] == before["sums"] - 100
    at.selectbox(key="exchange_give").set_value("code").run()
    assert "cannot give to itself" in words(at)


def test_outcomes_are_weighed_and_protected(mine, open_page):
    at = open_page(mine)
    pool = open_snapshot(mine).id
    at.multiselect(key=f"objective_outcomes-{pool}").set_value(["loss/code", "loss/prose"]).run()
    at.number_input(key=f"importance-loss/prose-{pool}").set_value(3.0).run()
    assert not at.exception
    assert mine.config().objective == {"loss/code": 1.0, "loss/prose": 3.0}
    at.multiselect(key="harm_outcomes").set_value(["loss/sums"]).run()
    assert at.session_state[NO_HARM] == {"loss/sums": 0.0}
    press(at, "suggest")
    assert "May do harm" not in words(at)


def test_every_policy_stands_in_the_table_and_goes_to_the_sliders(shared, open_page):
    at = open_page(shared, "policies")
    said = words(at)
    for label in (
        "Trust region (T)",
        "Search",
        "Analytical",
        "RegMix",
        "Best probe",
        "UniMax",
        "By size",
        "Even",
    ):
        assert label in said
    assert len(at.get("plotly_chart")) == 1
    press(at, "put_uniform")
    assert at.session_state["mix"] == "sliders"
    assert sorted(units(at).values()) == [3333, 3333, 3334]
    assert "By Even." in words(at)


def test_another_pool_gets_its_mixture(mine, open_page):
    at = open_page(mine, "shift")
    said = words(at)
    assert "without a single new probe" in said
    assert len(at.get("plotly_chart")) == 3
    other = at.selectbox(key="shift_to").value
    press(at, "put_shift")
    assert at.session_state["mix"] == "sliders"
    assert f"This mixture is for snapshot {other}." in words(at)
    turn(at, "saved")
    press(at, "save")
    saved = load_mixture(mine, "suggested")
    assert saved.snapshot == other
    assert saved.runs_of == open_snapshot(mine).id
    press(at, "go_home")
    assert "This mixture is for" not in words(at)


def test_why_needs_a_move_and_then_explains_it(shared, open_page):
    at = open_page(shared, "why")
    assert "nothing to explain yet" in words(at)
    turn(at, "sliders")
    press(at, "suggest")
    turn(at, "why")
    assert "**More code**" in words(at)
    assert len(at.get("plotly_chart")) == 1
    press(at, "write_report")
    assert len(at.get("download_button")) == 1


def test_saved_mixtures_are_kept_compared_and_replayed(mine, open_page):
    at = open_page(mine)
    press(at, "suggest")
    turn(at, "saved")
    assert "Nothing is saved yet" in words(at)
    at.text_input(key="mixture-name").set_value("../outside").run()
    press(at, "save")
    assert "cannot be a name" in words(at)
    at.text_input(key="mixture-name").set_value("first").run()
    press(at, "save")
    assert "Saved first, revision 1." in words(at)
    assert load_mixture(mine, "first").asked.policy == "trust_region"
    press(at, "replay")
    assert "came out the same" in words(at), words(at)[words(at).index("The numbers differ") :]

    turn(at, "sliders")
    press(at, "undo")
    turn(at, "saved")
    at.text_input(key="mixture-name").set_value("second").run()
    press(at, "save")
    assert "lie between the two" in words(at)
    assert len(at.get("plotly_chart")) == 2
    at.selectbox(key="saved_chosen").set_value("first").run()
    press(at, "open_saved")
    assert "Opened first, revision 1." in words(at)
    assert units(at) == to_units(load_mixture(mine, "first").weights)


def test_a_damaged_or_foreign_mixture_is_named(mine, open_page):
    (mine.mixtures / "broken.json").write_text("{")
    at = open_page(mine, "saved")
    assert "broken.json is damaged" in words(at)


def test_weights_that_no_longer_fit_the_pool_are_refused_in_words(mine, open_page):
    at = open_page(mine, "saved")
    press(at, "save")
    path = mine.mixtures / "suggested.json"
    path.write_text(path.read_text().replace('"sums"', '"arithmetic"'))
    at.run()
    before = at.session_state["mixture"].now
    press(at, "open_saved")
    assert "it has no arithmetic" in words(at)
    assert at.session_state["mixture"].now == before


def test_an_export_says_what_its_numbers_mean_and_what_it_needs(mine, open_page):
    at = open_page(mine, "export")
    assert "exported once it is saved" in words(at)
    turn(at, "saved")
    press(at, "save")
    turn(at, "export")
    assert "parts of the training tokens" in words(at)
    assert "causalmix/mixture" in at.code[0].value
    at.selectbox(key="export_format").set_value("datasets").run()
    assert "parts of the rows" in words(at)
    at.selectbox(key="export_format").set_value("megatron").run()
    assert "Give the path with the export" in words(at)
    assert not at.code
    area = next(t for t in at.text_area if t.key.startswith("export_paths"))
    area.set_value("\n".join(f"{d} = /data/{d}_text_document" for d in DOMAINS)).run()
    assert "/data/code_text_document" in "".join(c.value for c in at.code)
    press(at, "keep_paths")
    assert mine.config().export_paths == {d: f"/data/{d}_text_document" for d in DOMAINS}
    area = next(t for t in at.text_area if t.key.startswith("export_paths"))
    area.set_value("nothing like a path").run()
    assert "write domain = path" in words(at)


def test_an_import_has_no_epochs_and_no_filter_of_repetition(copied, open_page):
    (copied.runs / "j.parquet").unlink()
    write_runs(copied, pool="import-else", states=False)
    at = open_page(copied)
    assert "there are no epochs" in words(at)
    assert rows(at)["code"]["epochs"] is None
    assert at.number_input(key="limit_epochs").disabled
    press(at, "suggest")
    turn(at, "policies")
    assert "It needs the tokens of the pool" in words(at)
    turn(at, "shift")
    assert "carry no pool state" in words(at)


def test_too_few_runs_lead_to_the_probes(workspace, open_page):
    at = open_page(workspace)
    assert "no finished probes" in words(at)
