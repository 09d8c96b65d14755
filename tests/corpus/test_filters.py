from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from causalmix_core.corpus import Filter, Search, Snapshot, ingest, open_snapshot
from causalmix_core.corpus.filters import (
    DomainCondition,
    DuplicateCondition,
    FeatureCondition,
    LanguageCondition,
    RuleCondition,
    TextCondition,
    check_filter,
    examples,
    filter_names,
    kept_documents,
    load_filter,
    predicate,
    preview,
    reads_texts,
    save_filter,
)
from causalmix_core.corpus.sql import add_texts
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig

LONG = FeatureCondition(feature="words", op=">", value=30)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    folder = tmp_path_factory.mktemp("filters")
    rng = np.random.default_rng(1)
    web = [
        " ".join(f"w{rng.integers(5000)}" for _ in range(rng.integers(20, 80))) + ".\n" for _ in range(120)
    ]
    web[30] = web[40] = web[20]
    code = [f'int f{i}(void) {{ return {i}; }} // it\'s "quoted"\n' * (1 + i % 7) for i in range(80)]
    german = [f"Das ist der Text Nummer {i} von der Strasse, in der wir alle wohnen.\n" for i in range(40)]
    sources = {}
    for name, texts in (("web", web), ("code", code), ("german", german)):
        file = folder / f"{name}.jsonl"
        file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
        sources[name] = DomainSource(path=str(file))
    workspace = Workspace.create(folder / "it's [a] *", WorkspaceConfig(name="test", domains=sources))
    ingest(workspace)
    return workspace


@pytest.fixture(scope="module")
def snapshot(workspace) -> Snapshot:
    return open_snapshot(workspace)


@pytest.fixture(scope="module")
def con(snapshot):
    with snapshot.connect() as con:
        add_texts(con, snapshot)
        yield con


@pytest.fixture(scope="module")
def truth(snapshot, con) -> pd.DataFrame:
    return con.execute(
        "SELECT d.*, t.text FROM documents d JOIN texts t USING (domain, document) ORDER BY domain, document"
    ).df()


