"""The real library, where it is installed; no GPU is needed to find it."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_autoglm.errors import EngineError, MissingDependency
from edge_autoglm.runtime.engines.cuda import libcudart
from edge_autoglm.runtime.engines.cuda.cudart import Cudart
from edge_autoglm.runtime.engines.cuda.libcudart import STATUS_FUNCTIONS, TEXT_FUNCTIONS, Memcpy3DParms


@pytest.fixture(scope="module")
def cudart() -> Cudart:
    try:
        return Cudart()
    except MissingDependency as error:
        pytest.skip(str(error))


def test_it_has_every_function(cudart: Cudart) -> None:
    library = cudart._library
    for name, types in (STATUS_FUNCTIONS | TEXT_FUNCTIONS).items():
        assert getattr(library, name).argtypes == types
    assert library.cudaGetErrorName(2) == b"cudaErrorMemoryAllocation"
    assert library.cudaGetErrorName(35) == b"cudaErrorInsufficientDriver"
    assert library.cudaGetErrorName(34) == b"cudaErrorStubLibrary"
    assert library.cudaGetErrorName(100) == b"cudaErrorNoDevice"
    assert library.cudaGetErrorName(101) == b"cudaErrorInvalidDevice"


def test_it_tells_its_version_and_counts_devices(cudart: Cudart) -> None:
    assert cudart.runtime_version() >= 12000
    assert cudart.device_count() >= 0


def test_without_a_gpu_the_error_says_what_is_missing(cudart: Cudart) -> None:
    if cudart.device_count():
        pytest.skip("there is a GPU")
    for use in (cudart.make_current, cudart.stream, cudart.memory, lambda: cudart.malloc(1)):
        with pytest.raises((MissingDependency, EngineError), match=r"driver|no GPU 0") as caught:
            use()
        assert "the CPU" in caught.value.cure


def test_the_structure_is_laid_out_as_in_the_header() -> None:
    """``driver_types.h``, counted by hand for pointers and sizes of 64 bits."""
    assert ctypes.sizeof(Memcpy3DParms) == 160
    assert [getattr(Memcpy3DParms, name).offset for name in ("srcPtr", "dstArray", "dstPtr", "extent", "kind")] == [
        32,
        64,
        96,
        128,
        152,
    ]


def test_where_there_is_no_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(libcudart, "_ON_SYSTEM", ("no-such-library.so",))
    with pytest.raises(MissingDependency, match="no-such-library") as caught:
        libcudart.load_libcudart()
    assert "nvidia-cuda-runtime" in caught.value.cure


def test_wheels_are_found_on_the_path_the_newest_first(tmp_path: Path) -> None:
    old, new = tmp_path / "a", tmp_path / "b"
    for folder, name in ((old, libcudart._IN_WHEELS[1]), (new, libcudart._IN_WHEELS[0])):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    found = list(libcudart._in_wheels(["", str(old), str(new), str(tmp_path)]))
    assert found == [new / libcudart._IN_WHEELS[0], old / libcudart._IN_WHEELS[1]]


def test_an_old_library_is_refused() -> None:
    with pytest.raises(MissingDependency, match="too old") as caught:
        libcudart.declare(SimpleNamespace())
    assert "nvidia-cuda-runtime" in caught.value.cure
