"""The graph editor: messages in Python, every gesture by mouse and by keyboard in Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Locator, Page, expect

from causalmix_core.graph import CausalGraph, Edge, GraphEditError, Node, Operation, Provenance
from pages.widgets.graph_editor import (
    SelectedEdge,
    SelectedNode,
    _drawing,
    _memory,
    editor_state,
    settle,
)

APP = Path(__file__).parent / "apps" / "graph_editor_app.py"
ENTROPY, LOSS, STYLE = "state/high_entropy_sum", "state/normalized_loss", "state/writing_style"
CODE, MATH, WEB = "weight/code", "weight/math", "weight/web"
LOSS_CODE, LOSS_MATH = "loss/code", "loss/math"


# ---- messages from the browser


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    state: dict[str, object] = {}
    monkeypatch.setattr(streamlit, "session_state", state)
    return state


def outbox(session: dict[str, object], items: list[dict[str, object]], client: str = "tab") -> None:
    message = {"session": _memory("ed").session, "client": client, "operations": items}
    session["ed"] = {"outbox": message}


def ask(seq: int, **operation: object) -> dict[str, object]:
    return {"seq": seq, "operation": operation}


STEPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), max_size=12)


@given(STEPS)
def test_edits_are_done_once_and_in_order_however_messages_overlap(steps):
    """The browser sends all that waits; Python may see only the last of many messages, or one again.

    A step is how many edits are made, how many answers the browser has not heard of yet when it sends, and
    how often Python then looks.
    """
    with pytest.MonkeyPatch.context() as patch:
        state: dict[str, object] = {}
        patch.setattr(streamlit, "session_state", state)
        done: list[str] = []
        acknowledged = made = 0
        for more, unheard, looks in [*steps, (0, 0, 1)]:
            made += more
            first = max(1, acknowledged + 1 - unheard)
            items = [ask(i, kind="add", source=f"s{i}", target="t") for i in range(first, made + 1)]
            outbox(state, items)
            for _ in range(looks):
                settle("ed", lambda o: done.append(o.source))  # type: ignore[union-attr]
                acknowledged = made
        assert done == [f"s{i}" for i in range(1, made + 1)]


def test_a_refusal_keeps_its_words_and_the_next_edit_is_done(session):
    done: list[Operation] = []

    def do(operation: Operation) -> None:
        if operation.kind == "delete":
            raise GraphEditError("It is required.")
        done.append(operation)

    outbox(session, [ask(1, kind="delete", source="a", target="b"), ask(2, kind="undo")])
    settle("ed", do)
    settle("ed", do)
    assert [o.kind for o in done] == ["undo"]
    memory = _memory("ed")
    assert [(r.client, r.seq, r.words) for r in memory.refusals] == [("tab", 1, "It is required.")]
    assert memory.acks == {"tab": 2}


@pytest.mark.parametrize(
    "operation",
    [
        {"kind": "drop-table"},
        {"kind": "add", "source": "a"},
        {"kind": "add", "source": "a", "target": 3},
        {"kind": "undo", "extra": True},
        {},
    ],
)
def test_an_edit_of_another_shape_is_refused_in_words_and_does_not_come_back(session, operation):
    done: list[str] = []
    outbox(session, [{"seq": 1, "operation": operation}, ask(2, kind="redo")])
    settle("ed", lambda o: done.append(o.kind))
    assert done == ["redo"]
    assert "not understood" in _memory("ed").refusals[0].words


@pytest.mark.parametrize(
    "message",
    [None, 7, {"client": "x"}, {"session": "s", "client": "c", "operations": [{"seq": 0, "operation": {}}]}],
)
def test_a_message_of_another_shape_is_ignored(session, message):
    session["ed"] = {"outbox": message}
    settle("ed", lambda o: pytest.fail("nothing was asked for"))


def test_edits_of_a_session_that_has_ended_are_not_done_again(session):
    outbox(session, [ask(1, kind="undo")])
    session.pop("ed/memory")
    settle("ed", lambda o: pytest.fail("the draft that this was about is gone"))


def test_a_fault_in_an_edit_does_not_come_back_with_the_next(session):
    outbox(session, [ask(1, kind="undo")])
    with pytest.raises(ZeroDivisionError):
        settle("ed", lambda o: 1 / 0)
    done: list[str] = []
    outbox(session, [ask(1, kind="undo"), ask(2, kind="redo")])
    settle("ed", lambda o: done.append(o.kind))
    assert done == ["redo"]


def graph(*edges: tuple[str, str, str]) -> CausalGraph:
    import datetime

    origin = Provenance(kind="assumed", by="ada", at=datetime.datetime(2025, 3, 1, tzinfo=datetime.UTC))
    ids = [("state/a", "state"), ("state/b", "state"), ("loss/x", "outcome")]
    return CausalGraph(
        nodes=tuple(Node(id=i, tier=t) for i, t in ids),
        edges=tuple(Edge(source=s, target=t, mark=m, provenance=origin) for s, t, m in edges),
    )


def view(**changes: object) -> dict[str, object]:
    blank = {"selected": None, "positions": {}, "threshold": 0.0, "filter": "all"}
    return {"view": blank | changes}


def test_a_selection_follows_the_edge_when_it_is_turned_and_goes_with_it(session):
    old = {"kind": "edge", "source": "state/a", "target": "state/b", "mark": "directed"}
    session["ed"] = view(selected=old)
    turned = editor_state(graph(("state/b", "state/a", "directed")), key="ed").selected
    assert turned == SelectedEdge(source="state/b", target="state/a", mark="directed")
    beside = editor_state(graph(("state/a", "state/b", "bidirected")), key="ed").selected
    assert beside is None
    session["ed"] = view(selected={"kind": "node", "id": "state/a"})
    assert editor_state(graph(), key="ed").selected == SelectedNode(id="state/a")
    session["ed"] = view(selected={"kind": "node", "id": "state/gone"})
    assert editor_state(graph(), key="ed").selected is None


def test_places_and_threshold_survive_a_page_without_the_editor(session):
    session["ed"] = view(positions={"state/a": [3, -4.5], "state/gone": [0, 0]}, threshold=0.4)
    editor_state(graph(), key="ed")
    session.pop("ed")
    kept = editor_state(graph(), key="ed")
    assert kept.positions == {"state/a": (3, -4.5)}
    assert kept.threshold == 0.4


@pytest.mark.parametrize(
    "bad",
    [{"threshold": 2.0}, {"positions": {"state/a": [1]}}, {"positions": {"state/a": [float("nan"), 0]}}],
)
def test_a_view_of_another_shape_changes_nothing(session, bad):
    session["ed"] = view(threshold=0.4)
    editor_state(graph(), key="ed")
    session["ed"] = view(**bad)
    assert editor_state(graph(), key="ed").threshold == 0.4


def test_labels_leave_out_what_the_column_says():
    shown = {n["id"]: (n["prefix"], n["label"]) for n in _drawing(graph())["nodes"]}
    assert shown == {"state/a": ("", "a"), "state/b": ("", "b"), "loss/x": ("loss", "x")}


# ---- in the browser


def css(value: str) -> str:
    """A string of a selector."""
    return json.dumps(value, ensure_ascii=False)


def compact(value: object) -> str:
    """As JSON.stringify writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Board:
    """The test app in one browser page."""

    def __init__(self, page: Page, url: str, query: str = "", first: str = ENTROPY) -> None:
        self.page = page
        page.goto(f"{url}/?{query}")
        expect(self.node(first)).to_be_visible(timeout=30_000)
        expect(self.line("why")).to_be_visible()

    # what is on the page

    def line(self, name: str) -> Locator:
        return self.page.get_by_test_id("stText").filter(has_text=re.compile(f"^{name}="))

    def told(self, name: str) -> object:
        return json.loads(self.line(name).inner_text().removeprefix(f"{name}="))

    def runs(self) -> int:
        found = re.match(r"runs=(\d+)", self.line("runs").inner_text())
        assert found
        return int(found[1])

    def node(self, name: str) -> Locator:
        return self.page.locator(f"[data-node={css(name)}]")

    def edge(self, a: str, b: str, both: bool = False) -> Locator:
        key = ("both " if both else "") + compact(sorted((a, b)))
        return self.page.locator(f"[data-edge={css(key)}]")

    def ban(self, a: str, b: str) -> Locator:
        key = "forbidden " + compact([a, b])
        return self.page.locator(f"[data-edge={css(key)}]")

    def button(self, name: str) -> Locator:
        return self.page.locator(".editor").get_by_role("button", name=name, exact=True)

    @property
    def bubble(self) -> Locator:
        return self.page.get_by_role("alert").filter(has=self.page.get_by_role("button", name="Close"))

    # what is expected

    def has(self, *edges: str) -> None:
        for edge in edges:
            expect(self.line("edges")).to_contain_text(json.dumps(edge, ensure_ascii=False))

    def lacks(self, *edges: str) -> None:
        for edge in edges:
            expect(self.line("edges")).not_to_contain_text(json.dumps(edge, ensure_ascii=False))

    def did(self, *operations: dict[str, object]) -> None:
        """Python has done exactly these, in this order."""
        expect(self.line("done")).to_have_text("done=" + json.dumps(list(operations), ensure_ascii=False))

    def settle(self) -> None:
        """A rerun that we asked for has come back, so any rerun asked for before it has come back too."""
        before = self.runs()
        self.page.get_by_role("button", name="Plain rerun").click()
        expect(self.line("runs")).to_contain_text(f"runs={before + 1} ")

    # what a hand does

    def at(self, name: str, dx: float = 0.5, dy: float = 0.5) -> tuple[float, float]:
        box = self.node(name).locator(".box").bounding_box()
        assert box is not None
        return box["x"] + box["width"] * dx, box["y"] + box["height"] * dy

    def drag(self, source: tuple[float, float], target: tuple[float, float]) -> None:
        self.page.mouse.move(*source)
        self.page.mouse.down()
        self.page.mouse.move(*target, steps=5)
        self.page.mouse.up()

    def connect(self, a: str, b: str) -> None:
        self.drag(self.at(a, 1.0), self.at(b))

    def pick(self, edge: Locator) -> None:
        x, y = edge.locator(".line").evaluate(
            """e => { const p = e.getPointAtLength(e.getTotalLength() * 0.4), m = e.getScreenCTM();
                      return [p.x * m.a + m.e, p.y * m.d + m.f]; }"""
        )
        self.page.mouse.click(x, y)
        expect(edge).to_have_class(re.compile(r"\bon\b"))

    def press(self, at: Locator, *keys: str) -> None:
        at.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def scale(self) -> float:
        shown = self.page.locator(".view").get_attribute("transform") or ""
        return float(re.findall(r"scale\(([\d.]+)\)", shown)[0])