CONDITIONS = {
    "greater": (LONG, lambda t: t["words"] > 30),
    "at most": (FeatureCondition(feature="flesch", op="<=", value=50.5), lambda t: t["flesch"] <= 50.5),
    "equal": (FeatureCondition(feature="lines", op="=", value=3), lambda t: t["lines"] == 3),
    "unequal": (FeatureCondition(feature="lines", op="!=", value=1), lambda t: t["lines"] != 1),
    "tiny number": (FeatureCondition(feature="mojibake", op=">=", value=1e-30), lambda t: t["mojibake"] > 0),
    "negative": (FeatureCondition(feature="flesch", op=">", value=-1e20), lambda t: t["flesch"] > -1e20),
    "rule": (RuleCondition(rule="c4_curly_bracket"), lambda t: ~t["c4_curly_bracket"]),
    "broken": (RuleCondition(rule="c4_curly_bracket", broken=True), lambda t: t["c4_curly_bracket"]),
    "near": (DuplicateCondition(), lambda t: ~t["near_duplicate"]),
    "exact": (DuplicateCondition(which="without_exact"), lambda t: ~t["exact_duplicate"]),
    "language": (LanguageCondition(languages=("de", "x'y")), lambda t: t["language"] == "de"),
    "not language": (LanguageCondition(languages=("de",), among=False), lambda t: t["language"] != "de"),
    "domain": (DomainCondition(domains=("web", "code")), lambda t: t["domain"] != "german"),
    "not domain": (DomainCondition(domains=("web",), among=False), lambda t: t["domain"] != "web"),
    "text": (TextCondition(search=Search(text='it\'s "QUOTED"')), lambda t: t["domain"] == "code"),
    "case": (
        TextCondition(search=Search(text='it\'s "quoted"', case=True), contains=False),
        lambda t: t["domain"] != "code",
    ),
    "regex": (
        TextCondition(search=Search(text=r"w\d7\b", kind="regex")),
        lambda t: t["text"].str.contains(r"w\d7\b"),
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_keeps_what_it_says(con, truth, name):
    condition, meant = CONDITIONS[name]
    chosen = Filter(conditions=(condition,))
    wanted = truth[meant(truth)]
    check_filter(con, chosen)
    for domain in truth["domain"].unique():
        kept = kept_documents(con, chosen, domain)
        assert kept.dtype == np.int64
        mine = wanted[wanted["domain"] == domain]
        assert kept.tolist() == mine["document"].tolist()
    table = preview(con, chosen).set_index("domain")
    for domain, own in truth.groupby("domain"):
        mine = wanted[wanted["domain"] == domain]
        row = table.loc[domain]
        assert (row["documents"], row["kept"], row["dropped"]) == (len(own), len(mine), len(own) - len(mine))
        for unit in ("bytes", "tokens"):
            assert row[f"{unit}_kept"] == mine[unit].sum()
            assert row[f"{unit}_dropped"] == own[unit].sum() - mine[unit].sum()
    assert reads_texts(chosen) == isinstance(condition, TextCondition)


def numbers(con, chosen: Filter) -> set[tuple[str, int]]:
    return {(d, int(n)) for d in ("code", "german", "web") for n in kept_documents(con, chosen, d)}


names = st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=1, max_size=3, unique=True)


@settings(deadline=None, max_examples=30)
@given(names, st.booleans(), st.sets(st.sampled_from(["web", "code", "german"])))
def test_conditions_combine_as_all_or_any_within_their_domains(con, truth, chosen, every, scope):
    made = Filter(
        conditions=tuple(CONDITIONS[n][0] for n in chosen),
        match="all" if every else "any",
        domains=tuple(sorted(scope)),
    )
    each = [CONDITIONS[n][1](truth) for n in chosen]
    kept = np.logical_and.reduce(each) if every else np.logical_or.reduce(each)
    if scope:
        kept = kept | ~truth["domain"].isin(scope).to_numpy()
    wanted = truth[kept]
    assert numbers(con, made) == set(wanted[["domain", "document"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    "sql",
    [
        "words > 30 AND NOT near_duplicate",
        "words > 30 -- long enough",
        "words > 30 /* ; */",
        "CASE WHEN domain = 'web' THEN words > 30 ELSE language = 'de' END",
        "contains(origin, ';') OR words BETWEEN 10 AND 40",
        "list_contains(['web', 'code'], domain)",
        "origin LIKE '%(%' OR true",
    ],
)
def test_an_experts_predicate_keeps_what_it_says(con, sql):
    chosen = Filter(sql=sql, domains=("web", "german"))
    check_filter(con, chosen)
    wanted = con.execute(
        f"SELECT domain, document FROM documents WHERE domain = 'code' OR (\n{sql}\n)"
    ).fetchall()
    assert numbers(con, chosen) == set(wanted)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("words >", "not an SQL expression"),
        ("true) OR (true", "not an SQL expression"),
        ("true /* open", "not an SQL expression"),
        ("true; DROP VIEW documents", "not an SQL expression"),
        ("true; SELECT 1", "more than one expression"),
        ("true UNION SELECT 1", "more than one expression"),
        ("true ORDER BY 1", "more than one expression"),
        ("true LIMIT 1", "more than one expression"),
        ("true GROUP BY domain", "more than one expression"),
        ("words IN (SELECT 1)", "holds a subquery"),
        ("EXISTS (FROM read_text('/etc/passwd'))", "holds a subquery"),
        ("sum(words) OVER () > 1", "holds a window"),
        ("words > ?", "holds a parameter"),
        ("words > $x", "holds a parameter"),
        ("random() < 0.5", "calls random"),
        ("len(list_filter([1], lambda x: random() > x)) = 0", "calls random"),
        ("now() IS NOT NULL", "calls now"),
        ("current_date > DATE '2020-01-01'", "calls current_date"),
        ("getvariable('x') = 1", "calls getvariable"),
        ("words", "type BIGINT, not true or false"),
        ("'yes'", "not true or false"),
        ("nonsense > 1", "does not fit the snapshot.*nonsense"),
        ("sum(words) > 1", "does not fit the snapshot"),
        ("text = 'a'", "does not fit the snapshot"),
        ("pool.documents.words > 1", "does not fit the snapshot"),
        ("words > \ud800", "no text that SQL can hold"),
    ],
)
def test_what_is_no_predicate_is_refused_in_words(con, sql, words):
    with pytest.raises(CausalMixError, match=f"(?s){words}"):
        check_filter(con, Filter.model_construct(sql=sql))


def test_a_predicate_that_fails_on_a_document_is_a_message(con):
    with pytest.raises(CausalMixError, match="cannot be applied: Conversion Error"):
        preview(con, Filter(sql="origin::INT > 3"))


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (FeatureCondition(feature="entropy", op="<", value=1), "no numeric feature 'entropy'"),
        (FeatureCondition(feature="language", op="<", value=1), "no numeric feature 'language'"),
        (FeatureCondition(feature='words" > 0 --', op="<", value=1), "no numeric feature"),
        (RuleCondition(rule="near_duplicate"), "no rule"),
        (DomainCondition(domains=("books",)), "no domain 'books'"),
        (TextCondition(search=Search(text="(", kind="regex")), "regular expression .* is wrong"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(con, condition, words):
    with pytest.raises(CausalMixError, match=words):
        preview(con, Filter(conditions=(condition,)))


def test_domains_that_do_not_exist_are_refused(con):
    with pytest.raises(CausalMixError, match="no domain 'books'"):
        preview(con, Filter(conditions=(LONG,), domains=("books",)))
    with pytest.raises(CausalMixError, match="no domain 'books'"):
        kept_documents(con, Filter(conditions=(LONG,)), "books")


def test_filters_that_make_no_sense_cannot_be_made():
    for wrong in (
        {},
        {"sql": "  "},
        {"sql": "true", "conditions": [LONG.model_dump()]},
        {"sql": "true", "name": "../x"},
        {"conditions": [{"kind": "feature", "feature": "words", "op": "; DROP", "value": 1}]},
        {"conditions": [{"kind": "feature", "feature": "words", "op": ">", "value": float("nan")}]},
        {"conditions": [{"kind": "language", "languages": []}]},
        {"conditions": [{"kind": "spell"}]},
    ):
        with pytest.raises(ValidationError):
            Filter.model_validate(wrong)


def test_values_never_become_more_than_values(con, truth):
    hostile = "') OR TRUE --"
    chosen = Filter(conditions=(LanguageCondition(languages=(hostile,)),))
    assert numbers(con, chosen) == set()
    with pytest.raises(CausalMixError, match="zero character"):
        predicate(Filter(conditions=(TextCondition(search=Search(text="a\0b")),)))


def test_what_cannot_be_judged_is_kept_unless_another_condition_decides(con):
    with con.cursor() as own:
        own.execute(
            "CREATE TEMP VIEW documents AS SELECT * EXCLUDE (flesch), "
            "CASE WHEN document % 2 = 0 THEN flesch END AS flesch FROM memory.main.documents"
        )
        unknown = FeatureCondition(feature="flesch", op=">", value=1e6)

        def kept(**parts: object) -> set[tuple[str, int]]:
            return numbers(own, Filter(**parts))

        odd = set(own.execute("SELECT domain, document FROM documents WHERE document % 2 = 1").fetchall())
        long = set(own.execute("SELECT domain, document FROM documents WHERE words > 30").fetchall())
        assert kept(conditions=(unknown,)) == odd
        assert kept(sql="flesch > 1e6") == odd
        assert kept(conditions=(unknown, LONG)) == odd & long
        assert kept(conditions=(unknown, LONG), match="any") == odd | long
        table = preview(own, Filter(conditions=(unknown,)))
        assert table["kept"].sum() == len(odd)
        assert (table["kept"] + table["dropped"] == table["documents"]).all()


def test_examples_show_both_sides_of_the_domains_that_are_filtered(snapshot, con, truth):
    chosen = Filter(conditions=(LONG,), domains=("web", "code"))
    sides = {kept: examples(snapshot, con, chosen, kept, n=15) for kept in (True, False)}
    assert len(sides[True]) == len(sides[False]) == 15
    assert (sides[True]["words"] > 30).all()
    assert (sides[False]["words"] <= 30).all()
    assert not set(sides[True]["domain"]) & {"german"}
    joined = sides[False].merge(truth, on=["domain", "document"])
    assert (joined["text_x"] == joined["text_y"]).all()
    assert examples(snapshot, con, chosen, True, n=15).equals(sides[True])
    assert not examples(snapshot, con, chosen, True, n=15, seed=1).equals(sides[True])
    assert (
        len(examples(snapshot, con, chosen, True, n=10_000))
        == ((truth["words"] > 30) & (truth["domain"] != "german")).sum()
    )
    with pytest.raises(CausalMixError, match="Cannot show"):
        examples(snapshot, con, chosen, True, n=-1)


# --- saving ---


def test_a_filter_is_saved_and_read_again(workspace):
    chosen = Filter(
        name="long", note="no stubs", conditions=tuple(c for c, _ in CONDITIONS.values()), match="any",
        domains=("web",),
    )  # fmt: skip
    saved = save_filter(workspace, chosen, parent=None, by="ada")
    assert (saved.revision, saved.by, saved.note) == (1, "ada", "no stubs")
    assert saved.saved_at is not None
    assert load_filter(workspace, "long") == saved
    assert predicate(saved) == predicate(chosen)
    again = save_filter(workspace, saved.model_copy(update={"note": "x"}), parent=1, by="bob")
    assert (again.revision, again.by) == (2, "bob")
    assert "long" in filter_names(workspace)


def test_an_outdated_revision_is_refused_and_nothing_lost(workspace):
    one = Filter(name="shared", sql="words > 1")
    save_filter(workspace, one, parent=None, by="ada")
    first = save_filter(workspace, one.model_copy(update={"sql": "words > 2"}), parent=1, by="ada")
    other = one.model_copy(update={"sql": "words > 3"})
    for parent, words in (
        (1, "at revision 2 now, but you worked from revision 1"),
        (None, "no filter of this"),
    ):
        with pytest.raises(CausalMixError, match=words):
            save_filter(workspace, other, parent=parent, by="bob")
    with pytest.raises(CausalMixError, match="is not saved any more"):
        save_filter(workspace, other.model_copy(update={"name": "gone"}), parent=3, by="bob")
    assert load_filter(workspace, "shared") == first


def test_of_two_at_once_one_wins(workspace):
    def save(number: int) -> bool:
        try:
            save_filter(workspace, Filter(name="race", sql=f"words > {number}"), parent=None, by=str(number))
        except CausalMixError:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(save, range(8))) == 1
    assert load_filter(workspace, "race").revision == 1


def test_what_cannot_be_saved_or_loaded_says_why(workspace):
    with pytest.raises(CausalMixError, match="not an SQL expression"):
        save_filter(workspace, Filter(name="bad", sql="words >"), parent=None, by="ada")
    with pytest.raises(CausalMixError, match="no filter named nobody"):
        load_filter(workspace, "nobody")
    with pytest.raises(CausalMixError, match="cannot be a name"):
        load_filter(workspace, "../workspace")
    (workspace.filters / "broken.json").write_text('{"name": "broken", "sql": "true", "surprise": 1}')
    with pytest.raises(CausalMixError, match=r"broken\.json is damaged.*surprise"):
        load_filter(workspace, "broken")
