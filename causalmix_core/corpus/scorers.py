"""Language models that measure documents: loading them safely, and scoring many texts at once.

`CausalScorer` asks a causal language model how well it predicts a text; `StyleScorer` asks a model that was
trained to rate texts. Both read models through `transformers`, never run code that comes with a model, and
turn whatever the loaders stumble over into an error that says what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.pretrained import (
    ModelSource,
    check_causal,
    hash_folder,
    load_pretrained,
    locate_pretrained,
    move_to,
)
from causalmix_core.proxy.quiet import quiet_transformers
from causalmix_core.proxy.reference import load_reference, reference_of, reference_record
from causalmix_core.proxy.spec import END_OF_DOCUMENT
from causalmix_core.proxy.training import choose_device
from causalmix_core.workspace import Workspace

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

REFERENCE: Literal["reference"] = "reference"
"""The name of the workspace's own reference proxy."""
TOP_ENTROPY = 0.005
"""Part of a document's tokens whose entropies are summed."""
STYLE_WINDOW = 512
"""Tokens that a rater reads at once. QuRating's raters were trained on up to 512 and are averaged over
windows of longer texts, weighted by their length (arXiv 2402.09739)."""

DeviceChoice = Literal["auto", "cpu", "cuda"]
Heartbeat = Callable[[float], None]
"""Called before every batch with the part of the tokens that is done; an exception in it cancels."""

_LOGITS_BYTES = {"cpu": 1 << 30, "cuda": 4 << 30}
"""What the logits of a batch may take; a large vocabulary makes batches smaller."""
_CHUNK_BYTES = 64 << 20
"""Logits that are turned to float32 and normalised together."""
_CHARACTERS_PER_TOKEN = 8
"""Characters of a long document that are tokenised for each token wanted; more where that is too few."""
_CUT_MARGIN = 64
"""Tokens this close to where a text was cut for tokenising might differ in the whole text."""


def locate_model(name: str, workspace: Workspace) -> ModelSource:
    """Find the model that a user named.

    Args:
        name: `reference`, the path of a folder (relative paths start at the workspace), or a name on the
            Hugging Face hub. Only a name that is no folder is ever asked for on the hub.
        workspace: where the reference lies.

    Raises:
        CausalMixError: there is no reference yet, no such folder or no model in it, or the hub does not
            have it or cannot be reached.
    """
    if name == REFERENCE:
        folder = reference_of(workspace)
        if folder is None:
            raise CausalMixError("The workspace has no reference proxy yet. Train one first.")
        return ModelSource(name=name, folder=str(folder), revision=None, fingerprint=hash_folder(folder))
    return locate_pretrained(name, workspace.resolve(name))


def resolve_device(device: DeviceChoice) -> str:
    """The torch device that is meant: `auto` is the GPU where there is one.

    Raises:
        CausalMixError: a GPU is asked for and there is none.
    """
    found = choose_device()
    if device == "cuda" and found != "cuda":
        raise CausalMixError("There is no GPU that torch can use. Choose the device `cpu` or `auto`.")
    return found if device == "auto" else device


@dataclass(frozen=True)
class _Encoded:
    """A document as a model reads it.

    Attributes:
        ids: tokens, int64; what every text starts with for this model comes first.
        first: the first token that is predicted.
        covered: bytes of the text that the predicted tokens stand for; a character that two tokens share
            counts where it ends, so this may be off by the bytes of one character.
    """

    ids: NDArray[np.int64]
    first: int
    covered: int


@dataclass(frozen=True)
class _Window:
    """Tokens `start` to `stop` of one document, of which those from `first` on are predicted."""

    document: int
    start: int
    stop: int
    first: int

    @property
    def width(self) -> int:
        return self.stop - self.start


