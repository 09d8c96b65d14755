from __future__ import annotations

import json
import string
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from causalmix_core.corpus import FEATURES, RULES, Snapshot, explore, ingest, open_snapshot
from causalmix_core.corpus.differences import diff_spans
from causalmix_core.corpus.pool_warnings import POOL, epochs, warnings_of
from causalmix_core.corpus.selection import MAX_URL, Search, Selection
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig

EVERYTHING = Selection()


def write_pool(folder: Path, **domains: list[str]) -> Workspace:
    """A workspace in a folder whose name DuckDB would take for a pattern."""
    sources = {}
    for name, texts in domains.items():
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
        sources[name] = DomainSource(path=str(file))
    return Workspace.create(folder / "it's [a] *", WorkspaceConfig(name="test", domains=sources))


def prose(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(f"w{rng.integers(5000)}" for _ in range(rng.integers(20, 80))) + ".\n" for _ in range(n)]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Snapshot:
    web = prose(180, 1)
    web[7] = 'It\'s a [bracket] of 100% "quoted" text; DROP TABLE documents; -- ÄRGER\n' + web[7]
    web[40] = web[20]
    web[60] = web[20] + "end\n"
    code = [f"int f{i}(void) {{ return {i}; }}\n" * (1 + i % 7) for i in range(90)]
    german = [f"Das ist der Text Nummer {i} von der Strasse, in der wir alle wohnen.\n" for i in range(40)]
    workspace = write_pool(tmp_path_factory.mktemp("explore"), web=web, code=[*code, web[20]], german=german)
    ingest(workspace)
    return open_snapshot(workspace)


@pytest.fixture(scope="module")
def con(snapshot):
    with snapshot.connect() as con:
        yield con


@pytest.fixture(scope="module")
def truth(snapshot, con) -> pd.DataFrame:
    """Every document with its text, in the order of the pool."""
    table = con.execute("SELECT * FROM documents ORDER BY domain, document").df()
    texts = [
        snapshot.read_documents(d, ("text",), own["document"].to_numpy())["text"]
        for d, own in table.groupby("domain")
    ]
    table["text"] = pd.concat(texts).to_numpy()
    return table


def keys(table: pd.DataFrame) -> list[tuple[str, int]]:
    return list(table[["domain", "document"]].itertuples(index=False, name=None))


# --- selections ---

