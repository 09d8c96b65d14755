"""How a large pool is read, and how fast each view of the corpus page answers on it.

    python -m benchmarks.corpus_scale CORPUS WORKSPACE [--output benchmarks/results/corpus_scale.md]

CORPUS is a folder with one subfolder per domain. It is read into a new workspace at WORKSPACE; an existing
one is kept, and then only the views are timed. Memory is what all processes hold together (resident, shared
pages counted in each), looked at five times a second. A view is everything that the page asks the library
for when it is shown; each is timed on several selections, twice each, without the page's cache, and the
first call after connecting counts as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec

import duckdb
import psutil

from causalmix_core.corpus import (
    Filter,
    Search,
    Selection,
    Snapshot,
    apply_filter,
    compare,
    explore,
    filters,
    ingest,
    open_snapshot,
    run_sql,
    use_snapshot,
)
from causalmix_core.corpus.comparisons import compared
from causalmix_core.corpus.measuring import cores
from causalmix_core.workspace import DomainSource, Workspace, WorkspaceConfig

WANTED = 0.300
"""Seconds that a view may take at the median."""
View = Callable[[Snapshot, duckdb.DuckDBPyConnection, Selection], object]
P = ParamSpec("P")


class Memory:
    """The most memory that this process and its children held together."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.2):
            held = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    held += process.memory_info().rss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, held)


def read(corpus: Path, root: Path) -> list[str]:
    """Ingest the corpus; lines for the report."""
    domains = {
        d.name: DomainSource(path=str(d)) for d in sorted(corpus.iterdir()) if d.is_dir() and d.name[0] != "."
    }
    workspace = Workspace.create(root, WorkspaceConfig(name="scale", domains=domains))
    started = time.perf_counter()
    with Memory() as memory:
        report = ingest(workspace, progress=_say)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    ingest(workspace)
    again = time.perf_counter() - started
    snapshot = open_snapshot(workspace)
    size = sum(d.bytes for d in snapshot.manifest.domains.values())
    disk = sum(f.stat().st_size for f in snapshot.root.rglob("*") if f.is_file())
    return [
        "## Ingest",
        "",
        "| | |",
        "|---|---|",
        f"| documents | {snapshot.documents:,} in {len(report.documents)} domains |",
        f"| text | {size / 1e6:,.0f} MB; snapshot on disk {disk / 1e6:,.0f} MB |",
        f"| time | {seconds:,.0f} s: {snapshot.documents / seconds:,.0f} documents/s, "
        f"{size / 1e6 / seconds:.1f} MB/s |",
        f"| peak memory, all processes | {memory.peak / 2**30:.2f} GiB |",
        f"| the same sources again | {again:.1f} s, nothing is built |",
        "",
    ]


def filtered(workspace: Workspace) -> list[str]:
    """Apply a filter, look at what it changed, and go back; lines for the report."""
    parent = open_snapshot(workspace)
    started = time.perf_counter()
    with Memory() as memory:
        apply_filter(workspace, parent, Filter(name="unique", sql="NOT near_duplicate AND words >= 5"))
    seconds = time.perf_counter() - started
    child = open_snapshot(workspace)
    lines = [
        "## A filter is applied",
        "",
        f"{child.documents:,} of {parent.documents:,} documents are kept: {seconds:.0f} s, peak memory "
        f"{memory.peak / 2**30:.2f} GiB.",
        "",
        *_table(comparisons(workspace, parent, child).items()),
    ]
    use_snapshot(workspace, parent.id)
    return lines


