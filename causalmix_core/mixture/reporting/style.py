"""The sheet of a report: one HTML file without any request to anywhere, that reads on a screen and prints on
A4."""

from __future__ import annotations

from html import escape

CSS = """
:root { --ink: #17232b; --quiet: #566570; --line: #ced7dd; --ground: #f2f5f7; --mark: #0e6a8a;
  --better: #0a6b4f; --worse: #b03a10; --unclear: #8695a0; }
* { box-sizing: border-box; }
html { color-scheme: light; }
body { margin: 0 auto; max-width: 52rem; padding: 2.5rem 1.5rem 4rem; background: #fff; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line);
} h3 { font-size: .95rem; margin: 1.2rem 0 .3rem; } p, ul { margin: .4rem 0; } ul { padding-left: 1.2rem; } li
{ margin: .2rem 0; } .quiet { color: var(--quiet); } .small { font-size: .85rem; } .verdict { margin: 1.2rem
0; padding: .9rem 1.1rem; border-left: 5px solid var(--unclear); background: var(--ground);
  border-radius: 0 6px 6px 0; }
.verdict p { margin: .15rem 0; } .verdict .said { font-size: 1.15rem; font-weight: 600; }
.verdict.better { border-color: var(--better); } .verdict.worse { border-color: var(--worse); }
.warning { margin: .8rem 0; padding: .6rem .9rem; border: 1px solid var(--worse); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: .87rem;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--quiet); border-bottom: 1px solid var(--line); }
th, td { padding: .25rem .5rem .25rem 0; vertical-align: top; overflow-wrap: break-word; }
td { border-bottom: 1px solid #e8edf0; } th.n, td.n { text-align: right; white-space: nowrap; padding-right:
.6rem; } td.better { color: var(--better); } td.worse { color: var(--worse); } td.unclear { color:
var(--quiet); } table.facts td:first-child { width: 8.5rem; color: var(--quiet); } .wide { overflow-x: auto; }
table.heat td.n, table.heat th.n { padding: .2rem .4rem; } table.heat { font-size: .75rem; width: auto; }
table.heat td:first-child { white-space: nowrap; } table.heat th.n { vertical-align: bottom; height: 7rem; }
table.heat th.n span { writing-mode: vertical-rl;
  transform: rotate(180deg); white-space: nowrap; }
code { font: .85em ui-monospace, "DejaVu Sans Mono", monospace; background: var(--ground); padding: .1em .3em;
  border-radius: 3px; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; margin: .4rem 0; font-size: 12px; }
svg text { fill: var(--ink); } svg text.quiet { fill: var(--quiet); }
figure { margin: .5rem 0; } figcaption { color: var(--quiet); font-size: .85rem; }
@page { size: A4; margin: 16mm 15mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  h2, h3 { break-after: avoid; } tr, figure, .verdict, .warning { break-inside: avoid; }
  thead { display: table-header-group; } .wide { overflow: visible; }
  table { font-size: 8.5pt; } th, td { padding-right: .3rem; } table.heat { font-size: 7pt; }
}
"""


def page(title: str, parts: list[str]) -> str:
    """A whole HTML file.

    Args:
        title: of the window and of the printed sheet.
        parts: HTML of the body, in order.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """A part with a heading; nothing where it has no content."""
    content = "\n".join(p for p in parts if p)
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def table(heads: list[str], rows: list[list[str]], numbers: set[int], kind: str = "") -> str:
    """A table of cells that are HTML already.

    Args:
        heads: words of the first row, plain text.
        rows: cells; one that begins with `<td` is taken as it is.
        numbers: columns that are set to the right.
        kind: its class.
    """
    head = "".join(
        f'<th{_right(i, numbers)} scope="col"><span>{escape(h)}</span></th>' for i, h in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + "".join(
            c if c.startswith("<td") else f"<td{_right(i, numbers)}>{c}</td>" for i, c in enumerate(row)
        )
        + "</tr>\n"
        for row in rows
    )
    named = f' class="{kind}"' if kind else ""
    top = f"<thead><tr>{head}</tr></thead>\n" if any(heads) else ""
    return f'<div class="wide"><table{named}>\n{top}<tbody>\n{body}</tbody>\n</table></div>'


def listing(lines: list[str]) -> str:
    """Plain sentences as a list; nothing where there is none."""
    return "<ul>\n" + "".join(f"<li>{escape(x)}</li>\n" for x in lines) + "</ul>" if lines else ""


def _right(column: int, numbers: set[int]) -> str:
    return ' class="n"' if column in numbers else ""