SELECTIONS = {
    "everything": (Selection(), lambda t: t["bytes"] > 0),
    "domains": (Selection(domains=("web", "code")), lambda t: t["domain"].isin(["web", "code"])),
    "range": (Selection(ranges={"words": (30, 60)}), lambda t: t["words"].between(30, 60)),
    "half": (Selection(ranges={"words": (30, None)}), lambda t: t["words"] >= 30),
    "breaks any": (
        Selection(breaks_any=("gopher_short_doc", "c4_curly_bracket")),
        lambda t: t["gopher_short_doc"] | t["c4_curly_bracket"],
    ),
    "breaks none": (
        Selection(breaks_none=("gopher_short_doc", "c4_curly_bracket")),
        lambda t: ~(t["gopher_short_doc"] | t["c4_curly_bracket"]),
    ),
    "without near": (Selection(duplicates="without_near"), lambda t: ~t["near_duplicate"]),
    "only near": (Selection(duplicates="only_near"), lambda t: t["near_duplicate"]),
    "without exact": (Selection(duplicates="without_exact"), lambda t: ~t["exact_duplicate"]),
    "split": (Selection(split="heldout"), lambda t: t["split"] == "heldout"),
    "language": (Selection(languages=("de",)), lambda t: t["language"] == "de"),
    "all at once": (
        Selection(domains=("web",), ranges={"words": (None, 70), "bytes": (100, None)}, split="train",
                  duplicates="without_exact", breaks_none=("c4_curly_bracket",)),
        lambda t: (t["domain"] == "web") & (t["words"] <= 70) & (t["bytes"] >= 100) & (t["split"] == "train")
        & ~t["exact_duplicate"] & ~t["c4_curly_bracket"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection_selects_what_it_says(con, truth, snapshot, name):
    selection, meant = SELECTIONS[name]
    wanted = truth[meant(truth)]
    assert name == "everything" or 0 < len(wanted) < len(truth)
    table = explore.count(con, selection).set_index("domain")
    assert list(table.index) == snapshot.domains
    for domain, row in table.iterrows():
        own, every = wanted[wanted["domain"] == domain], truth[truth["domain"] == domain]
        assert (row["kept"], row["total"]) == (len(own), len(every))
        assert (row["kept_bytes"], row["total_bytes"]) == (own["bytes"].sum(), every["bytes"].sum())
        assert (row["kept_tokens"], row["total_tokens"]) == (own["tokens"].sum(), every["tokens"].sum())
    shown = explore.page(snapshot, con, selection, limit=len(truth))
    assert keys(shown) == keys(wanted)
    assert shown["text"].tolist() == wanted["text"].tolist()


def test_a_bound_on_a_ratio_includes_the_value_that_is_shown(con, truth):
    value = truth["alpha_ratio"].iloc[5]  # stored in single precision
    shown = float(str(value))
    kept = explore.count(con, Selection(ranges={"alpha_ratio": (shown, shown)}))["kept"].sum()
    assert kept == (truth["alpha_ratio"] == value).sum() > 0


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(domains=("books",)), "no domain 'books'. It has: code, german, web"),
        (Selection(ranges={"entropy": (0, 1)}), "no numeric feature 'entropy'"),
        (Selection(ranges={"language": (0, 1)}), "no numeric feature 'language'"),
        (Selection(ranges={"text_key": (0, 1)}), "no numeric feature 'text_key'"),
        (Selection(breaks_any=("near_duplicate",)), "no rule 'near_duplicate'"),
        (Selection(breaks_none=('x" OR TRUE --',)), "no rule"),
        (Selection(ranges={'bytes" > 0 OR "bytes': (0, None)}), "no numeric feature"),
    ],
)
def test_unknown_names_are_refused_in_words(con, selection, message):
    with pytest.raises(CausalMixError, match=message):
        explore.count(con, selection)


def test_values_never_become_sql(con):
    hostile = "'; DROP VIEW documents; --"
    assert explore.count(con, Selection(languages=(hostile,)))["kept"].sum() == 0
    assert explore.count(con, EVERYTHING)["kept"].sum() > 0


def test_impossible_selections_cannot_be_made():
    for wrong in (
        {"ranges": {"words": (5, 3)}},
        {"ranges": {"words": (float("nan"), None)}},
        {"ranges": {"words": (None, float("inf"))}},
        {"search": {"text": ""}},
        {"split": "test"},
        {"nonsense": 1},
    ):
        with pytest.raises(ValidationError):
            Selection.model_validate(wrong)
    with pytest.raises(CausalMixError, match="ends"):
        EVERYTHING.with_range("words", 5, 3)


def test_ranges_are_replaced_and_removed():
    one = EVERYTHING.with_range("words", 1, None).with_range("bytes", None, 9)
    assert one.ranges == {"words": (1, None), "bytes": (None, 9)}
    assert one.with_range("words", None, None).ranges == {"bytes": (None, 9)}


names = st.text(string.ascii_letters + string.digits + "._-'\"é€ ", min_size=1, max_size=20)
bounds = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
selections = st.builds(
    Selection,
    domains=st.lists(names, max_size=3).map(tuple),
    ranges=st.dictionaries(
        names,
        st.tuples(bounds, bounds).map(lambda r: tuple(sorted(r)) if None not in r else r),
        max_size=3,
    ),
    breaks_any=st.lists(names, max_size=2).map(tuple),
    breaks_none=st.lists(names, max_size=2).map(tuple),
    duplicates=st.sampled_from(["any", "without_near", "only_near", "without_exact"]),
    split=st.sampled_from([None, "train", "heldout"]),
    languages=st.lists(names, max_size=2).map(tuple),
    search=st.one_of(
        st.none(),
        st.builds(
            Search,
            text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50),
            kind=st.sampled_from(["text", "regex"]),
            case=st.booleans(),
        ),
    ),
)


