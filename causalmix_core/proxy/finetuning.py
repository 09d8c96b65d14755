"""Proxies that go on from a pretrained model: what they share, and the weights that are each one's own.

A fine-tuned proxy is a stack of one (stack.py): the same steps, clipping, schedule, measurements and saved
states as for proxies from scratch. Copies of a model take their steps in turn; what does not change is in
memory once: with adapters the whole model, else nothing but the buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from causalmix_core.proxy.pretrained import check_peft, load_proxy_model
from causalmix_core.proxy.quiet import quiet_transformers
from causalmix_core.proxy.spec import ProxySpec
from causalmix_core.proxy.stack import Architecture

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class PretrainedArchitecture(Architecture):
    """A pretrained model whose trained weights are passed in.

    Attributes:
        single: the module; weights that are not trained are its own.
    """

    def __init__(self, spec: ProxySpec, module: torch.nn.Module, buffers: Mapping[str, torch.Tensor]) -> None:
        super().__init__(spec, buffers)
        self.single = module


def pretrained_architecture(
    spec: ProxySpec, seed: int, device: str
) -> tuple[PretrainedArchitecture, dict[str, torch.Tensor]]:
    """Load the model of a spec.

    Args:
        spec: a settled spec of a pretrained proxy.
        seed: of the adapters' initial weights. Adapters begin as no change at all, since one of their two
            matrices is zero.
        device: where the weights that are not trained go.

    Returns:
        What all copies share, and the initial weights that are trained, by name, float32, on the CPU.

    Raises:
        CausalMixError: the model cannot be loaded or is no causal language model; peft is missing.
    """
    import torch

    if spec.tuning == "lora":
        frozen = torch.bfloat16 if spec.precision == "bfloat16" else torch.float32
        module = _with_adapters(load_proxy_model(spec, frozen), spec, seed).to(device).eval()
        weights = {n: p.detach().float().cpu() for n, p in module.named_parameters() if p.requires_grad}
        return PretrainedArchitecture(spec, module, dict(module.named_buffers())), weights
    model = load_proxy_model(spec, torch.float32)
    buffers = {name: b.to(device) for name, b in model.named_buffers()}
    weights = {name: p.detach() for name, p in model.named_parameters()}
    with torch.device("meta"), quiet_transformers():
        empty: Any = type(model)(model.config)
    empty.tie_weights()
    return PretrainedArchitecture(spec, empty.eval(), buffers), weights


def _with_adapters(model: PreTrainedModel, spec: ProxySpec, seed: int) -> torch.nn.Module:
    check_peft()
    import torch

    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(seed)
        adapters = LoraConfig(
            r=spec.lora_rank,
            lora_alpha=spec.lora_alpha,
            lora_dropout=0.0,  # would be luck of its own for each proxy
            target_modules="all-linear",
            bias="none",
            task_type="CAUSAL_LM",
        )
        module: torch.nn.Module = get_peft_model(model, adapters)
    return module
