"""Which model a name stands for, and what is said when there is none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.contracts.dialog import ModelQuery, UserMessage
from trunkline.contracts.errors import InvalidSettings
from trunkline.models import ModelSettings, open_models, resolve
from trunkline.models.tiers import endpoint, ollama_url

VARIABLES = (
    "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "GEMINI_API_KEY", "GOOGLE_API_KEY",
    "OLLAMA_HOST", "OLLAMA_BASE_URL", "TRUNKLINE_MODELS_SMALL", "TRUNKLINE_MODELS_LARGE",
)  # fmt: skip


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration, no key."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def written(text: str) -> Path:
    path = Path("trunkline.toml")
    path.write_text(text)
    return path


def test_without_anything_both_tiers_are_offline() -> None:
    settings = ModelSettings.load()

    assert resolve(settings, "small") == ("offline:small",)
    assert resolve(settings, "large") == ("offline:large",)
    assert settings.first_seconds < settings.timeout_seconds


@pytest.mark.parametrize(
    ("variable", "provider"),
    [
        ("OPENAI_API_KEY", "openai"),
        ("ANTHROPIC_API_KEY", "anthropic"),
        ("GEMINI_API_KEY", "google"),
        ("GOOGLE_API_KEY", "google"),
    ],
)
def test_a_key_chooses_the_provider(monkeypatch: pytest.MonkeyPatch, variable: str, provider: str) -> None:
    """Its default models are ones whose price is known, and large costs more than small."""
    from genai_prices import Usage, calc_price

    monkeypatch.setenv(variable, "a-key")
    settings = ModelSettings.load()
    (small,), (large,) = resolve(settings, "small"), resolve(settings, "large")

    assert small.startswith(f"{provider}:")
    used = Usage(input_tokens=1000, output_tokens=1000)
    prices = [calc_price(used, name.partition(":")[2], provider_id=provider).total_price for name in (small, large)]
    assert 0 < prices[0] < prices[1]


def test_the_first_provider_found_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "box")
    assert resolve(ModelSettings.load(), "small") == ("ollama:llama3.2",)
    for provider in ("google", "anthropic", "openai"):
        monkeypatch.setenv(f"{provider.upper()}_API_KEY", "a-key")
        assert resolve(ModelSettings.load(), "small")[0].startswith(f"{provider}:")


def test_the_file_names_the_tiers() -> None:
    path = written(
        """
        [models]
        small = "house:tiny"
        large = "offline:large"
        timeout_seconds = 5
        retries = 0
        [providers.house]
        base_url = "http://models.house:8000/v1"
        [router]
        whatever = "is not ours"
        """
    )
    for settings in (ModelSettings.load(path), ModelSettings.load()):
        assert resolve(settings, "small") == ("house:tiny",)
        assert (settings.timeout_seconds, settings.retries) == (5, 0)
        assert endpoint(settings, "house").base_url == "http://models.house:8000/v1"


def test_a_tier_may_be_a_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its models is asked when the ones before it fail; a variable has commas between them."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    path = written('[models]\nsmall = ["openai:gpt-x", "offline:small"]')
    assert resolve(ModelSettings.load(path), "small") == ("openai:gpt-x", "offline:small")

    monkeypatch.setenv("TRUNKLINE_MODELS_SMALL", "offline:large, openai:gpt-y")
    assert resolve(ModelSettings.load(path), "small") == ("offline:large", "openai:gpt-y")


def test_each_model_of_a_chain_must_be_one_that_can_be_asked() -> None:
    settings = ModelSettings.load(written('[models]\nsmall = ["offline:small", "anthropic:x"]'))
    with pytest.raises(InvalidSettings, match="ANTHROPIC_API_KEY is not set"):
        resolve(settings, "small")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_MODELS_SMALL", "offline:large")

    assert resolve(ModelSettings.load(written('[models]\nsmall = "offline:small"')), "small") == ("offline:large",)


def test_a_full_name_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gemini:` is another word for `google:`, and a model's name may itself have a colon."""
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    monkeypatch.setenv("GEMINI_API_KEY", "a-key")
    settings = ModelSettings.load()

    assert resolve(settings, "openai:gpt-x") == ("openai:gpt-x",)
    assert resolve(settings, "openai-responses:gpt-x") == ("openai-responses:gpt-x",)
    assert resolve(settings, "ollama:qwen3:8b") == ("ollama:qwen3:8b",)
    assert resolve(settings, "gemini:flash") == ("google:flash",)


