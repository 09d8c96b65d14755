from __future__ import annotations

import json
import threading
import time

import duckdb
import pytest

from causalmix_core.corpus import RULES, Snapshot, ingest, open_snapshot, run_sql
from causalmix_core.corpus.sql import add_texts, identifier, literal, parquet_scan, time_limit
from causalmix_core.errors import CausalMixError
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig

A_VARIABLE_OF_THIS_FILE = [1, 2, 3]


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Snapshot:
    folder = tmp_path_factory.mktemp("sql")
    sources = {}
    for name in ("web", "code"):
        file = folder / f"{name}.jsonl"
        texts = [f'{name} document {i} says it\'s a "test" [of] 100%.\n' for i in range(60)]
        file.write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
        sources[name] = DomainSource(path=str(file))
    workspace = Workspace.create(folder / "it's [a] *", WorkspaceConfig(name="test", domains=sources))
    ingest(workspace)
    return open_snapshot(workspace)


def test_questions_are_answered(snapshot):
    result = run_sql(snapshot, "SELECT domain, count(*) AS n FROM documents GROUP BY domain ORDER BY domain")
    assert result.frame.to_dict("list") == {"domain": ["code", "web"], "n": [60, 60]}
    assert not result.truncated
    assert 0 <= result.seconds < 10
    joined = run_sql(
        snapshot,
        "SELECT d.words, t.text FROM documents d JOIN texts t USING (domain, document) "
        "WHERE contains(t.text, 'document 7 ') ORDER BY t.domain",
    ).frame
    assert joined["text"].str.startswith(("code document 7", "web document 7")).all()
    assert len(joined) == 2


@pytest.mark.parametrize(
    "query",
    [
        "FROM domains",
        "DESCRIBE documents",
        "SUMMARIZE SELECT bytes, words FROM documents",
        "EXPLAIN SELECT 1",
        "EXPLAIN ANALYZE SELECT count(*) FROM texts",
        "EXPLAIN (FORMAT json) SELECT 1",
        " explain  analyze\n(format json) select '/* -- '",
        "EXPLAIN ANALYZE /* why */ SELECT 1",
        "WITH a AS (SELECT 1 AS x) FROM a",
        "SELECT * FROM files UNION ALL BY NAME SELECT * FROM skipped",
        "SHOW TABLES",
        "VALUES (1, 'a')",
        "SELECT sum(count) FROM ngrams;",
        "-- a comment\nSELECT 1 -- and another",
        "PIVOT documents ON language IN ('en', 'de') USING count(*) GROUP BY domain",
    ],
)
def test_every_kind_of_question_is_allowed(snapshot, query):
    assert len(run_sql(snapshot, query).frame) >= 0


def test_rules_can_be_asked_for(snapshot):
    rule = next(iter(RULES))
    assert len(run_sql(snapshot, f"SELECT * FROM documents WHERE {rule} IS NOT NULL").frame) == 120


def test_rows_are_limited(snapshot):
    query = "SELECT document FROM documents ORDER BY domain, document"
    cut = run_sql(snapshot, query, max_rows=50)
    assert cut.truncated
    assert cut.frame["document"].tolist() == list(range(50))
    assert not run_sql(snapshot, query, max_rows=120).truncated
    assert run_sql(snapshot, query, max_rows=119).truncated
    endless = run_sql(snapshot, "SELECT i FROM range(1000000000000) t(i) WHERE i % 3 = 0", max_rows=5_000)
    assert endless.frame["i"].tolist() == list(range(0, 15_000, 3))
    assert endless.truncated
    assert run_sql(snapshot, "SELECT 1 AS a WHERE false").frame.columns.tolist() == ["a"]


def test_odd_columns_can_be_shown(snapshot):
    frame = run_sql(
        snapshot,
        "SELECT 1 AS a, 2 AS a, [1, 2] AS l, {'k': 1} AS s, NULL AS n, INTERVAL 1 DAY AS i, 'ä' AS t",
    ).frame
    assert frame.shape == (1, 7)
    assert frame["t"].tolist() == ["ä"]


