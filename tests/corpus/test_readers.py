from __future__ import annotations

import gzip
import itertools
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.corpus.json_files import json_records
from causalmix_core.corpus.readers import (
    Document,
    Fields,
    Skipped,
    SourceFile,
    discover_domains,
    iter_documents,
    read_field_names,
    read_file,
    source_files,
)
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


def items_of(source: Path, text_field: str = "text", domain: str | None = None) -> list[Document | Skipped]:
    """What the files of a source yield, also when that is no document."""
    files, skipped = source_files(source)
    fields = Fields(text_field, domain)
    return [*skipped, *(item for file in files for item in read_file(file, fields))]


def texts_of(source: Path, split: str | None = None) -> list[str]:
    return [item.text for item in iter_documents(source, split=split) if isinstance(item, Document)]


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


@pytest.mark.parametrize("name", ["notes.pdf", "a.jsonl.bz2", "README"])
def test_a_file_of_unknown_type_is_refused_alone_and_skipped_in_a_folder(tmp_path, name):
    write(tmp_path / "d/z.txt", b"text")
    file = write(tmp_path / "d" / name, b"x")
    assert read(tmp_path / "d") == [Skipped(name, None, "unknown_type"), Document("text", "z.txt")]
    with pytest.raises(CausalMixError, match=r"cannot be read.*\.parquet") as caught:
        iter_documents(file, "text")
    assert str(file) in str(caught.value)


def test_a_missing_path_and_an_empty_domain_are_refused(tmp_path):
    with pytest.raises(CausalMixError, match="no file or folder"):
        iter_documents(tmp_path / "nowhere", "text")
    (tmp_path / "d").mkdir()
    with pytest.raises(CausalMixError, match="domain is empty"):
        read(tmp_path / "d")
    write(tmp_path / "d/a.jsonl", b'{"body": "x"}\n{"body": "y"}\nx\n')
    with pytest.raises(CausalMixError, match=r"2 without the text field, 1 not JSON"):
        read(tmp_path / "d")


@pytest.mark.parametrize(
    ("name", "data", "places"),
    [
        ("a.ndjson.gz", gzip.compress(jsonl(TEXTS)), [1, 2, 3, 4]),
        ("a.json", jsonl(TEXTS), [1, 2, 3, 4]),  # as the files of C4 are
        ("a.json.gz", gzip.compress(b"\n" + jsonl(TEXTS)), [1, 2, 3, 4, 5]),
        ("a.json", json.dumps([{"text": t} for t in TEXTS]).encode(), [1, 2, 3, 4]),
        (
            "a.json.zst",
            zstd(b" \n" + json.dumps([{"text": t} for t in TEXTS], indent=2).encode()),
            [1, 2, 3, 4],
        ),
    ],
)
def test_json_of_every_shape(tmp_path, name, data, places):
    documents = [item for item in read(write(tmp_path / name, data)) if isinstance(item, Document)]
    assert [d.text for d in documents] == TEXTS
    assert [d.origin for d in documents] == [f"{name}:{p}" for p in places[-4:]]


def test_one_object_over_several_lines_is_one_document(tmp_path):
    file = write(tmp_path / "a.json", json.dumps({"id": 1, "text": "whole"}, indent=1).encode())
    assert read(file) == [Document("whole", "a.json")]
    write(file, b'{\n"text": "cut')
    assert items_of(file) == [Skipped("a.json", None, "not_json")]
    write(file, b'{"text": "cut\n{"text": "good"}\n')  # a broken first line of several is no such object
    assert read(file) == [Skipped("a.json", 1, "not_json"), Document("good", "a.json:2")]


def test_a_text_file_may_be_compressed(tmp_path):
    write(tmp_path / "d/a.txt.gz", gzip.compress(b"one"))
    write(tmp_path / "d/b.txt.zst", zstd(b"two"))
    assert read(tmp_path / "d") == [Document("one", "a.txt.gz"), Document("two", "b.txt.zst")]


