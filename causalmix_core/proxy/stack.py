"""K proxies of one shape as one stacked model that can be thinned out and halved while it trains.

The Hugging Face module is run under `vmap` over K sets of parameters (`torch.func`), so K small matrix
products become one large one. A single proxy runs the module as it is. Proxies do not see each other:
vmap keeps them apart, AdamW works element by element on the stacked parameters, gradients are clipped
per proxy, and a proxy whose loss or gradient is not finite is taken out before it moves a weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from causalmix_core.errors import CausalMixError
from causalmix_core.proxy.spec import Attention, ProxySpec

if TYPE_CHECKING:
    import torch


Reader = Callable[["torch.Tensor"], "torch.Tensor"]
"""What a proxy predicts: from tokens, int64 (n, length), to logits, (n, length, vocabulary)."""


class StackState(TypedDict):
    """A stack between two steps: numbers of its members, parameters by name, and per parameter the state of
    the optimiser."""

    members: list[int]
    parameters: dict[str, torch.Tensor]
    optimiser: dict[str, dict[str, torch.Tensor]]


class Architecture:
    """What all proxies of a shape share: the modules without weights, and the buffers."""

    def __init__(self, spec: ProxySpec, buffers: Mapping[str, torch.Tensor]) -> None:
        self.spec = spec
        self.buffers = dict(buffers)

    @cached_property
    def stacked(self) -> torch.nn.Module:
        """For K proxies under vmap."""
        return self._empty("eager")

    @cached_property
    def single(self) -> torch.nn.Module:
        """For one proxy; the fused attention is about twice as fast and keeps no table of scores."""
        return self._empty("sdpa")

    def _empty(self, attention: Attention) -> torch.nn.Module:
        import torch

        with torch.device("meta"):
            module: torch.nn.Module = self.spec.model_class(self.spec.hf_config(attention)).train()
        return module


class Stack:
    """Some proxies that train together.

    Attributes:
        members: their numbers among all proxies, ascending.
        parameters: by name, float32, each of shape (K, ...).
    """

    def __init__(
        self, architecture: Architecture, members: Sequence[int], parameters: Mapping[str, torch.Tensor]
    ) -> None:
        self.architecture = architecture
        self.members = list(members)
        self._adopt(parameters)

    def __len__(self) -> int:
        return len(self.members)

    def losses(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mean loss of each proxy in nats per token, shape (K,).

        Args:
            tokens: int64, shape (K, sequences, length).
        """
        from torch.func import functional_call, vmap

        buffers = self.architecture.buffers
        single = len(self) == 1
        base = self.architecture.single if single else self.architecture.stacked
        parameters = _for_a_pass(self.parameters, self.architecture.spec)

        def loss_of_one(p: Mapping[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
            inputs = {"input_ids": x, "labels": x, "use_cache": False}
            loss: torch.Tensor = functional_call(base, (p, buffers), (), inputs).loss
            return loss

        if single:
            return loss_of_one({n: p.squeeze(0) for n, p in parameters.items()}, tokens[0]).unsqueeze(0)
        together: torch.Tensor = vmap(loss_of_one)(parameters, tokens)
        return together

    def reader(self, member: int) -> Reader:
        """What one proxy of the stack predicts."""
        import torch
        from torch.func import functional_call

        row, base, buffers = self.members.index(member), self.architecture.single, self.architecture.buffers
        own = {name: p.detach()[row] for name, p in self.parameters.items()}
        own = _for_a_pass(own, self.architecture.spec)

        def read(tokens: torch.Tensor) -> torch.Tensor:
            inputs = {"input_ids": tokens, "use_cache": False}
            with torch.no_grad():
                logits: torch.Tensor = functional_call(base, (own, buffers), (), inputs).logits
            return logits

        return read

    def step(self, tokens: torch.Tensor, rate: float) -> tuple[np.ndarray, list[int]]:
        """One optimiser step of every proxy.

        A proxy whose loss or gradient is not finite leaves the stack before it takes the step.

        Args:
            tokens: int64, shape (K, batch, length).
            rate: learning rate.

        Returns:
            Training loss of each proxy before the step, shape (K,) for the K members there were, and the
            members that left.
        """
        import torch

        losses = self.losses(tokens)
        losses.sum().backward()
        with torch.no_grad():
            norms = _gradient_norms(self._gradients())
            healthy = torch.isfinite(losses) & torch.isfinite(norms)
            values, well = losses.detach().float().cpu().numpy(), healthy.cpu().numpy()
            failed = [m for m, w in zip(self.members, well, strict=True) if not w]
            if failed:
                self.keep(np.flatnonzero(well))
                norms = norms[healthy]
            if len(self):
                _scale_each(
                    self._gradients(), (self.architecture.spec.clip_norm / (norms + 1e-6)).clamp(max=1)
                )
                for group in self.optimiser.param_groups:
                    group["lr"] = rate
                self.optimiser.step()
        self.forget_gradients()
        return values, failed

    def keep(self, rows: np.ndarray) -> None:
        """Go on with the proxies at `rows` (ascending) only."""
        import torch

        at = torch.as_tensor(rows)
        taken = self._select(lambda t: t[at.to(t.device)])
        self.members = [self.members[r] for r in rows.tolist()]
        self._adopt(*taken)

    def halves(self) -> tuple[Stack, Stack]:
        """Two stacks that go on where this one stands; they share its memory, so that it costs none."""
        middle = (len(self) + 1) // 2
        parts = []
        for rows in (slice(0, middle), slice(middle, None)):
            part = Stack.__new__(Stack)
            part.architecture, part.members = self.architecture, self.members[rows]
            part._adopt(*self._select(lambda t, rows=rows: t[rows]))  # type: ignore[misc]
            parts.append(part)
        return parts[0], parts[1]

    def state(self) -> StackState:
        """What is needed to go on from here; between two steps there are no gradients.

        The tensors are those of this stack: the next step changes them.
        """
        return {
            "members": list(self.members),
            "parameters": {name: p.detach() for name, p in self.parameters.items()},
            "optimiser": {name: dict(self.optimiser.state[p]) for name, p in self.parameters.items()},
        }

    @classmethod
    def from_state(cls, architecture: Architecture, state: StackState, device: str) -> Stack:
        """A stack that goes on where `state` was taken.

        Raises:
            KeyError: the state lacks something.
        """
        stack = cls.__new__(cls)
        stack.architecture, stack.members = architecture, list(state["members"])
        moments = {
            name: {k: v.to(device) for k, v in values.items()} for name, values in state["optimiser"].items()
        }
        stack._adopt({name: p.to(device) for name, p in state["parameters"].items()}, moments)
        return stack

    def forget_gradients(self) -> None:
        """Free the memory of the gradients."""
        self.optimiser.zero_grad(set_to_none=True)

    def _gradients(self) -> list[torch.Tensor]:
        return [p.grad for p in self.parameters.values() if p.grad is not None]

    def _select(
        self, choose: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, Any]], dict[str, torch.Tensor]]:
        """Parameters, optimiser state and gradients of some proxies."""
        parameters, state, gradients = {}, {}, {}
        for name, p in self.parameters.items():
            parameters[name] = choose(p.detach())
            if p.grad is not None:
                gradients[name] = choose(p.grad)
            # The count of steps has no axis of proxies.
            state[name] = {k: choose(v) if v.dim() else v.clone() for k, v in self.optimiser.state[p].items()}
        return parameters, state, gradients

    def _adopt(
        self,
        parameters: Mapping[str, torch.Tensor],
        state: Mapping[str, dict[str, Any]] | None = None,
        gradients: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        import torch

        spec = self.architecture.spec
        self.parameters = {n: p.detach().requires_grad_() for n, p in parameters.items()}
        for name, gradient in (gradients or {}).items():
            self.parameters[name].grad = gradient
        self.optimiser = torch.optim.AdamW(
            [  # stacked matrices have three axes, stacked norms and biases two; these are not decayed
                {"params": [p for p in self.parameters.values() if p.dim() > 2]},
                {"params": [p for p in self.parameters.values() if p.dim() <= 2], "weight_decay": 0.0},
            ],
            lr=spec.learning_rate,
            betas=(0.9, 0.95),
            weight_decay=spec.weight_decay,
            fused=True,
        )
        # The optimiser would make its state in the first step; made here, a step that runs out of memory
        # has done so before it changed anything, and can be tried again.
        for name, p in self.parameters.items():
            self.optimiser.state[p] = (
                state[name]
                if state
                else {
                    "step": torch.zeros((), device=p.device),
                    "exp_avg": torch.zeros_like(p, requires_grad=False),
                    "exp_avg_sq": torch.zeros_like(p, requires_grad=False),
                }
            )


def new_stacks(spec: ProxySpec, members: Sequence[int], size: int, seed: int, device: str) -> list[Stack]:
    """Proxies with equal initial weights, at most `size` to a stack, without touching torch's global seed."""
    architecture, weights = _architecture(spec, seed, device)
    if spec.pretrained is not None:
        size = 1  # large models gain nothing from a stack, and many cannot be stacked
    stacks = []
    for part in np.array_split(np.asarray(members), max(1, -(-len(members) // size))):
        copies = {n: w.expand(len(part), *w.shape).to(device, copy=True) for n, w in weights.items()}
        stacks.append(Stack(architecture, part.tolist(), {n: c.contiguous() for n, c in copies.items()}))
    return stacks


def restored_stacks(spec: ProxySpec, states: Sequence[StackState], seed: int, device: str) -> list[Stack]:
    """Stacks that go on where their states were taken.

    Raises:
        KeyError: a state lacks something.
        ValueError: a state is that of another kind of proxy.
    """
    architecture, weights = _architecture(spec, seed, device)
    shapes = {name: w.shape for name, w in weights.items()}
    for state in states:
        count = len(state["members"])
        if {n: p.shape for n, p in state["parameters"].items()} != {
            n: (count, *shape) for n, shape in shapes.items()
        }:
            raise ValueError("the parameters are those of another proxy")
    return [Stack.from_state(architecture, state, device) for state in states]


def _architecture(spec: ProxySpec, seed: int, device: str) -> tuple[Architecture, dict[str, torch.Tensor]]:
    """What all proxies share, and the initial weights, on the CPU."""
    if spec.pretrained is not None:
        from causalmix_core.proxy.finetuning import pretrained_architecture

        return pretrained_architecture(spec, seed, device)
    model = spec.new_model(seed)
    architecture = Architecture(spec, {name: b.to(device) for name, b in model.named_buffers()})
    return architecture, {name: p.detach() for name, p in model.named_parameters()}


def _for_a_pass(parameters: dict[str, torch.Tensor], spec: ProxySpec) -> dict[str, torch.Tensor]:
    """Parameters in the precision of a pass.

    In bfloat16 they are copies: gradients flow back through the cast to the float32 weights. Autocast would
    not do: under vmap the rotated queries and the values end up with different types.
    """
    if spec.precision == "float32":
        return parameters
    import torch

    return {name: p.to(torch.bfloat16) for name, p in parameters.items()}


def work_through(stacks: Sequence[Stack], work: Callable[[Stack], None]) -> list[Stack]:
    """Do some work with every stack; one that does not fit into memory is halved and tried again.

    Args:
        stacks: what is there.
        work: must leave nothing behind when it runs out of memory.

    Returns:
        The stacks after the work, those without members left out.

    Raises:
        CausalMixError: a single proxy does not fit.
    """
    import torch

    waiting, done = list(stacks), []
    while waiting:
        stack = waiting.pop(0)
        try:
            work(stack)
            fits = True
        except torch.OutOfMemoryError:
            fits = False  # halved outside: the exception holds on to the tensors of the failed pass
        if fits:
            done += [stack] if len(stack) else []
            continue
        stack.forget_gradients()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(stack) == 1:
            spec = stack.architecture.spec
            raise CausalMixError(
                f"The memory of the device does not hold one proxy of {spec.parameters:,} parameters with "
                f"{spec.batch_size} sequences of {spec.sequence_length} tokens per step. Choose a smaller "
                "proxy or batch, or free the memory that other programs use."
            )
        waiting[:0] = stack.halves()
    return done


def _gradient_norms(gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Norm of each proxy's gradient, shape (K,)."""
    import torch

    return torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()


def _scale_each(gradients: Sequence[torch.Tensor], scale: torch.Tensor) -> None:
    """Multiply each proxy's gradient by a number of its own."""
    for g in gradients:
        g.mul_(scale.view(-1, *[1] * (g.dim() - 1)))
