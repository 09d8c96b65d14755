from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.corpus import Document, Skipped, discover_domains, iter_documents
from causalmix_core.errors import CausalMixError

TEXTS = ["first\u2028still first", "zweiter Text mit Umlaut ä", "third\nof two lines", "文字"]


def jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts).encode()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read(source: Path, text_field: str = "text") -> list[Document | Skipped]:
    return list(iter_documents(source, text_field))


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.jsonl", lambda d: d),
        ("a.JSONL", lambda d: d),
        ("a.jsonl", lambda d: b"\xef\xbb\xbf" + d.replace(b"\n", b"\r\n")),
        ("a.jsonl", lambda d: d.rstrip(b"\n")),
        ("a.jsonl.gz", gzip.compress),
        ("a.jsonl.gz", lambda d: gzip.compress(d[:30]) + gzip.compress(d[30:]) + b"\0" * 512),
        ("a.jsonl.zst", zstd),
        ("a.jsonl.zst", lambda d: zstd(d[:30]) + zstd(d[30:])),
    ],
)
def test_lines_come_out_in_order_with_their_place(tmp_path, name, pack):
    file = write(tmp_path / name, pack(jsonl(TEXTS)))
    assert read(file) == [Document(t, f"{name}:{i}") for i, t in enumerate(TEXTS, 1)]


def test_parquet_rows_of_every_string_type(tmp_path):
    for kind in (pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())):
        column = pa.array([t.encode() for t in TEXTS], pa.binary())
        column = column if kind == pa.binary() else column.cast(pa.string()).cast(kind)
        pq.write_table(pa.table({"body": column, "n": range(4)}), tmp_path / "a.parquet", row_group_size=3)
        assert read(tmp_path / "a.parquet", "body") == [
            Document(t, f"a.parquet:{i}") for i, t in enumerate(TEXTS, 1)
        ]


