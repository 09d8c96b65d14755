"""Hostile, damaged and merely odd files: reading goes on, holds little, and accounts for all of it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from causalmix_core.corpus.readers import (
    FILE_TYPES,
    Document,
    Fields,
    Skipped,
    SourceFile,
    iter_documents,
    read_file,
    source_files,
)
from causalmix_core.errors import CausalMixError

LIMIT = 4096
PACK = {"": lambda data: data, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def items(path: Path, fields: Fields = Fields(), limit: int = LIMIT) -> list[Document | Skipped]:  # noqa: B008
    return list(read_file(SourceFile(path, path.name), fields, limit))


def reasons(path: Path, **options: object) -> list[str | None]:
    return [i.reason if isinstance(i, Skipped) else None for i in items(path, **options)]


def check(path: Path, fields: Fields) -> None:
    """What holds for any bytes."""
    found = items(path, fields)
    assert found
    places = [i.line if isinstance(i, Skipped) else i.origin for i in found]
    assert len(set(places)) == len(places)  # nothing is counted twice
    for item in found:
        if isinstance(item, Document):
            assert item.text.strip()
            assert "\0" not in item.text
            assert len(item.text.encode("utf-8")) <= LIMIT
            assert (item.domain is None) == (fields.domain is None)
    try:
        assert list(iter_documents(path, fields.text, domain_field=fields.domain, max_bytes=LIMIT)) == found
    except CausalMixError:
        assert not any(isinstance(item, Document) for item in found)


def packed(kind: str, data: bytes) -> bytes:
    """The bytes, compressed as the file's type says."""
    return PACK[next((suffix for suffix in (".gz", ".zst") if kind.endswith(suffix)), "")](data)


def columns(kind: str, texts: list[str | None]) -> bytes:
    table = pa.table(
        {"text": pa.array(texts, pa.string()), "kind": pa.array(["a"] * len(texts), pa.string())}
    )
    sink = pa.BufferOutputStream()
    if kind == ".parquet":
        pq.write_table(table, sink, row_group_size=2)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
    return sink.getvalue().to_pybytes()


