import ctypes
from ctypes import byref, c_size_t, c_uint32, c_void_p
from typing import Any

import pytest

from benchmarks.gpu import launches
from benchmarks.gpu.launches import LaunchCounter

COPY, FILL, KERNEL, OTHER = 1, 2, 10, 17
RECORD_BYTES = 16
MOST_RECORDS = 3
NO_MORE_RECORDS = 12


class RecordingCupti:
    """A double of CUPTI, for want of a GPU: hands out the records that it was told of, some to a buffer."""

    def __init__(self, refusing: bool = False) -> None:
        self.pending: list[int] = []
        self.enabled: set[int] = set()
        self.refusing = refusing
        self.wanted: Any = None
        self.filled: Any = None

    def cuptiActivityRegisterCallbacks(self, wanted: Any, filled: Any) -> int:  # noqa: N802 - CUPTI's names
        self.wanted, self.filled = wanted, filled
        return 0

    def cuptiActivityEnable(self, kind: c_uint32) -> int:  # noqa: N802
        self.enabled.add(kind.value)
        return 35 if self.refusing else 0

    def cuptiActivityDisable(self, kind: c_uint32) -> int:  # noqa: N802
        self.enabled.discard(kind.value)
        return 0

    def cuptiActivityFlushAll(self, flag: c_uint32) -> int:  # noqa: N802
        while self.pending:
            buffer, size, most = c_void_p(), c_size_t(), c_size_t(1)
            self.wanted(byref(buffer), byref(size), byref(most))
            assert buffer.value is not None
            assert buffer.value % 8 == 0
            assert size.value >= 1 << 20
            assert most.value == 0
            batch, self.pending = self.pending[:MOST_RECORDS], self.pending[MOST_RECORDS:]
            for place, kind in enumerate(batch):
                c_uint32.from_address(buffer.value + place * RECORD_BYTES).value = kind
            self._next = 0
            self.filled(None, 0, buffer, size, len(batch) * RECORD_BYTES)
        return 0

    def cuptiActivityGetNextRecord(self, buffer: c_void_p, used: c_size_t, record: Any) -> int:  # noqa: N802
        if self._next == used.value:
            return NO_MORE_RECORDS
        record._obj.value = (buffer.value or 0) + self._next
        self._next += RECORD_BYTES
        return 0


def counter_of(cupti: RecordingCupti, monkeypatch: pytest.MonkeyPatch) -> LaunchCounter:
    monkeypatch.setattr(launches, "_library", lambda: cupti)
    return LaunchCounter()


def test_kernels_copies_and_fills_of_the_run_count_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    cupti = RecordingCupti()
    counter = counter_of(cupti, monkeypatch)
    cupti.pending = [KERNEL] * 5  # from before
    assert counter.count(lambda: cupti.pending.extend([KERNEL, COPY, OTHER, KERNEL, FILL, OTHER, KERNEL])) == 5
    assert cupti.enabled == set()
    assert counter.count(lambda: cupti.pending.append(COPY)) == 1


def test_a_run_without_records_is_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    cupti = RecordingCupti()
    with pytest.raises(RuntimeError, match="CUPTI saw nothing"):
        counter_of(cupti, monkeypatch).count(lambda: None)


def test_a_refusal_names_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cupti = RecordingCupti(refusing=True)
    with pytest.raises(RuntimeError, match="cuptiActivityEnable failed with CUPTI error 35"):
        counter_of(cupti, monkeypatch).count(lambda: None)
    assert cupti.enabled == set()


def test_without_cupti_the_error_names_its_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> None:
        raise OSError(f"{name}: not there")

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    with pytest.raises(OSError, match=r"CUPTI is not there .*nvidia-cuda-cupti"):
        LaunchCounter()
