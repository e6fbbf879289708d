"""How the program ends: our own errors as a sentence and a code, bugs with their traceback."""

from __future__ import annotations

import pytest

from data_collector import __main__ as program
from data_collector.model.errors import Misconfigured, Unavailable


def ends_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(program, "app", fail)
    monkeypatch.setattr("os.umask", lambda _mask: 0)
    with pytest.raises(SystemExit) as caught:
        program.main()
    return caught.value.code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Misconfigured("wrong"), 78),
        (Unavailable("wrong"), 69),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [Misconfigured("wrong")])]), 78),
    ],
)
def test_our_errors_are_a_sentence_and_a_code(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends_with(error, monkeypatch) == code
    assert capsys.readouterr().err == "wrong\n"


def test_sentence_cannot_steer_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ends_with(Misconfigured("first\x1b[31m\nsecond"), monkeypatch)

    assert capsys.readouterr().err == "first\\u001b[31m\nsecond\n"


@pytest.mark.parametrize("bug", [KeyError("x"), ExceptionGroup("tasks", [Misconfigured("wrong"), KeyError("x")])])
def test_bugs_keep_their_traceback(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise bug

    monkeypatch.setattr(program, "app", fail)
    monkeypatch.setattr("os.umask", lambda _mask: 0)

    with pytest.raises(type(bug)):
        program.main()
