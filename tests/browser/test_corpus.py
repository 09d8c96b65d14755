"""The corpus page in the real app, on the demo corpus: what it shows is what the library answers."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect

from causalmix_core.corpus import (
    MODEL_FEATURES,
    RULES,
    Filter,
    Search,
    Selection,
    Snapshot,
    broken_spans,
    compare,
    explore,
    filters,
    ingest,
    list_snapshots,
    open_snapshot,
    run_sql,
    write_demo_corpus,
)
from causalmix_core.corpus.filters import FeatureCondition, RuleCondition
from causalmix_core.corpus.pool_warnings import epochs, warnings_of
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import LIVE
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig
from jobs import cancel_task, task_jobs, task_status
from pages.widgets.corpus_charts import number
from tests.browser.test_way import LONG, SOON, choose, settle

pytestmark = pytest.mark.browser

APP = Path(__file__).parents[2] / "app.py"
DOMAINS = ["cpp", "docstrings", "licences", "minified", "python", "readmes"]
BUDGET = 20_000_000
VIEWS = ("Overview", "Explore", "Compare", "Filter", "SQL", "Sources")
"""The first one is that of an address that names none."""
ROW = 35
"""Height of a row of a Streamlit data frame, in pixels."""
EPOCHS = 4
"""Column of the overview's table."""


# ---- workspaces and apps


@pytest.fixture(scope="session")
def _demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo pool, read once; its sources are named relative to it, so a copy has its own."""
    root = tmp_path_factory.mktemp("demo") / "workspace"
    workspace = Workspace.create(root, WorkspaceConfig(name="Demo"))
    write_demo_corpus(root / "sources", 300_000)
    domains = {d: DomainSource(path=f"sources/{d}") for d in DOMAINS}
    workspace.save_config(WorkspaceConfig(name="Demo", domains=domains, token_budget=BUDGET))
    ingest(workspace)
    return root


@pytest.fixture(scope="module")
def snapshot(_demo: Path) -> Snapshot:
    return open_snapshot(Workspace.open(_demo))


@pytest.fixture(scope="module")
def app(_demo: Path, serve) -> str:
    """The address of an app on a pool that no test changes."""
    return serve(APP, env={"CAUSALMIX_WORKSPACE": str(_demo)})


@pytest.fixture
def own(_demo: Path, tmp_path: Path) -> Iterator[Workspace]:
    """A copy of the workspace for a test that changes it; its tasks end with the test."""
    shutil.copytree(_demo, tmp_path / "workspace")
    workspace = Workspace.open(tmp_path / "workspace")
    yield workspace
    for job in task_jobs(workspace):
        if task_status(workspace, job).state in LIVE:
            with suppress(CausalMixError):  # it ended meanwhile
                cancel_task(workspace, job)


# ---- what a user does and sees


def look(page: Page, url: str, view: str = "Overview", **parameters: str) -> None:
    """Open a view by its address."""
    query = "&".join(f"{k}={v}" for k, v in {"view": view, **parameters}.items())
    page.goto(f"{url}/?{query}")
    expect(page.get_by_role("radio", name=view, exact=True)).to_be_checked(timeout=SOON)
    settle(page)


def turn_to(page: Page, choice: str) -> None:
    """Choose a view, a chart or a side among the segments of the page."""
    page.get_by_role("radio", name=choice, exact=True).click()
    expect(page.get_by_role("radio", name=choice, exact=True)).to_be_checked(timeout=SOON)
    if choice in VIEWS:  # the server writes the address, so its run for this view has begun
        with suppress(TimeoutError):  # it may have been overtaken by the next run, which is as good
            page.wait_for_function(
                """([view, first]) => { const now = new URLSearchParams(location.search).get("view");
                                        return now === view || (now === null && view === first); }""",
                arg=[choice, VIEWS[0]],
                timeout=5_000,
            )
    settle(page)


def say(field: Locator, text: str) -> None:
    """Type into a field and leave it, as the page learns of it only then."""
    field.fill(text)
    field.blur()
    settle(field.page)


def cells(page: Page, nth: int = 0) -> list[list[str]]:
    """The rows of a data frame as a screen reader is told them; what is scrolled out is not there."""
    rows = page.get_by_test_id("stDataFrame").nth(nth).locator("canvas table tbody tr")
    return [[cell.text_content() or "" for cell in row.locator("td").all()] for row in rows.all()]


def expect_cell(page: Page, text: str, nth: int = 0) -> None:
    """Some cell of a data frame says exactly this."""
    table = page.get_by_test_id("stDataFrame").nth(nth).locator("canvas table")
    expect(table.locator("td").filter(has_text=re.compile(f"^{re.escape(text)}$")).first).to_be_attached(
        timeout=SOON
    )


def metric(page: Page, label: str) -> Locator:
    """The value under a label."""
    own = page.get_by_test_id("stMetric").filter(has_text=re.compile(f"^{label}"))
    return own.get_by_test_id("stMetricValue")


def selected(page: Page) -> Selection:
    """The selection that stands in the address."""
    return Selection.from_url(parse_qs(urlsplit(page.url).query).get("only", [""])[0])


def expect_selected(page: Page, snapshot: Snapshot, selection: Selection) -> None:
    """The address holds the selection, and the page counts its documents as the library does."""
    page.wait_for_url(lambda url: _only(url) == selection.to_url(), timeout=SOON)
    expect(page.get_by_text(kept_words(snapshot, selection))).to_be_visible(timeout=SOON)


def _only(url: str) -> str:
    return parse_qs(urlsplit(url).query).get("only", [""])[0]


def kept_words(snapshot: Snapshot, selection: Selection) -> str:
    """How many documents are selected, in the page's words."""
    with snapshot.connect() as con:
        table = explore.count(con, selection)
    shown = table[table["domain"].isin(selection.domains)] if selection.domains else table
    return f"{shown['kept'].sum():,} of {shown['total'].sum():,} documents, "


