"""Exports loaded back by the real libraries, and what comes out counted: datasets, TRL, Megatron-core,
OLMo-core."""

from __future__ import annotations

import json
import os
import random
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from causalmix_core.mixture.exporting import FORMATS, Blend, DomainPool
from tests.mixture.exporting.example import WEIGHTS, blend, mapped, written

TRAINERS = Path(sys.prefix) / "trainers"
SHARES = {"code": 0.5, "prose": 0.2, "sums": 0.3}
LENGTHS = {"code": 400, "prose": 60, "sums": 20}
DOCUMENTS = {"code": 900, "prose": 1500, "sums": 900}


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blend:
    """Small real files: a token is a word, and each word is the name of its domain."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rng = random.Random(0)
    domains = {}
    for domain, mean in LENGTHS.items():
        lengths = [rng.randint(mean // 2, mean * 3 // 2) for _ in range(DOCUMENTS[domain])]
        column = "content" if domain == "prose" else "text"
        texts = [" ".join([domain] * n) for n in lengths]
        if domain == "sums":
            path = tmp_path / "sums.parquet"
            pq.write_table(pa.table({"text": texts, "other": lengths}), path)
        else:
            path = tmp_path / f"{domain}.jsonl"
            path.write_text("\n".join(json.dumps({column: t, "id": i}) for i, t in enumerate(texts)))
        domains[domain] = DomainPool(sum(lengths), len(lengths), (str(path),), column)
    return blend(weights=SHARES, pool=domains, token_budget=60_000)


def token_shares(texts: list[str]) -> dict[str, float]:
    words = {d: sum(t.split().count(d) for t in texts) for d in SHARES}
    return {d: n / sum(words.values()) for d, n in words.items()}


@pytest.mark.parametrize("budget", [30_000, 150_000], ids=["thinned out", "repeated"])
def test_datasets_draws_the_mixture_of_tokens(pool: Blend, budget: int) -> None:
    made = replace(pool, token_budget=budget)
    assert (max(made.epochs().values()) > 2) == (budget == 150_000)
    (file,) = FORMATS["datasets"].write(made)
    module: dict[str, object] = {"__name__": "export"}
    exec(compile(file.text, file.name, "exec"), module)
    mixed = module["mixture"]()  # type: ignore[operator]
    texts = list(mixed["text"])
    assert sum(len(t.split()) for t in texts) == pytest.approx(budget, rel=0.06)
    assert token_shares(texts) == pytest.approx(SHARES, abs=0.03)
    rows = {d: sum(t.startswith(d) for t in texts) / len(texts) for d in SHARES}
    assert rows["code"] < 0.1  # half of the tokens: the difference that the conversion makes


def test_trl_keeps_the_mixture_of_tokens(pool: Blend, tmp_path: Path) -> None:
    from transformers import HfArgumentParser
    from trl import DatasetMixtureConfig, get_dataset

    renamed = tmp_path / "prose-text.jsonl"
    renamed.write_text(Path(pool.pool["prose"].mapped[0]).read_text().replace('"content"', '"text"'))
    prose = replace(pool.pool["prose"], mapped=(str(renamed),), text_field="text")
    made = replace(pool, pool=pool.pool | {"prose": prose})
    (file,) = FORMATS["trl"].write(made)
    path = tmp_path / "trl.yaml"
    path.write_text(file.text)
    (config,) = HfArgumentParser(DatasetMixtureConfig).parse_yaml_file(str(path))
    train = get_dataset(config)["train"]
    texts = list(train["text"])
    assert token_shares(texts) == pytest.approx(SHARES, abs=0.02)
    one_epoch = made.token_budget / max(made.epochs().values())
    assert sum(len(t.split()) for t in texts) == pytest.approx(one_epoch, rel=0.03)
    assert f"One epoch is about {round(one_epoch)} tokens" in file.text


def test_megatron_reads_weights() -> None:
    from megatron.core.datasets.utils import get_blend_from_list

    args, option, per_split = (f.text for f in written("megatron"))
    used = [d for d in sorted(WEIGHTS) if WEIGHTS[d]]
    told = shlex.split(option)
    assert told[0] == "--data-path"
    splits = json.loads(per_split)
    assert list(splits) == ["train", "valid", "test"]
    assert get_blend_from_list(splits["test"]) is None
    found = [
        get_blend_from_list(args.split()),  # as megatron.training reads --data-args-path
        get_blend_from_list(told[1:]),
        get_blend_from_list(splits["train"]),
        get_blend_from_list(splits["valid"]),
    ]
    for prefixes, weights in found:  # type: ignore[misc]
        assert weights is not None
        assert weights == pytest.approx([WEIGHTS[d] for d in used], abs=1e-9)
        assert [p.removesuffix("_valid") for p in prefixes] == [f"/tokens/{d}" for d in used]


_OLMO = """
import sys
from importlib.metadata import distribution
from packaging.requirements import Requirement
from olmo_core.data.source_mixture import SourceMixtureDatasetConfig, SourceMixtureList
from olmo_core.data.types import NumpyDatasetDType

