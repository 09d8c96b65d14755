"""Exports for trainers that do not install beside the app, against the schema that their documentation gives.

Each schema names its source; fields that we never write are left out, and unknown ones are refused.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from causalmix_core.mixture.exporting import FormatName
from tests.mixture.exporting.example import WEIGHTS, blend, written

Part = Annotated[float, Field(gt=0, le=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AxolotlDataset(Strict):
    """`SFTDataset` of axolotl's src/axolotl/utils/schemas/datasets.py; `weight` from its pull request
    3690."""

    path: str
    ds_type: Literal["json", "arrow", "parquet", "text", "csv"] | None = None
    split: str
    type: Literal["completion"]
    field: str | None = None
    weight: Part


class AxolotlConfig(Strict):
    datasets: list[AxolotlDataset]
    num_epochs: float
    seed: int


class OlmixSource(Strict):
    """`SourceConfig` of allenai/olmix (olmix/aliases.py): exactly one of paths, topics and quality."""

    name: str
    paths: list[str]


class OlmixData(Strict):
    sources: list[OlmixSource]


class OlmixEntry(Strict):
    """`MixEntry`, with the meaning that plans/023_explicit_mix_field.md gives it."""

    weight: Part
    repetition_factor: Annotated[float, Field(ge=1)] = 1.0


class OlmixLaunch(Strict):
    data: OlmixData
    mix: dict[str, OlmixEntry]


class Stream(Strict):
    """Arguments of `streaming.Stream` (0.13): at most one of proportion, repeat and choose."""

    remote: str | None = None
    local: str | None = None
    proportion: Part

    @model_validator(mode="after")
    def _has_a_place(self) -> Stream:
        assert self.remote or self.local
        return self


class StreamingTextDataset(Strict):
    """Arguments of llmfoundry/data/text_data.py; the loader makes `Stream(**kwargs)` of every entry."""

    streams: dict[str, Stream]
    shuffle: bool
    shuffle_seed: int


class TextLoader(Strict):
    name: Literal["text"]
    dataset: StreamingTextDataset


class FoundryConfig(Strict):
    train_loader: TextLoader


class Nanoset(Strict):
    """`NanosetDatasetsArgs` of nanotron's src/nanotron/config/config.py."""

    dataset_folder: list[str]
    dataset_weights: list[Part]

    @model_validator(mode="after")
    def _fits(self) -> Nanoset:
        assert len(self.dataset_weights) == len(self.dataset_folder)
        return self


class NanotronData(Strict):
    dataset: Nanoset
    seed: int
    num_loading_workers: int


class NanotronStage(Strict):
    name: str
    start_training_step: Literal[1]
    data: NanotronData


class NanotronConfig(Strict):
    data_stages: list[NanotronStage]


def load(name: FormatName) -> dict[str, object]:
    return yaml.safe_load(written(name)[0].text)


def test_axolotl_keeps_parts_that_add_up_to_the_epochs() -> None:
    config = AxolotlConfig.model_validate(load("axolotl"))
    assert config.num_epochs == 1
    kept: dict[str, float] = {}
    for dataset in config.datasets:
        domain = Path(dataset.path).name.removesuffix(".parquet")
        kept[domain] = kept.get(domain, 0) + dataset.weight
    assert kept == pytest.approx(blend().epochs(), abs=1e-8)
    assert kept["web"] > 2  # so it stands there three times


def test_olmix_weights_are_parts_of_the_tokens() -> None:
    config = OlmixLaunch.model_validate(load("olmix"))
    assert [s.name for s in config.data.sources] == list(config.mix) == blend().used
    assert {d: e.weight for d, e in config.mix.items()} == pytest.approx(blend().used_weights, abs=1e-9)
    for domain, often in blend().epochs().items():
        assert max(1, often) <= config.mix[domain].repetition_factor < max(1, often) + 0.0101


def test_streams_have_proportions() -> None:
    streams = FoundryConfig.model_validate(load("streaming")).train_loader.dataset.streams
    assert {d: s.proportion for d, s in streams.items()} == pytest.approx(blend().used_weights, abs=1e-9)
    assert sum(s.proportion for s in streams.values()) == pytest.approx(1, abs=1e-15)


def test_nanotron_has_a_stage() -> None:
    (stage,) = NanotronConfig.model_validate(load("nanotron")).data_stages
    assert stage.data.dataset.dataset_folder == [f"/tokens/{d}" for d in blend().used]
    assert stage.data.dataset.dataset_weights == pytest.approx(list(blend().used_weights.values()), abs=1e-9)


def test_llama_factory_has_a_probability_per_dataset() -> None:
    """`DataArguments` and `get_dataset_list` of LLaMA-Factory's src/llamafactory."""
    arguments, info = written("llama-factory")
    config = yaml.safe_load(arguments.text)
    assert config["mix_strategy"] in ("interleave_under", "interleave_over")
    names = [item.strip() for item in config["dataset"].split(",")]
    probabilities = [float(item.strip()) for item in config["interleave_probs"].split(",")]
    assert dict(zip(names, probabilities, strict=True)) == pytest.approx(blend().row_shares(), abs=1e-9)
    assert info.name == "dataset_info.json"
    listed = json.loads(info.text)
    assert list(listed) == names
    assert all(
        set(v) == {"file_name", "columns"} and v["columns"] == {"prompt": "text"} for v in listed.values()
    )


def test_litdata_draws_blocks_by_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures of litdata 0.2.76 and litgpt; weights and `iterate_over_all` together raise there."""

    class StreamingDataset:
        def __init__(self, *, input_dir: str, item_loader: object, shuffle: bool, drop_last: bool) -> None:
            self.input_dir, self.item_loader = input_dir, item_loader

    class TokensLoader:
        def __init__(self, block_size: int) -> None:
            self.block_size = block_size

    class Combined:
        def __init__(
            self, datasets: list, seed: int = 42, weights: object = None, iterate_over_all: bool = True
        ) -> None:
            assert not (iterate_over_all and weights)
            self.datasets, self.seed, self.weights = datasets, seed, weights

    class Loader:
        def __init__(self, dataset: object, **options: object) -> None:
            self.dataset = dataset

    fakes = {
        "litdata": {
            "StreamingDataset": StreamingDataset, "TokensLoader": TokensLoader,
            "CombinedStreamingDataset": Combined, "StreamingDataLoader": Loader,
        },
        "litgpt": {}, "litgpt.data": {"DataModule": object}, "litgpt.tokenizer": {"Tokenizer": object},
    }  # fmt: skip
    for name, content in fakes.items():
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        vars(sys.modules[name]).update(content)
    dataset, module = written("litdata")
    for file in (dataset, module):
        name = file.name.removesuffix(".py")
        assert name.isidentifier()
        made = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, made)
        exec(compile(file.text, file.name, "exec"), vars(made))
    mixture = sys.modules["mixture_best_litgpt"].Mixture()
    mixture.connect(batch_size=4, max_seq_length=128)
    combined = mixture.train_dataloader().dataset
    assert [d.input_dir for d in combined.datasets] == [f"/tokens/{d}" for d in blend().used]
    assert {d.item_loader.block_size for d in combined.datasets} == {129}
    assert combined.weights == pytest.approx([WEIGHTS[d] for d in blend().used], abs=1e-9)
    assert combined.seed == 7