@pytest.fixture(scope="module")
def url(serve: Callable[..., str]) -> str:
    return serve(APP)


@pytest.fixture
def board(page: Page, url: str) -> Board:
    return Board(page, url)


def add(a: str, b: str, **more: object) -> dict[str, object]:
    return {"source": a, "target": b, **more, "kind": "add"}


@pytest.mark.browser
def test_a_drag_from_the_rim_connects_and_selects(board):
    board.connect(CODE, LOSS_MATH)
    board.has(f"{CODE} -> {LOSS_MATH}")
    board.did(add(CODE, LOSS_MATH))
    expect(board.edge(CODE, LOSS_MATH)).to_have_class(re.compile(r"\bon\b"))
    expect(board.line("selected")).to_contain_text(f'"source": "{CODE}", "target": "{LOSS_MATH}"')
    expect(board.line("positions")).to_contain_text("positions={}")


@pytest.mark.browser
def test_the_reason_goes_with_the_next_edit_only(board):
    why = board.page.get_by_role("textbox", name="Why")
    why.fill("math proxies <never> see code")
    board.connect(STYLE, LOSS_CODE)
    board.connect(ENTROPY, LOSS_CODE)
    board.did(add(STYLE, LOSS_CODE, why="math proxies <never> see code"), add(ENTROPY, LOSS_CODE))
    expect(why).to_have_value("")
    assert board.told("why") == ["math proxies <never> see code"]