# The folder is installed without its dependencies, so here is the proof that every one is there and fits.
waiting, seen = ["ai2-olmo-core"], set()
while waiting:
    name = waiting.pop()
    for line in distribution(name).requires or ():
        wanted = Requirement(line)
        if wanted.name in seen or (wanted.marker and not wanted.marker.evaluate({"extra": ""})):
            continue
        have = distribution(wanted.name).version
        assert wanted.specifier.contains(have, prereleases=True), (name, line, have)
        seen.add(wanted.name)
        if wanted.name != "torch":
            waiting.append(wanted.name)

sources = SourceMixtureList.from_yaml(sys.argv[1])
sources.validate()
for source in sources.sources:
    source.validate()
config = SourceMixtureDatasetConfig(
    source_list=sources, requested_tokens=int(sys.argv[2]), global_batch_size=1024, quiet=True
)
built = config.build(npdtype=NumpyDatasetDType.uint16.as_np_dtype(), sequence_length=64)
for outcome in built.sources:
    print("COUNTED", outcome.name, sum(p.tokens for p in outcome.path_tokens))
"""


def test_olmo_core_builds_the_mixture(tmp_path: Path) -> None:
    """In a process of its own: OLMo-core wants older versions of libraries that the app uses."""
    if not TRAINERS.is_dir():
        message = f"OLMo-core is not at {TRAINERS}; `make test` installs it there"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    tokens = {"books": 5_000, "code": 80_000, "math.proofs": 9_000, "web": 24_000}
    for domain, count in tokens.items():
        np.zeros(count, dtype=np.uint16).tofile(tmp_path / f"{domain}.npy")
    pool = {d: DomainPool(tokens=n, documents=1) for d, n in tokens.items()}
    weights = {"books": 0.0, "code": 1 / 3, "math.proofs": 0.02, "web": 2 / 3 - 0.02}
    made = blend(weights=weights, pool=pool, token_budget=90_000)
    made = mapped(made, **{d: str(tmp_path / f"{d}.npy") for d in tokens})
    (file,) = FORMATS["olmo-core"].write(made)
    path = tmp_path / file.name
    path.write_text(file.text)
    often = yaml.safe_load(file.text)["sources"][2]["max_repetition_ratio"]
    assert often > 2  # with less OLMo-core would refuse web
    command = [sys.executable, "-c", _OLMO, str(path), "90000"]
    environment = os.environ | {"PYTHONPATH": str(TRAINERS)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    lines = [line.split() for line in said.stdout.splitlines() if line.startswith("COUNTED")]
    counted = {name: int(count) for _, name, count in lines}
    shares = {name: count / sum(counted.values()) for name, count in counted.items()}
    assert shares == pytest.approx({d: w for d, w in weights.items() if w}, abs=0.005)