@given(
    values=st.lists(
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=6),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=6,
    ),
    indent=st.sampled_from([None, 1]),
    piece=st.integers(1, 9),
)
@settings(deadline=None)
def test_an_array_is_cut_where_its_elements_end(values, indent, piece):
    data = json.dumps(values, indent=indent, ensure_ascii=False).encode()
    chunks = (data[i : i + piece] for i in range(0, len(data), piece))
    found = list(json_records(chunks, per_line=False, max_bytes=1 << 20))
    assert [record.value for record in found] == values
    assert [record.line for record in found] == list(range(1, len(values) + 1))


def test_fields_inside_objects_are_reached_by_a_dotted_path(tmp_path):
    records = [
        {"meta": {"text": "inner", "source": "web"}, "id": 7},
        {"meta.text": "literal", "meta": {"text": "not this", "source": "code"}},
        {"meta": {"text": "x"}},
        {"meta": {"text": "x", "source": "a b"}},
        {"meta": {"text": "x", "source": 7}},
        {"meta": {"text": "x", "source": 7.5}},
        {"meta": {"text": "x", "source": None}},
        {"meta": {"text": "x", "source": True}},
        {"meta": "flat"},
    ]
    file = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)).encode())
    assert list(iter_documents(file, "meta.text", domain_field="meta.source")) == [
        Document("inner", "a.jsonl:1", "web"),
        Document("literal", "a.jsonl:2", "code"),
        Skipped("a.jsonl", 3, "no_domain_field"),
        Skipped("a.jsonl", 4, "bad_domain"),
        Document("x", "a.jsonl:5", "7"),
        Skipped("a.jsonl", 6, "bad_domain"),
        Skipped("a.jsonl", 7, "no_domain_field"),
        Skipped("a.jsonl", 8, "bad_domain"),
        Skipped("a.jsonl", 9, "no_text_field"),
    ]
    assert read_field_names(SourceFile(file, "a.jsonl")) == [
        "meta", "meta.text", "meta.source", "id",
    ]  # fmt: skip