@pytest.mark.browser
def test_toolbar_edits(board):
    board.pick(board.edge(ENTROPY, LOSS))
    expect(board.button("Reverse")).to_be_hidden()
    board.button("normalized_loss → high_entropy_sum").click()
    board.has(f"{LOSS} -> {ENTROPY}")
    board.button("Reverse").click()
    board.has(f"{ENTROPY} -> {LOSS}")
    board.button("Require").click()
    board.has(f"{ENTROPY} -> {LOSS} !")
    expect(board.page.locator(".mark.lock")).to_have_count(1)
    board.button("Delete").click()
    expect(board.bubble).to_contain_text("it is required")
    board.button("No longer require").click()
    board.has(f"{ENTROPY} -> {LOSS}")
    board.button("Delete").click()
    board.lacks(f"{ENTROPY} -> {LOSS}")
    expect(board.edge(ENTROPY, LOSS)).to_have_count(0)
    expect(board.line("selected")).to_have_text("selected=null")


@pytest.mark.browser
def test_keyboard_edits(board):
    edge = board.edge(ENTROPY, LOSS)
    board.press(edge, "o")
    board.has(f"{ENTROPY} -> {LOSS}")
    board.press(edge, "r")
    board.has(f"{LOSS} -> {ENTROPY}")
    board.press(edge, "l")
    board.has(f"{LOSS} -> {ENTROPY} !")
    board.press(edge, "l")
    board.has(f"{LOSS} -> {ENTROPY}")
    board.press(edge, "Delete")
    board.lacks(f"{LOSS} -> {ENTROPY}")
    expect(board.page.locator(".canvas")).to_be_focused()  # what had the focus is gone
    board.press(board.edge(CODE, LOSS_CODE), "f")
    expect(board.line("forbidden")).to_have_text(f'forbidden=["{CODE} -> {LOSS_CODE}"]')
    board.lacks(f"{CODE} -> {LOSS_CODE}")
    board.page.keyboard.press("Control+z")
    board.has(f"{CODE} -> {LOSS_CODE}")
    board.page.keyboard.press("Control+Shift+Z")
    board.lacks(f"{CODE} -> {LOSS_CODE}")
    board.page.keyboard.press("Control+z")
    board.page.keyboard.press("Control+z")
    board.has(f"{CODE} -> {LOSS_CODE}", f"{LOSS} -> {ENTROPY}")


@pytest.mark.browser
def test_keyboard_connects_from_node_to_node(board):
    board.press(board.node(STYLE), "Enter")
    expect(board.page.get_by_text(f"{STYLE} causes …")).to_be_visible()
    board.page.keyboard.press("ArrowRight")
    expect(board.node(WEB)).to_be_focused()
    expect(board.node(WEB)).to_have_class(re.compile(r"\bdrop\b"))
    board.page.keyboard.press("ArrowUp")
    expect(board.node(MATH)).to_be_focused()
    board.page.keyboard.press("Enter")
    board.did(add(STYLE, MATH))
    board.press(board.node(STYLE), "Enter", "Escape", "ArrowRight", "Enter", "Escape")
    board.settle()
    board.did(add(STYLE, MATH))