def pages_of(snapshot: Snapshot, selection: Selection) -> pd.DataFrame:
    """The first page of the selected documents."""
    with snapshot.connect() as con:
        return explore.page(snapshot, con, selection, limit=10)


def expect_documents(page: Page, rows: pd.DataFrame) -> None:
    """The documents on the page are these, in this order."""
    headings = page.get_by_test_id("stExpander").locator("summary")
    expected = [f"{r.domain} · {r.origin} · {r.bytes:,} bytes" for r in rows.itertuples()]
    expect(headings).to_contain_text(expected, timeout=SOON)
    expect(headings).to_have_count(len(rows))


def drag(page: Page, across: tuple[float, float], down: tuple[float, float] = (0.3, 0.5)) -> None:
    """Drag a box over the first chart that can be brushed; positions are parts of its width and height."""
    area = page.locator(".js-plotly-plot .nsewdrag").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    x, y = (
        (box["x"] + part * box["width"] for part in across),
        (box["y"] + part * box["height"] for part in down),
    )
    (left, right), (top, bottom) = tuple(x), tuple(y)
    page.mouse.move(left, top)
    page.mouse.down()
    page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=4)
    page.mouse.move(right, bottom, steps=4)
    page.mouse.up()


def expect_no_traceback(page: Page) -> None:
    expect(page.get_by_test_id("stException")).to_have_count(0)
    expect(page.locator("body")).not_to_contain_text(re.compile("Traceback|KeyError|encountered an error"))


# ---- overview