@pytest.mark.parametrize(
    "query",
    [
        "COPY (SELECT 1) TO '{out}'",
        "COPY documents TO '{texts}' (FORMAT parquet)",
        "EXPLAIN ANALYZE COPY (SELECT 1 AS a) TO '{texts}' (FORMAT parquet)",
        "EXPLAIN /* ( */ ANALYZE COPY (SELECT 1 AS a) TO '{texts}'",
        "EXPLAIN ANALYZE CREATE TABLE x (a INT)",
        "EXPLAIN EXPLAIN SELECT 1",
        "ATTACH '{out}' AS other",
        "ATTACH '{database}' AS again",
        "DETACH pool",
        "USE pool",
        "SET threads = 1",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA database_list",
        "PRAGMA enable_profiling",
        "CALL pragma_version()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE x (a INT)",
        "CREATE VIEW documents AS SELECT 1",
        "INSERT INTO pool.documents SELECT * FROM pool.documents",
        "DELETE FROM pool.documents",
        "UPDATE pool.documents SET bytes = 1",
        "DROP VIEW documents",
        "CHECKPOINT",
        "VACUUM",
        "EXPORT DATABASE '{out}'",
        "PREPARE q AS SELECT 1",
        "SET VARIABLE x = 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW documents",
        "",
        "   -- nothing",
        ";",
        "PIVOT documents ON language USING count(*)",
    ],
)
def test_what_is_no_question_is_refused(snapshot, tmp_path, query):
    texts = snapshot.documents_file("web")
    before = texts.read_bytes()
    out = tmp_path / "out"
    wanted = query.format(
        out=str(out).replace("'", "''"),
        texts=str(texts).replace("'", "''"),
        database=str(snapshot.database).replace("'", "''"),
    )
    with pytest.raises(CausalMixError, match=r"statement|PIVOT|syntax error"):
        run_sql(snapshot, wanted)
    assert not out.exists()
    assert texts.read_bytes() == before


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT * FROM read_text('/etc/passwd')", "Permission Error"),
        ("SELECT * FROM read_csv('/etc/passwd', columns = {'l': 'VARCHAR'}, delim = chr(0))", "Error"),
        ("SELECT * FROM '/etc/passwd'", "does not exist"),
        ("SELECT * FROM read_blob('/proc/self/environ')", "Permission Error"),
        ("SELECT * FROM glob('/etc/*')", "Permission Error"),
        ("SELECT * FROM read_parquet('/tmp/*.parquet')", "Permission Error"),
        ("SELECT * FROM read_text('{manifest}')", "Permission Error"),
        ("SELECT * FROM read_parquet('{folder}/*.parquet')", "Permission Error"),
        ("SELECT * FROM read_parquet('https://example.org/x.parquet')", "Error"),
        ("SELECT * FROM A_VARIABLE_OF_THIS_FILE", "does not exist"),
        ("SELECT getenv('HOME')", "does not exist"),
        ("SELECT * FROM query('COPY (SELECT 1) TO ''/tmp/x.csv''')", "single SELECT"),
        ("SELECT nonsense FROM documents", "nonsense"),
        ("SELEC 1", "syntax error"),
        ("SELECT '\ud800'", "no Unicode text"),
        ("SELECT 'abc'::INT", "Conversion Error"),
        ("SELECT ?", "Error"),
        ("SELECT 1 -- " + "x" * 30_000, "Shorten it"),
    ],
)
def test_nothing_but_the_snapshot_can_be_read(snapshot, query, words):
    wanted = query.replace("{manifest}", str(snapshot.root / "manifest.json").replace("'", "''"))
    wanted = wanted.replace("{folder}", str(snapshot.root / "documents").replace("'", "''"))
    with pytest.raises(CausalMixError, match=words) as raised:
        run_sql(snapshot, wanted)
    assert "Traceback" not in str(raised.value)


