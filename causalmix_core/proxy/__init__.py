"""Small language models that learn what a mixture does: tokens, model and batched training.

`ProxySpec` says what a proxy is, `TokenPool` what it reads, `train_proxies` trains a batch of them.
"""

from causalmix_core.proxy.pool import DomainTokens, SubPool, TokenPool, heldout_windows
from causalmix_core.proxy.spec import PRESETS, PresetName, ProxySpec
from causalmix_core.proxy.training import Trained, choose_device, train_proxies

__all__ = [
    "PRESETS",
    "DomainTokens",
    "PresetName",
    "ProxySpec",
    "SubPool",
    "TokenPool",
    "Trained",
    "choose_device",
    "heldout_windows",
    "train_proxies",
]