@pytest.mark.browser
def test_arrow_keys_walk_nodes_and_their_edges(board):
    board.press(board.node(WEB), "ArrowRight")
    expect(board.node(LOSS_MATH)).to_be_focused()
    board.page.keyboard.press("e")
    walked = []
    for _ in range(3):
        walked.append(board.page.locator(".edge:focus").get_attribute("aria-label"))
        board.page.keyboard.press("ArrowDown")
    assert {w.split(" causes ")[0] for w in walked} == {STYLE, MATH, WEB}
    assert walked[0] == board.page.locator(".edge:focus").get_attribute("aria-label")
    board.page.keyboard.press("ArrowLeft")
    expect(board.node(walked[0].split(" causes ")[0])).to_be_focused()
    board.page.keyboard.press(" ")
    expect(board.line("selected")).to_contain_text('"kind": "node"')
    board.page.keyboard.press("Escape")
    expect(board.line("selected")).to_have_text("selected=null")


@pytest.mark.browser
def test_notes(board):
    board.pick(board.edge(MATH, LOSS_MATH))
    board.button("Note").click()
    note = board.page.get_by_role("textbox", name="Note")
    expect(note).to_be_focused()
    note.fill("seen twice")
    board.button("Keep the note").click()
    board.has(f"{MATH} -> {LOSS_MATH} # seen twice")
    expect(board.page.locator(".mark.note")).to_have_count(1)
    board.press(board.edge(MATH, LOSS_MATH), "n")
    expect(note).to_have_value("seen twice")
    note.press("Escape")
    expect(note).to_be_hidden()
    expect(board.edge(MATH, LOSS_MATH)).to_be_focused()
    board.settle()
    board.did({"source": MATH, "target": LOSS_MATH, "note": "seen twice", "mark": "directed", "kind": "note"})


@pytest.mark.browser
def test_hidden_causes_and_latent_nodes(board):
    board.button("Hidden cause").click()
    board.connect(MATH, LOSS_MATH)
    board.has(f"{MATH} <-> {LOSS_MATH}", f"{MATH} -> {LOSS_MATH}")  # both say something
    expect(board.edge(MATH, LOSS_MATH, both=True)).to_have_class(re.compile(r"\bon\b"))
    board.button("Delete").click()
    board.lacks(f"{MATH} <-> {LOSS_MATH}")
    board.has(f"{MATH} -> {LOSS_MATH}")

    board.button("Latent node").click()
    name = board.page.get_by_role("textbox", name="Name")
    expect(name).to_be_focused()
    name.fill("crawl date")
    board.page.get_by_label(STYLE, exact=True).check()
    board.page.get_by_label(LOSS_MATH, exact=True).check()
    board.button("Add the latent").click()
    board.has(f"latent/crawl date -> {STYLE}", f"latent/crawl date -> {LOSS_MATH}")
    expect(board.node("latent/crawl date")).to_have_count(1)
    left, _ = board.at("latent/crawl date")
    assert left < board.at(STYLE)[0]
    board.press(board.node("latent/crawl date"), "Delete")
    expect(board.node("latent/crawl date")).to_have_count(0)
    board.lacks(f"latent/crawl date -> {STYLE}")


@pytest.mark.browser
def test_forbidden_pairs_are_shown_on_demand_and_lifted(board):
    board.press(board.node(ENTROPY), "3")
    board.connect(STYLE, LOSS_CODE)
    expect(board.line("forbidden")).to_have_text(f'forbidden=["{STYLE} -> {LOSS_CODE}"]')
    expect(board.ban(STYLE, LOSS_CODE)).to_have_count(0)
    board.button("Forbidden (1)").click()
    expect(board.ban(STYLE, LOSS_CODE)).to_have_count(1)
    board.press(board.node(ENTROPY), "1")
    board.connect(STYLE, LOSS_CODE)
    expect(board.bubble).to_contain_text("is forbidden (by ada)")
    board.pick(board.ban(STYLE, LOSS_CODE))
    board.button("Allow again").click()
    expect(board.line("forbidden")).to_have_text("forbidden=[]")
    expect(board.ban(STYLE, LOSS_CODE)).to_have_count(0)


@pytest.mark.browser
def test_a_refusal_is_words_at_the_place(board):
    board.connect(LOSS_CODE, CODE)
    expect(board.bubble).to_contain_text("causes come first")
    box = board.bubble.bounding_box()
    (ax, ay), (bx, by) = board.at(LOSS_CODE), board.at(CODE)
    assert abs(box["x"] + box["width"] / 2 - (ax + bx) / 2) < 40
    assert min(abs(box["y"] - (ay + by) / 2), abs(box["y"] + box["height"] - (ay + by) / 2)) < 60
    board.settle()
    expect(board.bubble).to_be_visible()  # a rerun does not take it away
    board.page.locator(".canvas").focus()
    board.page.keyboard.press("Escape")
    expect(board.bubble).to_be_hidden()
    board.settle()
    expect(board.bubble).to_be_hidden()  # nor does it come back
    board.press(board.edge(ENTROPY, LOSS), "o")
    board.has(f"{ENTROPY} -> {LOSS}")
    board.connect(LOSS, STYLE)
    board.has(f"{LOSS} -> {STYLE}")
    board.connect(STYLE, ENTROPY)
    expect(board.bubble).to_contain_text(f"would close the cycle {STYLE} -> {ENTROPY} -> {LOSS} -> {STYLE}")
    expect(board.edge(STYLE, ENTROPY)).to_have_count(0)


