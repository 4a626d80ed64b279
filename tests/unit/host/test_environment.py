"""Secrets go to the agents alone, and nobody's bus but ours to anyone."""

import pytest

from trunkline.host.environment import with_keys, without_keys


def test_only_agents_get_what_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MY_TOKEN", "TRUNKLINE_MODELS_KEY", "NATS_URL", "TRUNKLINE_LOG_LEVEL"):
        monkeypatch.setenv(name, "x")
    assert {"OPENAI_API_KEY", "MY_TOKEN", "TRUNKLINE_LOG_LEVEL"} <= with_keys().keys()
    assert not {"OPENAI_API_KEY", "MY_TOKEN", "TRUNKLINE_MODELS_KEY"} & without_keys().keys()
    assert {"PATH", "TRUNKLINE_LOG_LEVEL"} <= without_keys().keys()
    assert "NATS_URL" not in with_keys().keys() | without_keys().keys()
