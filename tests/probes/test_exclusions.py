"""Marks on runs: who, when and why; kept by two curators at once, and never lost to a damaged file."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.exclusions import (
    FILE,
    LONGEST_REASON,
    exclude_runs,
    exclusions_stamp,
    include_runs,
    read_exclusions,
)


def test_a_mark_says_who_when_and_why_and_can_be_taken_back(tmp_path: Path) -> None:
    assert read_exclusions(tmp_path) == {}
    before = datetime.now(UTC)
    assert exclude_runs(tmp_path, ["b", "a", "b"], reason="  the disk was full ", by="ana") == ["b", "a"]
    marks = read_exclusions(tmp_path)
    assert list(marks) == ["a", "b"]
    assert (marks["a"].reason, marks["a"].by) == ("the disk was full", "ana")
    assert before <= marks["a"].at <= datetime.now(UTC)
    # The first reason stays, whoever comes later.
    assert exclude_runs(tmp_path, ["a", "c"], reason="me too", by="bob") == ["c"]
    assert read_exclusions(tmp_path)["a"] == marks["a"]
    assert include_runs(tmp_path, ["c", "a", "never marked"]) == ["c", "a"]
    assert read_exclusions(tmp_path) == {"b": marks["b"]}
    assert include_runs(tmp_path, ["b"]) == ["b"]
    assert read_exclusions(tmp_path) == {}


@given(st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from("abcdef"))), max_size=8))
def test_marks_are_a_set_of_runs(tmp_path_factory: pytest.TempPathFactory, steps) -> None:
    folder = tmp_path_factory.mktemp("runs")
    expected: set[str] = set()
    for exclude, runs in steps:
        if exclude:
            assert set(exclude_runs(folder, runs, reason="why", by="ana")) == runs - expected
            expected |= runs
        else:
            assert set(include_runs(folder, runs)) == runs & expected
            expected -= runs
        assert set(read_exclusions(folder)) == expected


@pytest.mark.parametrize("reason", ["", "  \n", "x" * (LONGEST_REASON + 1)])
def test_a_reason_is_needed_and_short(tmp_path: Path, reason: str) -> None:
    with pytest.raises(CausalMixError, match=r"Say .*why"):
        exclude_runs(tmp_path, ["a"], reason=reason, by="ana")
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"not json", "Invalid JSON"),
        (b'{"runs": {"a": {"by": "ana", "at": "2026-01-01T00:00:00Z", "reason": ""}}}', "runs.a.reason"),
        (b'{"runs": {"a": {"by": "ana", "at": "yesterday", "reason": "r"}}}', "runs.a.at"),
        (b'{"excluded": []}', "excluded"),
    ],
)
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / FILE
    path.write_bytes(content)
    for attempt in (
        lambda: read_exclusions(tmp_path),
        lambda: exclude_runs(tmp_path, ["b"], reason="why", by="ana"),
        lambda: include_runs(tmp_path, ["a"]),
    ):
        with pytest.raises(CausalMixError) as refused:
            attempt()
        assert str(path) in str(refused.value)
        assert named in str(refused.value)
    assert path.read_bytes() == content


def test_curators_in_many_processes_keep_each_others_marks(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from causalmix_core.probes.exclusions import exclude_runs\n"
        "folder, who = Path(sys.argv[1]), sys.argv[2]\n"
        "for n in range(20): exclude_runs(folder, [f'{who}-{n}'], reason='r', by=who)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), who]) for who in ("ana", "bob", "eve")
    ]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    marks = read_exclusions(tmp_path)
    assert sorted(marks) == sorted(f"{who}-{n}" for who in ("ana", "bob", "eve") for n in range(20))
    assert all(run.startswith(mark.by) for run, mark in marks.items())


def test_the_stamp_changes_with_every_mark(tmp_path: Path) -> None:
    stamps = [exclusions_stamp(tmp_path)]
    for step in (
        lambda: exclude_runs(tmp_path, ["a"], reason="r", by="ana"),
        lambda: include_runs(tmp_path, ["a"]),
        lambda: exclude_runs(tmp_path, ["b"], reason="r", by="ana"),
    ):
        step()
        stamps.append(exclusions_stamp(tmp_path))
    assert stamps[0] == ""
    assert len(set(stamps)) == len(stamps)
    exclude_runs(tmp_path, ["b"], reason="again", by="bob")
    assert exclusions_stamp(tmp_path) == stamps[-1]  # nothing was new