@settings(deadline=None)
@given(selections)
def test_a_selection_survives_the_address(selection):
    url = selection.to_url()
    assert set(url) <= set(string.ascii_letters + string.digits + "-_")
    assert Selection.from_url(url) == selection
    assert (url == "") == (selection == Selection())


@settings(deadline=None)
@given(st.one_of(st.text(max_size=200), st.text(string.ascii_letters + string.digits + "-_", max_size=200)))
def test_any_other_address_is_a_message(url):
    try:
        found = Selection.from_url(url)
    except CausalMixError:
        return
    assert Selection.from_url(found.to_url()) == found


@settings(deadline=None)
@given(selections, st.integers(0, 300))
def test_a_cut_address_is_a_message(selection, at):
    url = selection.to_url()
    if at < len(url) and at > 0:
        with pytest.raises(CausalMixError, match="cannot be read"):
            Selection.from_url(url[:at])


def test_a_bomb_in_the_address_is_refused_at_once():
    import base64
    import zlib

    for data in (b" " * 10_000_000, b"[" * 1_000_000, b'{"domains":' * 60_000):
        url = base64.urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")
        with pytest.raises(CausalMixError, match="cannot be read"):
            Selection.from_url(url)
    with pytest.raises(CausalMixError, match="cannot be read"):
        Selection.from_url("A" * (MAX_URL + 1))


def test_a_selection_too_long_for_an_address_is_a_message():
    rng = np.random.default_rng(0)
    many = tuple("".join(rng.choice(list(string.ascii_letters), 150)) for _ in range(100))
    with pytest.raises(CausalMixError, match="too long"):
        Selection(domains=many).to_url()


# --- statistics ---


@pytest.mark.parametrize("feature", ["bytes", "alpha_ratio", "mojibake", "flesch"])
def test_histograms_share_bins_and_show_before_and_after(con, truth, feature):
    selection = Selection(ranges={"words": (30, None)})
    table = explore.histogram(con, feature, selection, bins=12)
    assert list(table.columns) == ["domain", "lower", "upper", "documents", "selected"]
    known = truth[np.isfinite(truth[feature])]
    assert table.groupby("domain")["documents"].sum().to_dict() == known.groupby("domain").size().to_dict()
    chosen = known[known["words"] >= 30].groupby("domain").size()
    assert table.groupby("domain")["selected"].sum().to_dict() == {
        d: chosen.get(d, 0) for d in truth["domain"].unique()
    }
    edges = [own[["lower", "upper"]].to_numpy() for _, own in table.groupby("domain")]
    for other in edges:
        np.testing.assert_array_equal(edges[0], other)
    np.testing.assert_allclose(edges[0][1:, 0], edges[0][:-1, 1])
    steps = np.diff(np.log(edges[0]) if FEATURES[feature].scale == "log" else edges[0], axis=1)
    assert (steps > 0).all()
    np.testing.assert_allclose(steps, steps[0, 0], rtol=1e-6)
    together = explore.histogram(con, feature, selection, bins=12, by_domain=False)
    assert together["documents"].tolist() == table.groupby("lower")["documents"].sum().tolist()
    assert together["selected"].tolist() == table.groupby("lower")["selected"].sum().tolist()


def test_the_bins_span_the_middle_of_the_pool_whatever_is_selected(con, truth):
    table = explore.histogram(con, "flesch", Selection(domains=("web",)), bins=10, by_domain=False)
    low, high = np.quantile(truth["flesch"].astype(float), explore.MIDDLE)
    assert table["lower"].iloc[0] == pytest.approx(low)
    assert table["upper"].iloc[-1] == pytest.approx(high)
    values = truth.loc[truth["domain"] == "web", "flesch"].astype(float)
    edges = [*table["lower"], table["upper"].iloc[-1]]
    counted = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    assert abs(table["documents"].to_numpy() - counted).sum() <= 2  # a value on an edge


