"""With weights by meaning, without them by words; and the log says which, and why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.unit.router.desk import routes
from trunkline_router.classifiers import weights as found
from trunkline_router.classifiers.choice import INSTALL, best_classifier


@pytest.fixture
def installed(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy that may be spoilt."""
    model = tmp_path / found.PACKAGE / "model"
    model.mkdir(parents=True)
    (model.parent / "__init__.py").touch()
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        shutil.copy(weights / name, model)
    monkeypatch.setattr(found, "SHARE", tmp_path)
    return model


def test_with_weights_it_routes_by_meaning(installed: Path) -> None:
    with capture_logs() as logs:
        classifier = best_classifier()
    classifier.fit(routes())
    verdict = classifier.classify("the pipeline is red again")
    assert (verdict.label, verdict.source) == ("developer", "embedding")
    assert [(each["source"], each["weights"]) for each in logs] == [("embedding", str(installed))]


def cut_off(model: Path) -> None:
    with (model / "model.safetensors").open("r+b") as file:
        file.truncate(1_000_000)


Spoil = Callable[[Path], object]
SPOILT: dict[str, Spoil] = {
    "not installed": lambda model: shutil.rmtree(model.parent),
    "no room for its tensor": cut_off,
    "config.json": lambda model: (model / "config.json").unlink(),
    "the vocabulary has no": lambda model: (model / "vocab.txt").write_text("a\nb\n"),
}


@pytest.mark.parametrize(("reason", "spoil"), SPOILT.items(), ids=SPOILT)
def test_without_whole_weights_it_routes_by_words(installed: Path, reason: str, spoil: Spoil) -> None:
    spoil(installed)
    with capture_logs() as logs:
        classifier = best_classifier()
    classifier.fit(routes())
    assert classifier.classify("Where is my parcel?").source == "lexical"
    assert [(each["log_level"], each["install"]) for each in logs] == [("warning", INSTALL)]
    assert reason in logs[0]["reason"]
