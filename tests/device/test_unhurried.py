from __future__ import annotations

import os
import sys
import threading

import pytest

from edge_autoglm.device.unhurried import run_unhurried


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_work_is_done_elsewhere_and_its_result_comes_back() -> None:
    assert run_unhurried(lambda: 6 * 7) == 42
    assert run_unhurried(threading.get_ident) != threading.get_ident()


def test_an_error_comes_back_too() -> None:
    with pytest.raises(ValueError, match="no"):
        run_unhurried(lambda: int("no"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_only_that_thread_gives_way() -> None:
    before = niceness()
    assert run_unhurried(niceness) > before or before >= 15
    assert niceness() == before
