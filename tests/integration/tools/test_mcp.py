"""A third-party MCP server's tools are tools: same interface, same refusals, same deadlines."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from trunkline.contracts.errors import InvalidSettings, ToolFailed
from trunkline.contracts.messages import Failure
from trunkline_tools.mcp_tools import McpTools, mcp_sandboxes
from trunkline_tools.sandbox.contract import Outcome
from trunkline_tools.settings import McpServer, mcp_servers

ROOT = Path(__file__).resolve().parents[3]
NPM = Path(os.environ.get("TRUNKLINE_TEST_NPM", ROOT / "tests/npm/node_modules"))
SERVER = NPM / "@modelcontextprotocol/server-everything/dist/index.js"


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None or not SERVER.exists():
        pytest.fail(f"{SERVER} or node is missing: `make test` installs it.")
    return found


@pytest.fixture
def stdio(node: str) -> McpServer:
    return McpServer(command=(node, str(SERVER), "stdio"), env={"GREETING": "hello"})


async def wait_until(condition: Callable[[], bool | Awaitable[bool]], description: str) -> None:
    async with asyncio.timeout(15):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)
    raise AssertionError(description)


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


class HttpServer:
    def __init__(self, node: str, port: int) -> None:
        self._node, self._port = node, port
        self._process: asyncio.subprocess.Process | None = None

    @property
    def settings(self) -> McpServer:
        return McpServer(url=f"http://127.0.0.1:{self._port}/mcp")

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(self._node, str(SERVER), "streamableHttp"),
            env={"PORT": str(self._port), "PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await wait_until(lambda: answers(self._port), "the server listens")

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@pytest.fixture
async def http(node: str) -> AsyncIterator[HttpServer]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = HttpServer(node, port)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture(autouse=True)
def no_process_left() -> Iterator[None]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not left, left


def server_of(tools: McpTools) -> psutil.Process:
    (child,) = [child for child in psutil.Process().children() if "server-everything" in " ".join(child.cmdline())]
    return child


async def ask(tools: McpTools, tool: str, *, timeout: float = 20, **arguments: object) -> Outcome:
    return await tools.call(f"everything.{tool}", arguments, timeout=timeout, call_id="run-1-0")


def error_of(outcome: Outcome) -> Failure:
    assert outcome.error is not None, outcome.value
    return outcome.error


async def test_its_tools_are_described_as_ours(stdio: McpServer) -> None:
    async with McpTools("everything", stdio, executor="e1") as tools:
        cards = {card.tool: card for card in await tools.describe()}
    add = cards["everything.get-sum"]
    assert add.parameters["required"] == ["a", "b"]
    assert (add.executor, add.source, add.isolation) == ("e1", "mcp:everything", "mcp-stdio")
    assert add.description


async def test_a_server_is_not_trusted_to_say_that_it_only_reads(stdio: McpServer) -> None:
    async with McpTools("everything", stdio) as tools:
        assert {(card.effect, card.retries) for card in await tools.describe()} == {("write", 0)}
    async with McpTools("everything", stdio.model_copy(update={"effect": "read"})) as tools:
        assert {(card.effect, card.retries) for card in await tools.describe()} == {("read", 2)}


async def test_text_is_a_string_and_structured_content_an_object(stdio: McpServer) -> None:
    async with McpTools("everything", stdio) as tools:
        echo = await ask(tools, "echo", message="hi")
        weather = await ask(tools, "get-structured-content", location="New York")
        image = await ask(tools, "get-tiny-image")
    assert (echo.value, echo.error, echo.isolation) == ("Echo: hi", None, "mcp-stdio")
    assert echo.duration_ms > 0
    assert set(weather.value) == {"temperature", "conditions", "humidity"}
    assert [block["type"] for block in image.value] == ["text", "image", "text"]


async def test_only_allowed_tools_are_offered(stdio: McpServer) -> None:
    async with McpTools("everything", stdio.model_copy(update={"allow": ("echo",)})) as tools:
        assert [card.tool for card in await tools.describe()] == ["everything.echo"]
        error = error_of(await ask(tools, "get-sum", a=1, b=2))
    assert (error.code, error.hint) == ("unknown_tool", "There are: everything.echo.")


async def test_wrong_arguments_never_reach_the_server(stdio: McpServer) -> None:
    async with McpTools("everything", stdio) as tools:
        server_of(tools).suspend()  # it could not answer
        error = error_of(await ask(tools, "get-sum", a="one", timeout=5))
        server_of(tools).resume()
    assert error.code == "invalid_arguments"
    assert "a: 'one' is not of type 'number'" in error.message
    assert "'b' is a required property" in error.message
    assert error.hint == "It takes a, b."


async def test_an_error_of_the_tool_is_a_failure(stdio: McpServer) -> None:
    async with McpTools("everything", stdio) as tools:
        error = error_of(await ask(tools, "get-resource-reference", resourceType="Text", resourceId=-1))
    assert (error.code, error.data["reason"]) == ("tool_failed", "raised")
    assert error.message.startswith("everything.get-resource-reference failed: ")


async def test_a_call_ends_at_its_timeout_and_the_next_one_works(stdio: McpServer) -> None:
    async with McpTools("everything", stdio) as tools:
        slow = await ask(tools, "trigger-long-running-operation", duration=60, steps=60, timeout=0.5)
        echo = await ask(tools, "echo", message="still here")
    assert error_of(slow).data["reason"] == "hung"
    assert 400 < slow.duration_ms < 30_000
    assert echo.value == "Echo: still here"


async def test_many_calls_at_once_get_each_its_own_answer(stdio: McpServer) -> None:
    async with McpTools("everything", stdio) as tools:
        outcomes = await asyncio.gather(*(ask(tools, "echo", message=str(n)) for n in range(50)))
    assert [outcome.value for outcome in outcomes] == [f"Echo: {n}" for n in range(50)]


async def test_it_sees_its_own_environment_and_no_secret(stdio: McpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATS_URL", "nats://secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with McpTools("everything", stdio) as tools:
        outcome = await ask(tools, "get-env")
    assert '"GREETING": "hello"' in outcome.value
    assert "secret" not in outcome.value


async def test_a_server_that_died_between_calls_is_started_again(stdio: McpServer) -> None:
    async with McpTools("everything", stdio) as tools:
        first = server_of(tools)
        first.send_signal(signal.SIGKILL)
        await wait_until(lambda: not first.is_running() or first.status() == psutil.STATUS_ZOMBIE, "it is dead")
        connection = tools._connection
        await wait_until(lambda: connection is not None and connection.lost, "its death is noticed")
        assert (await ask(tools, "echo", message="again")).value == "Echo: again"
        assert server_of(tools).pid != first.pid


async def test_a_call_in_flight_when_the_server_dies_fails_clearly(stdio: McpServer) -> None:
    async with McpTools("everything", stdio) as tools:
        call = asyncio.create_task(ask(tools, "trigger-long-running-operation", duration=60, steps=2))
        assert (await ask(tools, "echo", message="the other call has been sent")).error is None
        server_of(tools).send_signal(signal.SIGKILL)
        error = error_of(await call)
        assert (error.code, error.data["reason"], error.data["passing"]) == ("tool_failed", "killed", True)
        assert "not known" in error.hint
        assert (await ask(tools, "echo", message="back")).value == "Echo: back"


async def test_over_http_it_is_the_same(http: HttpServer) -> None:
    async with McpTools("everything", http.settings) as tools:
        assert {card.isolation for card in await tools.describe()} == {"mcp-http"}
        assert (await ask(tools, "echo", message="hi")).value == "Echo: hi"
        assert error_of(await ask(tools, "echo", message=3)).code == "invalid_arguments"
        slow = await ask(tools, "trigger-long-running-operation", duration=60, steps=60, timeout=0.5)
        assert error_of(slow).data["reason"] == "hung"


async def test_an_http_server_that_was_restarted_is_reached_again(http: HttpServer) -> None:
    async with McpTools("everything", http.settings) as tools:
        assert (await ask(tools, "echo", message="one")).error is None
        await http.kill()
        gone = error_of(await ask(tools, "echo", message="two", timeout=10))
        assert (gone.code, gone.data["reason"]) == ("tool_failed", "killed")
        await http.start()
        assert (await ask(tools, "echo", message="three")).value == "Echo: three"


async def test_a_session_that_the_server_no_longer_knows_is_opened_anew(http: HttpServer) -> None:
    async with McpTools("everything", http.settings) as tools:
        assert (await ask(tools, "echo", message="one")).error is None
        await http.kill()
        await http.start()
        assert error_of(await ask(tools, "echo", message="two")).data["reason"] == "killed"
        assert (await ask(tools, "echo", message="three")).value == "Echo: three"


@pytest.mark.parametrize(
    "server",
    [
        McpServer(command=("/nonexistent/server",)),
        McpServer(command=("false",)),
        McpServer(url="http://127.0.0.1:9/mcp"),
    ],
    ids=["no such program", "ends at once", "nobody listens"],
)
async def test_a_server_that_cannot_be_reached_says_so_at_the_start(server: McpServer) -> None:
    with pytest.raises(ToolFailed, match="the MCP server away cannot be reached"):
        async with McpTools("away", server):
            pass


def test_servers_come_from_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "trunkline.toml"
    file.write_text(
        '[models]\nsmall = "x"\n[mcp.a]\ncommand = ["run", "it"]\nenv = {A = "b"}\nallow = ["echo"]\n'
        '[mcp.b]\nurl = "https://example.org/mcp"\neffect = "read"\n'
    )
    assert mcp_servers(file) == {
        "a": McpServer(command=("run", "it"), env={"A": "b"}, allow=("echo",)),
        "b": McpServer(url="https://example.org/mcp", effect="read"),
    }
    assert [name for name, _ in mcp_sandboxes(file)] == ["a", "b"]


def test_without_a_settings_file_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert mcp_servers(None) == {}
    with pytest.raises(InvalidSettings, match="cannot be read"):
        mcp_servers(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("", "give either command or url"),
        ('command = ["x"]\nurl = "http://y"', "give either command or url"),
        ('url = "ftp://y"', "mcp.a.url"),
        ('url = "http://y"\nenv = {A = "b"}', "env is for a command"),
        ('command = ["x"]\nallowed = ["y"]', "mcp.a.allowed"),
        ('url = "http://y"\nretries = 1', "cannot have retries"),
        ('url = "http://y"\neffect = "read"\nretries = 99', "a number from 0 to 10"),
        ('command = "x', "cannot be read"),
    ],
)
def test_a_bad_table_is_refused_with_its_place(tmp_path: Path, table: str, what: str) -> None:
    file = tmp_path / "trunkline.toml"
    file.write_text(f"[mcp.a]\n{table}\n")
    with pytest.raises(InvalidSettings, match=what):
        mcp_servers(file)