def write_arrow(path: Path, table: pa.Table, rows: int = 2) -> Path:
    """A file as `datasets` writes it: the stream format, some rows per batch."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)
    return path


def save_to_disk(folder: Path, texts: list[str], split: str | None) -> None:
    """A folder as `Dataset.save_to_disk` leaves it: two shards, and a cache of a transformation."""
    names = [f"data-{i:05}-of-00002.arrow" for i in range(2)]
    for name, part in zip(names, (texts[::2], texts[1::2]), strict=True):
        write_arrow(folder / name, pa.table({"text": part}))
    write_arrow(folder / "cache-0123456789abcdef.arrow", pa.table({"text": ["cached"]}))
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "0123456789abcdef",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {"text": {"_type": "Value"}}}))


@pytest.mark.parametrize("kind", ["parquet", "arrow stream", "arrow file"])
def test_rows_with_nested_columns_and_domains(tmp_path, kind):
    table = pa.table(
        {
            "meta": [{"text": "one", "other": 1}, {"text": "two", "other": 2}, None],
            "kind": pa.array(["code", "web", "code"]).dictionary_encode(),
            "number": pa.array([3, None, 5], pa.uint8()),
            "share": [0.5, 0.5, None],
        }
    )
    file = tmp_path / f"a.{kind.split()[0]}"
    if kind == "parquet":
        pq.write_table(table, file)
    elif kind == "arrow file":
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        write_arrow(file, table)
    name = file.name
    null = Skipped(name, 3, "text_not_string")
    assert list(iter_documents(file, "meta.text", domain_field="kind")) == [
        Document("one", f"{name}:1", "code"), Document("two", f"{name}:2", "web"), null,
    ]  # fmt: skip
    assert list(iter_documents(file, "meta.text", domain_field="number")) == [
        Document("one", f"{name}:1", "3"), Skipped(name, 2, "no_domain_field"), null,
    ]  # fmt: skip
    assert {i.reason for i in items_of(file, "meta.text", "share")} == {"bad_domain", "text_not_string"}
    assert {i.reason for i in items_of(file, "meta.text", "nothing")} == {
        "no_domain_field",
        "text_not_string",
    }
    assert [i.reason for i in items_of(file, "meta.nothing")] == ["no_text_field"] * 3
    assert [i.reason for i in items_of(file, "kind.text")] == ["no_text_field"] * 3
    assert [d.text for d in read(file, "kind")] == ["code", "web", "code"]
    assert read_field_names(SourceFile(file, name)) == [
        "meta", "meta.text", "meta.other", "kind", "number", "share",
    ]  # fmt: skip


def test_a_dataset_saved_to_disk_is_read_by_what_it_lists(tmp_path):
    save_to_disk(tmp_path / "d", ["a", "b", "c"], None)
    assert [i.text for i in read(tmp_path / "d")] == ["a", "c", "b"]
    with pytest.raises(CausalMixError, match="no split 'train': no split can be told"):
        iter_documents(tmp_path / "d", split="train")
    write(tmp_path / "d/README.md", b"x")
    write(tmp_path / "d/note.txt", b"x")
    (tmp_path / "d/data-00001-of-00002.arrow").unlink()
    assert read(tmp_path / "d") == [
        Skipped("data-00001-of-00002.arrow", None, "unreadable"),
        Document("a", "data-00000-of-00002.arrow:1"),
        Document("c", "data-00000-of-00002.arrow:2"),
    ]
    write(tmp_path / "d/state.json", b"{")  # damaged: a folder like any other
    assert Document("cached", "cache-0123456789abcdef.arrow:1") in read(tmp_path / "d")


def test_splits_of_a_saved_dataset_dict(tmp_path):
    for split in ("train", "test"):
        save_to_disk(tmp_path / "d" / split, [f"{split} 1", f"{split} 2"], split)
    (tmp_path / "d/dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    other = [Skipped(f"test/data-0000{i}-of-00002.arrow", None, "other_split") for i in range(2)]
    assert read(tmp_path / "d") == [
        *other,
        Document("train 1", "train/data-00000-of-00002.arrow:1"),
        Document("train 2", "train/data-00001-of-00002.arrow:1"),
    ]
    assert texts_of(tmp_path / "d", "test") == ["test 1", "test 2"]
    assert texts_of(tmp_path / "d", "all") == ["test 1", "test 2", "train 1", "train 2"]
    assert texts_of(tmp_path / "d/test", None) == ["test 1", "test 2"]
    with pytest.raises(CausalMixError, match="no split 'dev': it has test, train"):
        iter_documents(tmp_path / "d", split="dev")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("data/train-00000-of-00012.parquet", "data/test-00000-of-00001.parquet"),
        (
            "en/train-00000-of-00012-0123456789abcdef.parquet",
            "en/test-00000-of-00001-0123456789abcdef.parquet",
        ),
        ("default/train/0000.parquet", "default/test/0000.parquet"),
        ("default/partial-train/0000.parquet", "default/test/0000.parquet"),
        ("c4-train.00000-of-01024.json", "c4-test.00000-of-00008.json"),
        ("train.jsonl", "test.jsonl"),
    ],
)
def test_splits_of_layouts_of_the_hub(tmp_path, train, test):
    for name in (train, test):
        if name.endswith(".parquet"):
            (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"text": [name]}), tmp_path / "d" / name)
        else:
            write(tmp_path / "d" / name, json.dumps({"text": name}).encode())
    write(tmp_path / "d/extra.jsonl", b'{"text": "of no split"}')
    write(tmp_path / "d/dataset_infos.json", b"{}")
    assert sorted(texts_of(tmp_path / "d", None)) == sorted([train, "of no split"])
    assert texts_of(tmp_path / "d", "test") == [test]
    assert len(texts_of(tmp_path / "d", "all")) == 3
    skipped = source_files(tmp_path / "d", "test")[1]
    assert {s.file: s.reason for s in skipped} == {train: "other_split", "extra.jsonl": "other_split"}
    assert texts_of(tmp_path / "d" / test, "train") == [test]  # a file that is named is read


def test_shards_of_other_names_are_not_taken_for_splits(tmp_path):
    for name in ("code-00000-of-00002.txt", "web-00001-of-00002.txt"):
        write(tmp_path / "d" / name, name.encode())
    assert len(texts_of(tmp_path / "d", None)) == 2


def test_a_pattern_names_files_and_folders(tmp_path):
    for name in ("a-1.txt", "a-2.txt", "b-1.txt", "x/y/a-3.txt", "x/.hidden/a-4.txt", "x/[z]/a-5.txt"):
        write(tmp_path / "d" / name, name.encode())
    (tmp_path / "d/x/loop").symlink_to(tmp_path / "d")
    assert texts_of(tmp_path / "d/a-*.txt") == ["a-1.txt", "a-2.txt"]
    assert texts_of(tmp_path / "d/?-1.txt") == ["a-1.txt", "b-1.txt"]
    assert texts_of(tmp_path / "d/**/a-[35].txt") == ["x/[z]/a-5.txt", "x/y/a-3.txt"]
    assert texts_of(tmp_path / "d/**") == texts_of(tmp_path / "d")
    assert sorted(texts_of(tmp_path / "d/x/*")) == sorted(texts_of(tmp_path / "d"))  # each once, by the loop
    assert texts_of(tmp_path / "d/x/[z]/a-5.txt") == ["x/[z]/a-5.txt"]  # there is such a path
    assert [f.name for f in source_files(tmp_path / "d/*/y/*.txt")[0]] == ["x/y/a-3.txt"]
    with pytest.raises(CausalMixError, match=r"No file matches .*c-\*"):
        source_files(tmp_path / "d/c-*")


def test_domains_are_found_by_folder_and_file_name(tmp_path):
    write(tmp_path / "web/deep/a.jsonl", b"x")
    write(tmp_path / "code.v2.jsonl.zst", b"x")
    write(tmp_path / "books.parquet", b"x")
    write(tmp_path / "README.md", b"x")
    write(tmp_path / ".cache/x.bin", b"x")
    found = discover_domains(tmp_path)
    assert list(found) == ["books", "code.v2", "web"]
    assert Path(found["code.v2"].path) == tmp_path / "code.v2.jsonl.zst"


def test_shards_form_one_domain_with_a_pattern(tmp_path):
    folder = tmp_path / "a [b]"  # a folder's own brackets are no pattern
    names = {
        "code": ["code-00000-of-00010.jsonl", "code-00001-of-00010.jsonl", "code-00009-of-00010.jsonl"],
        "web": ["web_1.txt", "web_2.txt", "web_10.txt"],
        "books": ["books.part-3.parquet", "books.part-4.parquet"],
        "wiki": ["wiki-1.txt", "wiki-2.txt"],
        "wiki-talk": ["wiki-talk.txt"],
        "one": ["one-00000-of-00001.txt"],
        "gpt-4": ["gpt-4.txt"],
        "mixed-1": ["mixed-1.txt"],
        "mixed-2": ["mixed-2.jsonl"],
    }
    for name in itertools.chain(*names.values()):
        write(folder / name, b'{"text": "x"}')
    found = discover_domains(folder)
    assert list(found) == sorted(names)
    assert found["code"].path.endswith("/code-*.jsonl")
    assert found["wiki"].path.endswith("/wiki-[0-9]*.txt")
    for domain, source in found.items():
        assert sorted(f.path.name for f in source_files(source.path)[0]) == sorted(names[domain])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["code/a.txt", "code.jsonl"], r"code.*code\.jsonl.*both"),
        (["Code.jsonl", "code.txt"], r"Code\.jsonl.*code\.txt.*both"),
        (["web_1.txt", "web_2.txt", "web-1.txt", "web-2.txt"], r"web-\*.*web_\*.*both"),
        (["web_1.txt", "web_2.txt", "web_3rd.txt"], r"too much alike"),
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