def test_the_overview_states_the_snapshots_totals_epochs_and_warnings(
    page: Page, app: str, snapshot: Snapshot
) -> None:
    table = snapshot.domain_table()
    look(page, app)
    expect(metric(page, "Domains")).to_have_text("6", timeout=SOON)
    expect(metric(page, "Documents")).to_have_text(f"{table['documents'].sum():,}")
    expect(metric(page, "Size")).to_have_text(number(float(table["bytes"].sum())) + "B")
    expect(metric(page, "Tokens")).to_have_text(number(float(table["tokens"].sum())))
    repeated = table["near_duplicates"].sum() / table["documents"].sum()
    expect(metric(page, "Near-duplicates")).to_have_text(f"{repeated:.0%}")
    expect_cell(page, "readmes")
    assert [row[0] for row in cells(page)] == DOMAINS

    for budget in (BUDGET, 1_000_000):
        say(page.get_by_role("spinbutton", name="Token budget of the training run"), str(budget))
        choose(page, "Mixture", "even")
        times = epochs(table, dict.fromkeys(DOMAINS, 1 / 6), budget)
        expect_cell(page, f"{times['readmes']!r}")
        assert [float(row[EPOCHS]) for row in cells(page)] == [times[d] for d in DOMAINS]
        with snapshot.connect() as con:
            found = warnings_of(con, budget)
        assert ("repeats" in {w.kind for w in found}) == (budget == BUDGET)
        said = page.get_by_test_id("stMarkdown").filter(has_text="warning")
        expect(said).to_contain_text([f"{w.domain} {w.text}" for w in found], timeout=SOON)

    # The budget is still there after a look at another view.
    turn_to(page, "SQL")
    turn_to(page, "Overview")
    expect(page.get_by_role("spinbutton", name="Token budget of the training run")).to_have_value("1000000")
    expect(page.get_by_role("combobox", name="Mixture", exact=True)).to_have_value("even")


def test_a_row_of_the_overview_leads_to_its_documents(page: Page, app: str, snapshot: Snapshot) -> None:
    look(page, app)
    expect_cell(page, "licences")
    box = page.get_by_test_id("stDataFrame").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 17, box["y"] + ROW * (1 + DOMAINS.index("licences")) + ROW / 2)
    expect(page.get_by_role("radio", name="Explore", exact=True)).to_be_checked(timeout=SOON)
    only = Selection(domains=("licences",))
    expect_selected(page, snapshot, only)
    expect_documents(page, pages_of(snapshot, only))
    turn_to(page, "Overview")
    expect(metric(page, "Domains")).to_have_text("6", timeout=SOON)  # and does not jump back


# ---- explore


def test_words_and_expressions_find_what_the_library_finds_and_mark_it(
    page: Page, app: str, snapshot: Snapshot
) -> None:
    look(page, app, "Explore")
    field = page.get_by_role("textbox", name="Search in the texts")
    words = Selection(search=Search(text="Redistribution and use"))
    say(field, "Redistribution and use")
    expect_selected(page, snapshot, words)
    expect_documents(page, pages_of(snapshot, words))
    mark = page.locator("mark[title=found]").first
    expect(mark).to_be_visible(timeout=SOON)
    assert (mark.text_content() or "").lower() == "redistribution and use"

    page.get_by_test_id("stPopover").get_by_role("button", name="More conditions").click()
    turn_to(page, "a regular expression")
    page.keyboard.press("Escape")
    pattern = Selection(search=Search(text=r"def \w+_file\(", kind="regex"))
    say(field, r"def \w+_file\(")
    expect_selected(page, snapshot, pattern)
    expect_documents(page, pages_of(snapshot, pattern))
    expect(page.locator("mark[title=found]").first).to_have_text(re.compile(r"^def \w+_file\($"))

    say(field, "def (")
    broken = Selection(search=Search(text="def (", kind="regex"))
    with pytest.raises(CausalMixError, match="is wrong") as error:
        pages_of(snapshot, broken)
    expect(page.get_by_role("alert")).to_contain_text(str(error.value), timeout=SOON)
    expect_no_traceback(page)

    nothing = Selection(search=Search(text="zzz nowhere zzz", kind="regex"))
    say(field, "zzz nowhere zzz")
    assert pages_of(snapshot, nothing).empty
    expect(page.get_by_text("No document matches. Loosen the conditions")).to_be_visible(timeout=SOON)


