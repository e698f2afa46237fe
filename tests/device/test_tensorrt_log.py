"""What TensorRT says reaches who listens, or Python's logging."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from edge_autoglm.device.tensorrt_import import load_tensorrt
from edge_autoglm.device.tensorrt_log import TensorRTLog, tensorrt_log

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")


@pytest.fixture
def log() -> TensorRTLog:
    return tensorrt_log(load_tensorrt("tensorrt_rtx"))


def _parse(log: TensorRTLog, file: Path) -> None:
    builder = trt.Builder(log.logger)
    network = builder.create_network(0)
    assert not trt.OnnxParser(network, log.logger).parse_from_file(str(file))


def test_a_library_has_one_log(log: TensorRTLog) -> None:
    assert tensorrt_log(load_tensorrt("tensorrt_rtx")) is log


def test_errors_are_heard_by_all_who_listen(log: TensorRTLog, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with log.listening() as outer:
        with log.listening() as inner:
            _parse(log, tmp_path / "first.onnx")
        _parse(log, tmp_path / "second.onnx")
    assert "first.onnx" in inner.errors[0]
    assert not any("second.onnx" in error for error in inner.errors)
    assert any("second.onnx" in error for error in outer.errors)
    assert not caplog.records


def test_an_error_that_nobody_hears_is_logged(
    log: TensorRTLog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _parse(log, tmp_path / "unheard.onnx")
    assert [record.levelno for record in caplog.records if "unheard.onnx" in record.message] == [logging.ERROR]


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("ModelImporter.cpp:1071: Make sure input input_ids has Int64 binding.", logging.DEBUG),
        ("something else", logging.WARNING),
    ],
)
def test_warnings_are_logged_but_for_those_that_are_expected(
    log: TensorRTLog, text: str, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    warning: Any = trt.ILogger.Severity.WARNING
    with caplog.at_level(logging.DEBUG), log.listening() as heard:
        log.logger.log(warning, text)
    assert [(record.levelno, record.message) for record in caplog.records] == [(level, f"TensorRT: {text}")]
    assert not heard.errors
    assert not heard.remarks


def test_an_error_becomes_one_line(log: TensorRTLog) -> None:
    severity: Any = trt.ILogger.Severity
    with log.listening() as heard:
        log.logger.log(severity.ERROR, "it failed:\n  here\n")
    assert heard.errors == ["it failed: here"]


def test_the_first_errors_and_the_last_remarks_are_kept(log: TensorRTLog) -> None:
    severity: Any = trt.ILogger.Severity
    with log.listening() as heard:
        for number in range(1000):
            log.logger.log(severity.INTERNAL_ERROR, f"error {number}")
            log.logger.log(severity.INFO, f"remark {number}")
            log.logger.log(severity.VERBOSE, f"detail {number}")
    assert heard.errors[0] == "error 0"
    assert heard.remarks[-1] == "remark 999"
    assert len(heard.errors) + len(heard.remarks) < 1000
