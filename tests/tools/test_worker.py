"""Calls under a time limit: hanging, raising, huge, strange."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import pytest

from edge_autoglm.facade.tools.worker import Finished, ToolWorkers
from tests.waiting import wait_until

HUGE = 10_000_000


def run(function: Callable[[], object], timeout: float = 30.0) -> Finished:
    return ToolWorkers().run(function, timeout, 100, 8)


def test_a_result_is_text() -> None:
    assert run(lambda: "x" + "y").text == "xy"
    assert run(lambda: {"a": [1, 2.5, None, "ü"]}).text == '{"a": [1, 2.5, null, "ü"]}'
    assert run(lambda: None).text == "null"


def test_what_json_has_no_form_for_is_written_as_python_does() -> None:
    @dataclass
    class Point:
        x: int

    assert run(lambda: [Point(1), {2}]).text == '[{"x": 1}, "{2}"]'


def test_ten_megabytes_are_cut() -> None:
    finished = run(lambda: "x" * HUGE)
    assert (finished.text, finished.cut) == ("x" * 100, True)
    assert run(lambda: ["x"] * (HUGE // 100)).cut


def test_halves_of_characters_and_nul_are_replaced() -> None:
    assert run(lambda: "a\ud800b\0c").text == "a?b\ufffdc"


class UnspeakableError(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError


def raises(error: BaseException) -> Callable[[], object]:
    def tool() -> object:
        raise error

    return tool


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no such city"), "ValueError: no such city"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt: "),
        (UnspeakableError(), "UnspeakableError"),
        (MemoryError(), "MemoryError: "),
        (ValueError("x" * HUGE), "ValueError: " + "x" * 188),
    ],
)
def test_what_is_raised_is_said(error: BaseException, said: str) -> None:
    assert run(raises(error)).error == said


def test_endless_recursion_is_an_error() -> None:
    def deeper() -> object:
        return deeper()

    assert (run(deeper).error or "").startswith("RecursionError")


def test_a_result_that_cannot_be_written_is_an_error() -> None:
    circle: list[object] = []
    circle.append(circle)
    assert (run(lambda: circle).error or "").startswith("ValueError")


def test_a_call_that_hangs_is_given_up_and_counted_until_it_ends() -> None:
    workers, gate = ToolWorkers(), threading.Event()
    finished = workers.run(gate.wait, 0.05, 100, 8)
    assert finished.timed_out
    assert finished.error == "no result within 0.05 s"
    assert workers.hanging == 1
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "edge-autoglm-tool")
    gate.set()
    wait_until(lambda: workers.hanging == 0)


def test_at_so_many_hanging_calls_no_further_one_is_started() -> None:
    workers, gate, started = ToolWorkers(), threading.Event(), []
    for _ in range(2):
        workers.run(gate.wait, 0.01, 100, 2)
    finished = workers.run(lambda: started.append(1), 30.0, 100, 2)
    assert (finished.refused, finished.error) == (True, "not started: 2 earlier calls still hang")
    assert not started
    gate.set()
    wait_until(lambda: workers.hanging == 0)
    assert workers.run(lambda: "now", 30.0, 100, 2).text == "now"


def test_a_tool_that_computes_for_ever_does_not_keep_the_caller() -> None:
    ended = threading.Event()

    def busy() -> None:
        while not ended.is_set():
            sys.getrecursionlimit()

    assert run(busy, timeout=0.1).timed_out
    ended.set()
