"""Small language models that learn what a mixture does: tokens, model and batched training.

`ProxySpec` says what a proxy is, `TokenPool` what it reads, `train_proxies` trains a batch of them, and
`stack_size` says how many this machine should train as one.
"""

from causalmix_core.proxy.memory import stack_size
from causalmix_core.proxy.pool import DomainTokens, SubPool, TokenPool, heldout_windows
from causalmix_core.proxy.pretrained import settle_proxy
from causalmix_core.proxy.spec import PRESETS, Family, PresetName, ProxySpec
from causalmix_core.proxy.token_files import proxy_tokens
from causalmix_core.proxy.training import (
    Trained,
    TrajectoryPoint,
    bits_per_byte,
    choose_device,
    train_proxies,
)

__all__ = [
    "PRESETS",
    "DomainTokens",
    "Family",
    "PresetName",
    "ProxySpec",
    "SubPool",
    "TokenPool",
    "Trained",
    "TrajectoryPoint",
    "bits_per_byte",
    "choose_device",
    "heldout_windows",
    "proxy_tokens",
    "settle_proxy",
    "stack_size",
    "train_proxies",
]