def test_a_brush_selects_a_range_that_can_be_shared_and_taken_back(
    page: Page, app: str, snapshot: Snapshot
) -> None:
    look(page, app, "Explore")
    everything = kept_words(snapshot, Selection())
    expect(page.get_by_text(everything)).to_be_visible(timeout=SOON)
    drag(page, (0.3, 0.6))
    chip = page.get_by_role("button", name=re.compile("^Compression ratio.* – "))
    expect(chip).to_be_visible(timeout=SOON)
    page.wait_for_url(lambda url: bool(_only(url)), timeout=SOON)
    selection = selected(page)
    assert list(selection.ranges) == ["compression_ratio"]
    low, high = selection.ranges["compression_ratio"]
    assert low is not None
    assert high is not None
    assert low < high
    expect(chip).to_contain_text(f"{number(low)} – {number(high)}")
    expect_selected(page, snapshot, selection)
    rows = pages_of(snapshot, selection)
    expect_documents(page, rows)
    assert rows["compression_ratio"].between(low, high).all()
    assert kept_words(snapshot, selection) != everything

    shared = page.context.new_page()
    shared.goto(page.url)
    expect_selected(shared, snapshot, selection)
    expect_documents(shared, rows)
    shared.close()

    settle(page)
    chip.click()
    expect_selected(page, snapshot, Selection())
    expect(chip).to_have_count(0)


def test_a_box_in_two_features_sets_two_ranges(page: Page, app: str, snapshot: Snapshot) -> None:
    look(page, app, "Explore", chart="Two+features")
    expect(page.locator(".js-plotly-plot .nsewdrag")).to_be_visible(timeout=SOON)
    drag(page, (0.3, 0.7), (0.3, 0.7))
    expect(page.get_by_role("button", name=re.compile(" – "))).to_have_count(2, timeout=SOON)
    page.wait_for_url(lambda url: bool(_only(url)), timeout=SOON)
    selection = selected(page)
    assert sorted(selection.ranges) == ["compression_ratio", "log_bytes"]
    assert all(bound is not None for ends in selection.ranges.values() for bound in ends)
    expect_selected(page, snapshot, selection)
    rows = pages_of(snapshot, selection)
    assert len(rows)
    for feature, (low, high) in selection.ranges.items():
        assert rows[feature].between(low, high).all()
    settle(page)
    page.get_by_role("button", name="Clear all").click()
    expect_selected(page, snapshot, Selection())


def test_a_broken_rule_is_marked_and_near_copies_are_set_side_by_side(
    page: Page, app: str, snapshot: Snapshot
) -> None:
    only = _that_breaks(snapshot)
    row = pages_of(snapshot, only).iloc[0]
    rule = next(r for r in row["rules"] if broken_spans(row["text"], r))
    look(page, app, "Explore", only=only.to_url())
    first = page.get_by_test_id("stExpander").first
    expect(first.locator("summary")).to_contain_text(f"{row['domain']} · {row['origin']}", timeout=SOON)
    expect(first.locator("mark")).to_have_count(0)
    first.get_by_role("radio", name=RULES[rule].label, exact=True).click()
    marks = first.locator("mark")
    expect(marks.first).to_be_visible(timeout=SOON)
    expect(first).to_contain_text(RULES[rule].source)
    start, stop = sorted(broken_spans(row["text"], rule))[0]
    assert (marks.first.text_content() or "").startswith(row["text"][start:stop])
    assert marks.first.get_attribute("title") == RULES[rule].label

    with snapshot.connect() as con:
        copies = explore.siblings(snapshot, con, str(row["domain"]), int(row["document"]))
    assert not copies.empty
    first.get_by_role("button", name="Near-copies").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("pre")).to_have_count(2, timeout=SOON)
    expect(dialog).to_contain_text(f"{copies['domain'].iloc[0]} · {copies['origin'].iloc[0]}")
    texts = [pre.text_content() for pre in dialog.locator("pre").all()]
    assert texts == [row["text"], copies["text"].iloc[0]]
    if texts[0] != texts[1]:
        expect(dialog.locator("mark[title='only here']").first).to_be_attached()


