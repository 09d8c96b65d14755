"""Names and paths that a trainer cannot carry are refused in words, before a cluster finds out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from causalmix_core.errors import CausalMixError
from causalmix_core.mixture.exporting import FORMATS, Blend, DomainPool, FormatName
from tests.mixture.exporting.example import blend, mapped, ready


def named(name: str, path: str = "/tokens/a") -> Blend:
    pool = DomainPool(tokens=1000, documents=10, mapped=(path,))
    return blend(weights={name: 1.0}, pool={name: pool}, token_budget=1000)


def several(*paths: str) -> Blend:
    made = blend()
    return replace(made, pool=made.pool | {"code": replace(made.pool["code"], mapped=paths)})


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/my tokens/code", "holds whitespace"),
        ("/tokens/code.bin", "wants the prefix of the pair: /tokens/code"),
        ("2024", r"reads as a number.*Write \./2024"),
        ("1e5", "reads as a number"),
        ("nan", "reads as a number"),
    ],
)
def test_prefixes_of_megatron(path: str, words: str) -> None:
    with pytest.raises(CausalMixError, match=words):
        FORMATS["megatron"].write(mapped(blend(), code=path))


def test_splits_of_megatron() -> None:
    made = mapped(blend())
    with pytest.raises(CausalMixError, match=r"split valid has no path for math\.proofs"):
        FORMATS["megatron"].write(replace(made, splits={"valid": {"code": ("/v/code",)}}))
    with pytest.raises(CausalMixError, match="splits valid and test, not dev"):
        FORMATS["megatron"].write(replace(made, splits={"dev": {}}))


@pytest.mark.parametrize("name", ["megatron", "nanotron", "streaming", "litdata"])
def test_a_weight_is_not_shared_out_among_paths(name: FormatName) -> None:
    made = ready(name)
    two = replace(made, pool=made.pool | {"code": replace(made.pool["code"], mapped=("/a", "/b"))})
    with pytest.raises(CausalMixError, match=r"code has 2 paths.*Merge them"):
        FORMATS[name].write(two)


@pytest.mark.parametrize("name", ["olmo-core", "olmix"])
def test_several_arrays_are_one_source(name: FormatName) -> None:
    made = ready(name)
    two = replace(made, pool=made.pool | {"code": replace(made.pool["code"], mapped=("/a.npy", "/b/*.npy"))})
    text = FORMATS[name].write(two)[0].text
    assert "- /a.npy\n" in text
    assert "- /b/*.npy\n" in text


@pytest.mark.parametrize("name", ["weight", "repetition_factor", "web:code"])
def test_names_of_olmix(name: str) -> None:
    with pytest.raises(CausalMixError, match=f"olmix cannot carry the name {name}"):
        FORMATS["olmix"].write(named(name))


@pytest.mark.parametrize("name", ["web, code", "Wikipedia (en)"])
def test_names_of_llama_factory(name: str) -> None:
    with pytest.raises(CausalMixError, match="LLaMA-Factory cannot carry the name"):
        FORMATS["llama-factory"].write(named(name, "/there/a.jsonl"))


def test_files_of_llama_factory() -> None:
    with pytest.raises(CausalMixError, match=r"does not read /there/a\.jsonl\.gz of a"):
        FORMATS["llama-factory"].write(named("a", "/there/a.jsonl.gz"))
    with pytest.raises(CausalMixError, match="code has 2 paths"):
        FORMATS["llama-factory"].write(several("/a.jsonl", "/b.jsonl"))


@pytest.mark.parametrize("name", ["datasets", "trl", "axolotl", "llama-factory"])
def test_text_inside_an_object_is_not_reached(name: FormatName) -> None:
    made = mapped(blend(), **{d: f"/there/{d}.jsonl" for d in ("code", "web", "math.proofs")})
    pool = {d: replace(p, text_field="meta.text") for d, p in made.pool.items()}
    with pytest.raises(CausalMixError, match="inside an object"):
        FORMATS[name].write(replace(made, pool=pool))


def test_trl_reads_one_column() -> None:
    made = mapped(blend(), **{d: f"/there/{d}.jsonl" for d in ("code", "web", "math.proofs")})
    pool = made.pool | {"code": replace(made.pool["code"], text_field="content")}
    with pytest.raises(CausalMixError, match=r"one column.*code: content, math.proofs: text, web: text"):
        FORMATS["trl"].write(replace(made, pool=pool))


@pytest.mark.parametrize("paths", [("/a.jsonl", "/b.parquet"), ("/a", "/b"), ("/a.jsonl", "/b")])
def test_files_of_several_kinds(paths: tuple[str, ...]) -> None:
    with pytest.raises(CausalMixError, match="several kinds or several folders"):
        FORMATS["datasets"].write(several(*paths))


def test_axolotl_has_no_number_for_many_epochs() -> None:
    with pytest.raises(CausalMixError, match=r"code would be read 375\.0 times.*Lower the token budget"):
        FORMATS["axolotl"].write(blend(token_budget=9_000_000_000))


def test_a_name_that_reads_as_a_number_is_quoted() -> None:
    """OmegaConf, which LLM Foundry reads its YAML with, takes 1e5 for a number; YAML 1.1 does not."""
    assert "      '1e5':\n" in FORMATS["streaming"].write(named("1e5"))[0].text
