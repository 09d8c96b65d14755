"""Fine-tuned proxies against plain Hugging Face training, and what is refused before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, BertConfig, BertForMaskedLM

from causalmix_core.corpus import open_snapshot
from causalmix_core.errors import CausalMixError
from causalmix_core.probes import SwarmSpec, design_swarm
from causalmix_core.probes import shard as shard_module
from causalmix_core.probes.shard import load_token_pool, run_shard
from causalmix_core.proxy import (
    Family,
    ProxySpec,
    memory,
    proxy_tokens,
    settle_proxy,
    stack_size,
    train_proxies,
    training,
)
from causalmix_core.proxy.memory import bytes_per_copy, shared_bytes
from causalmix_core.proxy.pretrained import load_proxy_model
from causalmix_core.proxy.throughput import measure_throughput
from causalmix_core.proxy.training import TrainingState, _schedule
from causalmix_core.workspace import Workspace
from tests.proxy.small_models import save_model, save_tokenizer

TOLERANCE = 2e-4
FAMILIES = get_args(Family)


def spec_of(folder: Path, **fields: object) -> ProxySpec:
    return ProxySpec(
        **{"pretrained": str(folder), "sequence_length": 32, "batch_size": 4, "tokens": 32 * 4 * 12,
           "learning_rate": 3e-3, **fields}
    )  # fmt: skip


def data(count: int, spec: ProxySpec) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    low = 30 * np.arange(count)[:, None, None]
    sequences = low + rng.integers(0, 20, (count, spec.sequences, spec.sequence_length))
    return sequences, {
        d: rng.integers(lo, lo + 20, (5, spec.sequence_length)) for d, lo in (("a", 0), ("b", 30))
    }


@pytest.fixture(scope="module", params=FAMILIES)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    family = request.param
    return save_model(tmp_path_factory.mktemp(family), family, tied=family in ("gpt2", "qwen2"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("llama"), "llama", begin=True)


def plain_training(
    spec: ProxySpec, sequences: np.ndarray, heldout: dict[str, np.ndarray], seed: int
) -> tuple[torch.nn.Module, list[float], dict[str, float]]:
    """The same fine-tuning in a few lines of plain Hugging Face, torch and peft."""
    model = AutoModelForCausalLM.from_pretrained(spec.pretrained, dtype=torch.float32).eval()
    if spec.tuning == "lora":
        from peft import LoraConfig, get_peft_model

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = get_peft_model(
                model, LoraConfig(r=spec.lora_rank, lora_alpha=spec.lora_alpha, target_modules="all-linear")
            ).eval()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.dim() > 1], "weight_decay": spec.weight_decay},
            {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
    )
    curve = []
    for step in range(spec.steps):
        for group in optimiser.param_groups:
            group["lr"] = spec.learning_rate * _schedule(step, spec)
        x = torch.from_numpy(sequences[step * spec.batch_size : (step + 1) * spec.batch_size])
        loss = model(input_ids=x, labels=x).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, spec.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        curve.append(float(loss.detach()))
    with torch.no_grad():
        x = {d: torch.from_numpy(w) for d, w in heldout.items()}
        return model, curve, {d: float(model(input_ids=w, labels=w).loss) for d, w in x.items()}


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_proxy_learns_what_plain_training_teaches_it(saved: Path, tuning: str) -> None:
    spec = spec_of(saved, tuning=tuning)
    sequences, heldout = data(2, spec)
    seen: list[np.ndarray] = []
    together = train_proxies(
        spec, sequences, heldout, seed=5, progress=lambda s, x: seen.append(x), progress_every=1
    )
    for k in range(2):
        _, curve, alone = plain_training(spec, sequences[k], heldout, seed=5)
        np.testing.assert_allclose([x[k] for x in seen], curve, atol=TOLERANCE)
        for domain in heldout:
            assert together.losses[domain][k] == pytest.approx(alone[domain], abs=TOLERANCE)
        assert curve[-1] < curve[0]
    assert together.losses["a"][0] < together.losses["a"][1]
    assert together.losses["b"][1] < together.losses["b"][0]


def test_adapters_are_trained_and_nothing_else(llama: Path) -> None:
    spec = spec_of(llama, tuning="lora", lora_rank=4, tokens=32 * 4 * 8)
    sequences, heldout = data(2, spec)
    states: list[TrainingState] = []
    read: dict[int, torch.Tensor] = {}
    tokens = torch.from_numpy(sequences[0, :2])

    def keep(step: int, state: object) -> None:
        if step in (1, 5):
            states.append(TrainingState.unpacked(state().packed()))  # type: ignore[operator]
            for stack in states[-1].stacks:
                stack["parameters"] = {n: p.clone() for n, p in stack["parameters"].items()}

    train_proxies(
        spec, sequences, heldout, seed=0, keep=keep,
        visit=lambda k, reader: read.update({k: reader(tokens)}),
    )  # fmt: skip
    early, late = (s.stacks[0]["parameters"] for s in states)
    assert all("lora_" in name for name in late)
    assert all(not torch.equal(early[n], late[n]) for n in late)
    # what is not trained is the model as it lies on the disk: with the adapters taken away, it is it
    model, _, _ = plain_training(spec, sequences[0], heldout, seed=0)
    with torch.no_grad():
        torch.testing.assert_close(read[0], model(input_ids=tokens).logits, atol=1e-3, rtol=1e-3)
        base = load_proxy_model(spec, torch.float32)(input_ids=tokens).logits
        with model.disable_adapter():
            torch.testing.assert_close(model(input_ids=tokens).logits, base)
    assert not torch.allclose(read[0], base, atol=1e-2)
    assert not torch.allclose(read[0], read[1], atol=1e-2)


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_stopped_training_goes_on_as_if_it_had_not_stopped(llama: Path, tuning: str) -> None:
    spec = spec_of(llama, tuning=tuning, tokens=32 * 4 * 8)
    sequences, heldout = data(2, spec)
    whole = train_proxies(spec, sequences, heldout, seed=3)
    kept: list[TrainingState] = []

    def stop(step: int, state: object) -> None:
        if step == 4:
            kept.append(state())  # type: ignore[operator]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_proxies(spec, sequences, heldout, seed=3, keep=stop)
    resumed = train_proxies(spec, sequences, heldout, seed=3, start=kept[0])
    for domain in heldout:
        np.testing.assert_array_equal(resumed.losses[domain], whole.losses[domain])


def test_bfloat16_is_close_to_float32(llama: Path) -> None:
    for tuning in ("full", "lora"):
        spec = spec_of(llama, tuning=tuning, tokens=32 * 4 * 8)
        sequences, heldout = data(1, spec)
        exact = train_proxies(spec, sequences, heldout, seed=5).losses
        rounded = train_proxies(
            spec.model_copy(update={"precision": "bfloat16"}), sequences, heldout, seed=5
        ).losses
        for domain in heldout:
            assert rounded[domain] == pytest.approx(exact[domain], abs=0.1)
            assert rounded[domain] != exact[domain]


def test_the_sizes_of_a_model_come_from_its_files(saved: Path) -> None:
    shape = spec_of(saved).shape
    model = AutoModelForCausalLM.from_pretrained(saved)
    assert shape.parameters + shape.embedding_parameters == sum(p.numel() for p in model.parameters())
    assert (shape.vocabulary, shape.hidden_size, shape.layers, shape.heads) == (320, 16, 2, 2)
    assert shape.positions == 64
    assert shape.intermediate_size == (40 if shape.family in ("llama", "qwen2") else 64)


def test_fine_tuning_is_timed(llama: Path) -> None:
    assert measure_throughput(spec_of(llama, tuning="lora"), "cpu", 1) > 100


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_copies_are_planned_for_by_what_each_adds(
    llama: Path, tuning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(llama, tuning=tuning)
    sequences, heldout = data(3, spec)
    trained: list[int] = []
    train_proxies(
        spec, sequences, heldout, seed=0,
        keep=lambda step, state: trained.append(
            sum(p.numel() for p in state().stacks[0]["parameters"].values())
        ),
    )  # fmt: skip
    assert bytes_per_copy(spec) == pytest.approx(12 * trained[0], rel=0.3)
    three = shared_bytes(spec) + 3 * bytes_per_copy(spec)
    monkeypatch.setattr(memory, "_free_gpu_memory", lambda device: int(three / memory.SHARE) + 9)
    assert stack_size(spec, "cuda") == 3
    with pytest.raises(CausalMixError, match="needs about"):
        stack_size(spec, "cuda", workers=50)


def test_a_swarm_fine_tunes_in_parts_what_does_not_fit_at_once(
    workspace: Workspace, llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = settle_proxy(spec_of(llama, tokens=32 * 4 * 10), workspace)
    swarm = SwarmSpec(probes=3, proxy=proxy, heldout_windows=8)
    snapshot = open_snapshot(workspace)
    pool = load_token_pool(snapshot, swarm)
    probes = design_swarm(swarm, proxy_tokens(snapshot, proxy))
    at_once = run_shard(pool, snapshot.id, swarm, probes, job="j", device="cpu")
    monkeypatch.setattr(shard_module, "stack_size", lambda spec, device: 2)
    told: list[tuple[int, np.ndarray]] = []
    in_parts = run_shard(
        pool, snapshot.id, swarm, probes, job="j", device="cpu",
        progress=lambda s, x: told.append((s, x)), progress_every=5,
    )  # fmt: skip
    numbers = [c for c in at_once if c.startswith(("loss/", "bpb/", "weight/"))]
    np.testing.assert_allclose(in_parts[numbers], at_once[numbers], atol=TOLERANCE)
    assert [s for s, _ in told] == [3, 6, 8, 10]
    assert (
        np.isfinite(np.array([x for _, x in told])).tolist()
        == [[True, True, False]] * 2 + [[False, False, True]] * 2
    )
    for row in in_parts.to_dict("records"):
        points = json.loads(row["trajectory"])
        assert [p["tokens"] for p in points] == [128 * s for s in training.checkpoints(proxy)]
        assert ProxySpec.model_validate_json(row["proxy"]) == proxy
    # a token stands for more than a byte of this pool, so the loss per byte is lower than the loss per token
    assert (in_parts["bpb/prose"] < in_parts["loss/prose"] / np.log(2)).all()


def test_a_model_is_settled_once(workspace: Workspace, llama: Path) -> None:
    (workspace.root / "own").symlink_to(llama)
    settled = settle_proxy(spec_of(Path("own")), workspace)
    assert settled.pretrained == str(workspace.root / "own")
    assert settled.revision
    assert settle_proxy(settled, workspace) == settled
    assert ProxySpec.model_validate_json(settled.model_dump_json()) == settled
    assert not {"hidden_size", "family", "layers", "heads"} & set(settled.model_dump())
    scratch = ProxySpec()
    assert settle_proxy(scratch, workspace) is scratch
    assert (scratch.base, settled.base) == ("llama", "own full")


def test_a_model_that_was_replaced_is_noticed(workspace: Workspace, tmp_path: Path) -> None:
    folder = save_model(tmp_path / "m", "llama")
    settled = settle_proxy(spec_of(folder), workspace)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    for action in (
        lambda: settle_proxy(settled, workspace),
        lambda: load_proxy_model(settled, torch.float32),
    ):
        with pytest.raises(CausalMixError, match="its files have changed"):
            action()


def test_what_cannot_be_fine_tuned_is_refused_in_words(
    workspace: Workspace, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def refusal(folder: Path | str, **fields: object) -> str:
        with pytest.raises(CausalMixError) as caught:
            settle_proxy(spec_of(Path(folder), **fields), workspace)
        return str(caught.value)

    assert "There is no folder" in refusal("/nowhere/at/all")
    assert "no config.json" in refusal(tmp_path)
    assert "HF_HUB_OFFLINE" in refusal("some/model")
    assert "reads at most 64 tokens" in refusal(llama, sequence_length=128)

    encoder = tmp_path / "bert"
    BertForMaskedLM(BertConfig(vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=1,
                               intermediate_size=16)).save_pretrained(encoder)  # fmt: skip
    save_tokenizer(encoder)
    assert "BertForMaskedLM, which is no causal language model" in refusal(encoder)

    own_code = tmp_path / "code"
    own_code.mkdir()
    (own_code / "config.json").write_text(
        json.dumps({"model_type": "ours", "auto_map": {"AutoConfig": "ours.Config"}})
    )
    (own_code / "ours.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\n")
    assert "never runs such code" in refusal(own_code)
    assert not (tmp_path / "ran").exists()

    pickled = save_model(tmp_path / "pickled", "llama")
    torch.save({}, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(CausalMixError, match="Cannot load the model of"):
        load_proxy_model(settle_proxy(spec_of(pickled), workspace), torch.float32)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "needs the library peft" in refusal(llama, tuning="lora")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pretrained": "x", "hidden_size": 64}, "hidden_size has no meaning for a pretrained model"),
        ({"pretrained": "x", "family": "gpt2"}, "family has no meaning"),
        ({"pretrained": "x", "tokenizer": "bpe"}, "reads the tokens of its own tokenizer"),
        ({"pretrained": "x", "lora_rank": 4}, "for the tuning 'lora' only"),
        ({"pretrained": "x", "vocabulary": 600}, "for the tokenizer 'bpe' only"),
        ({"tuning": "lora"}, "tuning has a meaning for a pretrained model only"),
        ({"tokenizer": "model"}, "name one in `pretrained`"),
        ({"vocabulary": 8192}, "for the tokenizer 'bpe' only"),
    ],
)
def test_fields_without_a_meaning_are_refused(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ProxySpec(**fields)


def test_what_follows_from_a_pretrained_model() -> None:
    assert ProxySpec(pretrained="x").tokenizer == "model"
    assert ProxySpec(pretrained="x").learning_rate < ProxySpec(pretrained="x", tuning="lora").learning_rate
    assert ProxySpec(pretrained="x", learning_rate=0.5).learning_rate == 0.5
