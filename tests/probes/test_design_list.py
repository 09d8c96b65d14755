from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from causalmix_core.errors import CausalMixError
from causalmix_core.probes.mixture_list import fit_mixtures, parse_mixtures, read_mixtures

ROWS = [{"code": 0.25, "prose": 0.75}, {"code": 0.5, "prose": 0.5}]


def files(folder: Path) -> list[Path]:
    frame = pd.DataFrame(ROWS)
    frame.to_csv(folder / "plain.csv", index_label="index")
    frame.add_prefix("train_the_pile_").to_csv(folder / "regmix.csv", index_label="index")
    frame.add_prefix("weight/").assign(status="finished").to_parquet(folder / "runs.parquet")
    frame.to_parquet(folder / "plain.parquet")
    (folder / "list.json").write_text(json.dumps(ROWS))
    (folder / "keyed.json").write_text(json.dumps({"mixtures": ROWS}))
    (folder / "lines.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    (folder / "list.yaml").write_text(yaml.safe_dump(ROWS))
    (folder / "excel.CSV").write_bytes(b"\xef\xbb\xbfcode,prose\r\n0.25,0.75\r\n\r\n0.5,0.5\r\n")
    return sorted(folder.iterdir())


def test_every_format_reads_alike(tmp_path: Path) -> None:
    paths = files(tmp_path)
    assert len(paths) == 9
    for path in paths:
        assert list(read_mixtures(path)) == ROWS, path.name


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.csv", "code,prose\n0.5,0.5\nhalf,0.5", "m.csv, row 2, field code: 'half' is no weight"),
        ("m.csv", "code,prose\n0.5,", "m.csv, row 1, field prose: nothing is no weight"),
        ("m.csv", "code,prose\n-0.5,1.5", "row 1, field code: '-0.5' is no weight"),
        ("m.csv", "code,prose\nnan,1", "row 1, field code"),
        ("m.csv", "code,prose\n0.5", "row 1: 1 fields, but the header has 2 columns"),
        ("m.csv", "code,code\n0.5,0.5", "the column 'code' is there twice"),
        ("m.csv", "code,prose\n", "holds no mixture"),
        ("m.csv", "", "holds no mixture"),
        ("m.csv", "index\n3\n", "row 1: no weight"),
        ("m.json", '[{"code": true}]', "row 1, field code: True is no weight"),
        ("m.json", "[1]", "row 1: not a mixture"),
        ("m.json", "{", "m.json, line 1: not JSON"),
        ("m.json", '{"code": 1}', "no list of mixtures"),
        ("m.yaml", "a: [", "m.yaml is not YAML"),
        ("m.parquet", "PAR", "no readable Parquet file"),
        ("m.xlsx", "x", "mixtures are read from .csv"),
        ("m.csv", "a\n" + "1\n" * 4097, "4,097 rows"),
    ],
)
def test_a_bad_file_names_row_and_field(name: str, text: str, words: str) -> None:
    with pytest.raises(CausalMixError, match=words):
        parse_mixtures(name, text.encode())


def test_a_file_that_is_not_there_or_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(CausalMixError, match="cannot be read: No such file"):
        read_mixtures(tmp_path / "none.csv")
    with pytest.raises(CausalMixError, match="no UTF-8 text \\(byte 0\\)"):
        parse_mixtures("m.csv", b"\xff\xfe")


def test_rounding_is_divided_out_with_notice() -> None:
    fitted = fit_mixtures([{"b": 0.4995, "a": 0.5}, {"a": 0.5, "b": 0.5}], ["a", "b"], "m.csv")
    assert fitted.mixtures == [pytest.approx({"a": 0.5 / 0.9995, "b": 0.4995 / 0.9995}), {"a": 0.5, "b": 0.5}]
    assert fitted.notices == ["m.csv: row 1 summed to 0.9995 and was divided by it."]


def test_repeated_rows_are_noticed() -> None:
    twice = fit_mixtures([*ROWS, ROWS[0]], ["code", "prose"], "m.csv")
    assert twice.notices == ["m.csv: row 3 repeats row 1."]
    assert len(twice.mixtures) == 3
    assert fit_mixtures(ROWS * 3, ["code", "prose"]).notices == ["The list: 4 rows repeat an earlier row."]


def test_many_domains_rounded_to_three_decimals_may_be_off_by_more() -> None:
    # seventeen weights, as in RegMix's published tables: rows sum to 0.996 to 1.003
    names = [f"d{i}" for i in range(17)]
    row = dict.fromkeys(names, 0.0585) | {"d0": 0.06}
    assert sum(row.values()) == pytest.approx(0.996)
    assert sum(fit_mixtures([row], names).mixtures[0].values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"code": 0.5, "prose": 0.49}, "m.csv, row 2: the weights sum to 0.9900"),
        ({"code": 50, "prose": 50}, "row 2: the weights sum to 100.0000.*not percent"),
        ({"code": 1.0}, "row 2: .*no weight for prose"),
        ({"code": 0.5, "prose": 0.25, "maths": 0.25}, "row 2: .*unknown domain maths"),
        ({"code": -0.5, "prose": 1.5}, "row 2: The weight of code is -0.5"),
        ({"code": float("nan"), "prose": 1.0}, "row 2"),
    ],
)
def test_a_row_that_does_not_fit_the_pool_is_named(row: dict, words: str) -> None:
    with pytest.raises(CausalMixError, match=words):
        fit_mixtures([ROWS[0], row], ["code", "prose"], "m.csv")