def _that_breaks(snapshot: Snapshot) -> Selection:
    """A selection whose first document is a near-copy and breaks a rule that can be shown in its text."""
    for rule in RULES:
        selection = Selection(duplicates="only_near", breaks_any=(rule,))
        rows = pages_of(snapshot, selection)
        if len(rows) and broken_spans(rows["text"].iloc[0], rule):
            return selection
    raise AssertionError("no near-copy of the demo breaks a rule that can be shown")


def test_what_was_selected_is_kept_between_views_and_apart_between_users(
    page: Page, app: str, browser: Browser, snapshot: Snapshot
) -> None:
    mine = Selection(domains=("python",))
    yours = Selection(domains=("cpp", "licences"), duplicates="without_near")
    look(page, app, "Explore", only=mine.to_url())
    expect_selected(page, snapshot, mine)
    other = browser.new_context().new_page()
    look(other, app, "Explore", only=yours.to_url())
    expect_selected(other, snapshot, yours)
    expect_documents(other, pages_of(snapshot, yours))
    expect(other.get_by_text("without near-duplicates", exact=True).first).to_be_visible()
    turn_to(page, "Languages")
    turn_to(page, "SQL")
    turn_to(page, "Explore")
    expect_selected(page, snapshot, mine)
    expect_documents(page, pages_of(snapshot, mine))
    turn_to(other, "Rules")
    expect_selected(other, snapshot, yours)
    other.context.close()


def test_an_address_that_cannot_be_read_is_said_so(page: Page, app: str, snapshot: Snapshot) -> None:
    page.goto(f"{app}/?view=Explore&only=eNqcut")
    expect(page.get_by_role("alert")).to_contain_text(
        "The selection in the address cannot be read", timeout=SOON
    )
    expect(page.get_by_text(kept_words(snapshot, Selection()))).to_be_visible()
    elsewhere = Selection(domains=("python", "poems"), languages=("xx",))
    page.goto(f"{app}/?view=Explore&only={elsewhere.to_url()}")
    said = page.get_by_role("alert")
    expect(said).to_contain_text(
        "does not have what the address asks for: domain poems, language xx", timeout=SOON
    )
    expect_selected(page, snapshot, Selection(domains=("python",)))
    gone = Selection(ranges={"no_such_feature": (0, 1)})
    page.goto(f"{app}/?view=Explore&only={gone.to_url()}")
    expect(page.get_by_role("alert")).to_contain_text("no numeric feature 'no_such_feature'", timeout=SOON)
    settle(page)
    page.get_by_role("button", name="Start again from all documents").click()
    expect(page.get_by_text(kept_words(snapshot, Selection()))).to_be_visible(timeout=SOON)


# ---- compare, SQL, every view


def test_domains_are_compared_as_the_library_compares_them(page: Page, app: str, snapshot: Snapshot) -> None:
    with snapshot.connect() as con:
        table = compare.similarity(con)
    look(page, app, "Compare")
    expect(page.locator(".js-plotly-plot")).to_have_count(2, timeout=SOON)
    read = page.wait_for_function(
        """() => { const plot = document.querySelector('.js-plotly-plot');
            return plot.calcdata && JSON.stringify([
                plot.data[0].x, plot.data[0].y, plot.calcdata[0][0].z.map(row => Array.from(row))]) }"""
    )
    across, down, values = json.loads(read.json_value())
    assert across == down == DOMAINS
    assert pd.DataFrame(values).to_numpy() == pytest.approx(table.to_numpy(), abs=1e-6)
    turn_to(page, "Snapshots")
    expect(page.get_by_text("There is one snapshot only.")).to_be_visible(timeout=SOON)