@pytest.mark.browser
def test_an_edit_is_drawn_at_once_and_dashed_until_python_has_it(page, url, tmp_path):
    gate = tmp_path / "open"
    board = Board(page, url, f"gate={gate}")
    pending, leaving = re.compile(r"\bpending\b"), re.compile(r"\bleaving\b")
    board.connect(CODE, LOSS_MATH)
    board.press(board.edge(MATH, LOSS_MATH), "Delete")
    board.press(board.edge(ENTROPY, LOSS), "o")
    expect(board.edge(CODE, LOSS_MATH)).to_have_class(pending)
    expect(board.edge(MATH, LOSS_MATH)).to_have_class(leaving)
    expect(board.edge(ENTROPY, LOSS)).to_have_class(re.compile(r"\bdirected .*pending\b"))
    expect(board.line("done")).to_have_text("done=[]")
    gate.touch()
    board.has(f"{CODE} -> {LOSS_MATH}", f"{ENTROPY} -> {LOSS}")
    board.lacks(f"{MATH} -> {LOSS_MATH}")
    expect(page.locator(".pending, .leaving")).to_have_count(0)


@pytest.mark.browser
def test_a_quick_burst_reaches_a_busy_page_exactly_once_and_in_order(page, url):
    board = Board(page, url, "slow=0.4")
    pairs = [(s, t) for s in (ENTROPY, LOSS, STYLE) for t in (CODE, MATH, WEB)]
    for a, b in pairs:
        board.connect(a, b)
    for _ in range(3):
        page.keyboard.press("Control+z")
    done = [add(a, b) for a, b in pairs] + [{"kind": "undo"}] * 3
    expect(board.line("done")).to_have_text("done=" + json.dumps(done), timeout=20_000)
    board.lacks(*(f"{a} -> {b}" for a, b in pairs[-3:]))
    board.has(*(f"{a} -> {b}" for a, b in pairs[:-3]))
    expect(page.locator(".pending")).to_have_count(0)


@pytest.mark.browser
def test_a_save_right_after_an_edit_has_it(page, url):
    board = Board(page, url, "slow=0.4")
    board.connect(STYLE, CODE)
    page.get_by_role("button", name="Save").click()
    expect(board.line("runs")).to_contain_text("saved=7")
    board.did(add(STYLE, CODE))


@pytest.mark.browser
def test_moved_nodes_stay_through_reruns_edits_themes_and_visits_elsewhere(page, url):
    page.emulate_media(color_scheme="light")
    board = Board(page, url)
    x, y = board.at(MATH)
    board.drag((x, y), (x + 130, y - 20))
    expect(board.line("positions")).to_contain_text(f'"{MATH}": [')
    stands = board.node(MATH).get_attribute("transform")
    others = board.node(CODE).get_attribute("transform")
    board.connect(STYLE, MATH)
    board.has(f"{STYLE} -> {MATH}")
    light = page.locator(".editor").evaluate("e => getComputedStyle(e).color")
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".editor")).not_to_have_css("color", light)
    board.settle()
    assert board.node(MATH).get_attribute("transform") == stands
    assert board.node(CODE).get_attribute("transform") == others
    page.get_by_text("Show the editor").click()
    expect(page.locator(".editor")).to_have_count(0)
    page.get_by_text("Show the editor").click()
    expect(board.node(MATH)).to_have_attribute("transform", stands)
    board.connect(WEB, LOSS_CODE)  # a new editor whose numbers begin again
    board.did(add(STYLE, MATH), add(WEB, LOSS_CODE))
    page.get_by_role("button", name="Other graph").click()
    board.lacks(f"{STYLE} -> {MATH}")
    expect(board.node(MATH)).to_have_attribute("transform", stands)
    board.button("Tidy").click()
    expect(board.line("positions")).to_contain_text("positions={}")
    expect(board.node(MATH)).not_to_have_attribute("transform", stands)


@pytest.mark.browser
def test_the_keyboard_moves_nodes(board):
    x, y = board.at(CODE)
    board.press(board.node(CODE), "Shift+ArrowDown", "Shift+ArrowDown", "Shift+ArrowRight")
    expect(board.line("positions")).to_contain_text(f'"{CODE}": [')
    now_x, now_y = board.at(CODE)
    assert now_x - x == pytest.approx(10 * board.scale(), abs=1.5)
    assert now_y - y == pytest.approx(20 * board.scale(), abs=1.5)


@pytest.mark.browser
def test_escape_takes_back_a_drag(board):
    before = board.node(CODE).get_attribute("transform")
    board.node(CODE).focus()
    board.page.mouse.move(*board.at(CODE))
    board.page.mouse.down()
    x, y = board.at(CODE)
    board.page.mouse.move(x + 60, y + 40, steps=3)
    expect(board.node(CODE)).not_to_have_attribute("transform", before)
    board.page.keyboard.press("Escape")
    board.page.mouse.up()
    expect(board.node(CODE)).to_have_attribute("transform", before)
    expect(board.line("positions")).to_contain_text("positions={}")