class CausalScorer:
    """Measures texts by how a causal language model predicts them.

    A document is read up to its first `max_tokens` tokens, counting what the model puts before every text
    (a begin token, where its tokenizer adds one; the end-of-document token for a reference). Texts are
    texts: what looks like a special token in one is spelt out. A document longer than the model's context
    is read in windows of the size of the context that overlap by half, and each token is predicted once,
    from at least half a context.

    Attributes:
        device: the torch device.
        max_tokens: tokens read of each document.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        encode: Callable[[Sequence[str]], list[_Encoded]],
        *,
        context: int | None,
        max_tokens: int,
        batch_tokens: int,
        device: str,
    ) -> None:
        self.device = device
        self.max_tokens = max_tokens
        self._model = model
        self._encode = encode
        self._context = max(2, min(context or max_tokens, max_tokens))
        vocabulary = int(model.get_input_embeddings().num_embeddings)
        self._vocabulary = vocabulary
        fits = _LOGITS_BYTES[device] // (vocabulary * model.dtype.itemsize)
        self._batch_tokens = max(1, min(batch_tokens, fits))
        self._chunk = max(1, _CHUNK_BYTES // (4 * vocabulary))

    @classmethod
    def load(
        cls, source: ModelSource, *, max_tokens: int, batch_tokens: int, device: DeviceChoice = "auto"
    ) -> CausalScorer:
        """Load a causal language model and its tokenizer.

        On a GPU models run in bfloat16 where it can, else in float32; references always in float32.

        Args:
            source: from `locate_model`.
            max_tokens: tokens read of each document.
            batch_tokens: tokens, padding included, that are put through the model together.
            device: where.

        Raises:
            CausalMixError: the model or its tokenizer cannot be loaded, it is no causal language model, or
                the device is not there.
        """
        on = resolve_device(device)
        if source.folder is not None and reference_record(Path(source.folder)) is not None:
            model = move_to(load_reference(Path(source.folder)).model, source.name, on)
            encode = _ByteEncoder(max_tokens).encode
        else:
            model, tokenizer = load_pretrained(source, "causal", on)
            encode = _TextEncoder(tokenizer, source.name, max_tokens).encode
            check_causal(model, source.name, on)
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        return cls(
            model,
            encode,
            context=context,
            max_tokens=max_tokens,
            batch_tokens=batch_tokens,
            device=on,
        )

    def score(self, texts: Sequence[str], heartbeat: Heartbeat | None = None) -> pa.Table:
        """Measure texts.

        With `p_t` the model's distribution of token t given the tokens before it, and t running over the
        predicted tokens of a document, that is over all tokens read of its text, or all but the first
        where the model puts nothing before a text:

        - `normalized_loss` = sum of -ln p_t(token t) / bytes of text that the predicted tokens stand for:
          the mean cross-entropy in nats per byte of UTF-8, which compares across tokenizers. Lower is
          easier to predict. (A character that the first, unpredicted token shares with the second one is
          not counted, so the bytes are exact up to one character.)
        - `high_entropy_sum` = sum of the entropies -sum_v p_t(v) ln p_t(v), in nats, of the
          max(1, floor(0.005 n)) tokens of highest entropy among the n predicted ones (HES; arXiv
          2605.22389, used as pool state by CausalMix, arXiv 2607.01104).

        Probabilities are computed in float32. The result does not depend on which texts are scored
        together, up to rounding.

        Args:
            texts: the documents.
            heartbeat: called before every batch.

        Returns:
            One row per text: normalized_loss, high_entropy_sum (float32); null where no token is predicted
            or a number is not finite.

        Raises:
            CausalMixError: the GPU's memory does not hold a single document, or the tokenizer makes tokens
                that the model does not know.
        """
        with quiet_transformers():
            documents = self._encode(texts)
            counts = np.array([max(0, len(d.ids) - d.first) for d in documents], np.int64)
            offsets = np.concatenate([[0], np.cumsum(counts)])
            loss = np.empty(offsets[-1], np.float32)
            entropy = np.empty(offsets[-1], np.float32)
            windows = [w for i, d in enumerate(documents) for w in _windows(i, d, self._context)]
            for batch, done in _batches(windows, self._batch_tokens):
                if heartbeat:
                    heartbeat(done)
                losses, entropies = self._measure(batch, documents)
                start = 0
                for window in batch:
                    size = window.stop - window.first
                    at = offsets[window.document] + window.first - documents[window.document].first
                    loss[at : at + size] = losses[start : start + size]
                    entropy[at : at + size] = entropies[start : start + size]
                    start += size
        normalized, high = np.full(len(texts), np.nan), np.full(len(texts), np.nan)
        for i, document in enumerate(documents):
            own = slice(offsets[i], offsets[i + 1])
            if counts[i] and document.covered:
                normalized[i] = loss[own].sum(dtype=np.float64) / document.covered
                high[i] = _top_sum(entropy[own])
        return pa.table({"normalized_loss": _float32(normalized), "high_entropy_sum": _float32(high)})

    def _measure(
        self, windows: Sequence[_Window], documents: Sequence[_Encoded]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Losses and entropies of the predicted tokens of some windows, one after another.

        A batch that does not fit into the GPU is halved until it does.
        """
        import torch

        try:
            return self._forward(windows, documents)
        except torch.OutOfMemoryError as error:
            if len(windows) == 1:
                raise CausalMixError(
                    f"The GPU's memory is too small for {windows[0].width} tokens of one document. "
                    "Lower max_tokens, or measure on the CPU."
                ) from error
        torch.cuda.empty_cache()
        half = len(windows) // 2
        parts = [self._measure(part, documents) for part in (windows[:half], windows[half:])]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _forward(
        self, windows: Sequence[_Window], documents: Sequence[_Encoded]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        import torch

        width = max(window.width for window in windows)
        ids = np.zeros((len(windows), width), np.int64)  # padded to the right, where nothing looks
        mask = np.zeros((len(windows), width), np.int64)
        rows, columns = [], []
        for row, window in enumerate(windows):
            ids[row, : window.width] = documents[window.document].ids[window.start : window.stop]
            mask[row, : window.width] = 1
            columns.append(np.arange(window.first, window.stop) - window.start)
            rows.append(np.full(len(columns[-1]), row))
        if ids.max() >= self._vocabulary:
            raise CausalMixError(
                f"The tokenizer makes token {ids.max()}, but the model knows only {self._vocabulary}: they "
                "do not belong together. Save the model and its tokenizer in one folder."
            )
        row_of, column_of = np.concatenate(rows), np.concatenate(columns)
        targets = torch.from_numpy(ids[row_of, column_of]).to(self.device)
        at_row = torch.from_numpy(row_of).to(self.device)
        at_column = torch.from_numpy(column_of - 1).to(self.device)
        losses, entropies = [], []
        with torch.inference_mode():
            logits = self._model(
                input_ids=torch.from_numpy(ids).to(self.device),
                # Without padding the mask is of no use, and attention is faster without it.
                attention_mask=None if mask.all() else torch.from_numpy(mask).to(self.device),
                use_cache=False,
            ).logits
            for start in range(0, len(targets), self._chunk):
                part = slice(start, start + self._chunk)
                log_p = torch.log_softmax(logits[at_row[part], at_column[part]].float(), dim=-1)
                losses.append(-log_p.gather(1, targets[part, None])[:, 0])
                # entr gives 0 for a probability of 0, where p * ln p would have no value.
                entropies.append(torch.special.entr(log_p.exp()).sum(dim=-1))
            return torch.cat(losses).cpu().numpy(), torch.cat(entropies).cpu().numpy()


class StyleScorer:
    """Rates texts with a model that gives a text a number.

    The first `max_tokens` tokens of a document are cut into windows of at most `STYLE_WINDOW` tokens, each
    is rated, and the mean of the ratings, weighted by the length of the windows, is the document's.

    Attributes:
        device: the torch device.
        max_tokens: tokens read of each document.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        encoder: _TextEncoder,
        *,
        output: int,
        context: int | None,
        max_tokens: int,
        batch_tokens: int,
        device: str,
    ) -> None:
        self.device = device
        self.max_tokens = max_tokens
        self._model = model
        self._encoder = encoder
        self._output = output
        extra = len(encoder.before) + len(encoder.after)
        self._window = max(1, min(STYLE_WINDOW, context or STYLE_WINDOW) - extra)
        self._batch_tokens = batch_tokens

    @classmethod
    def load(
        cls,
        source: ModelSource,
        *,
        max_tokens: int,
        batch_tokens: int,
        device: DeviceChoice = "auto",
        output: int | None = None,
    ) -> StyleScorer:
        """Load a sequence-regression model and its tokenizer.

        Args:
            source: from `locate_model`.
            max_tokens: tokens read of each document.
            batch_tokens: tokens that are put through the model together.
            device: where.
            output: which number is meant when the model gives several: 0 for the QuRater models, whose
                first one is the writing style.

        Raises:
            CausalMixError: the model or its tokenizer cannot be loaded, it does not rate texts with one
                number, or the device is not there.
        """
        on = resolve_device(device)
        model, tokenizer = load_pretrained(source, "regression", on)
        outputs = int(model.config.num_labels)
        if model.config.problem_type in ("single_label_classification", "multi_label_classification"):
            raise CausalMixError(
                f"The model {source.name} sorts texts into {outputs} classes; it does not rate them. Choose "
                "a sequence-regression model (one that gives a number)."
            )
        if output is None and outputs != 1:
            raise CausalMixError(
                f"The model {source.name} gives {outputs} numbers, not one. Choose a sequence-regression "
                "model, or say in writing_style_output which of its numbers is the writing style."
            )
        if output is not None and output >= outputs:
            raise CausalMixError(
                f"The model {source.name} gives {outputs} numbers, so writing_style_output is at most "
                f"{outputs - 1}, not {output}."
            )
        text_config = model.config.get_text_config()
        if text_config.pad_token_id is None:
            # Decoders look for the last token that is no padding, and refuse batches when they do not know
            # the padding. There is none here: windows of one batch have the same length.
            text_config.pad_token_id = model.config.pad_token_id = -1
        return cls(
            model,
            _TextEncoder(tokenizer, source.name, max_tokens, room_for_specials=False),
            output=output or 0,
            context=_positions(model),
            max_tokens=max_tokens,
            batch_tokens=batch_tokens,
            device=on,
        )

    def score(self, texts: Sequence[str], heartbeat: Heartbeat | None = None) -> pa.Table:
        """Rate texts.

        Args:
            texts: the documents.
            heartbeat: called before every batch.

        Returns:
            One row per text: writing_style (float32), in the model's own unit; null for a text without
            tokens, and where the number is not finite.

        Raises:
            CausalMixError: the GPU's memory does not hold a single window, or the tokenizer makes tokens
                that the model does not know.
        """
        with quiet_transformers():
            documents = self._encoder.tokenise(texts)
            windows = [
                _Window(i, start, min(start + self._window, len(ids)), start)
                for i, (ids, _) in enumerate(documents)
                for start in range(0, len(ids), self._window)
            ]
            total, weight = np.zeros(len(texts)), np.zeros(len(texts))
            for batch, done in _batches(windows, self._batch_tokens, equal=True):
                if heartbeat:
                    heartbeat(done)
                ratings = self._rate(
                    [
                        [
                            *self._encoder.before,
                            *documents[w.document][0][w.start : w.stop],
                            *self._encoder.after,
                        ]
                        for w in batch
                    ]
                )
                for window, rating in zip(batch, ratings.tolist(), strict=True):
                    total[window.document] += rating * window.width
                    weight[window.document] += window.width
        style = np.divide(total, weight, out=np.full(len(texts), np.nan), where=weight > 0)
        return pa.table({"writing_style": _float32(style)})

    def _rate(self, rows: list[list[int]]) -> NDArray[np.float64]:
        """The ratings of some windows of one length; a batch that does not fit into the GPU is halved."""
        import torch

        known = int(self._model.get_input_embeddings().num_embeddings)
        ids = torch.tensor(rows)
        if int(ids.max()) >= known:
            raise CausalMixError(
                f"The tokenizer makes token {int(ids.max())}, but the model knows only {known}: they do not "
                "belong together. Save the model and its tokenizer in one folder."
            )
        try:
            with torch.inference_mode():
                ids = ids.to(self.device)
                logits = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
                ratings: NDArray[np.float64] = logits[:, self._output].float().cpu().numpy().astype(float)
                return ratings
        except torch.OutOfMemoryError as error:
            if len(rows) == 1:
                raise CausalMixError(
                    "The GPU's memory is too small for the writing-style model. Measure on the CPU."
                ) from error
        torch.cuda.empty_cache()
        half = len(rows) // 2
        return np.concatenate([self._rate(rows[:half]), self._rate(rows[half:])])


class _ByteEncoder:
    """Makes the reference's tokens: bytes after the token that ends the document before."""

    def __init__(self, max_tokens: int) -> None:
        self._bytes = max_tokens - 1

    def encode(self, texts: Sequence[str]) -> list[_Encoded]:
        """One `_Encoded` per text."""
        encoded = []
        for text in texts:
            raw = np.frombuffer(text[: self._bytes].encode()[: self._bytes], np.uint8).astype(np.int64)
            encoded.append(_Encoded(np.concatenate([[END_OF_DOCUMENT], raw]), 1, len(raw)))
        return encoded


class _TextEncoder:
    """Makes a model's tokens, and knows how many bytes of the text they stand for.

    Attributes:
        before: tokens that the tokenizer puts before every text.
        after: tokens that it puts after every text.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        name: str,
        max_tokens: int,
        *,
        room_for_specials: bool = True,
    ) -> None:
        self._tokenizer = tokenizer
        tokenizer.truncation_side = "right"
        plain = tokenizer("a b", add_special_tokens=False)["input_ids"]
        if not plain or not tokenizer.is_fast:
            raise CausalMixError(
                f"The tokenizer of {name} cannot be used: "
                + ("it knows no tokens." if not plain else "it does not say where its tokens stand.")
                + " Save the model's tokenizer (tokenizer.json) beside the model."
            )
        full = tokenizer("a b")["input_ids"]
        at = next((i for i in range(len(full)) if full[i : i + len(plain)] == plain), None)
        self.before: list[int] = [] if at is None else full[:at]
        self.after: list[int] = [] if at is None else full[at + len(plain) :]
        self._wanted = max(1, max_tokens - len(self.before)) if room_for_specials else max_tokens

    def encode(self, texts: Sequence[str]) -> list[_Encoded]:
        """One `_Encoded` per text."""
        encoded = []
        for text, (ids, ends) in zip(texts, self.tokenise(texts), strict=True):
            first = max(1, len(self.before))
            skipped = first - len(self.before)  # the first token of a text that nothing comes before
            covered = 0
            if len(ids) > skipped:
                covered = len(text[ends[skipped - 1] if skipped else 0 : ends[-1]].encode())
            encoded.append(_Encoded(np.array([*self.before, *ids], np.int64), first, covered))
        return encoded

    def tokenise(self, texts: Sequence[str]) -> list[tuple[list[int], list[int]]]:
        """The first tokens of each text and the characters at which they end, without special tokens.

        Of a long text only as many characters are tokenised as its first tokens need.
        """
        out: list[tuple[list[int], list[int]]] = [([], [])] * len(texts)
        limit, open_ = self._wanted * _CHARACTERS_PER_TOKEN, list(range(len(texts)))
        while open_:
            encoding = self._tokenizer(
                [texts[i][:limit] for i in open_],
                add_special_tokens=False,
                split_special_tokens=True,
                return_offsets_mapping=True,
                return_attention_mask=False,
                return_token_type_ids=False,
                padding=False,
                truncation=True,
                max_length=self._wanted,
                verbose=False,
            )
            again = []
            for i, ids, offsets in zip(open_, encoding["input_ids"], encoding["offset_mapping"], strict=True):
                ends = [end for _, end in offsets]
                whole = len(texts[i]) <= limit
                if whole or (len(ids) == self._wanted and ends[-1] <= limit - _CUT_MARGIN):
                    out[i] = (ids, ends)
                else:
                    again.append(i)
            limit, open_ = limit * 8, again
        return out


def _windows(number: int, document: _Encoded, context: int) -> Iterator[_Window]:
    length = len(document.ids)
    stop = min(length, context)
    if stop > document.first:
        yield _Window(number, 0, stop, document.first)
    while stop < length:
        first, stop = max(stop, document.first), min(stop + max(1, context // 2), length)
        if stop > first:
            yield _Window(number, stop - context, stop, first)


def _batches(
    windows: list[_Window], tokens: int, *, equal: bool = False
) -> Iterator[tuple[list[_Window], float]]:
    """Windows of about the same width together, widest first, and the part of all tokens before them.

    Args:
        windows: what to put together.
        tokens: padded tokens of a batch; a single window may be larger.
        equal: whether the windows of a batch must have the same width.
    """
    ordered = sorted(windows, key=lambda w: (-w.width, w.document, w.start))
    total, done = sum(w.width for w in windows), 0
    start = 0
    while start < len(ordered):
        width = ordered[start].width
        batch = ordered[start : start + max(1, tokens // width)]
        if equal:
            batch = [w for w in batch if w.width == width]
        yield batch, done / total
        done += sum(w.width for w in batch)
        start += len(batch)


def _top_sum(entropies: NDArray[np.float32]) -> float:
    k = max(1, int(len(entropies) * TOP_ENTROPY))
    if not np.isfinite(entropies).all():
        return float("nan")
    return float(np.partition(entropies, len(entropies) - k)[-k:].sum(dtype=np.float64))


def _float32(values: NDArray[np.float64]) -> pa.Array:
    """Null where a value is not finite."""
    with np.errstate(over="ignore"):
        narrow = values.astype(np.float32)
    return pa.array(narrow, mask=~np.isfinite(narrow))


def _positions(model: PreTrainedModel) -> int | None:
    """How many tokens an encoder or decoder can read; RoBERTa counts positions from its padding on."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit is None:
        return None
    for part, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if part.endswith("position_embeddings") and isinstance(padding, int):
            return int(limit) - padding - 1
    return int(limit)
