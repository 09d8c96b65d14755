"""Keeps `transformers` from talking: no progress bars, no tips, no telemetry, and nothing left changed.

Loading a model prints bars, reports and hints that end up in a job's log or a server's terminal, where
nobody can act on them. What matters is raised as an error by those who load.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging import ERROR

_NO_CONVERSION = "DISABLE_SAFETENSORS_CONVERSION"
_NO_TELEMETRY = "HF_HUB_DISABLE_TELEMETRY"


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence `transformers` and `huggingface_hub` while the block runs, then restore what was set.

    Two habits are switched off as well: sending usage statistics, and asking a service on the hub to
    convert a model's files (a thread that `transformers` starts when it loads old checkpoints).
    """
    # Read when huggingface_hub is first imported; a later import of it must not undo the choice.
    os.environ.setdefault(_NO_TELEMETRY, "1")
    from huggingface_hub import constants
    from huggingface_hub.utils import logging as hub_logging
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from transformers.utils import logging

    verbosity, hub_verbosity = logging.get_verbosity(), hub_logging.get_verbosity()
    bars, hub_bars = logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    telemetry, conversion = constants.HF_HUB_DISABLE_TELEMETRY, os.environ.get(_NO_CONVERSION)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.set_verbosity_error()
        hub_logging.set_verbosity(ERROR)
        logging.disable_progress_bar()
        disable_progress_bars()
        constants.HF_HUB_DISABLE_TELEMETRY = True
        os.environ[_NO_CONVERSION] = "1"
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            hub_logging.set_verbosity(hub_verbosity)
            if bars:
                logging.enable_progress_bar()
            if hub_bars:
                enable_progress_bars()
            constants.HF_HUB_DISABLE_TELEMETRY = telemetry
            if conversion is None:
                os.environ.pop(_NO_CONVERSION, None)
            else:
                os.environ[_NO_CONVERSION] = conversion
