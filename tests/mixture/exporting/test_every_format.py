"""What holds for every export format, whichever it is; a new one is tested by standing in the registry."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting import FORMATS, DomainPool, FormatName, cautions, readable_formats
from causalmix_core.mixture.exporting.numbers import DIGITS, exact_shares, number_text
from causalmix_core.mixture.exporting.reading import read_export
from tests.mixture.exporting.example import GOLDEN, WEIGHTS, blend, mapped, ready, written

DOCS = Path(__file__).parents[3] / "docs" / "export"
NAMES: list[FormatName] = list(FORMATS)
EXPONENT = re.compile(r"(?<![\w.])\d+(?:\.\d+)?[eE][-+]?\d+(?![\w.])")


@pytest.mark.parametrize("name", NAMES)
def test_its_files_are_the_golden_ones(name: FormatName) -> None:
    files = {f.name: f.text for f in written(name)}
    golden = {p.name: p.read_text(encoding="utf-8") for p in (GOLDEN / name).iterdir()}
    assert files == golden


def test_no_golden_file_without_a_format() -> None:
    assert {p.name for p in GOLDEN.iterdir()} == set(FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_page_that_says_what_its_number_means(name: FormatName) -> None:
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert FORMATS[name].meaning in page
    assert f"--format {name}" in page
    assert f"export/{name}.md" in (DOCS.parent / "EXPORT.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_names_does_not_matter(name: FormatName) -> None:
    made = ready(name)
    turned = replace(
        made,
        weights=dict(reversed(made.weights.items())),
        pool=dict(reversed(made.pool.items())),
        splits={s: dict(reversed(p.items())) for s, p in made.splits.items()},
    )
    assert FORMATS[name].write(turned) == FORMATS[name].write(made)


@pytest.mark.parametrize("name", NAMES)
def test_no_number_has_an_exponent(name: FormatName) -> None:
    assert not [m for f in written(name) for m in EXPONENT.findall(f.text)]


@pytest.mark.parametrize("name", NAMES)
def test_a_domain_of_weight_zero_is_not_trained_on(name: FormatName) -> None:
    listed = any("books" in f.text for f in written(name))
    assert listed == (FORMATS[name].reads == "nothing")


@pytest.mark.parametrize("name", [n for n in NAMES if FORMATS[n].reads == "tokens"])
def test_tokens_have_to_be_mapped(name: FormatName) -> None:
    with pytest.raises(CausalMixError, match=r"nobody has said where those of code lie.*--path code="):
        FORMATS[name].write(blend())
    with pytest.raises(CausalMixError, match="is a file of documents"):
        FORMATS[name].write(mapped(blend(), code="/raw/code.jsonl.zst"))
    with pytest.raises(CausalMixError, match="control character"):
        FORMATS[name].write(mapped(blend(), code="/raw/code\n0.9"))


@pytest.mark.parametrize("name", [n for n in NAMES if FORMATS[n].reads == "documents"])
def test_documents_are_those_of_the_snapshot_unless_mapped(name: FormatName) -> None:
    text = "".join(f.text for f in FORMATS[name].write(blend()))
    assert "/pool/documents/code.parquet" in text
    text = "".join(f.text for f in FORMATS[name].write(mapped(blend(), code="/there/code.jsonl")))
    assert "/there/code.jsonl" in text
    assert "/pool/" not in text
    nowhere = {d: replace(p, stored=None) for d, p in blend().pool.items()}
    with pytest.raises(CausalMixError, match="nobody has said where the trainer finds them"):
        FORMATS[name].write(blend(pool=nowhere))


@pytest.mark.parametrize("name", [n for n in NAMES if FORMATS[n].needs_counts])
def test_rows_need_counts(name: FormatName) -> None:
    unknown = {d: DomainPool(mapped=(f"/there/{d}.jsonl",)) for d in WEIGHTS}
    with pytest.raises(CausalMixError, match=r"of code are not known.*--count code=TOKENS/DOCUMENTS"):
        FORMATS[name].write(blend(pool=unknown))


@pytest.mark.parametrize("name", [n for n in NAMES if not FORMATS[n].needs_counts])
def test_parts_of_the_tokens_need_none(name: FormatName) -> None:
    unknown = {d: DomainPool(mapped=(f"/tokens/{d}",)) for d in WEIGHTS}
    assert FORMATS[name].write(blend(pool=unknown))


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_that_would_vanish_is_refused(name: FormatName) -> None:
    tiny = {"books": 0.0, "code": 1e-13, "web": 1 - 1e-13, "math.proofs": 0.0}
    with pytest.raises(CausalMixError, match=r"Too small to be written.*code"):
        FORMATS[name].write(ready(name, blend(weights=tiny)))


@pytest.mark.parametrize("name", readable_formats())
def test_it_is_loaded_back(name: FormatName) -> None:
    read = read_export(written(name)[0].text, name, WEIGHTS)
    assert read.weights == pytest.approx(WEIGHTS, abs=0.5 * 10**-DIGITS)
    assert list(read.absent) == ([] if FORMATS[name].reads == "nothing" else ["books"])


@pytest.mark.parametrize("name", readable_formats())
@pytest.mark.parametrize("text", ["", "- 1\n- 2\n", "{", "a: b: c", "x,y\n1,2\n", "null"])
def test_what_is_no_export_is_not_loaded(name: FormatName, text: str) -> None:
    with pytest.raises(CausalMixError):
        read_export(text, name, WEIGHTS)


def test_other_domains_and_other_sums_are_not_loaded() -> None:
    text = written("yaml")[0].text
    with pytest.raises(CausalMixError, match="unknown domain web"):
        read_export(text, "yaml", ["books", "code", "math.proofs"])
    with pytest.raises(CausalMixError, match="no weight for law"):
        read_export(text, "yaml", [*WEIGHTS, "law"])
    with pytest.raises(CausalMixError, match=r"sum to 0\.9"):
        read_export(text.replace("weight: 0.333333333", "weight: 0.25"), "yaml", WEIGHTS)
    with pytest.raises(CausalMixError, match="code stands in the file twice"):
        read_export(text.replace("name: web", "name: code"), "yaml", WEIGHTS)
    with pytest.raises(CausalMixError, match=r"TRL.*part of the rows.*cannot be loaded back.*yaml"):
        read_export("datasets: []", "trl", WEIGHTS)


def test_what_one_should_know_is_said() -> None:
    said = " ".join(cautions(blend(), FORMATS["trl"]))
    assert "tokens are bytes" in said
    assert "code, math.proofs, web the file names the snapshot's own" in said
    assert "weight is 0: books" in said
    assert cautions(blend(), FORMATS["yaml"]) == []


weights = st.dictionaries(
    st.text("abcxyz_.-", min_size=1, max_size=6), st.floats(1e-6, 1), min_size=1, max_size=30
).map(lambda w: {d: v / sum(w.values()) for d, v in w.items()})


@given(weights, st.randoms())
@settings(max_examples=100, deadline=None)
def test_shares_sum_to_exactly_one_in_any_order(shares: dict[str, float], random: object) -> None:
    found = exact_shares(shares)
    assert sum(found.values()) == 1
    assert sum(Decimal(number_text(v)) for v in found.values()) == 1
    assert all(abs(float(found[d]) - w) <= 10**-DIGITS for d, w in shares.items())
    names = list(shares)
    random.shuffle(names)  # type: ignore[attr-defined]
    assert exact_shares({d: shares[d] for d in names}) == found


@given(weights, st.data())
@settings(max_examples=40, deadline=None)
def test_rows_give_the_tokens_back(shares: dict[str, float], data: st.DataObject) -> None:
    sizes = st.tuples(st.integers(1, 10**6), st.integers(1, 10**4))
    pool = {
        d: DomainPool(tokens=documents * length, documents=documents)
        for d, (documents, length) in ((d, data.draw(sizes)) for d in shares)
    }
    made = blend(weights=shares, pool=pool)
    tokens = {d: r * made.tokens_per_document(d) for d, r in made.row_shares().items()}
    total = sum(tokens.values())
    assert {d: t / total for d, t in tokens.items()} == pytest.approx(shares)
    assert sum(made.row_shares().values()) == pytest.approx(1)
    read = {d: e * pool[d].tokens for d, e in made.epochs().items()}  # type: ignore[operator]
    assert sum(read.values()) == pytest.approx(made.token_budget)
