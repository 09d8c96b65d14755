"""Pretrained language models: found by folder or by name on the hub, and loaded without running their code.

Models that measure documents and models that proxies go on from are found and loaded here. Code that comes
with a model is never run, and whatever the loaders stumble over becomes an error that says what to do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.quiet import quiet_transformers
from causalmix_core.proxy.spec import ModelShape, ProxySpec
from causalmix_core.workspace import Workspace

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

Task = Literal["causal", "regression"]
_TASK_WORDS: dict[Task, str] = {"causal": "causal language model", "regression": "sequence-regression model"}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


class ModelSource(BaseModel):
    """Which model is meant: a folder, or one revision on the hub."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """What the user called it."""
    folder: str | None
    """Where it lies, for a model that is no hub name."""
    revision: str | None
    """The commit on the hub, for a hub name."""
    fingerprint: str
    """A hash of the folder's files, or the commit: models with equal fingerprints are the same."""

    @property
    def location(self) -> str:
        """What `from_pretrained` is given."""
        return self.folder or self.name


def locate_pretrained(name: str, path: Path) -> ModelSource:
    """Find the model that a user named. Only a name that is no folder is ever asked for on the hub.

    Args:
        name: what the user called it.
        path: the folder that the name would mean.

    Raises:
        CausalMixError: no such folder or no model in it, or the hub does not have it or cannot be reached.
    """
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise CausalMixError(
                f"The folder {path} holds no model: it has no config.json. Name the folder that "
                "`save_pretrained` of transformers has written."
            )
        return ModelSource(name=name, folder=str(path), revision=None, fingerprint=hash_folder(path))
    if path.exists():
        raise CausalMixError(f"{path} is a file. Name the folder that holds the model.")
    if not _HUB_NAME.fullmatch(name):
        raise CausalMixError(f"There is no folder {path}. Name the folder of a model, or a model on the hub.")
    commit = _hub_commit(name)
    return ModelSource(name=name, folder=None, revision=commit, fingerprint=commit)


def hash_folder(folder: Path) -> str:
    """A hash of the names and contents of the files that decide what a model does.

    Raises:
        CausalMixError: a file cannot be read.
    """
    kinds = {".json", ".safetensors", ".bin", ".model", ".txt", ".tiktoken", ".gguf"}
    files = []
    for file in sorted(folder.iterdir()):
        if file.suffix in kinds and file.is_file() and not file.name.startswith("."):
            stat = file.stat()
            files.append((file, stat.st_size, stat.st_mtime_ns))
    return _hash_files(tuple(files))