@pytest.mark.browser
def test_zoom_pan_and_fit(board):
    page, canvas = board.page, board.page.locator(".canvas")
    start = page.locator(".view").get_attribute("transform")
    scale = board.scale()
    box = canvas.bounding_box()
    empty = (box["x"] + box["width"] * 0.4, box["y"] + box["height"] - 12)
    page.mouse.move(*empty)
    page.mouse.wheel(0, -200)
    board.settle()
    assert board.scale() == scale  # without the focus the wheel scrolls the page
    page.mouse.click(*empty)
    page.mouse.move(*empty)
    page.mouse.wheel(0, -200)
    expect(page.locator(".view")).not_to_have_attribute("transform", start)
    assert board.scale() > scale
    board.button("Fit").click()
    expect(page.locator(".view")).to_have_attribute("transform", start)
    for key, grows in (("+", True), ("-", False)):
        before = board.scale()
        board.press(board.node(CODE), key)
        assert (board.scale() > before) == grows
    board.button("Zoom in").click()
    board.press(board.node(CODE), "0")
    expect(page.locator(".view")).to_have_attribute("transform", start)
    left, top = board.at(CODE)
    board.drag(empty, (empty[0] + 50, empty[1] - 30))
    moved = board.at(CODE)
    assert moved[0] - left == pytest.approx(50, abs=1)
    assert moved[1] - top == pytest.approx(-30, abs=1)


@pytest.mark.browser
def test_what_is_not_next_to_the_selection_is_dimmed(board):
    dim = re.compile(r"\bdim\b")
    board.page.mouse.click(*board.at(LOSS_MATH))
    for near in (STYLE, MATH, WEB, LOSS_MATH):
        expect(board.node(near)).not_to_have_class(dim)
    for far in (ENTROPY, CODE, LOSS_CODE):
        expect(board.node(far)).to_have_class(dim)
    expect(board.edge(CODE, LOSS_CODE)).to_have_class(dim)
    expect(board.edge(MATH, LOSS_MATH)).not_to_have_class(dim)
    board.page.keyboard.press("Escape")
    expect(board.page.locator(".dim")).to_have_count(0)


@pytest.mark.browser
def test_the_page_can_point_at_nodes_and_edges(page, url):
    board = Board(page, url, "highlight=1")
    marked = re.compile(r"\bmarked\b")
    expect(board.node(MATH)).to_have_class(marked)
    expect(board.edge(MATH, LOSS_MATH)).to_have_class(marked)
    expect(page.locator(".marked:not(.mark)")).to_have_count(2)


@pytest.mark.browser
def test_a_path_is_marked_while_the_pointer_or_the_focus_is_on_its_words(page, url):
    board = Board(page, url, "paths=1&highlight=1")
    marked = re.compile(r"\bmarked\b")
    expect(page.get_by_text("Other paths between math and loss/math")).to_be_visible()
    first = page.get_by_role("button", name=f"{MATH} <- {STYLE} -> {LOSS_MATH}")
    expect(first).to_contain_text("open")
    expect(page.get_by_text("weight/math -> <b>loss</b>")).to_be_visible()
    expect(board.node(STYLE)).not_to_have_class(marked)
    first.hover()
    expect(board.node(STYLE)).to_have_class(marked)
    expect(board.edge(STYLE, LOSS_MATH)).to_have_class(marked)
    expect(board.edge(MATH, LOSS_MATH)).not_to_have_class(marked)
    page.mouse.move(2, 2)
    expect(board.edge(MATH, LOSS_MATH)).to_have_class(marked)  # what the page points at otherwise
    expect(board.node(STYLE)).not_to_have_class(marked)
    first.focus()
    expect(board.node(STYLE)).to_have_class(marked)
    page.keyboard.press("Tab")
    expect(board.node(STYLE)).not_to_have_class(marked)


@pytest.mark.browser
def test_threshold_and_filter_hide_edges(board):
    slider = board.page.get_by_role("slider", name="Hide edges")
    slider.focus()
    slider.press("End")
    expect(board.page.locator(".edges .edge")).to_have_count(2)  # certain, or not found by resampling
    expect(board.edge(CODE, LOSS_CODE)).to_have_count(1)
    expect(board.edge(WEB, LOSS_MATH)).to_have_count(1)
    expect(board.page.get_by_text("2 edges, 4 hidden")).to_be_visible()
    expect(board.line("positions")).to_contain_text("threshold=1.0")
    slider.press("Home")
    expect(board.page.locator(".edges .edge")).to_have_count(6)
    show = board.page.get_by_role("combobox", name="Which edges to show")
    show.select_option(label="weights")
    expect(board.page.locator(".edges .edge")).to_have_count(3)
    show.select_option(label=LOSS_CODE)  # its direct cause, and through it the undirected edge
    expect(board.page.locator(".edges .edge")).to_have_count(3)
    expect(board.edge(ENTROPY, LOSS)).to_have_count(1)
    show.select_option("all")
    expect(board.page.locator(".edges .edge")).to_have_count(6)