def test_a_feature_that_never_varies_or_has_no_value(con):
    with con.cursor() as own:
        own.execute(
            "CREATE TEMP VIEW documents AS SELECT domain, document, 3::BIGINT AS bytes, NULL::FLOAT AS empty "
            "FROM memory.main.documents"
        )
        table = explore.histogram(own, "bytes", EVERYTHING, bins=5, by_domain=False)
        assert table["documents"].max() == table["documents"].sum() > 0
        assert (table["lower"] < table["upper"]).all()
        assert explore.histogram(own, "empty", EVERYTHING).empty
        assert explore.density(own, "bytes", "empty", EVERYTHING).cells.empty
        missing = explore.quantiles(own, "empty", EVERYTHING)
        assert missing["median"].isna().all()
        assert missing["documents"].sum() == 0 < missing["unknown"].sum()
        assert explore.correlations(own, ["bytes", "empty"], EVERYTHING).table.isna().all(axis=None)


def test_quantiles_are_those_of_numpy(con, truth):
    table = explore.quantiles(con, "flesch", Selection(ranges={"words": (25, None)})).set_index("domain")
    chosen = truth[truth["words"] >= 25]
    assert list(table.index) == sorted(chosen["domain"].unique())
    for domain, own in chosen.groupby("domain"):
        np.testing.assert_allclose(
            table.loc[domain, list(explore.QUANTILES)].astype(float),
            np.quantile(own["flesch"].astype(float), list(explore.QUANTILES.values())),
            rtol=1e-9,
        )
        assert table.loc[domain, "mean"] == pytest.approx(own["flesch"].astype(float).mean())
        assert (table.loc[domain, "documents"], table.loc[domain, "unknown"]) == (len(own), 0)


def test_languages_are_counted(con, truth):
    table = explore.language_counts(con, Selection(split="train"))
    for row in table.itertuples():
        own = truth[(truth["domain"] == row.domain) & (truth["language"] == row.language)]
        assert (row.documents, row.selected) == (len(own), (own["split"] == "train").sum())
    assert table["documents"].sum() == len(truth)
    assert explore.language_counts(con, Selection(domains=("german",)))["language"].iloc[0] == "de"


def test_density_counts_every_document_once(con, truth):
    selection = Selection(domains=("web", "code"))
    found = explore.density(con, "words", "alpha_ratio", selection, bins=8, sample=30)
    chosen = truth[truth["domain"] != "german"]
    assert found.cells["documents"].sum() == len(chosen)
    across = explore.histogram(con, "words", selection, 8, by_domain=False)
    for edge, own in found.cells.groupby("x_lower"):
        assert own["documents"].sum() == across.set_index("lower").loc[edge, "documents"]
    assert 15 <= len(found.sample) <= 30
    joined = found.sample.merge(chosen, on=["domain", "document"])
    assert len(joined) == len(found.sample)
    assert (joined["x"] == joined["words"]).all()
    again = explore.density(con, "words", "alpha_ratio", selection, bins=8, sample=30)
    assert found.sample.equals(again.sample)


def test_correlations_are_spearmans(con, truth):
    features = ["words", "bytes", "alpha_ratio", "flesch", "mojibake"]
    found = explore.correlations(con, features, Selection(domains=("web",)))
    web = truth[truth["domain"] == "web"]
    with np.errstate(all="ignore"):
        wanted = web[features].astype(float).corr(method="spearman")
    np.testing.assert_allclose(found.table, wanted, atol=1e-9)
    assert (found.method, found.documents, found.of) == ("Spearman", len(web), len(web))
    part = explore.correlations(con, features, EVERYTHING, sample=100)
    assert 60 <= part.documents <= 100 < part.of == len(truth)
    wanted = truth[features].astype(float).corr(method="spearman")
    assert abs(part.table - wanted).loc["words", "bytes"] < 0.2


