"""Choosing the proxy of a swarm: one of the presets, trained from scratch, or a pretrained model."""

from __future__ import annotations

from typing import Any, get_args

import streamlit as st
from pydantic import ValidationError

from causalmix_core.proxy import PRESETS, PresetName, ProxySpec
from causalmix_core.proxy.spec import Family, Tuning

FINE_TUNE = "fine-tune"
WORDS: dict[str, str] = {
    "nano": "nano · minutes on a laptop",
    "micro": "micro · an hour on a laptop",
    "milli": "milli · for a GPU",
    "centi": "centi · 1M parameters, for a GPU",
    "deci": "deci · 4M parameters, for a GPU",
    "deca": "deca · 19M parameters, for a large GPU",
    "hecto": "hecto · 57M parameters, for a large GPU",
    FINE_TUNE: "a pretrained model, fine-tuned",
}
FAMILIES: dict[Family, str] = {
    "llama": "Llama",
    "qwen2": "Qwen2",
    "gpt2": "GPT-2",
    "gpt_neox": "GPT-NeoX (Pythia)",
}
TUNINGS: dict[Tuning, str] = {"lora": "adapters only (LoRA)", "full": "all weights"}
VOCABULARIES = [1024, 2048, 4096, 8192, 16384, 32768]


def choose_proxy() -> ProxySpec | None:
    """Ask for the proxy and how long it trains; None while what is chosen cannot be trained."""
    chosen = st.selectbox(
        "Proxy",
        [*get_args(PresetName), FINE_TUNE],
        format_func=WORDS.__getitem__,
        help="The small language model that stands in for the large one. All proxies of a swarm "
        "start from the same weights and read their documents in the same order, so differences "
        "come from the mixture.",
    )
    try:
        if chosen == FINE_TUNE:
            return _pretrained()
        return _from_scratch(chosen)
    except ValidationError as error:
        st.error(first_mistake(error), icon=":material/error:")
        return None


def first_mistake(error: ValidationError) -> str:
    """What is wrong with a spec, in a sentence."""
    first = error.errors()[0]
    where = ": ".join(map(str, first["loc"]))
    said = first["msg"].removeprefix("Value error, ")
    return f"{where}: {said}." if where else f"{said[:1].upper()}{said[1:]}."


def _tokens(default: int, key: str) -> int:
    return int(
        st.number_input(
            "Training tokens per probe", 10_000, 10_000_000_000, default, step=50_000,
            key=f"tokens-{key}",
        )
    )  # fmt: skip


def _from_scratch(preset: PresetName) -> ProxySpec:
    fields: dict[str, Any] = PRESETS[preset].model_dump() | {
        "tokens": _tokens(PRESETS[preset].tokens, preset)
    }
    with st.expander("Architecture and tokens", icon=":material/memory:"):
        fields["family"] = st.selectbox(
            "Family", list(FAMILIES), format_func=FAMILIES.__getitem__,
            help="The architecture; choose the one that is closest to the model you will train.",
        )  # fmt: skip
        bpe = st.toggle(
            "Read words and pieces of words",
            help="Off: every byte is a token. On: a byte-level BPE is trained on this pool first, as large "
            "models use one. Sequences then hold three to four times the text, and the model is larger. "
            "Compare such proxies by bits per byte.",
        )
        if bpe:
            size = st.select_slider("Vocabulary", VOCABULARIES, value=4096, format_func=lambda n: f"{n:,}")
            fields |= {"tokenizer": "bpe", "vocabulary": int(size)}
    return ProxySpec(**fields)


def _pretrained() -> ProxySpec | None:
    model = st.text_input(
        "Model", placeholder="/models/my-model or Qwen/Qwen2.5-0.5B",
        help="A folder on the server in the format of transformers, or a name on the Hugging Face hub, which "
        "is then downloaded. Models that bring code of their own are refused.",
    )  # fmt: skip
    tuning = st.segmented_control(
        "What is trained", list(TUNINGS), format_func=TUNINGS.__getitem__, default="lora", required=True,
        help="Adapters take a fraction of the memory and need `pip install causalmix[lora]`.",
    )  # fmt: skip
    fields: dict[str, Any] = {"tuning": tuning, "tokens": _tokens(1_000_000, FINE_TUNE)}
    with st.expander("Training", icon=":material/memory:"):
        fields["sequence_length"] = st.number_input("Tokens per sequence", 16, 2048, 512, step=64)
        fields["batch_size"] = st.number_input("Sequences per step", 1, 1024, 8)
        if tuning == "lora":
            fields["lora_rank"] = st.number_input(
                "Rank of the adapters", 1, 256, 8, help="Higher ranks can learn more and take more memory."
            )
        bfloat16 = st.toggle(
            "Compute in bfloat16", help="Half the memory and faster on a GPU; slow on older processors."
        )
        fields["precision"] = "bfloat16" if bfloat16 else "float32"
    if not model.strip():
        st.caption("Name a model to go on.")
        return None
    return ProxySpec(pretrained=model.strip(), **fields)


def choose_tasks() -> dict[str, Any]:
    """Ask for benchmarks; fields of a SwarmSpec."""
    with st.expander("Benchmarks", icon=":material/quiz:"):
        folder = st.text_input(
            "Folder of tasks", placeholder="/data/tasks",
            help="A folder on the server with the YAML files of lm-evaluation-harness tasks and their data. "
            "Needs `pip install causalmix[lm-eval]`.",
        ).strip()  # fmt: skip
        tasks = st.text_input(
            "Tasks", placeholder="my_task, my_group",
            help="Names of tasks or groups in that folder. Each probe answers them when it is trained.",
        )  # fmt: skip
    names = tuple(t.strip() for t in tasks.split(",") if t.strip())
    return {"tasks": names, "tasks_folder": folder or None} if names or folder else {}


def describe(proxy: ProxySpec) -> str:
    """The size of a proxy in words.

    Raises:
        CausalMixError: the pretrained model cannot be found.
    """
    size = f"{proxy.parameters:,} parameters without embeddings"
    return size if proxy.pretrained is None else f"{proxy.base}, {size}"
