"""What an ingest did, source by source: read, kept, skipped and where."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from causalmix_core.corpus.readers import REASON_LABELS, Reason, Skipped

EXAMPLES = 20
"""Skipped lines named per source in a report; the snapshot's table `skipped` has them all."""


class SourceReport(BaseModel):
    """What became of the lines of one source: `read = kept + sum of skipped`."""

    model_config = ConfigDict(frozen=True)

    files: int
    """Files looked at, those included that gave no document."""
    read: int
    """Lines, rows and whole files that should have been documents."""
    kept: int
    skipped: dict[Reason, int]
    examples: list[Skipped]
    """The first `EXAMPLES` skipped lines."""


class IngestReport(BaseModel):
    """The result of `ingest` and of applying a filter."""

    model_config = ConfigDict(frozen=True)

    snapshot: str
    """Id of the snapshot that is now current."""
    created: bool
    """False when the pool had not changed, so that nothing was built."""
    documents: dict[str, int]
    """Documents by domain."""
    sources: dict[str, SourceReport]
    """By name of the domain, or `*` and the path of a mixed source; empty for a filtered snapshot."""

    def summary(self) -> list[str]:
        """One line per source for a terminal, with the places of skipped lines, and one for the snapshot."""
        lines = [f"{name}: {_describe(report)}" for name, report in sorted(self.sources.items())]
        apart = {d: n for d, n in self.documents.items() if d not in self.sources}
        lines += [f"{domain}: {_documents(count)}" for domain, count in sorted(apart.items())]
        state = "published" if self.created else "unchanged"
        return [*lines, f"snapshot {self.snapshot} ({state})"]


def _documents(count: int) -> str:
    return f"{count:,} document{'' if count == 1 else 's'}"


def _describe(report: SourceReport) -> str:
    text = _documents(report.kept)
    total = sum(report.skipped.values())
    if not total:
        return text
    parts = []
    for reason, count in report.skipped.items():
        places: dict[str, list[str]] = {}
        named = 0
        for example in report.examples:
            if example.reason == reason:
                named += 1
                lines = places.setdefault(example.file, [])
                if example.line is not None:
                    lines.append(f"line {example.line}")
        where = ", ".join(f"{file} {', '.join(at)}".rstrip() for file, at in places.items())
        more = f" and {count - named:,} more" if 0 < named < count else ""
        parts.append(f"{count:,} {REASON_LABELS[reason]}" + (f": {where}{more}" if where else ""))
    return f"{text}, skipped {total:,} ({'; '.join(parts)})"