def test_correlations_of_columns_with_gaps_use_what_there_is():
    rng = np.random.default_rng(0)
    x = rng.normal(size=500)
    values = np.column_stack([x, -x, np.where(rng.random(500) < 0.3, np.nan, x + rng.normal(size=500))])
    found = explore._rank_correlations(values)
    assert found[0, 1] == pytest.approx(-1)
    wanted = pd.DataFrame(values).corr(method="spearman").to_numpy()
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_the_rule_table_counts_what_is_broken(con, truth):
    table = explore.rule_table(con, Selection(split="train"))
    chosen = truth[truth["split"] == "train"]
    assert set(table["rule"]) == set(RULES)
    for row in table.itertuples():
        own = chosen[chosen["domain"] == row.domain]
        assert (row.documents, row.broken) == (len(own), own[row.rule].sum())
        assert row.fraction == pytest.approx(row.broken / row.documents)
    assert table["broken"].sum() > 0


# --- documents ---


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order_by", ["lines", "flesch"])
def test_pages_follow_one_total_order(snapshot, con, truth, order_by, descending):
    wanted = truth.sort_values(
        [order_by, "domain", "document"], ascending=[not descending, True, True], kind="stable"
    )
    pages = [
        explore.page(snapshot, con, EVERYTHING, order_by, descending, limit=70, offset=offset)
        for offset in range(0, len(truth) + 70, 70)
    ]
    assert keys(pd.concat(pages)) == keys(wanted)
    assert pages[-1].empty
    together = pd.concat(pages)
    assert together["text"].tolist() == wanted["text"].tolist()


@pytest.mark.parametrize(
    "order",
    [
        {"order_by": "flesch"}, {"order_by": "lines", "descending": True}, {"order_by": "mojibake"},
        {"seed": 3}, {"descending": True}, {},
    ],
    ids=str,
)  # fmt: skip
def test_late_pages_are_found_as_early_ones_are(snapshot, con, monkeypatch, order):
    for where in ({"limit": 20, "offset": 100}, {"limit": 20, "offset": 1000}, {"limit": 1}):
        early = explore.page(snapshot, con, EVERYTHING, **order, **where)
        with monkeypatch.context() as patch:
            patch.setattr(explore, "_AT_ONCE", 0)
            late = explore.page(snapshot, con, EVERYTHING, **order, **where)
        pd.testing.assert_frame_equal(early, late)


def test_a_page_tells_everything_of_a_document(snapshot, con, truth):
    row = explore.page(snapshot, con, Selection(domains=("code",)), limit=1).iloc[0]
    own = truth[truth["domain"] == "code"].iloc[0]
    assert sorted(row["rules"]) == sorted(r for r in RULES if own[r])
    assert row["rules"]
    for column in ("origin", *FEATURES, "cluster", "split", "exact_duplicate", "near_duplicate", "text"):
        assert row[column] == own[column], column
    assert not row["cut"]


def test_long_texts_are_cut_and_can_be_had_whole(snapshot, con, truth):
    row = explore.page(snapshot, con, Selection(domains=("web",)), limit=1, characters=10).iloc[0]
    whole = truth[truth["domain"] == "web"]["text"].iloc[0]
    assert row["text"] == whole[:10]
    assert row["cut"]
    assert explore.document_text(snapshot, "web", 0) == whole
    for wrong in (-1, 180):
        with pytest.raises(CausalMixError, match="has no document"):
            explore.document_text(snapshot, "web", wrong)


def test_random_order_repeats_with_its_seed_and_pages(snapshot, con, truth):
    def numbers(seed: int, **where: int) -> list[tuple[str, int]]:
        return keys(explore.page(snapshot, con, EVERYTHING, seed=seed, **where))

    every = numbers(5, limit=400)
    assert sorted(every) == keys(truth) != every
    assert every == [k for offset in range(0, 350, 50) for k in numbers(5, limit=50, offset=offset)]
    assert every != numbers(6, limit=400)


def test_the_order_of_the_pool_can_be_turned_round(snapshot, con, truth):
    last = explore.page(snapshot, con, EVERYTHING, descending=True, limit=3)
    assert keys(last) == keys(truth)[::-1][:3]


def test_pages_that_make_no_sense_are_refused(snapshot, con):
    for wrong in ({"limit": -1}, {"offset": -1}):
        with pytest.raises(CausalMixError, match="Cannot show"):
            explore.page(snapshot, con, EVERYTHING, **wrong)
    with pytest.raises(CausalMixError, match="no numeric feature 'text'"):
        explore.page(snapshot, con, EVERYTHING, "text")
    assert explore.page(snapshot, con, EVERYTHING, limit=0).empty