@pytest.mark.browser
def test_two_curators_do_not_see_each_other(browser: Browser, page, url):
    mine = Board(page, url)
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    theirs = Board(context.new_page(), url)
    mine.connect(CODE, LOSS_MATH)
    theirs.connect(STYLE, CODE)
    theirs.connect(STYLE, WEB)
    mine.connect(ENTROPY, CODE)
    mine.did(add(CODE, LOSS_MATH), add(ENTROPY, CODE))
    theirs.did(add(STYLE, CODE), add(STYLE, WEB))
    mine.settle()
    mine.lacks(f"{STYLE} -> {CODE}")
    theirs.lacks(f"{CODE} -> {LOSS_MATH}")
    context.close()


@pytest.mark.browser
def test_letters_do_not_reach_streamlits_shortcuts(board):
    before = board.runs()
    for place in (board.node(CODE), board.page.locator(".canvas"), board.button("Fit")):
        board.press(place, "r", "c")
    why = board.page.get_by_role("textbox", name="Why")
    why.press_sequentially("rc ")
    expect(why).to_have_value("rc ")
    expect(board.page.get_by_role("dialog")).to_have_count(0)
    board.settle()
    assert board.runs() == before + 1
    board.did()


@pytest.mark.browser
def test_one_tab_stop_per_group_and_a_focus_that_can_be_seen(board):
    page = board.page
    page.get_by_text("Show the editor").click(trial=True)
    board.button("Cause").focus()
    stops = []
    for _ in range(6):
        page.keyboard.press("Tab")
        stops.append(
            page.evaluate("""() => { let e = document.activeElement;
            while (e.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
            return e.dataset.node ?? e.className.baseVal ?? (e.className || e.dataset.act || e.tagName); }""")
        )
    assert stops[:3] == ["filter", "threshold", "why"]
    assert stops[3].startswith(("state/", "weight/", "loss/"))
    assert stops[4:] == ["square", "SUMMARY"]  # zoom, and the list of edges
    board.button("Cause").focus()
    page.keyboard.press("ArrowRight")
    expect(board.button("Hidden cause")).to_be_focused()
    page.keyboard.press("End")
    expect(board.button("Latent node")).to_be_focused()
    board.node(CODE).focus()
    page.keyboard.press("ArrowDown")
    ring = board.node(MATH).locator(".ring").evaluate("e => getComputedStyle(e).stroke")
    assert ring != "none"
    assert board.node(CODE).locator(".ring").evaluate("e => getComputedStyle(e).stroke") == "none"


@pytest.mark.browser
def test_screen_readers_get_names_states_and_a_list(board):
    page = board.page
    expect(page.get_by_role("application", name="Causal graph with 8 nodes and 6 edges")).to_be_visible()
    expect(board.node(LOSS_MATH)).to_have_attribute(
        "aria-label", f"{LOSS_MATH}, an outcome, 3 causes, 0 effects"
    )
    label = f"{MATH} causes {LOSS_MATH} (discovered by ada (BOSS, 240 runs), in 80 % of resamples)"
    expect(board.edge(MATH, LOSS_MATH)).to_have_attribute("aria-label", label)
    page.get_by_text("The edges as text (6)").click()
    expect(page.locator(".list button")).to_have_count(6)
    page.locator(".list").get_by_role("button", name=label).click()
    expect(board.edge(MATH, LOSS_MATH)).to_have_attribute("aria-pressed", "true")
    expect(board.line("selected")).to_contain_text(MATH)


@pytest.mark.browser
def test_names_are_text_and_nothing_else(page, url):
    board = Board(page, url, "world=hostile", first="state/__proto__")
    name, end = "state/<b>x</b>&\"'", "loss/</svg><script>"
    expect(page.locator(".editor b")).to_have_count(0)
    expect(page.locator(".editor script")).to_have_count(0)
    expect(board.node(name)).to_have_attribute("aria-label", f"{name}, pool state, 0 causes, 1 effect")
    board.connect("weight/🧪 émoji 👩‍🔬", end)
    board.has(f"weight/🧪 émoji 👩‍🔬 -> {end}")
    page.locator(".canvas").focus()
    board.connect("state/__proto__", end)
    board.has(f"state/__proto__ -> {end}")
    board.connect(end, name)
    expect(board.bubble).to_contain_text(f"Cannot add {end} -> {name}")
    board.button("Latent node").click()
    page.get_by_role("textbox", name="Name").fill('"><img src=x>')
    page.get_by_label(name, exact=True).check()
    board.button("Add the latent").click()
    board.has(f'latent/"><img src=x> -> {name}')
    expect(page.locator(".editor img")).to_have_count(0)


@pytest.mark.browser
def test_a_graph_to_look_at_cannot_be_edited(page, url):
    board = Board(page, url, "read=1")
    expect(board.button("Undo")).to_be_hidden()
    board.connect(CODE, LOSS_MATH)
    board.press(board.edge(MATH, LOSS_MATH), "Delete")
    expect(board.line("selected")).to_contain_text(MATH)
    expect(board.button("Delete")).to_be_hidden()
    board.settle()
    board.did()


