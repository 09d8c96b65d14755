"""What somebody should know before training on an export, in sentences."""

from __future__ import annotations

from causalmix_core.mixture.exporting.blend import Blend
from causalmix_core.mixture.exporting.protocol import ExportFormat


def cautions(blend: Blend, format: ExportFormat) -> list[str]:
    """Sentences about an export that was written; empty where there is nothing to say."""
    found = []
    if format.needs_counts and blend.tokenizer.startswith("bytes"):
        found.append(
            "The pool's tokens are bytes. Where the trainer's tokens stand for more bytes in one domain than "
            "in another, the parts come out differently. Count with its tokenizer (`tokenizer` in "
            "workspace.yaml), or give counts with the export (command line: `--count`)."
        )
    stored = [d for d in blend.used if not blend.pool[d].mapped and blend.pool[d].stored]
    if format.reads == "documents" and stored:
        found.append(
            f"For {', '.join(stored)} the file names the snapshot's own Parquet files on this machine, "
            "held-out documents included. Give other paths where the trainer runs elsewhere (command line: "
            "`--path`)."
        )
    if format.reads != "nothing" and (unused := sorted(set(blend.weights) - set(blend.used))):
        found.append(f"Left out, as their weight is 0: {', '.join(unused)}.")
    return found