def test_a_private_provider_has_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSE_KEY", "of-the-house")
    monkeypatch.setenv("OPENAI_API_KEY", "of-openai")
    path = written(
        """
        [providers.house]
        base_url = "http://house/v1"
        api_key_env = "HOUSE_KEY"
        [providers.free]
        base_url = "http://free/v1"
        """
    )
    settings = ModelSettings.load(path)

    assert endpoint(settings, "house").key.get_secret_value() == "of-the-house"
    assert endpoint(settings, "free").key.get_secret_value() == ""
    assert "of-the-house" not in repr(settings)
    assert "of-openai" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("smal", "no tier 'smal'", "Did you mean `small`?"),
        ("medium", "no tier 'medium'", "Tiers: small, large."),
        ("opnai:gpt-x", "no provider 'opnai'", "Did you mean `openai`?"),
        ("acme:x", "no provider 'acme'", "[providers.acme]"),
        ("openai:gpt-x", "OPENAI_API_KEY is not set", "Set OPENAI_API_KEY"),
        ("openai-responses:gpt-x", "OPENAI_API_KEY is not set", "Set OPENAI_API_KEY"),
        ("anthropic:x", "ANTHROPIC_API_KEY is not set", "Set ANTHROPIC_API_KEY"),
        ("gemini:x", "GEMINI_API_KEY is not set", "Set GEMINI_API_KEY"),
        ("offline:huge", "no model 'offline:huge'", "offline:small, offline:large"),
        ("openai:", "no tier 'openai:'", "provider:model"),
        ("", "no tier ''", "Tiers: small, large."),
    ],
)
def test_a_name_that_means_nothing(name: str, what: str, hint: str) -> None:
    """The error says what exists and what to do."""
    with pytest.raises(InvalidSettings) as caught:
        resolve(ModelSettings.load(), name)
    assert what in caught.value.what
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[models]\nsmal = "x"', "[models] has an unknown key `smal`. Did you mean `small`?"),
        ("[models]\ntimeout = 3", "Did you mean `timeout_seconds`?"),
        ("[models]\ntimeout_seconds = -1", "timeout_seconds: Input should be greater than 0"),
        ("[models]\ntimeout_seconds = inf", "timeout_seconds"),
        ("[models]\nsmall = 3", "small: Value error, name a model, or several in a list"),
        ("[models]\nsmall = [3]", "small: Value error, name a model, or several in a list"),
        ("[models]\nretries = -1", "retries: Input should be greater than or equal to 0"),
        ("[models]\nstall_second = 3", "Did you mean `stall_seconds`?"),
        ("models = 3", "models is not a table"),
        ("[models", "is not TOML"),
        ('[providers.house]\nbase_ur = "http://x"', "[providers.house] has an unknown key `base_ur`."),
        ('[providers.house]\nbase_url = "ftp://x"', "providers.house.base_url"),
        ("[providers]\nhouse = 3", "providers.house is not a table"),
    ],
)  # fmt: skip
def test_a_broken_file(text: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        ModelSettings.load(written(text))
    assert said in str(caught.value)
    assert "trunkline.toml" in str(caught.value)


def test_a_named_file_must_exist() -> None:
    with pytest.raises(InvalidSettings, match=r"nowhere\.toml cannot be read"):
        ModelSettings.load(Path("nowhere.toml"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[models]\nsmall = "large"', "names the tier 'large'"),
        ('[models]\nsmall = ["offline:small", "large"]', "names the tier 'large'"),
        ('[models]\nsmall = "house:x"\n[providers.house]\napi_key_env = "X"', "has no address"),
        (
            '[models]\nsmall = "house:x"\n[providers.house]\nbase_url = "http://x"\napi_key_env = "NOT_THERE"',
            "environment variable NOT_THERE is not set",
        ),
    ],
)
def test_a_tier_that_cannot_be_used(text: str, said: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        resolve(ModelSettings.load(written(text)), "small")
    assert said in caught.value.what


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://localhost:11434/v1"),
        ("box", "http://box:11434/v1"),
        ("0.0.0.0:9999", "http://127.0.0.1:9999/v1"),
        ("http://box:9999/", "http://box:9999/v1"),
        ("https://models.example.org", "https://models.example.org/v1"),
        ("http://box:9999/other/v1", "http://box:9999/other/v1"),
        ("http://[::1]:9999", "http://[::1]:9999/v1"),
    ],
)
def test_where_ollama_listens(host: str, url: str) -> None:
    assert ollama_url(host) == url


async def test_open_models_answers_a_tier() -> None:
    models = open_models(ModelSettings.load())

    reply = await models.complete(ModelQuery(model="small", messages=(UserMessage("Hello!"),)), lambda _: None)
    await models.close()

    assert reply.model == "offline:small"
    assert reply.text.startswith("(offline model)")


def test_importing_and_answering_offline_loads_no_sdk() -> None:
    """A process that never asks a provider never pays for its SDK."""
    code = """
import asyncio, sys
from trunkline.contracts.dialog import ModelQuery, UserMessage
from trunkline.models import ModelSettings, open_models
models = open_models(ModelSettings())
asyncio.run(models.complete(ModelQuery(model="offline:small", messages=(UserMessage("hi"),)), lambda _: None))
loaded = {name.partition(".")[0] for name in sys.modules}
print(sorted(loaded & {"openai", "anthropic", "google", "pydantic_ai", "httpx", "httpx2", "genai_prices"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "[]", done.stderr