@pytest.fixture
def finger(browser: Browser, url: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1000, "height": 900}, has_touch=True)
    yield context.new_page()
    context.close()


@pytest.mark.browser
def test_fingers_connect_pan_and_pinch(finger, url):
    board = Board(finger, url)
    touch = finger.context.new_cdp_session(finger)

    def send(kind: str, *points: tuple[float, float]) -> None:
        spots = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

    (ax, ay), (bx, by) = board.at(CODE, 1.0), board.at(LOSS_MATH)
    send("touchStart", (ax, ay))
    for i in range(1, 6):
        send("touchMove", (ax + (bx - ax) * i / 5, ay + (by - ay) * i / 5))
    send("touchEnd")
    board.did(add(CODE, LOSS_MATH))
    scale = board.scale()
    x, y = board.at(MATH)
    send("touchStart", (x - 40, y + 60), (x + 40, y + 60))
    for d in (50, 60, 80):
        send("touchMove", (x - d, y + 60), (x + d, y + 60))
    send("touchEnd")
    assert board.scale() > scale * 1.5
    finger.touchscreen.tap(*board.at(MATH))
    expect(board.line("selected")).to_contain_text(MATH)


OVERLAPS = """root => {
  const boxes = [...root.querySelectorAll('.node .box')].map(e => e.getBoundingClientRect());
  const texts = [...root.querySelectorAll('.node text, .columns text')].map(e => e.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const bad = [];
  for (const list of [boxes, texts])
    list.forEach((a, i) => list.slice(0, i).forEach((b, j) => { if (meet(a, b)) bad.push([i, j]); }));
  const sticksOut = (a, b) => a.left < b.left || a.right > b.right || a.top < b.top || a.bottom > b.bottom;
  for (const node of root.querySelectorAll('.node')) {
    const [text, box] = ['text', '.box'].map(s => node.querySelector(s).getBoundingClientRect());
    if (sticksOut(text, box)) bad.push(node.dataset.node);
  }
  const stage = root.getBoundingClientRect();
  for (const box of [...boxes, ...texts]) if (sticksOut(box, stage)) bad.push('outside');
  return bad;
}"""

BEHIND = """root => {
  const boxes = [...root.querySelectorAll('.node')].map(
    n => [n.dataset.node, n.querySelector('.box').getBoundingClientRect()]);
  const bad = new Set();
  for (const edge of root.querySelectorAll('.edges .edge')) {
    const line = edge.querySelector('.line'), m = line.getScreenCTM(), length = line.getTotalLength();
    const label = edge.getAttribute('aria-label');
    for (let i = 0; i <= 120; i++) {
      const p = line.getPointAtLength(length * i / 120), x = p.x * m.a + m.e, y = p.y * m.d + m.f;
      for (const [id, b] of boxes) {
        const inside = x > b.left + 1 && x < b.right - 1 && y > b.top + 1 && y < b.bottom - 1;
        if (inside) bad.add(label + ' behind ' + id);
      }
    }
  }
  return [...bad];
}"""


@pytest.mark.browser
@pytest.mark.parametrize(("world", "width"), [("small", 900), ("large", 900), ("large", 1400)])
def test_no_label_overlaps_and_no_edge_runs_behind_a_box(page, url, world, width):
    page.set_viewport_size({"width": width, "height": 1200})
    Board(page, url, f"world={world}", first="loss/ArXiv" if world == "large" else CODE)
    nodes, edges = (40, 150) if world == "large" else (8, 6)
    expect(page.locator(".node")).to_have_count(nodes)
    expect(page.locator(".edges .edge")).to_have_count(edges)
    canvas = page.locator(".canvas")
    assert canvas.evaluate(OVERLAPS) == []
    assert canvas.evaluate(BEHIND) == []
    height = page.locator(".node .box").first.bounding_box()["height"]
    assert height > 15  # so that a label of 13 px in a box of 28 px is still read
    if world == "large":
        tops = canvas.evaluate(TOPS)
        pairs = [json.loads(key) for key in canvas.evaluate(KEYS)]
        as_given = {name: float(i) for i, name in enumerate(tops)}
        assert crossings(pairs, tops) < 0.8 * crossings(pairs, as_given)


TOPS = """root => Object.fromEntries([...root.querySelectorAll('.node')].map(
  n => [n.dataset.node, n.querySelector('.box').getBoundingClientRect().top]))"""
KEYS = "root => [...root.querySelectorAll('.edges .edge')].map(e => e.dataset.edge)"


def crossings(pairs: list[list[str]], height: dict[str, float]) -> int:
    """Pairs of edges between the same two columns whose ends are in opposite order."""
    across = []
    for a, b in pairs:
        early, late = (a, b) if a.startswith(("state/", "weight/")) else (b, a)
        if late.startswith(("loss/", "bench/")):
            across.append((early.split("/")[0], height[early], height[late]))
    return sum(
        one[0] == two[0] and (one[1] - two[1]) * (one[2] - two[2]) < 0
        for i, one in enumerate(across)
        for two in across[:i]
    )
