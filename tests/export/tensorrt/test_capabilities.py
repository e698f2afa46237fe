"""Which GPUs a plan is built for."""

from __future__ import annotations

import pytest

from edge_autoglm.device.accelerators import Gpu
from edge_autoglm.device.tensorrt_import import TensorRT
from edge_autoglm.errors import ExportError
from edge_autoglm.export.tensorrt.capabilities import choose_capabilities, known_capabilities, member, parse_capability
from tests.export.tensorrt.builds import rtx

TENSORRT = TensorRT(None, "tensorrt", "10.15.1")
"""Of it only the name counts here: it is not asked what it can build for."""


def _gpu(capability: str | None) -> Gpu:
    return Gpu("a GPU", 8 << 30, capability)


@pytest.mark.parametrize("text", ["8.9", "89", "sm89", "SM_89", "sm 8.9", " 8.9 "])
def test_a_capability_can_be_written_in_several_ways(text: str) -> None:
    assert parse_capability(text) == "8.9"


def test_the_last_digit_is_the_minor_number() -> None:
    assert parse_capability("120") == parse_capability("sm_120") == "12.0"


@pytest.mark.parametrize("text", ["", "8", "8.", "ada", "8.9.1", "1234", "-8.9", "8,9"])
def test_what_is_no_capability_is_refused(text: str) -> None:
    with pytest.raises(ExportError, match=f"{text!r} is not a compute capability. Write it as 8.9"):
        parse_capability(text)


def test_rtx_knows_some_and_names_each() -> None:
    library = rtx()
    known = known_capabilities(library)
    assert {"7.5", "8.6", "8.9", "12.0"} <= set(known)
    assert known[-1].startswith("12.")  # by number, not by text
    assert {str(member(library, each)).removeprefix("ComputeCapability.SM") for each in known} == {
        each.replace(".", "") for each in known
    }


def test_what_is_asked_for_is_sorted_and_named_once() -> None:
    assert choose_capabilities(["sm120", "8.6", "86"], rtx(), [_gpu("8.9")]) == ("8.6", "12.0")


def test_an_unknown_one_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ExportError, match=r"cannot build here for compute capability 9\.0\. Use one of: 7\.5, 8\.0"):
        choose_capabilities(["9.0"], rtx(), [])


def test_by_default_rtx_builds_for_the_gpus_that_are_here() -> None:
    assert choose_capabilities([], rtx(), [_gpu("12.0"), _gpu("8.9"), _gpu("8.9")]) == ("8.9", "12.0")
    assert choose_capabilities([], rtx(), [_gpu("7.5")]) == ("7.5",)


def test_rtx_does_not_build_for_others_instead_of_a_gpu_that_it_does_not_know() -> None:
    with pytest.raises(ExportError, match=r"knows no compute capability 9\.0, which the GPU here has"):
        choose_capabilities([], rtx(), [_gpu("9.0")])
    assert choose_capabilities(["8.9"], rtx(), [_gpu("9.0")]) == ("8.9",)


@pytest.mark.parametrize("gpus", [[], [_gpu(None)]])
def test_where_there_is_none_rtx_builds_for_all_from_8_0_on(gpus: list[Gpu]) -> None:
    library = rtx()
    expected = tuple(each for each in known_capabilities(library) if each != "7.5")
    assert choose_capabilities([], library, gpus) == expected


def test_tensorrt_builds_for_its_first_gpu() -> None:
    gpus = [_gpu("9.0"), _gpu("8.9")]
    assert choose_capabilities([], TENSORRT, gpus) == ("9.0",)
    assert choose_capabilities(["sm90"], TENSORRT, gpus) == ("9.0",)
    with pytest.raises(ExportError, match=r"cannot build here for compute capability 8\.9\. Use one of: 9\.0"):
        choose_capabilities(["8.9"], TENSORRT, gpus)


@pytest.mark.parametrize("gpus", [[], [_gpu(None)]])
def test_tensorrt_needs_a_gpu_to_build(gpus: list[Gpu]) -> None:
    with pytest.raises(ExportError, match=r"there is none here\. Build on the device"):
        choose_capabilities(["8.9"], TENSORRT, gpus)
