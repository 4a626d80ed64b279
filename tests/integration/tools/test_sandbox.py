"""Whatever a tool does, the executor gets a typed outcome in time, and nothing of the call is left."""

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from trunkline.contracts.errors import BrokenFile
from trunkline.contracts.messages import Failure
from trunkline_tools import __main__ as executor
from trunkline_tools.sandbox.contract import Outcome, Sandbox
from trunkline_tools.sandbox.limits import MIB, Limits
from trunkline_tools.sandbox.zygote import ISOLATION, ZygoteSandbox

FILE = Path(__file__).with_name("dangerous.py")
HEAD = "from trunkline.tool import tool\n"


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ZygoteSandbox]:
    monkeypatch.setenv("NATS_URL", "nats://user:secret@bus")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    async with ZygoteSandbox(FILE, executor="e1") as entered:
        yield entered


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    me = psutil.Process()
    processes, descriptors = {child.pid for child in me.children(recursive=True)}, me.num_fds()
    yield
    assert {child.pid for child in me.children(recursive=True)} <= processes
    assert me.num_fds() <= descriptors


@pytest.fixture
def marker() -> str:
    """An odd number of seconds, by which a test finds its own `sleep` processes."""
    return f"1000.{uuid.uuid4().int % 10**12}"


async def run(sandbox: Sandbox, tool: str, *, timeout: float = 20, **arguments: Any) -> Outcome:
    return await sandbox.call(tool, arguments, timeout=timeout, call_id="run-1-0")


async def value(sandbox: Sandbox, tool: str, **arguments: Any) -> Any:
    outcome = await run(sandbox, tool, **arguments)
    assert outcome.error is None
    return outcome.value


async def failure(sandbox: Sandbox, tool: str, *, timeout: float = 20, **arguments: Any) -> Failure:
    outcome = await run(sandbox, tool, timeout=timeout, **arguments)
    assert outcome.value is None
    assert outcome.error is not None
    assert outcome.error.hint
    assert outcome.isolation == ISOLATION
    return outcome.error


async def reason(sandbox: Sandbox, tool: str, *, timeout: float = 20, **arguments: Any) -> str:
    error = await failure(sandbox, tool, timeout=timeout, **arguments)
    assert error.code == "tool_failed"
    return str(error.data["reason"])


async def wait_until(condition: Callable[[], bool], description: str) -> None:
    try:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # other processes set no event
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(description) from None