@pytest.mark.parametrize(
    "query",
    [
        "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
        "SELECT count(*) FROM range(10000000) a, range(10000000) b",
        "SELECT * FROM range(1000000000000) t(i) WHERE i < 0",
    ],
)
def test_what_does_not_end_is_stopped(snapshot, query):
    started = time.perf_counter()
    with pytest.raises(CausalMixError, match=r"longer than 0.3 seconds.*Ask for less"):
        run_sql(snapshot, query, timeout_seconds=0.3)
    assert time.perf_counter() - started < 5
    assert not [
        t for t in threading.enumerate() if isinstance(t, threading.Timer) and not t.finished.is_set()
    ]


def test_what_needs_too_much_memory_is_stopped(snapshot, monkeypatch):
    from causalmix_core.corpus import sql

    monkeypatch.setattr(sql, "MEMORY_LIMIT", "50MB")
    with pytest.raises(CausalMixError, match=r"more than 50MB of memory. Ask for less"):
        run_sql(snapshot, "SELECT i, i::VARCHAR || 'x' FROM range(20000000) t(i) ORDER BY hash(i)")


def test_limits_that_make_no_sense_are_refused(snapshot):
    for wrong in ({"max_rows": 0}, {"timeout_seconds": 0}):
        with pytest.raises(CausalMixError, match="at least one row"):
            run_sql(snapshot, "SELECT 1", **wrong)


def test_a_connection_is_free_again_after_its_limit(snapshot):
    with snapshot.connect() as con:
        with (
            pytest.raises(CausalMixError, match="too long, so"),
            time_limit(con, 0.1, "It was too long, so."),
        ):
            con.execute("SELECT count(*) FROM range(10000000) a, range(10000000) b")
        assert con.execute("SELECT count(*) FROM documents").fetchone() == (120,)
        with time_limit(con, 60, ""):
            assert con.execute("SELECT count(*) FROM documents").fetchone() == (120,)


def test_somebody_elses_interrupt_is_not_a_time_limit(snapshot):
    with snapshot.connect() as con:
        other = threading.Timer(0.1, con.interrupt)
        other.start()
        with pytest.raises(duckdb.InterruptException), time_limit(con, 60, ""):
            con.execute("SELECT count(*) FROM range(10000000) a, range(10000000) b")
        other.join()


def test_texts_are_added_once_and_seen_by_every_cursor(snapshot):
    with snapshot.connect() as con:
        add_texts(con, snapshot)
        add_texts(con, snapshot)
        with con.cursor() as own:
            assert own.execute("SELECT count(*) FROM texts").fetchone() == (120,)


@pytest.mark.parametrize(
    "name", ["a[1].parquet", "b*.parquet", "c?.parquet", "d'q.parquet", "{e,f}.parquet", "[!g].parquet"]
)
def test_a_file_is_that_file_and_no_pattern(tmp_path, name):
    folder = tmp_path / "it's [x] *"
    folder.mkdir()
    with duckdb.connect() as con:
        for file, value in ((folder / name, 1), (folder / "a1.parquet", 2), (folder / "bb.parquet", 3)):
            con.execute(f"COPY (SELECT {value} AS v) TO {literal(str(file))} (FORMAT parquet)")
        found = con.execute(f"SELECT v FROM {parquet_scan([folder / name])}").fetchall()
    assert found == [(1,)]


def test_names_and_texts_are_quoted():
    hostile = "a\" OR '1'='1"
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE t ({identifier(hostile)} VARCHAR)")
        con.execute(f"INSERT INTO t VALUES ({literal(hostile)})")
        assert con.execute(f"SELECT {identifier(hostile)} FROM t").fetchall() == [(hostile,)]
    with pytest.raises(CausalMixError, match="zero character"):
        literal("a\0b")
