"""What a service writes becomes log lines, whatever it writes."""

from trunkline.host.log_lines import LogLine, LogReader

CRASH = [b"Traceback (most recent call last):", b'  File "x.py", line 1, in <module>', b"    1 / 0"]


def read(*raw: bytes) -> list[LogLine]:
    reader = LogReader("router")
    return [line for each in raw for line in reader.read(each)] + reader.rest()


def test_a_json_line_is_a_sentence_with_fields() -> None:
    (line,) = read(b'{"event": "refused", "level": "warning", "hint": "Ask.", "service": "router", "run": "r1"}')
    assert (line.sentence, line.level, line.hint, line.fields) == ("refused", "warning", "Ask.", {"run": "r1"})
    assert line.loud


def test_what_is_no_event_is_shown_as_it_is() -> None:
    assert [line.sentence for line in read(b"hello", b"{}", b"[1]", b"\xff", b"")] == ["hello", "{}", "[1]", "\ufffd"]


def test_a_traceback_is_one_line() -> None:
    (line,) = read(*CRASH, b"ZeroDivisionError: division by zero")
    assert line.sentence == "ZeroDivisionError: division by zero"
    assert line.level == "error"
    assert line.traceback.splitlines()[0] == CRASH[0].decode()


def test_a_traceback_that_was_cut_off_is_not_lost() -> None:
    (line,) = read(*CRASH)
    assert "1 / 0" in line.traceback


def test_two_tracebacks_in_a_row_are_two_lines() -> None:
    assert len(read(*CRASH, b"ValueError: one", *CRASH, b"ValueError: two")) == 2


def test_routine_is_quiet() -> None:
    (line,) = read(b'{"event": "ready", "level": "info"}')
    assert not line.loud