SEARCHES = [
    (Search(text="w12"), lambda t: "w12" in t.lower()),
    (Search(text="W12", case=True), lambda t: "W12" in t),
    (Search(text="ärger"), lambda t: "ärger" in t.lower()),
    (Search(text="ärger", case=True), lambda t: "ärger" in t),
    (Search(text="it's a [bracket] of 100%"), lambda t: "it's a [bracket] of 100%" in t.lower()),
    (Search(text='"quoted" text; DROP'), lambda t: '"quoted" text; drop' in t.lower()),
    (Search(text=".*"), lambda t: ".*" in t),
    (Search(text=r"return \d7;", kind="regex"), lambda t: any(f"return {i}7;" in t for i in range(10))),
    (Search(text="RETURN", kind="regex", case=True), lambda t: "RETURN" in t),
    (Search(text="it.s", kind="regex"), lambda t: "it's" in t.lower()),
]


@pytest.mark.parametrize(("search", "meant"), SEARCHES, ids=lambda x: getattr(x, "text", ""))
def test_a_search_finds_what_is_there(snapshot, con, truth, search, meant):
    wanted = truth[truth["text"].map(meant)]
    found = explore.matches(snapshot, con, Selection(search=search), at_most=None)
    assert found.complete
    assert keys(found.documents) == keys(wanted)
    narrow = Selection(search=search, ranges={"words": (None, 60)}, duplicates="without_exact")
    wanted = wanted[(wanted["words"] <= 60) & ~wanted["exact_duplicate"]]
    assert keys(explore.matches(snapshot, con, narrow).documents) == keys(wanted)
    assert keys(explore.page(snapshot, con, narrow, "flesch", limit=500)) == keys(
        wanted.sort_values(["flesch", "domain", "document"])
    )


@pytest.mark.parametrize("stretch", [10_000, 7])
def test_a_search_stops_at_its_limit_and_says_so(snapshot, con, truth, monkeypatch, stretch):
    monkeypatch.setattr(explore, "_FIRST_STRETCH", stretch)
    selection = Selection(search=Search(text="w"))
    wanted = keys(truth[truth["text"].str.contains("w", case=False)])
    found = explore.matches(snapshot, con, selection, at_most=50)
    assert keys(found.documents) == wanted[:50]
    assert found.words == "50+"
    whole = explore.matches(snapshot, con, selection, at_most=len(wanted))
    assert keys(whole.documents) == wanted
    assert explore.matches(snapshot, con, selection, at_most=len(wanted) + 1).words == f"{len(wanted)}"
    pages = [explore.page(snapshot, con, selection, limit=60, offset=o) for o in range(0, 360, 60)]
    assert keys(pd.concat(pages)) == wanted
    narrow = selection.with_range("words", 20, 60)
    some = truth[truth["text"].str.contains("w", case=False) & truth["words"].between(20, 60)]
    for limit in (1, 20, 150):
        assert keys(explore.matches(snapshot, con, narrow, limit).documents) == keys(some)[:limit]
    shuffled = explore.page(snapshot, con, selection, seed=1, limit=400)
    assert sorted(keys(shuffled)) == wanted != keys(shuffled)


@pytest.mark.parametrize("wrong", ["[abc", "(", "a{2,1}", "*", r"\1"])
def test_a_wrong_regular_expression_is_a_message(snapshot, con, wrong):
    with pytest.raises(CausalMixError, match=r"regular expression .* is wrong"):
        explore.matches(snapshot, con, Selection(search=Search(text=wrong, kind="regex")))


def test_a_regular_expression_cannot_hang(snapshot, con):
    started = time.perf_counter()
    explore.matches(snapshot, con, Selection(search=Search(text="(w+)+(w+)+(w+)+x$", kind="regex")))
    assert time.perf_counter() - started < 5


def test_without_a_search_there_is_nothing_to_look_for(snapshot, con):
    with pytest.raises(CausalMixError, match="nothing to look for"):
        explore.matches(snapshot, con, EVERYTHING)