def test_sql_is_answered_and_what_may_not_be_is_refused_in_words(
    page: Page, app: str, snapshot: Snapshot
) -> None:
    look(page, app, "SQL")
    field = page.get_by_role("textbox", name="SQL")
    query = "SELECT domain, count(*) AS n FROM documents GROUP BY domain ORDER BY domain"
    say(field, query)
    page.get_by_role("button", name="Run").click()
    answer = run_sql(snapshot, query).frame
    expect(page.get_by_text("6 rows, ")).to_be_visible(timeout=SOON)
    for domain, count in answer.itertuples(index=False):
        expect_cell(page, domain)
        expect_cell(page, str(count))
    for wrong in ("SELECT nothing FROM documents", "DROP TABLE documents", "SELECT * FROM '/etc/passwd'"):
        with pytest.raises(CausalMixError) as error:
            run_sql(snapshot, wrong)
        say(field, wrong)
        page.get_by_role("button", name="Run").click()
        said = re.sub(r"\s+", " ", str(error.value)).strip()
        expect(page.get_by_role("alert")).to_contain_text(said[:60], timeout=SOON)
        expect(page.get_by_test_id("stDataFrame")).to_have_count(0)
        expect_no_traceback(page)
    turn_to(page, "Compare")
    turn_to(page, "SQL")
    expect(page.get_by_role("textbox", name="SQL")).to_have_value("SELECT * FROM '/etc/passwd'")


def test_no_view_shows_a_traceback(page: Page, app: str) -> None:
    look(page, app)
    for view in ("Compare", "Filter", "SQL", "Sources", "Overview", "Explore"):
        turn_to(page, view)
        expect_no_traceback(page)
    for chart in ("Domains", "Two features", "Rules", "Languages", "Correlations"):
        turn_to(page, chart)
        expect(page.get_by_role("heading", name="Documents")).to_be_visible(timeout=SOON)
        expect_no_traceback(page)


# ---- what changes the workspace


def add_condition(page: Page) -> Locator:
    """Open the popover in which a condition is made."""
    body = page.get_by_test_id("stPopoverBody")
    if not body.is_visible():
        page.get_by_test_id("stPopover").get_by_role("button", name="Add a condition").click()
    expect(body).to_be_visible(timeout=SOON)
    return body