TEXT = st.text(max_size=12) | st.sampled_from(["\0", " ", "x" * (LIMIT + 1), "é" * (LIMIT // 2 + 1)])
LINE = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda t, d: json.dumps({"text": t, "kind": d}).encode(), TEXT, st.none() | st.text(max_size=3)
    ),
    st.sampled_from(
        [b"[", b"]", b'{"text": "', b'{"text":', b"\xff\xfe", b"\xef\xbb\xbf", b"\\", b'"', b","]
    ),
)
CONTENT = st.lists(LINE, max_size=6).map(b"\n".join) | st.lists(LINE, max_size=6).map(
    lambda parts: b"[" + b",".join(parts) + b"]"
)
FIELDS = st.sampled_from([Fields(), Fields("text", "kind"), Fields("nothing"), Fields("kind.text", "text")])


@pytest.mark.parametrize("kind", FILE_TYPES)
@settings(deadline=None, max_examples=40)
@given(data=CONTENT, fields=FIELDS, honest=st.booleans())
def test_arbitrary_bytes_of_every_type(kind, data, fields, honest):
    with tempfile.TemporaryDirectory() as folder:
        check(write(Path(folder) / f"a{kind}", packed(kind, data) if honest else data), fields)


@pytest.mark.parametrize("kind", [".parquet", ".arrow", ".jsonl.gz", ".json.zst"])
@settings(deadline=None, max_examples=150)
@given(
    texts=st.lists(st.none() | TEXT, max_size=5),
    fields=FIELDS,
    damage=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=3),
    cut=st.integers(0, 1 << 20),
)
def test_damaged_files_of_every_binary_type(kind, texts, fields, damage, cut):
    if kind in (".parquet", ".arrow"):
        data = bytearray(columns(kind, texts))
    else:
        data = bytearray(packed(kind, "\n".join(json.dumps({"text": t}) for t in texts).encode()))
    for place, value in damage:
        data[place % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        check(write(Path(folder) / f"a{kind}", bytes(data)), fields)
        check(write(Path(folder) / f"b{kind}", bytes(data[: cut % len(data)])), fields)


@pytest.mark.parametrize("kind", FILE_TYPES)
def test_an_empty_file_is_accounted_for(tmp_path, kind):
    assert items(write(tmp_path / f"a{kind}", b"")) == [Skipped(f"a{kind}", None, "empty")]


def test_files_that_hold_nothing_are_accounted_for(tmp_path):
    assert reasons(write(tmp_path / "a.json", b" [ ] ")) == ["empty"]
    assert reasons(write(tmp_path / "a.parquet", columns(".parquet", []))) == ["empty"]
    assert reasons(write(tmp_path / "a.arrow", columns(".arrow", []))) == ["empty"]
    assert reasons(write(tmp_path / "a.jsonl.gz", gzip.compress(b""))) == ["empty"]


def test_text_longer_than_the_limit_is_too_long_in_every_format(tmp_path):
    texts = ["x" * LIMIT, "x" * (LIMIT + 1), "é" * (LIMIT // 2), "é" * (LIMIT // 2 + 1), "short"]
    expected = [None, "too_long", None, "too_long", None]
    for kind in (".parquet", ".arrow"):
        assert reasons(write(tmp_path / f"a{kind}", columns(kind, texts))) == expected
    for text, reason in zip(texts, expected, strict=True):
        for kind in (".txt", ".txt.gz", ".txt.zst"):
            assert reasons(write(tmp_path / f"a{kind}", packed(kind, text.encode()))) == [reason]
    # A line counts whole, so the text must be shorter by what stands around it.
    lines = [json.dumps({"text": t}, ensure_ascii=False).encode() for t in texts]
    expected = ["too_long", "too_long", "too_long", "too_long", None]
    assert reasons(write(tmp_path / "a.jsonl", b"\n".join(lines))) == expected
    assert reasons(write(tmp_path / "a.json", b"[" + b",\n".join(lines) + b"]")) == expected
    assert reasons(write(tmp_path / "b.json", b'{\n"text": "' + b"x" * LIMIT + b'"}')) == ["too_long"]


@pytest.mark.parametrize("kind", [".jsonl", ".json", ".txt"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_other_encodings_with_a_mark_are_one_skip(tmp_path, kind, encoding):
    text = '\ufeff{"text": "a"}\n{"text": "b"}\n'
    data = text.encode(encoding) if encoding.endswith("be") else text[1:].encode(encoding)
    for suffix in ("", ".gz", ".zst"):
        file = write(tmp_path / f"a{kind}{suffix}", PACK[suffix](data))
        assert items(file) == [Skipped(file.name, None, "not_utf8")]


def test_encodings_without_a_mark_are_told_line_by_line(tmp_path):
    good, latin = '{"text": "ä"}\n'.encode(), '{"text": "ä"}\n'.encode("latin-1")
    assert reasons(write(tmp_path / "a.jsonl", good + latin + good)) == [None, "not_utf8", None]
    assert reasons(write(tmp_path / "a.json", b"[" + good + b"," + latin + b"," + good + b"]")) == [
        None, "not_utf8", None,
    ]  # fmt: skip
    assert reasons(write(tmp_path / "a.jsonl", '{"text": "a"}'.encode("utf-16-le"))) == ["nul"]
    assert reasons(write(tmp_path / "a.txt", "abc".encode("utf-16-le"))) == ["nul"]
    assert reasons(write(tmp_path / "a.txt", b"ELF\0\1\2")) == ["nul"]


def test_half_of_a_surrogate_pair_is_not_text_but_harmless_elsewhere(tmp_path):
    lines = [b'{"text": "\\ud800"}', b'{"text": "\\udc00\\ud800"}', b'{"text": "\\ud83d\\ude00"}']
    lines.append(b'{"text": "good", "other": "\\ud800"}')
    expected = ["not_utf8", "not_utf8", None, None]
    assert reasons(write(tmp_path / "a.jsonl", b"\n".join(lines))) == expected
    assert reasons(write(tmp_path / "a.json", b"[" + b",".join(lines) + b"]")) == expected
    domain = write(tmp_path / "b.jsonl", b'{"text": "good", "kind": "\\ud800"}')
    assert reasons(domain, fields=Fields("text", "kind")) == ["bad_domain"]


def test_numbers_that_only_python_writes_do_not_cost_the_document(tmp_path):
    lines = [json.dumps({"text": "good", "score": v}) for v in (float("nan"), float("inf"), 10**400)]
    assert reasons(write(tmp_path / "a.jsonl", "\n".join(lines).encode())) == [None] * 3


def test_half_a_line_at_the_end_is_not_json(tmp_path):
    assert reasons(write(tmp_path / "a.jsonl", b'{"text": "a"}\n{"text": "b')) == [None, "not_json"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'[{"text": "a"}, {"text": "b', [None, "unreadable"]),
        (b'[{"text": "a"}, {"text": "b"}', [None, None, "unreadable"]),
        (b'[{"text": "a"},', [None, "unreadable"]),
        (b'[{"text": "a"} {"text": "b"}, {"text": "c"}]', ["not_json", None]),
        (b'[{"text": "a"}, {"text": nonsense}, {"text": "c"}]', [None, "not_json", None]),
        (b'[{"text": "a"}]\n{"text": "b"}', [None, "not_json"]),
        (b'[{"text": "a"}}, {"text": "b"}]', ["not_json", None]),
        (b'[{"text": "]},\\"["}, 7, ["text"]]', [None, "no_text_field", "no_text_field"]),
    ],
)
def test_faults_in_an_array_cost_one_element(tmp_path, data, expected):
    assert reasons(write(tmp_path / "a.json", data)) == expected


@pytest.mark.parametrize("kind", [".parquet", ".arrow"])
def test_rows_before_the_damage_are_kept(tmp_path, kind):
    texts = [os.urandom(500).hex() for _ in range(40)]
    data = columns(kind, texts)
    cut = items(write(tmp_path / f"a{kind}", data[: len(data) // 2]))
    if kind == ".arrow":
        assert cut[-1] == Skipped("a.arrow", len(cut), "unreadable")
        assert [d.text for d in cut[:-1]] == texts[: len(cut) - 1]
        assert len(cut) > 10
    else:  # what the columns are stands at the end of the file
        assert cut == [Skipped("a.parquet", None, "unreadable")]
        spoiled = bytearray(data)
        spoiled[len(data) // 2 : len(data) // 2 + 3000] = b"\xff" * 3000
        found = items(write(tmp_path / "a.parquet", bytes(spoiled)))
        assert found[-1].reason == "unreadable"
        assert [d.text for d in found[:-1]] == texts[: len(found) - 1]
        assert len(found) > 10


def test_arrow_offsets_outside_of_their_buffer_are_damage(tmp_path):
    data = columns(".arrow", ["first", "second", "third"])
    offsets = b"".join(n.to_bytes(4, "little") for n in (0, 5, 11))
    place = data.index(offsets)
    spoiled = data[: place + 4] + (1 << 30).to_bytes(4, "little") + data[place + 8 :]
    assert reasons(write(tmp_path / "a.arrow", spoiled)) == ["unreadable"]


def test_a_folder_of_trouble_is_read_to_its_end(tmp_path, monkeypatch):
    root = tmp_path / "d"
    write(root / "good.txt", b"good")
    write(root / "secret.txt", b"may not be opened")
    write(root / "sub/good.jsonl", b'{"text": "good"}')
    (root / "loop").symlink_to(root)
    (root / "self.txt").symlink_to(root / "self.txt")
    (root / "nowhere.txt").symlink_to(tmp_path / "nothing.txt")
    (root / "sub/up").symlink_to("..")
    os.mkfifo(root / "pipe.txt")
    write(root / "closed/a.txt", b"may not be listed")
    opened, listed = Path.open, Path.iterdir

    def open_(path, *args, **options):
        if path.name == "secret.txt":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **options)

    def iterdir(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "open", open_)
    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert list(iter_documents(root)) == [
        *(Skipped(name, None, "unreadable") for name in ("closed", "nowhere.txt", "pipe.txt", "self.txt")),
        Document("good", "good.txt"),
        Skipped("secret.txt", None, "unreadable"),
        Document("good", "sub/good.jsonl:1"),
    ]
    with pytest.raises(CausalMixError, match=r"Cannot read the folder .*closed: Permission denied"):
        source_files(root / "closed")


def test_a_file_name_that_is_not_utf8_is_shown_in_part(tmp_path):
    write(Path(os.fsdecode(os.fsencode(tmp_path / "d") + b"/\xff.txt")), b"good")
    assert list(iter_documents(tmp_path / "d")) == [Document("good", "\ufffd.txt")]


def test_a_list_of_data_files_cannot_lead_out_of_its_folder(tmp_path):
    write(tmp_path / "outside.arrow", columns(".arrow", ["outside"]))
    write(tmp_path / "d/data.arrow", columns(".arrow", ["inside"]))
    listed = [
        {"filename": name} for name in ("../outside.arrow", str(tmp_path / "outside.arrow"), "data.arrow")
    ]
    write(tmp_path / "d/state.json", json.dumps({"_data_files": listed}).encode())
    write(tmp_path / "d/dataset_info.json", b"{}")
    assert list(iter_documents(tmp_path / "d")) == [Document("inside", "data.arrow:1")]


def test_millions_of_rows_without_the_column_are_not_read(tmp_path):
    table = pa.table({"other": pa.nulls(1_000_000, pa.int8())})
    pq.write_table(table, tmp_path / "a.parquet")
    found = read_file(SourceFile(tmp_path / "a.parquet", "a.parquet"), Fields(), LIMIT)
    assert sum(1 for item in found if item.reason == "no_text_field") == 1_000_000


MEASURE = """
import resource, sys
from pathlib import Path
from causalmix_core.corpus.readers import Fields, SourceFile, read_file
path = Path(sys.argv[1])
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
before = peak()
for item in read_file(SourceFile(path, path.name), Fields(), 1 << 20):
    print(getattr(item, "reason", "document"))
print(peak() - before)
"""


@pytest.mark.parametrize("kind", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".json", ".txt", ".txt.zst"])
def test_a_line_of_100_megabytes_is_passed_over_without_being_held(tmp_path, kind):
    """The line is never in memory: reading it takes less than 40 MiB more than importing does."""
    size = 100 << 20
    head = b'[{"text": "' if kind == ".json" else b'{"text": "'
    tail = b'"},\n{"text": "good"}]' if kind == ".json" else b'"}\n{"text": "good"}\n'
    path = tmp_path / f"a{kind}"
    if kind in (".jsonl", ".json", ".txt"):
        with path.open("wb") as file:  # a hole in the file, which reads as NUL
            file.write(head)
            file.seek(size)
            file.write(tail)
    else:
        pack = zstandard.ZstdCompressor() if kind.endswith(".zst") else None
        block = b"x" * (1 << 20)
        with path.open("wb") as raw, pack.stream_writer(raw) if pack else gzip.open(raw, "wb", 1) as file:
            file.write(head)
            for _ in range(100):
                file.write(block)
            file.write(tail)
    done = subprocess.run([sys.executable, "-c", MEASURE, path], capture_output=True, text=True, check=True)
    *found, grown = done.stdout.split()
    assert found == (["too_long"] if kind.startswith(".txt") else ["too_long", "document"])
    assert int(grown) < 40