def test_a_search_that_takes_too_long_is_stopped(snapshot, con):
    selection = Selection(search=Search(text="(a|b|w)+[0-9]{1,40}x{3}", kind="regex"))

    def search() -> None:
        for _ in range(200):  # the timer may need a moment
            explore.matches(snapshot, con, selection, at_most=None, timeout_seconds=1e-6)

    with pytest.raises(CausalMixError, match=r"longer than 1e-06 seconds.*fewer domains"):
        search()


def test_cursors_of_one_connection_serve_many_readers(snapshot, con):
    with con.cursor() as one, con.cursor() as other:
        assert explore.count(one, EVERYTHING).equals(explore.count(other, EVERYTHING))
        selection = Selection(search=Search(text="w1"))
        assert explore.page(snapshot, one, selection, "words").equals(
            explore.page(snapshot, other, selection, "words")
        )


def test_siblings_are_the_rest_of_the_cluster(snapshot, con, truth):
    found = explore.siblings(snapshot, con, "web", 20)
    assert keys(found) == [("code", 90), ("web", 40), ("web", 60)]
    assert found["exact"].tolist() == [True, True, False]
    assert found["text"].iloc[2] == found["text"].iloc[1] + "end\n"
    assert len(explore.siblings(snapshot, con, "web", 20, limit=1)) == 1
    alone = truth.groupby("cluster").filter(lambda own: len(own) == 1).iloc[0]
    assert explore.siblings(snapshot, con, alone["domain"], int(alone["document"])).empty
    with pytest.raises(CausalMixError, match="has no document 999"):
        explore.siblings(snapshot, con, "web", 999)
    with pytest.raises(CausalMixError, match="no domain 'books'"):
        explore.siblings(snapshot, con, "books", 0)


# --- differences ---


def shared(text: str, spans: list[tuple[int, int]]) -> str:
    at, parts = 0, []
    for start, stop in spans:
        parts.append(text[at:start])
        at = stop
    return "".join([*parts, text[at:]])


def test_differences_are_marked_where_they_are():
    found = diff_spans("one two three four", "one 2 three four five")
    assert [("one two three four")[a:b] for a, b in found.left] == ["two"]
    assert [("one 2 three four five")[a:b] for a, b in found.right] == ["2", " five"]
    assert found.complete
    same = diff_spans("abc", "abc")
    assert (same.left, same.right) == ([], [])


pieces = st.lists(st.sampled_from(["a", "b", " ", "\n", "the", "é", "1.", "\r\n"]), max_size=30).map("".join)


@settings(deadline=None)
@given(pieces, pieces)
def test_what_is_not_marked_is_the_same_text(a, b):
    found = diff_spans(a, b)
    assert shared(a, found.left) == shared(b, found.right)
    for text, spans in ((a, found.left), (b, found.right)):
        assert all(start < stop for start, stop in spans)
        assert all(one[1] < two[0] for one, two in pairwise(spans))
        assert not spans or (spans[0][0] >= 0 and spans[-1][1] <= len(text))
    assert (a == b) == (not found.left and not found.right)


def test_long_texts_take_bounded_time():
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(["a", "b", "c", "d"], 200_000)) for _ in range(2)]
    lines = ["\n".join(f"line {i}" for i in rng.integers(0, 300, 1400)) for _ in range(2)]
    many = [" ".join(f"w{i}" for i in rng.integers(0, 150, 740)) for _ in range(2)]
    started = time.perf_counter()
    whole = diff_spans(*words)
    assert not whole.complete
    assert len(whole.left) == 1
    by_line = diff_spans("x" * 200_000 + lines[0], "y" * 200_000 + lines[1])
    assert not by_line.complete
    assert diff_spans(*many).complete
    assert time.perf_counter() - started < 10
    long = words[0]
    near = diff_spans(long, long[:5000] + "CHANGED" + long[5000:])
    assert (near.left, near.complete) == ([], True)
    assert near.right == [(5000, 5007)]


# --- warnings ---