def sleepers(marker: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if marker in (process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def zygote_of(sandbox: ZygoteSandbox) -> psutil.Process:
    assert sandbox._spawned is not None
    return psutil.Process(sandbox._spawned.process.pid)


# What comes back


async def test_the_cards_of_the_file_are_known_without_importing_it_here(sandbox: ZygoteSandbox) -> None:
    cards = {card.tool: card for card in await sandbox.describe()}
    assert cards["add"].parameters["required"] == ["a"]
    assert (cards["add"].executor, cards["add"].isolation) == ("e1", ISOLATION)
    assert cards["add"].source.startswith("dangerous.py@")
    assert not [name for name in sys.modules if "trunkline_file" in name and "dangerous" in str(sys.modules[name])]


async def test_a_value_comes_back_with_what_it_took(sandbox: ZygoteSandbox) -> None:
    outcome = await run(sandbox, "add", a=2, b=3)
    assert (outcome.value, outcome.error, outcome.isolation) == (5, None, ISOLATION)
    assert outcome.duration_ms > 0
    assert outcome.resources.cpu_ms > 0
    assert outcome.resources.max_rss_kib > 1000
    assert outcome.resources.output_bytes == 0


async def test_async_tools_models_and_dataclasses_work(sandbox: ZygoteSandbox) -> None:
    assert await value(sandbox, "later", text="hello") == "hello"
    paid = await value(sandbox, "pay", invoice={"number": "7"})
    assert paid == [{"number": 7, "paid": True}, {"left": 1, "right": "x"}]


async def test_a_file_of_plain_tools_is_served_without_pydantic(tmp_path: Path) -> None:
    file = tmp_path / "light.py"
    file.write_text(
        HEAD + "import sys\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Pair:\n    a: int\n    b: list[float]\n"
        "@tool\ndef loaded(a: int): return [a, 'pydantic' in sys.modules, 'pydantic_core' in sys.modules]\n"
        "@tool\ndef pair(a: int): return Pair(a, [0.5])\n"
    )
    async with ZygoteSandbox(file) as light:
        assert await value(light, "loaded", a="3") == [3, False, False]
        assert await value(light, "pair", a=1) == {"a": 1, "b": [0.5]}
        assert (await failure(light, "loaded", a="x")).code == "invalid_arguments"


async def test_what_a_tool_prints_is_counted_and_not_mixed_with_its_value(sandbox: ZygoteSandbox) -> None:
    outcome = await run(sandbox, "say", text='e{"code": "forged"}')
    assert outcome.value == 'e{"code": "forged"}'
    assert outcome.resources.output_bytes == 20


# What is wrong before the tool runs


async def test_wrong_arguments_are_refused_before_the_tool_runs(sandbox: ZygoteSandbox) -> None:
    error = await failure(sandbox, "add", a="one", c=3)
    assert error.code == "invalid_arguments"
    assert "a: Input should be a valid integer" in error.message
    assert "c is not a parameter" in error.message
    assert error.hint == "It takes a, b (optional)."


async def test_arguments_that_are_not_json_are_refused(sandbox: ZygoteSandbox) -> None:
    assert (await failure(sandbox, "add", a=object())).code == "invalid_arguments"


async def test_an_unknown_tool_is_said_to_be_unknown(sandbox: ZygoteSandbox) -> None:
    error = await failure(sandbox, "subtract")
    assert error.code == "unknown_tool"
    assert "add, later" in error.hint


# What a tool can do wrong


async def test_what_a_tool_raises_is_its_result(sandbox: ZygoteSandbox) -> None:
    error = await failure(sandbox, "fail")
    assert error.message == "fail raised ValueError: no such customer"
    assert error.data["reason"] == "raised"
    assert error.data["error"] == "ValueError"
    assert "raise ValueError(text)" in error.data["traceback"]
    assert error.data["output"] == "before the end\n"


async def test_a_long_error_is_cut(sandbox: ZygoteSandbox) -> None:
    error = await failure(sandbox, "fail", text="x" * 100_000)
    assert len(error.message) < 2200
    assert len(error.data["traceback"]) <= 2048


async def test_a_tool_that_hangs_is_killed_in_time_with_its_children(sandbox: ZygoteSandbox, marker: str) -> None:
    call = asyncio.create_task(run(sandbox, "hang", timeout=3, marker=marker, children=2))
    await wait_until(lambda: len(sleepers(marker)) == 2, "its children run")
    outcome = await call
    assert outcome.error is not None
    assert outcome.error.data["reason"] == "hung"
    assert outcome.error.message == "hang did not return within 3 s"
    assert 3_000 <= outcome.duration_ms < 20_000
    await wait_until(lambda: not sleepers(marker), "its children are gone")


@pytest.mark.parametrize("tool", ["hang_async", "spin"])
async def test_no_way_to_hang_outlives_the_timeout(sandbox: ZygoteSandbox, tool: str) -> None:
    assert await reason(sandbox, tool, timeout=0.3) == "hung"


async def test_who_is_deaf_to_signals_and_still_writes_is_ended_in_time_with_all_below(
    sandbox: ZygoteSandbox, marker: str
) -> None:
    call = asyncio.create_task(run(sandbox, "hang_stubbornly", timeout=3, marker=marker))
    await wait_until(lambda: len(sleepers(marker)) == 2, "its child and its child's child run")
    outcome = await call
    assert outcome.error is not None
    assert outcome.error.data["reason"] == "hung"
    assert "still here" in outcome.error.data["output"]
    await wait_until(lambda: not sleepers(marker), "all below it are gone")


async def test_time_spent_waiting_for_a_process_counts(marker: str) -> None:
    async with ZygoteSandbox(FILE, concurrency=1) as narrow:
        first = asyncio.create_task(run(narrow, "hang", timeout=20, marker=marker, children=1))
        await wait_until(lambda: len(sleepers(marker)) == 1, "the only place is taken")
        second, begun = asyncio.create_task(run(narrow, "add", timeout=0.1, a=1)), time.monotonic()
        await wait_until(lambda: time.monotonic() > begun + 0.2, "its time is over")
        first.cancel()
        error = (await second).error
    assert error is not None
    assert (error.data["reason"], error.data["passing"]) == ("not_started", True)


async def test_children_that_a_call_leaves_behind_are_ended(sandbox: ZygoteSandbox, marker: str) -> None:
    await value(sandbox, "leave_children", marker=marker)
    await wait_until(lambda: not sleepers(marker), "all three are gone")


async def test_a_cancelled_call_is_ended(sandbox: ZygoteSandbox, marker: str) -> None:
    call = asyncio.create_task(run(sandbox, "hang", marker=marker, children=1))
    await wait_until(lambda: len(sleepers(marker)) == 1, "it runs")
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await wait_until(lambda: not sleepers(marker), "it is gone")
    assert await value(sandbox, "add", a=1) == 2


@pytest.mark.parametrize("tool", ["flood", "flood_and_wait", "flood_from_child"])
async def test_a_flood_of_output_is_stopped(sandbox: ZygoteSandbox, tool: str) -> None:
    outcome = await run(sandbox, tool)
    assert outcome.error is not None
    assert outcome.error.data["reason"] == "flooded"
    assert outcome.duration_ms < 5000
    assert len(outcome.error.data["output"]) <= 2048


async def test_values_are_capped(sandbox: ZygoteSandbox) -> None:
    assert len(await value(sandbox, "huge", size=MIB - 100)) == MIB - 100
    assert await reason(sandbox, "huge", size=MIB) == "bad_output"
    assert await reason(sandbox, "huge", size=100 * MIB) == "bad_output"
    assert await value(sandbox, "deep", levels=3) == [[[1]]]
    assert await reason(sandbox, "deep", levels=65) == "bad_output"
    assert await reason(sandbox, "deep", levels=100_000) == "bad_output"


@pytest.mark.parametrize("what", ["object", "nan", "bytes", "int", "surrogate"])
async def test_what_json_cannot_say_is_a_bad_output(sandbox: ZygoteSandbox, what: str) -> None:
    assert await reason(sandbox, "not_json", what=what) == "bad_output"


async def test_a_tool_that_leaves_is_noticed(sandbox: ZygoteSandbox) -> None:
    assert await reason(sandbox, "exit_soft", code=3) == "exited"
    assert await reason(sandbox, "exit_hard", code=3) == "exited"
    assert await reason(sandbox, "exit_hard", code=0) == "exited"


async def test_a_crash_names_its_signal(sandbox: ZygoteSandbox) -> None:
    error = await failure(sandbox, "crash")
    assert error.data["reason"] == "killed"
    assert error.message == "crash was ended by SIGSEGV"
    assert (await failure(sandbox, "kill_self")).message == "kill_self was ended by SIGKILL"


async def test_memory_is_bounded(sandbox: ZygoteSandbox) -> None:
    assert await value(sandbox, "eat", mebibytes=300) == 300 * MIB
    assert await reason(sandbox, "eat", mebibytes=600) == "out_of_memory"


async def test_files_are_bounded(sandbox: ZygoteSandbox) -> None:
    error = await failure(sandbox, "write_file", size=65 * MIB)
    assert "File too large" in error.message


async def test_limits_can_be_set() -> None:
    async with ZygoteSandbox(FILE, limits=Limits(memory_bytes=64 * MIB, reply_bytes=1000)) as small:
        assert await reason(small, "eat", mebibytes=100) == "out_of_memory"
        assert await reason(small, "huge", size=1000) == "bad_output"


# What may pass, and what became of it


CAREFUL = """
from trunkline import Done, NotDone, TryAgain, call_id, tool

@tool
def trouble(kind: str):
    raise {"later": TryAgain("Busy.", seconds=3), "soon": TryAgain("Busy."), "refused": ConnectionRefusedError("x"),
           "late": TimeoutError("x"), "machine": OSError(28, "No space"), "missing": FileNotFoundError("x"),
           "odd": TryAgain("Busy.", seconds="soon")}[kind]

@tool(effect="write")
def book(number: int) -> str:
    return call_id()

@book.reconcile
async def was_booked(number: int):
    return {1: Done({"by": call_id()}), 2: NotDone(), 3: Done(), 4: "perhaps"}[number]

@tool
def light() -> list:
    import sys
    return [call_id(), "pydantic_core" in sys.modules, "asyncio" in sys.modules]
"""


@pytest.fixture
async def careful(tmp_path: Path) -> AsyncIterator[ZygoteSandbox]:
    file = tmp_path / "careful.py"
    file.write_text(CAREFUL)
    async with ZygoteSandbox(file) as entered:
        yield entered


@pytest.mark.parametrize(
    ("kind", "passing", "seconds"),
    [
        *(("later", True, 3), ("soon", True, None), ("odd", True, None), ("refused", True, None)),
        *(("late", True, None), ("machine", True, None), ("missing", None, None)),
    ],
)
async def test_what_may_pass_is_said_to(
    careful: ZygoteSandbox, kind: str, passing: bool | None, seconds: int | None
) -> None:
    data = (await failure(careful, "trouble", kind=kind)).data
    assert (data["reason"], data.get("passing"), data.get("seconds")) == ("raised", passing, seconds)


async def test_a_reconcile_function_says_what_became_of_a_call(careful: ZygoteSandbox) -> None:
    async def said(number: int) -> Outcome:
        return await careful.call("book", {"number": number}, timeout=20, call_id="run-1-0", reconcile=True)

    assert [(await said(number)).value for number in (1, 2, 3)] == [
        {"done": True, "value": {"by": "run-1-0"}},
        {"done": False},
        {"done": True, "value": None},
    ]
    unsure = (await said(4)).error
    assert unsure is not None
    assert "returns Done(...) or NotDone(), not str" in unsure.message
    (card,) = [card for card in await careful.describe() if card.tool == "book"]
    assert (card.reconcile_seconds, card.retries) == (30.0, 0)


async def test_a_tool_without_a_reconcile_function_cannot_say(careful: ZygoteSandbox) -> None:
    outcome = await careful.call("light", {}, timeout=20, call_id="run-1-0", reconcile=True)
    assert outcome.error is not None
    assert "has no reconcile function" in outcome.error.message


async def test_a_tool_knows_its_call_without_loading_anything(tmp_path: Path) -> None:
    file = tmp_path / "light.py"
    file.write_text(CAREFUL.replace("async def was_booked", "def was_booked"))
    async with ZygoteSandbox(file) as light:
        assert await value(light, "light") == ["run-1-0", False, False]


# What a tool can see


async def test_a_tool_sees_no_secret(sandbox: ZygoteSandbox) -> None:
    seen = await value(sandbox, "environment")
    assert set(seen) <= {"PATH", "LANG", "HOME", "TMPDIR", "PYDANTIC_DISABLE_PLUGINS", "TRUNKLINE_CALL_ID"}
    assert seen["TRUNKLINE_CALL_ID"] == "run-1-0"
    assert "secret" not in await value(sandbox, "kernel_environment")


@pytest.mark.parametrize("hidden", [True, False])
def test_a_tool_cannot_read_the_executors_environment(tmp_path: Path, hidden: bool) -> None:
    file = tmp_path / "spy.py"
    file.write_text(HEAD + "@tool\ndef read(pid: int) -> str:\n    return open(f'/proc/{pid}/environ').read()\n")
    program = f"""
        import asyncio, os
        from trunkline_tools.sandbox import lockdown
        from trunkline_tools.sandbox.zygote import ZygoteSandbox

        async def main():
            if {hidden}:
                lockdown.hide_memory()
            async with ZygoteSandbox({str(file)!r}) as sandbox:
                outcome = await sandbox.call("read", {{"pid": os.getpid()}}, timeout=20, call_id="x")
                print("secret" in str(outcome.value), outcome.error and outcome.error.data["error"])

        asyncio.run(main())
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"NATS_URL": "nats://user:secret@bus"},
        preexec_fn=without_capabilities,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == (["False", "PermissionError"] if hidden else ["True", "None"])


def without_capabilities() -> None:
    """Root may read what is hidden, by CAP_SYS_PTRACE or CAP_PERFMON; users who need not be trusted have neither."""
    pr_capbset_drop = 24
    for capability in range(64):
        ctypes.CDLL(None).prctl(pr_capbset_drop, capability, 0, 0, 0)


def test_the_executor_hides_before_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("trunkline_tools.__main__.lockdown.hide_memory", lambda: done.append("hide"))
    monkeypatch.setattr("trunkline_tools.__main__.serve", lambda _: done.append("serve"))
    monkeypatch.setattr("sys.argv", ["trunkline_tools"])
    executor.main()
    assert done == ["hide", "serve"]


async def test_a_tool_holds_nothing_but_its_own_files(sandbox: ZygoteSandbox) -> None:
    others = [asyncio.create_task(run(sandbox, "number_and_wait", number=n, seconds=0.3)) for n in range(5)]
    held = await value(sandbox, "descriptors")
    assert set(held) == {"/dev/null", "/memfd:output (deleted)", "/memfd:reply (deleted)"}
    assert [(await other).value for other in others] == list(range(5))


async def test_a_tool_cannot_answer_for_another_call(sandbox: ZygoteSandbox) -> None:
    other = asyncio.create_task(run(sandbox, "number_and_wait", number=7, seconds=0.3))
    forged = await run(sandbox, "forge")
    assert (await other).value == 7
    assert forged.value == 1 or forged.error is not None
    assert await value(sandbox, "add", a=1) == 2


async def test_each_call_has_an_empty_folder_of_its_own(sandbox: ZygoteSandbox) -> None:
    one, temporary, *found = await value(sandbox, "folder", leave="secret.txt")
    assert one == temporary
    assert found == []
    _, _, *found = await value(sandbox, "folder")
    assert found == []
    await wait_until(lambda: not Path(one, "secret.txt").exists(), "what it left is removed")


async def test_standard_input_is_empty(sandbox: ZygoteSandbox) -> None:
    assert await value(sandbox, "read_stdin") == ""


async def test_the_kernel_bounds_each_call(sandbox: ZygoteSandbox) -> None:
    limits = await value(sandbox, "limits")
    assert limits["CORE"] == 0
    assert limits["CPU"] == 22
    assert limits["FSIZE"] == 64 * MIB
    assert limits["NOFILE"] == 256
    assert 512 * MIB < limits["AS"] < 2048 * MIB
    status = await value(sandbox, "status")
    assert status["NoNewPrivs"] == "1"
    assert status["group"] == "True"


# Many calls


async def test_a_hundred_calls_at_once_get_each_its_own_answer(sandbox: ZygoteSandbox) -> None:
    outcomes = await asyncio.gather(*(run(sandbox, "add", a=n, b=n) for n in range(100)))
    assert [outcome.value for outcome in outcomes] == [2 * n for n in range(100)]


async def test_a_slow_call_holds_up_no_other(sandbox: ZygoteSandbox) -> None:
    slow = asyncio.create_task(run(sandbox, "number_and_wait", number=1, seconds=1000, timeout=1.5))
    for _ in range(10):
        assert await value(sandbox, "add", a=1) == 2
    assert not slow.done()
    assert (await slow).error is not None


@pytest.mark.timeout(240)
async def test_five_hundred_calls_leave_nothing_in_the_zygote(sandbox: ZygoteSandbox) -> None:
    await asyncio.gather(*(run(sandbox, "add", a=n) for n in range(100)))
    zygote = zygote_of(sandbox)
    memory = zygote.memory_info().rss
    mix = ["add", "fail", "exit_hard", "crash", "folder"]
    arguments: dict[str, dict[str, Any]] = {"add": {"a": 1}, "exit_hard": {"code": 1}, "folder": {"leave": "x"}}
    await asyncio.gather(*(run(sandbox, mix[n % 5], **arguments.get(mix[n % 5], {})) for n in range(500)))
    await wait_until(lambda: not zygote.children(), "no child and no zombie is left")
    own = 3 + 4  # the standard ones; its line, its wake-up pipe, its list of children
    await wait_until(lambda: zygote.num_fds() == own, "no descriptor is left")
    assert zygote.memory_info().rss < memory + 2 * MIB


# Processes that die


async def test_a_dead_zygote_is_replaced_and_its_calls_fail_clearly(sandbox: ZygoteSandbox, marker: str) -> None:
    call = asyncio.create_task(run(sandbox, "hang", marker=marker, children=1))
    await wait_until(lambda: len(sleepers(marker)) == 1, "it runs")
    first = zygote_of(sandbox)
    first.kill()
    error = (await call).error
    assert error is not None
    assert (error.code, error.data["reason"]) == ("tool_failed", "killed")
    assert "not known" in error.hint
    assert await value(sandbox, "add", a=1) == 2
    assert zygote_of(sandbox).pid != first.pid
    await wait_until(lambda: not sleepers(marker), "what it ran is gone")


async def test_leaving_the_sandbox_ends_what_runs(marker: str) -> None:
    async with ZygoteSandbox(FILE) as entered:
        call = asyncio.create_task(run(entered, "hang", marker=marker, children=1))
        await wait_until(lambda: len(sleepers(marker)) == 1, "it runs")
        assert entered._spawned is not None
        home = entered._spawned.home
    assert (await call).error is not None
    assert not sleepers(marker)
    assert not home.exists()


async def test_when_the_executor_is_killed_nothing_survives(marker: str) -> None:
    program = f"""
        import asyncio
        from trunkline_tools.sandbox.zygote import ZygoteSandbox

        async def main():
            async with ZygoteSandbox({str(FILE)!r}) as sandbox:
                await asyncio.gather(*(
                    sandbox.call("hang", {{"marker": {marker!r}, "children": 1}}, timeout=60, call_id="x")
                    for _ in range(3)
                ))

        asyncio.run(main())
    """
    executor = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])  # noqa: ASYNC220  # starts at once
    try:
        await wait_until(lambda: len(sleepers(marker)) == 3, "three calls run")
        below = psutil.Process(executor.pid).children(recursive=True)
        homes = [Path(process.cwd()) for process in below if process.ppid() == executor.pid]
        assert len(below) == 7  # the zygote, three calls, three children of theirs
    finally:
        executor.kill()
        executor.wait()
    await wait_until(lambda: not any(alive(process) for process in below), "all of them are gone")
    assert len(homes) == 1
    assert not homes[0].exists()


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


# Files that do not load


async def refused(path: Path, start_timeout: float = 20) -> BrokenFile:
    with pytest.raises(BrokenFile) as raised:
        async with ZygoteSandbox(path, start_timeout=start_timeout):
            pass
    return raised.value


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("x = (\n", ":1: SyntaxError"),
        ("\nimport sys; sys.exit(2)\n", ":2: it exits with 2"),
        ("", "it declares no agent and no tool"),
        ("import os; os._exit(4)\n", "its process ended while it was imported (exit code 4)"),
        ("import os; os.kill(os.getpid(), 9)\n", "(killed by SIGKILL)"),
        (HEAD + "\n@tool\ndef f(a: object()): ...\n", ":3: tool f: its signature has no schema"),
        ("import time; time.sleep(1000)\n", "importing it took longer than 1 s"),
    ],
)
async def test_a_broken_file_is_said_to_be_broken(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "tools.py"
    file.write_text(text)
    error = await refused(file, start_timeout=1 if "sleep" in text else 20)
    assert what in error.what
    assert str(file) in error.what


async def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert "cannot be read" in (await refused(tmp_path / "missing.py")).what


async def test_import_time_code_sees_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    file = tmp_path / "tools.py"
    file.write_text(
        HEAD + "import os\nSEEN = dict(os.environ)\n@tool\ndef seen() -> dict[str, str]:\n    return SEEN\n"
    )
    async with ZygoteSandbox(file) as entered:
        assert "secret" not in json.dumps(await value(entered, "seen"))


async def test_a_file_that_changed_is_not_served_under_the_old_card(tmp_path: Path) -> None:
    file = tmp_path / "tools.py"
    file.write_text(HEAD + "@tool\ndef one() -> int:\n    return 1\n")
    async with ZygoteSandbox(file) as entered:
        assert await value(entered, "one") == 1
        file.write_text(HEAD + "@tool\ndef one() -> int:\n    return 2\n")
        assert await value(entered, "one") == 1
        os.kill(zygote_of(entered).pid, signal.SIGKILL)
        await wait_until(
            lambda: entered._spawned is None or entered._spawned.link.closed.done(), "its death is noticed"
        )
        error = await failure(entered, "one")
    assert error.code == "broken_file"
    assert "has changed since it was registered" in error.message