def test_parquet_rows_that_are_no_documents_are_counted(tmp_path):
    not_utf8 = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"], pa.binary()).buffers())
    column = pa.chunked_array([pa.array(["good", None, " \n"]), not_utf8])
    pq.write_table(pa.table({"text": column, "number": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [
        Document("good", "a.parquet:1"),
        Skipped("a.parquet", 2, "text_not_string"),
        Skipped("a.parquet", 3, "empty"),
        Skipped("a.parquet", 4, "not_utf8"),
    ]
    with pytest.raises(CausalMixError, match=r"4 text is not a string"):
        read(tmp_path / "a.parquet", "number")
    with pytest.raises(CausalMixError, match=r"4 without the text field.*'content' the field"):
        read(tmp_path / "a.parquet", "content")


def test_a_text_file_is_one_document(tmp_path):
    write(tmp_path / "d/b.txt", b"\xef\xbb\xbfone\r\ntwo")
    write(tmp_path / "d/a/c.txt", b"\xff")
    write(tmp_path / "d/empty.txt", b" \n ")
    assert read(tmp_path / "d") == [
        Skipped("a/c.txt", None, "not_utf8"),
        Document("one\r\ntwo", "b.txt"),
        Skipped("empty.txt", None, "empty"),
    ]


def test_every_bad_line_is_named_with_its_reason(tmp_path):
    lines = {
        b'{"text": "good"}': None,
        b"": "empty",
        b'{"text": "a\xff"}': "not_utf8",
        b'{"text": "half of a pair: \\ud800"}': "not_utf8",
        b'{"text": "a"': "not_json",
        b"[" * 100_000: "not_json",
        b'{"text": ' + b"1" * 5000 + b"}": "not_json",
        b'["text"]': "no_text_field",
        b'{"body": "a"}': "no_text_field",
        b'{"text": null}': "text_not_string",
        b'{"text": ["a"]}': "text_not_string",
        b'{"text": " \\t"}': "empty",
    }
    file = write(tmp_path / "a.jsonl", b"\n".join(lines))
    assert read(file) == [
        Document("good", "a.jsonl:1") if reason is None else Skipped("a.jsonl", number, reason)
        for number, reason in enumerate(lines.values(), 1)
    ]


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".zst", zstd)])
@pytest.mark.parametrize("damage", ["truncated", "garbage after"])
def test_documents_before_the_damage_are_kept(tmp_path, suffix, pack, damage):
    texts = [f"{i} {os.urandom(200).hex()}" for i in range(2000)]
    data = pack(jsonl(texts))
    data = data[: len(data) // 2] if damage == "truncated" else data + b"garbage of some length"
    *documents, last = read(write(tmp_path / f"a.jsonl{suffix}", data))
    assert last == Skipped(f"a.jsonl{suffix}", len(documents) + 1, "unreadable")
    assert [d.text for d in documents] == texts[: len(documents)]
    assert len(documents) == 2000 if damage == "garbage after" else 500 < len(documents) < 1500


def test_a_file_that_only_claims_its_type_is_unreadable(tmp_path):
    write(tmp_path / "d/a.parquet", b"no parquet")
    write(tmp_path / "d/b.jsonl.gz", b"no gzip")
    write(tmp_path / "d/c.jsonl.zst", b"no zstd")
    write(tmp_path / "d/e.txt", b"text")
    assert read(tmp_path / "d") == [
        Skipped("a.parquet", None, "unreadable"),
        Skipped("b.jsonl.gz", 1, "unreadable"),
        Skipped("c.jsonl.zst", 1, "unreadable"),
        Document("text", "e.txt"),
    ]


def test_folders_are_walked_in_sorted_order_without_hidden_files_and_loops(tmp_path):
    root = tmp_path / "d"
    for name in ("b/2.txt", "b/10.txt", "a.txt", ".hidden.bin", ".git/x.txt", "c/deep/er/z.txt"):
        write(root / name, name.encode())
    (root / "c/loop").symlink_to(root)
    (root / "c/again").symlink_to(root / "b")
    origins = [d.origin for d in read(root)]
    assert origins == ["a.txt", "b/10.txt", "b/2.txt", "c/deep/er/z.txt"]


@pytest.mark.parametrize("name", ["notes.pdf", "a.jsonl.bz2", "README", ".jsonl/x.csv"])
def test_a_file_of_unknown_type_is_refused_at_once(tmp_path, name):
    write(tmp_path / "d/a.txt", b"text")
    file = write(tmp_path / "d" / name.removeprefix(".jsonl/"), b"x")
    with pytest.raises(CausalMixError) as caught:
        iter_documents(tmp_path / "d", "text")
    assert str(file) in str(caught.value)
    assert ".jsonl.zst" in str(caught.value)


def test_a_missing_path_and_an_empty_domain_are_refused(tmp_path):
    with pytest.raises(CausalMixError, match="no file or folder"):
        iter_documents(tmp_path / "nowhere", "text")
    (tmp_path / "d").mkdir()
    with pytest.raises(CausalMixError, match="domain is empty"):
        read(tmp_path / "d")
    write(tmp_path / "d/a.jsonl", b'{"body": "x"}\n{"body": "y"}\nx\n')
    with pytest.raises(CausalMixError, match=r"2 without the text field, 1 not JSON"):
        read(tmp_path / "d")


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.text(max_size=20).map(lambda t: json.dumps({"text": t}).encode()),
            st.recursive(st.none() | st.text(max_size=5), st.lists, max_leaves=4).map(
                lambda v: json.dumps({"text": v}).encode()
            ),
        ),
        max_size=12,
    )
)
def test_every_line_of_arbitrary_bytes_is_a_document_or_skipped(lines):
    data = b"\n".join(lines)
    expected = len(data.split(b"\n")) - (not data or data.endswith(b"\n"))
    with tempfile.TemporaryDirectory() as folder:
        file = write(Path(folder) / "a.jsonl", data)
        items: list[Document | Skipped] = []
        try:
            for item in iter_documents(file, "text"):
                items.append(item)  # what came before the refusal counts
        except CausalMixError:
            assert not any(isinstance(item, Document) for item in items)
    assert len(items) == expected
    places = [i.line if isinstance(i, Skipped) else int(i.origin.rpartition(":")[2]) for i in items]
    assert places == list(range(1, expected + 1))
    for item in items:
        assert isinstance(item, Skipped) or item.text.encode("utf-8").strip()


def test_domains_are_found_by_folder_and_file_name(tmp_path):
    write(tmp_path / "web/deep/a.jsonl", b"x")
    write(tmp_path / "code.v2.jsonl.zst", b"x")
    write(tmp_path / "books.parquet", b"x")
    write(tmp_path / ".cache/x.bin", b"x")
    found = discover_domains(tmp_path)
    assert list(found) == ["books", "code.v2", "web"]
    assert Path(found["code.v2"].path) == tmp_path / "code.v2.jsonl.zst"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["code/a.txt", "code.jsonl"], r"code.*code\.jsonl.*both"),
        (["Code.jsonl", "code.txt"], r"Code\.jsonl.*code\.txt.*both"),
        (["web pages.jsonl"], "cannot be a name"),
        (["notes.docx"], "cannot be read"),
        ([], "is empty"),
    ],
)
def test_domains_that_clash_or_cannot_be_named_are_refused(tmp_path, names, message):
    for name in names:
        write(tmp_path / name, b"x")
    with pytest.raises(CausalMixError, match=message):
        discover_domains(tmp_path)


def test_domains_of_a_file_are_refused(tmp_path):
    with pytest.raises(CausalMixError, match="not a folder"):
        discover_domains(write(tmp_path / "a.jsonl", b"x"))