def test_a_filter_is_tried_saved_guarded_and_applied(page: Page, own: Workspace, serve) -> None:
    url = serve(APP, env={"CAUSALMIX_WORKSPACE": str(own.root)})
    before = open_snapshot(own)
    look(page, url, "Filter")
    rule = "gopher_short_doc"
    add_condition(page)
    choose(page, "Rule", RULES[rule].label)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text(f"does not break {RULES[rule].label}")).to_be_visible(timeout=SOON)
    add_condition(page)
    choose(page, "About", "a feature")
    choose(page, "Feature", _feature_label(before, "compression_ratio"))
    say(page.get_by_role("spinbutton", name="Value"), "0.4")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("at least 0.4")).to_be_visible(timeout=SOON)
    page.keyboard.press("Escape")

    chosen = Filter(
        conditions=(
            RuleCondition(rule=rule),
            FeatureCondition(feature="compression_ratio", op=">=", value=0.4),
        )
    )
    with before.connect() as con:
        table = filters.preview(con, chosen)
    kept, dropped = int(table["kept"].sum()), int(table["dropped"].sum())
    assert kept > 50
    assert dropped > 50
    expect(metric(page, "Kept")).to_have_text(f"{kept:,}", timeout=SOON)
    expect(metric(page, "Thrown away")).to_have_text(f"{dropped:,}")
    tokens = table["tokens_kept"].sum() / (table["tokens_kept"] + table["tokens_dropped"]).sum()
    expect(metric(page, "Tokens kept")).to_have_text(f"{tokens:.0%}")

    # What was put together is still there after a look at another view.
    turn_to(page, "SQL")
    turn_to(page, "Filter")
    expect(page.get_by_text("at least 0.4")).to_be_visible(timeout=SOON)
    expect(metric(page, "Kept")).to_have_text(f"{kept:,}", timeout=SOON)

    save = page.get_by_role("button", name="Save the filter")
    expect(save).to_be_disabled()
    say(page.get_by_role("textbox", name="Save as"), "good")
    expect(save).to_be_enabled(timeout=SOON)
    save.click()
    expect(page.get_by_text("Saved good, revision 1.")).to_be_visible(timeout=SOON)
    saved = filters.load_filter(own, "good")
    assert saved.conditions == chosen.conditions

    theirs = saved.model_copy(update={"note": "from somebody else"})
    filters.save_filter(own, theirs, parent=1, by="bob")
    settle(page)
    save.click()
    expect(page.get_by_role("alert")).to_contain_text(
        "Filter good is at revision 2 now, but you worked from revision 1", timeout=SOON
    )
    assert filters.load_filter(own, "good").note == "from somebody else"

    # Reloading shows theirs; applied, it becomes a snapshot.
    look(page, url, "Filter")
    choose(page, "Filter", "good")
    expect(page.get_by_role("textbox", name="Note")).to_have_value("from somebody else", timeout=SOON)
    settle(page)
    page.get_by_role("button", name="Save, and make a snapshot of what is kept").click()
    origin = page.get_by_text(f"what the filter good keeps of {before.id}")
    expect(origin).to_be_visible(timeout=LONG)
    after = open_snapshot(own)
    assert after.documents == kept
    assert after.manifest.derived is not None
    assert (after.manifest.derived.filter, after.manifest.derived.revision) == ("good", 3)
    expect(page.get_by_text(re.compile("^Done in "))).to_be_visible(timeout=SOON)
    expect(origin).to_contain_text(after.id)
    page.get_by_role("button", name="Dismiss").click()
    expect(page.get_by_role("button", name="Dismiss")).to_have_count(0, timeout=SOON)

    # What the filter threw away is what the comparison of the snapshots says has gone.
    turn_to(page, "Compare")
    turn_to(page, "Snapshots")
    found = compare.compare_snapshots(before, after, examples=5)
    assert int(found.documents["went"].sum()) == dropped
    expect(page.get_by_text(f"From the older snapshot {before.id} to the newer {after.id}.")).to_be_visible(
        timeout=SOON
    )
    expect_cell(page, "readmes")
    row = next(r for r in cells(page) if "readmes" in r)
    went = int(found.documents.set_index("domain").loc["readmes", "went"])
    assert str(went) in row
    expect(page.get_by_text("Drift of the features")).to_be_visible(timeout=SOON)
    expect_no_traceback(page)


def _feature_label(snapshot: Snapshot, feature: str) -> str:
    return f"{snapshot.features()[feature].label} ({feature})"