@lru_cache(maxsize=64)
def _hash_files(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Kept while sizes and times stay, as a gigabyte takes a second and pages ask at every visit."""
    digest = hashlib.sha256()
    for file, _, _ in files:
        digest.update(file.name.encode() + b"\0")
        try:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise CausalMixError(f"Cannot read {file}: {error.strerror}.") from error
    return digest.hexdigest()


def _hub_commit(name: str) -> str:
    with quiet_transformers():
        from transformers import AutoConfig

        try:
            config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        except Exception as error:
            raise _cannot_load(name, None, "the model", error) from error
    return str(config._commit_hash)


def load_pretrained(
    source: ModelSource, task: Task, device: str
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model that measures, in evaluation mode on `device`, and its tokenizer.

    In bfloat16 on a GPU that can, else in float32.

    Raises:
        CausalMixError: one of them cannot be loaded, or the model was saved for another task.
    """
    import torch

    half = device == "cuda" and torch.cuda.is_bf16_supported()
    model = load_model(source, task, torch.bfloat16 if half else torch.float32)
    return move_to(model, source.name, device), load_tokenizer(source)


def load_config(source: ModelSource) -> PreTrainedConfig:
    """The configuration of a model.

    Raises:
        CausalMixError: it cannot be read, or only code that comes with the model could.
    """
    with quiet_transformers():
        import transformers as tf

        if source.folder is not None and not Path(source.folder).is_dir():
            raise CausalMixError(f"There is no folder {source.folder}. Name the folder of a model.")
        try:
            return tf.AutoConfig.from_pretrained(source.location, **_where(source))
        except Exception as error:
            raise _cannot_load(source.name, source.folder, "the model", error) from error


def load_model(
    source: ModelSource, task: Task, dtype: torch.dtype, *, safetensors: bool = False
) -> PreTrainedModel:
    """Load a model on the CPU.

    Args:
        source: where it lies.
        task: what it must have been saved for.
        dtype: of its weights.
        safetensors: whether no other format of the weights is read.

    Raises:
        CausalMixError: it cannot be loaded, was saved for another task, or is not complete.
    """
    config = load_config(source)
    with quiet_transformers():
        import transformers as tf

        _check_architecture(config, source.name, task)
        kind = tf.AutoModelForCausalLM if task == "causal" else tf.AutoModelForSequenceClassification
        where = _where(source) | ({"use_safetensors": True} if safetensors else {})
        try:
            model, info = kind.from_pretrained(
                source.location, config=config, dtype=dtype, output_loading_info=True, **where
            )
        except Exception as error:
            raise _cannot_load(source.name, source.folder, "the model", error) from error
    missing = sorted({*info["missing_keys"], *(str(key[0]) for key in info["mismatched_keys"])})
    if missing:
        raise CausalMixError(
            f"The model {source.name} is not complete: {missing[0]}"
            + (f" and {len(missing) - 1} other weights are" if len(missing) > 1 else " is")
            + f" not in its files. Name a {_TASK_WORDS[task]}."
        )
    loaded: PreTrainedModel = model
    return loaded


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """The tokenizer of a model.

    Raises:
        CausalMixError: it cannot be loaded.
    """
    with quiet_transformers():
        import transformers as tf

        try:
            tokenizer: PreTrainedTokenizerBase = tf.AutoTokenizer.from_pretrained(
                source.location, **_where(source)
            )
        except Exception as error:
            raise _cannot_load(source.name, source.folder, "the tokenizer", error) from error
    return tokenizer


def _where(source: ModelSource) -> dict[str, Any]:
    """What every loader is told besides the location."""
    told: dict[str, Any] = {"trust_remote_code": False}
    return told | ({"local_files_only": True} if source.folder is not None else {"revision": source.revision})


def settle_proxy(spec: ProxySpec, workspace: Workspace) -> ProxySpec:
    """Say for good which pretrained model a spec means, and check that it can be trained.

    A folder that the path names is preferred; relative paths start at the workspace. Only a name that is no
    folder is asked for on the hub, and its present commit is noted.

    Args:
        spec: what the user asked for. A proxy from scratch is returned as it is.
        workspace: where relative paths start.

    Returns:
        The spec with an absolute path or a name on the hub, and the revision.

    Raises:
        CausalMixError: the model cannot be found, is no causal language model, needs code of its own, reads
            shorter sequences than the spec wants, or adapters are asked for and peft is not installed.
    """
    if spec.pretrained is None:
        return spec
    if spec.tuning == "lora":
        check_peft()
    path = workspace.resolve(spec.pretrained)
    if spec.revision is not None and not path.exists():
        source = _source(spec.pretrained, spec.revision)  # a commit on the hub, noted before
    else:
        source = locate_pretrained(spec.pretrained, path)
        if source.folder is not None and spec.revision not in (None, _revision(source)):
            raise _changed(source.folder)
    _check_architecture(load_config(source), source.name, "causal")
    update = {"pretrained": source.location, "revision": _revision(source)}
    settled = spec.model_copy(update=update)
    longest = settled.shape.positions
    if longest is not None and spec.sequence_length > longest:
        raise CausalMixError(
            f"The model {spec.pretrained} reads at most {longest} tokens at once; the proxy's sequences have "
            f"{spec.sequence_length}. Choose shorter sequences."
        )
    return settled


def source_of(spec: ProxySpec) -> ModelSource:
    """Where the pretrained model of a spec lies.

    Raises:
        CausalMixError: it cannot be found.
    """
    assert spec.pretrained is not None
    return _source(spec.pretrained, spec.revision)


def load_proxy_model(spec: ProxySpec, dtype: torch.dtype) -> PreTrainedModel:
    """The model that a pretrained proxy goes on from, in evaluation mode on the CPU.

    Weights are read from safetensors files only. In evaluation mode there is no dropout, which would be luck
    of its own for each proxy.

    Raises:
        CausalMixError: it cannot be loaded, is no causal language model, or is another one than when the
            swarm was planned.
    """
    source = source_of(spec)
    if source.folder is not None and spec.revision is not None:
        # Runs compare by what their spec says, so a model that was replaced must not pass for the old one.
        found = hash_folder(Path(source.folder))
        if spec.revision != found[:12]:
            raise _changed(source.folder)
    model = load_model(source, "causal", dtype, safetensors=True).eval()
    check_causal(model, source.name, "cpu")
    model.config.use_cache = False
    return model


def check_peft() -> None:
    """Refuse adapters where the library that makes them is not installed.

    Raises:
        CausalMixError: says what to install.
    """
    from importlib.util import find_spec

    if find_spec("peft") is None:
        raise CausalMixError(
            "The tuning 'lora' needs the library peft, which is not installed. Install it with "
            "`pip install 'causalmix[lora]'`, or choose the tuning 'full'."
        )


def shape_of(name: str, revision: str | None) -> ModelShape:
    """The sizes of a pretrained model, from its configuration.

    Args:
        name: as in `ProxySpec.pretrained`.
        revision: as in `ProxySpec.revision`; with it, the answer is kept.

    Raises:
        CausalMixError: the model cannot be found, or is none that `transformers` can build.
    """
    return _read_shape(name, None) if revision is None else _settled_shape(name, revision)


@lru_cache(maxsize=32)
def _settled_shape(name: str, revision: str) -> ModelShape:
    return _read_shape(name, revision)


def _read_shape(name: str, revision: str | None) -> ModelShape:
    source = _source(name, revision)
    config = load_config(source)
    return _shape(source.name, json.dumps(config.to_dict(), default=str, sort_keys=True), config.model_type)


@lru_cache(maxsize=32)
def _shape(name: str, config: str, family: str) -> ModelShape:
    """Counted on a model without memory; kept, as building one takes a while."""
    with quiet_transformers():
        import torch
        import transformers as tf

        read = tf.AutoConfig.for_model(**(json.loads(config) | {"model_type": family}))
        _check_architecture(read, name, "causal")
        try:
            with torch.device("meta"):
                model = tf.AutoModelForCausalLM.from_config(read)
        except Exception as error:
            raise _cannot_load(name, None, "the model", error) from error
    text = read.get_text_config()
    ends = {
        id(m.weight): m.weight for m in (model.get_input_embeddings(), model.get_output_embeddings()) if m
    }
    learnt = {
        id(p): p for n, p in model.named_parameters() if n.endswith(("wpe.weight", "embed_positions.weight"))
    }
    embeddings = sum(p.numel() for p in (ends | learnt).values())
    width = int(text.hidden_size)
    return ModelShape(
        family=family,
        vocabulary=int(model.get_input_embeddings().num_embeddings),
        hidden_size=width,
        intermediate_size=int(
            getattr(text, "intermediate_size", None) or getattr(text, "n_inner", None) or 4 * width
        ),
        layers=int(text.num_hidden_layers),
        heads=int(text.num_attention_heads),
        parameters=sum(p.numel() for p in model.parameters()) - embeddings,
        embedding_parameters=embeddings,
        positions=getattr(text, "max_position_embeddings", None),
    )


def _source(name: str, revision: str | None) -> ModelSource:
    path = Path(name).expanduser()
    if path.is_dir() and (path.is_absolute() or revision is None):  # a settled name is one on the hub
        folder = str(path.absolute())
        return ModelSource(name=name, folder=folder, revision=None, fingerprint=revision or "")
    if path.is_absolute() or not _HUB_NAME.fullmatch(name):
        raise CausalMixError(f"There is no folder {path}. The pretrained model was moved or deleted.")
    return ModelSource(name=name, folder=None, revision=revision, fingerprint=revision or "")


def _revision(source: ModelSource) -> str:
    """How a spec notes the state of a model."""
    return source.revision if source.revision is not None else source.fingerprint[:12]


def _changed(folder: str) -> CausalMixError:
    return CausalMixError(
        f"The model in {folder} is not the one that the swarm was planned with: its files have changed. "
        "Restore them, or plan a new swarm."
    )


def _check_architecture(config: PreTrainedConfig, name: str, task: Task) -> None:
    """Refuse a model that was saved for another task: the loader would make up what it lacks."""
    from transformers.models.auto import modeling_auto as auto

    names = (
        auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        if task == "causal"
        else auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    )
    known = {n for value in names.values() for n in ((value,) if isinstance(value, str) else value)}
    own = getattr(config, "architectures", None) or []
    if own and not known & set(own):
        raise CausalMixError(
            f"The model {name} is a {own[0]}, which is no {_TASK_WORDS[task]}. Name one that is."
        )


def check_causal(model: PreTrainedModel, name: str, device: str) -> None:
    """Refuse a model whose prediction of a token depends on the tokens after it, or is no number."""
    import torch

    ids = torch.tensor([[0, 1, 1, 1], [0, 2, 2, 2]], device=device)
    if int(model.get_input_embeddings().num_embeddings) < 3:
        raise CausalMixError(f"The model {name} knows fewer than three tokens. Name another one.")
    with torch.inference_mode(), quiet_transformers():
        first = model(input_ids=ids, use_cache=False).logits[:, 0].float()
    if bool(first.isnan().any()):
        raise CausalMixError(
            f"The model {name} gives no numbers (NaN): its weights are broken. Name another."
        )
    slack = 1e-5 if model.dtype == torch.float32 else 1e-2
    if bool((first[0] - first[1]).abs().max() > slack * first.abs().max()):
        raise CausalMixError(
            f"The model {name} sees the tokens that it should predict: it is no causal language model. Name "
            "one that is."
        )


def move_to(model: PreTrainedModel, name: str, device: str) -> PreTrainedModel:
    """The model in evaluation mode on a device.

    Raises:
        CausalMixError: its memory does not hold the model.
    """
    import torch

    try:
        return model.to(device).eval()
    except torch.OutOfMemoryError as error:
        raise CausalMixError(
            f"The model {name} does not fit into the GPU's memory. Choose a smaller one, or measure on the "
            "CPU."
        ) from error


def _cannot_load(name: str, folder: str | None, part: str, error: Exception) -> CausalMixError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    reason = lines[0].strip().rstrip(":.")
    if "trust_remote_code" in str(error):
        return CausalMixError(
            f"Cannot load {part} of {folder or name}: it needs code that comes with it, and CausalMix never "
            "runs such code. Name a model of an architecture that `transformers` knows itself."
        )
    if folder is not None:
        return CausalMixError(
            f"Cannot load {part} of {folder}: {reason}. Name a folder that `save_pretrained` of transformers "
            "has written, with the model and its tokenizer."
        )
    text = str(error).lower()
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    if offline or "connect" in text or "offline" in text or "resolve" in text:
        return CausalMixError(
            f"Cannot load {part} of {name}: there is no such folder, and the Hugging Face hub "
            + ("is switched off (HF_HUB_OFFLINE)" if offline else "cannot be reached")
            + ". Name a folder that holds the model, or use the reference proxy."
        )
    return CausalMixError(
        f"Cannot load {part} of {name} from the Hugging Face hub: {reason}. Check the name, or name a folder "
        "that holds the model."
    )