def test_epochs_are_weight_times_budget_by_tokens():
    domains = pd.DataFrame({"domain": ["a", "b"], "tokens": [100, 50]})
    assert epochs(domains, {"a": 0.25, "b": 0.75}, 1000) == {"a": 2.5, "b": 15.0}
    assert epochs(domains, {"a": 1.0, "gone": 0.0}, 1000) == {"a": 10.0, "gone": 0.0}
    with pytest.raises(CausalMixError, match="gone has a weight but no tokens"):
        epochs(domains, {"gone": 0.5}, 1000)
    with pytest.raises(CausalMixError, match="makes no sense"):
        epochs(domains, {"a": 1}, -1)


def test_what_stands_out_is_named(con, snapshot):
    total = sum(snapshot.tokens().values())
    found = {(w.domain, w.kind): w.text for w in warnings_of(con, 5 * total)}
    assert "is read 5.0 times" in found[POOL, "repeats"]
    assert {d for d, kind in found if kind == "tiny"} == {"code", "german", "web"}
    assert "40 documents" in found["german", "tiny"]
    assert (POOL, "repeats") not in {(w.domain, w.kind) for w in warnings_of(con, 4 * total)}


def test_a_clean_pool_has_no_warning_and_each_fault_has_one(tmp_path):
    words = "the house of a man who went to see what all of them had said about it in the old town".split()  # noqa: SIM905
    rng = np.random.default_rng(0)

    def english(n: int, length: int = 400) -> list[str]:
        return [" ".join(rng.choice(words, length)) + f" number {rng.integers(10**9)}.\n" for _ in range(n)]

    wörter = "das haus von dem mann der in die alte stadt ging und nicht wusste was er".split()  # noqa: SIM905
    german = [" ".join(rng.choice(wörter, 400)) for _ in range(250)]
    repeated = english(3, 500)
    workspace = write_pool(
        tmp_path,
        fine=english(400),
        copies=[*english(60, 900), *(repeated[i % 3] for i in range(90))],
        short=[*english(150), *(f"Menu entry {i}" for i in range(80))],
        long=[*english(120), " ".join(english(900)), " ".join(english(901))],
        other=german[100:],
        mixed=[*english(100), *german[:100]],
        garbled=[t + "â€œIt canâ€™t be Ã¼ber cafÃ© naÃ¯ve, they said, Â£5â€\n" * 3 for t in english(120)],
    )
    with (tmp_path / "fine.jsonl").open("a") as out:
        out.write("not json\n" * 5)
    ingest(workspace)
    with open_snapshot(workspace).connect() as con:
        found = {(w.domain, w.kind) for w in warnings_of(con, 1)}
    assert found == {
        ("fine", "skipped"), ("copies", "duplicates"), ("short", "short_documents"),
        ("long", "long_documents"), ("other", "foreign_language"), ("mixed", "mixed_languages"),
        ("garbled", "broken_encoding"),
    }  # fmt: skip


def test_damaged_texts_are_a_message(tmp_path):
    workspace = write_pool(tmp_path, web=prose(20, 1))
    ingest(workspace)
    snapshot = open_snapshot(workspace)
    snapshot.documents_file("web").write_bytes(b"x")
    with snapshot.connect() as con:
        for ask in (
            lambda: explore.page(snapshot, con, EVERYTHING),
            lambda: explore.matches(snapshot, con, Selection(search=Search(text="w"))),
        ):
            with pytest.raises(CausalMixError, match="cannot be read"):
                ask()


@pytest.mark.parametrize("wanted", [1, 20, 50, 59, 60, 61])
def test_a_sample_of_nearly_all_documents_is_drawn(pool, prose, wanted):
    """A few more than wanted are looked at first, which may be more than there are."""
    workspace = pool(web=prose(60, 1))
    ingest(workspace)
    with open_snapshot(workspace).connect() as con:
        found = explore.density(con, "words", "bytes", Selection(), bins=5, sample=wanted).sample
        assert len(found) <= wanted
        assert len(found) >= min(wanted, 60) - 10
        used = explore.correlations(con, ["words", "bytes"], Selection(), sample=max(2, wanted)).documents
        assert used <= max(2, wanted)