def views() -> dict[str, View]:
    """Every view of the corpus page, by what a curator calls it."""
    conditions = Filter.model_validate(
        {
            "conditions": [
                {"kind": "rule", "rule": "gopher_short_doc"},
                {"kind": "feature", "feature": "compression_ratio", "op": ">=", "value": 0.2},
                {"kind": "duplicates", "which": "without_near"},
            ]
        }
    )
    numbers = ["log_bytes", "compression_ratio", "alpha_ratio", "digit_ratio", "symbol_ratio"]
    numbers += ["mean_word_length", "stop_word_ratio", "flesch", "mojibake"]

    def overview(s: Snapshot, con: duckdb.DuckDBPyConnection, _: Selection) -> None:
        con.execute("SELECT * FROM domains").df()
        explore.histogram(con, "bytes", Selection(), 24)
        explore.warnings_of(con, 10**9)

    def distribution(s: Snapshot, con: duckdb.DuckDBPyConnection, chosen: Selection) -> None:
        explore.count(con, chosen)
        explore.histogram(con, "compression_ratio", chosen, 48, False)
        explore.quantiles(con, "compression_ratio", chosen)

    def page(order: str | None, offset: int, seed: int | None = None) -> View:
        return lambda s, con, chosen: explore.page(s, con, chosen, order, True, 10, offset, seed)

    return {
        "overview": overview,
        "explore: distribution": distribution,
        "explore: by domain": lambda s, con, chosen: explore.histogram(con, "words", chosen, 48),
        "explore: two features": lambda s, con, chosen: explore.density(con, "words", "flesch", chosen, 40),
        "explore: rules": lambda s, con, chosen: explore.rule_table(con, chosen),
        "explore: languages": lambda s, con, chosen: explore.language_counts(con, chosen),
        "explore: correlations": lambda s, con, chosen: explore.correlations(con, numbers, chosen),
        "documents: as in the source": page(None, 0),
        "documents: by a feature": page("compression_ratio", 0),
        "documents: by a feature, page 1,000": page("flesch", 10_000),
        "documents: at random": page(None, 0, 1),
        "near-copies of a document": near_copies,
        "compare domains": lambda s, con, chosen: compare.similarity(con),
        "filter: preview": lambda s, con, chosen: filters.preview(con, conditions),
        "filter: examples": lambda s, con, chosen: filters.examples(s, con, conditions, False, 8),
        "SQL: documents per language": lambda s, con, chosen: run_sql(
            s, "SELECT domain, language, count(*) FROM documents GROUP BY ALL ORDER BY 3 DESC LIMIT 50"
        ),
    }


def near_copies(snapshot: Snapshot, con: duckdb.DuckDBPyConnection, _: Selection) -> None:
    """The siblings of a document that has some, side by side with it."""
    found = con.execute("SELECT domain, document FROM documents WHERE near_duplicate LIMIT 1").fetchone()
    if found is None:
        return
    own = explore.document_text(snapshot, *found)
    explore.diff_spans(own, str(explore.siblings(snapshot, con, *found)["text"].iloc[0]))


def selections(snapshot: Snapshot) -> list[Selection]:
    """What a curator has chosen: nothing, a domain, a brushed range, a rule, and all of them."""
    large = max(snapshot.domains, key=lambda d: snapshot.manifest.domains[d].documents)
    return [
        Selection(),
        Selection(domains=(large,)),
        Selection(ranges={"compression_ratio": (0.3, 0.6)}),
        Selection(breaks_any=("gopher_short_doc",), duplicates="without_near"),
        Selection(domains=(large,), ranges={"words": (20, 200)}, breaks_none=("c4_curly_bracket",)),
    ]


def time_views(snapshot: Snapshot) -> list[str]:
    """A table of the views with their times."""
    rows = []
    for name, view in views().items():
        with snapshot.connect() as con:
            taken = [_timed(view, snapshot, con, chosen) for chosen in selections(snapshot) * 2]
        rows.append((name, taken))
    rows += searches(snapshot).items()
    return ["## Views", "", *_table(rows)]


def _table(rows: Iterable[tuple[str, list[float]]]) -> list[str]:
    lines = ["| view | median ms | slowest ms | |", "|---|---|---|---|"]
    for name, taken in rows:
        middle = statistics.median(taken)
        verdict = "" if middle < WANTED else f"over {1000 * WANTED:.0f} ms"
        lines.append(f"| {name} | {1000 * middle:.0f} | {1000 * max(taken):.0f} | {verdict} |")
    return [*lines, ""]