def test_sources_are_refused_looked_at_added_uploaded_and_read(
    page: Page, own: Workspace, serve, tmp_path: Path
) -> None:
    url = serve(APP, env={"CAUSALMIX_WORKSPACE": str(own.root)})
    before = open_snapshot(own)
    outside = tmp_path / "secret.jsonl"
    outside.write_text('{"text": "not for the page"}\n')
    inside = own.root / "more.jsonl"
    inside.write_text(
        "".join(json.dumps({"body": f"Letter {i}: " + "dear reader, " * 20}) + "\n" for i in range(30))
        + "this line is no JSON\n"
        + '{"body": ""}\n'
        + '{"body": "cut off in the mid'
    )

    look(page, url, "Sources")
    path = page.get_by_role("textbox", name="Path", exact=True)
    say(path, str(outside))
    expect(page.get_by_role("alert")).to_contain_text("lies outside of the folders", timeout=SOON)
    expect(page.locator("body")).not_to_contain_text("not for the page")
    say(path, "nowhere.jsonl")
    expect(page.get_by_role("alert")).to_contain_text("There is no file or folder", timeout=SOON)

    say(path, "more.jsonl")
    choose(page, "Field with the text", "body")
    expect(page.get_by_text("Letter 0: dear reader")).to_be_visible(timeout=SOON)
    add = page.get_by_role("button", name="Add the source")
    expect(add).to_be_disabled()
    say(page.get_by_role("textbox", name="Name of the domain").first, "letters")
    expect(add).to_be_enabled(timeout=SOON)
    add.click()
    expect_cell(page, "more.jsonl")
    assert own.config().domains["letters"] == DomainSource(path="more.jsonl", text_field="body")

    upload = tmp_path / "poems.jsonl"
    upload.write_text("".join(json.dumps({"text": f"Roses {i} are red. " * 5}) + "\n" for i in range(12)))
    page.locator("input[type=file]").set_input_files(upload)
    keep = page.get_by_role("button", name="Keep the upload")
    expect(keep).to_be_disabled(timeout=SOON)
    say(page.get_by_role("textbox", name="Name of the domain").last, "poems")
    expect(keep).to_be_enabled(timeout=SOON)
    keep.click()
    expect_cell(page, "sources/poems")
    assert (own.root / "sources" / "poems" / "poems.jsonl").read_bytes() == upload.read_bytes()

    settle(page)
    page.get_by_role("button", name="Read the sources").click()
    expect(page.get_by_text(re.compile("^Done in "))).to_be_visible(timeout=LONG)
    after = open_snapshot(own)
    assert after.id != before.id
    assert after.domains == sorted([*DOMAINS, "letters", "poems"])
    assert after.tokens().keys() == set(after.domains)
    assert after.manifest.sources["letters"].kept == 30
    assert sum(after.manifest.sources["letters"].skipped.values()) == 3
    settle(page)
    page.get_by_test_id("stExpander").filter(has_text="Lines that were skipped").locator("summary").click()
    for line, reason in _skipped(after):
        expect_cell(page, str(line), nth=2)
        expect_cell(page, reason, nth=2)
    turn_to(page, "Overview")
    expect(metric(page, "Domains")).to_have_text("8", timeout=SOON)
    expect(metric(page, "Documents")).to_have_text(f"{after.documents:,}")
    assert len(list_snapshots(own)) == 2


def _skipped(snapshot: Snapshot) -> list[tuple[int, str]]:
    from causalmix_core.corpus import REASON_LABELS

    with snapshot.connect() as con:
        rows = con.execute("SELECT line, reason FROM skipped WHERE domain = 'letters'").fetchall()
    assert len(rows) == 3
    return [(line, REASON_LABELS[reason]) for line, reason in rows]


def test_a_model_measures_in_the_background_and_its_features_are_offered(
    page: Page, own: Workspace, serve, tmp_path: Path
) -> None:
    write_model(tmp_path / "model")
    url = serve(APP, env={"CAUSALMIX_WORKSPACE": str(own.root)})
    look(page, url)
    box = page.get_by_test_id("stExpander").filter(has_text="Model-based features")
    box.locator("summary").click()
    say(page.get_by_role("textbox", name="Causal language model"), str(tmp_path / "model"))
    say(page.get_by_role("spinbutton", name="Tokens per document"), "32")
    page.get_by_role("button", name="Measure in the background").click()
    expect(page.get_by_text("Measuring documents with a model")).to_be_visible(timeout=SOON)
    expect(page.get_by_role("progressbar").first).to_be_attached()
    expect(page.get_by_text(re.compile("^Done in "))).to_be_visible(timeout=LONG)
    turn_to(page, "Explore")
    choose(page, "Feature", f"{MODEL_FEATURES['normalized_loss'].label} (normalized_loss)")
    snapshot = open_snapshot(own)
    with snapshot.connect() as con:
        table = explore.quantiles(con, "normalized_loss", Selection()).set_index("domain")
    assert table["documents"].sum() == snapshot.documents
    assert math.isfinite(table["mean"].min())
    expect_cell(page, repr(float(table["mean"]["python"])))


def write_model(folder: Path) -> None:
    """A causal language model of two thousand numbers, with a tokenizer of bytes."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    config = GPT2Config(vocab_size=256, n_positions=64, n_embd=16, n_layer=1, n_head=1)
    GPT2LMHeadModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