def searches(snapshot: Snapshot) -> dict[str, list[float]]:
    """Searches for frequent, less frequent and absent words, in each domain and in the whole pool."""
    words = ("the", "return", "kernel", "theorem", "quicksort", "xyzzyplugh")
    found: dict[str, list[float]] = {"search: a word in a domain": [], "search: a word in the whole pool": []}
    regexes = (r"\bTODO\b", r"[A-Z]{12,}", r"\d{4}-\d{2}-\d{2}")
    with snapshot.connect() as con:

        def first_page(search: Search, *domains: str) -> None:
            explore.page(snapshot, con, Selection(domains=domains, search=search), limit=10)

        for word in words:
            found["search: a word in a domain"] += [
                _timed(first_page, Search(text=word), domain) for domain in snapshot.domains
            ]
            found["search: a word in the whole pool"].append(_timed(first_page, Search(text=word)))
        found["search: a regular expression in a domain"] = [
            _timed(first_page, Search(text=regex, kind="regex"), domain)
            for regex in regexes
            for domain in snapshot.domains
        ]
    return found


def comparisons(workspace: Workspace, old: Snapshot, new: Snapshot) -> dict[str, list[float]]:
    """What changed between two snapshots: as kept since the newer one was made, and computed anew."""
    return {
        "compare snapshots, as kept": [_timed(compared, workspace, old, new) for _ in range(5)],
        "compare snapshots, computed": [_timed(compare.compare_snapshots, old, new, 5)],
    }


def time_app(root: Path) -> list[str]:
    """Seconds from a browser's first request to the overview, once the server is up."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import find
    from tests.browser.conftest import FLAGS

    path = find()
    if path is None:
        return ["No Chromium was found; opening the app was not timed.", ""]
    taken = []
    with _serving(root) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        for _ in range(3):
            page = browser.new_context().new_page()
            started = time.perf_counter()
            page.goto(address)
            page.get_by_text("Worth a second look").wait_for(timeout=60_000)
            taken.append(time.perf_counter() - started)
        browser.close()
    return [
        "## Opening the app",
        "",
        f"From the address to the complete overview, in Chromium: {taken[0]:.2f} s the first time after the "
        f"server is up, then {', '.join(f'{t:.2f} s' for t in taken[1:])}.",
        "",
    ]


@contextmanager
def _serving(root: Path) -> Iterator[str]:
    port = 8799
    app = Path(__file__).parents[1] / "app.py"
    command = [sys.executable, "-m", "pages.widgets.server", "run", str(app), "--server.port", str(port)]
    command += [
        "--server.headless",
        "true",
        "--server.fileWatcherType",
        "none",
        "--server.address",
        "127.0.0.1",
    ]
    server = subprocess.Popen(
        command,
        env={**os.environ, "CAUSALMIX_WORKSPACE": str(root)},
        cwd=app.parent,
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        while server.poll() is None:
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


def _timed(call: Callable[P, object], *arguments: P.args, **options: P.kwargs) -> float:
    started = time.perf_counter()
    call(*arguments, **options)
    return time.perf_counter() - started


def _say(fraction: float, what: str) -> None:
    print(f"\r{fraction:4.0%} {what:<70}", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument(
        "--keep", metavar="SQL", help="time the views on what a filter with this predicate keeps"
    )
    args = parser.parse_args()
    lines = [
        "# A pool of millions of documents",
        "",
        f"`python -m benchmarks.corpus_scale CORPUS WORKSPACE` on {cores()} cores, Python "
        f"{sys.version.split()[0]}, DuckDB {duckdb.__version__}.",
        "",
    ]
    if not args.workspace.exists():
        lines += read(args.corpus, args.workspace)
    workspace = Workspace.open(args.workspace)
    if args.keep:
        apply_filter(workspace, open_snapshot(workspace), Filter(name="kept", sql=args.keep))
        lines += [f"Of these {open_snapshot(workspace).documents:,} documents: `{args.keep}`.", ""]
    lines += time_app(args.workspace)
    lines += time_views(open_snapshot(workspace))
    lines += filtered(workspace)
    text = "\n".join(lines)
    print(text)
    if args.output:
        args.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
