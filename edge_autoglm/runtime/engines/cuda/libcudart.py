"""The CUDA runtime library as ctypes sees it: where it lies, its functions, its structures.

Names, types and numbers are those of ``cuda_runtime_api.h`` and ``driver_types.h``, equal in CUDA 12 and 13.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator
from ctypes import POINTER, c_char_p, c_float, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from pathlib import Path
from typing import Any

from edge_autoglm.errors import MissingDependency

_INSTALL = (
    'Install it: pip install "nvidia-cuda-runtime>=13" (nvidia-cuda-runtime-cu12 where the driver is of CUDA 12), or '
    "run on the CPU."
)

if sys.platform == "win32":
    _IN_WHEELS = ("nvidia/cu13/bin/x86_64/cudart64_13.dll", "nvidia/cuda_runtime/bin/cudart64_12.dll")
    _ON_SYSTEM = ("cudart64_13.dll", "cudart64_12.dll")
else:
    _IN_WHEELS = ("nvidia/cu13/lib/libcudart.so.13", "nvidia/cuda_runtime/lib/libcudart.so.12")
    _ON_SYSTEM = ("libcudart.so.13", "libcudart.so.12", "libcudart.so")


class _Position(ctypes.Structure):
    """``cudaPos``: x in bytes, y in rows, z in slices."""

    _fields_ = (("x", c_size_t), ("y", c_size_t), ("z", c_size_t))


class _PitchedPointer(ctypes.Structure):
    """``cudaPitchedPtr``: a row every ``pitch`` bytes, a slice every ``ysize`` rows."""

    _fields_ = (("ptr", c_void_p), ("pitch", c_size_t), ("xsize", c_size_t), ("ysize", c_size_t))


class _Extent(ctypes.Structure):
    """``cudaExtent``: bytes of a row, rows, slices."""

    _fields_ = (("width", c_size_t), ("height", c_size_t), ("depth", c_size_t))


class Memcpy3DParms(ctypes.Structure):
    """``cudaMemcpy3DParms``; the two arrays stay null, as both sides are plain memory."""

    _fields_ = (
        ("srcArray", c_void_p),
        ("srcPos", _Position),
        ("srcPtr", _PitchedPointer),
        ("dstArray", c_void_p),
        ("dstPos", _Position),
        ("dstPtr", _PitchedPointer),
        ("extent", _Extent),
        ("kind", c_int),
    )


_OUT = POINTER(c_void_p)

STATUS_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "cudaGetDeviceCount": (POINTER(c_int),),
    "cudaSetDevice": (c_int,),
    "cudaRuntimeGetVersion": (POINTER(c_int),),
    "cudaGetLastError": (),
    "cudaMemGetInfo": (POINTER(c_size_t), POINTER(c_size_t)),
    "cudaMalloc": (_OUT, c_size_t),
    "cudaFree": (c_void_p,),
    "cudaHostAlloc": (_OUT, c_size_t, c_uint),
    "cudaFreeHost": (c_void_p,),
    "cudaMemsetAsync": (c_void_p, c_int, c_size_t, c_void_p),
    "cudaMemcpyAsync": (c_void_p, c_void_p, c_size_t, c_int, c_void_p),
    "cudaMemcpy3DAsync": (POINTER(Memcpy3DParms), c_void_p),
    "cudaStreamCreateWithFlags": (_OUT, c_uint),
    "cudaStreamDestroy": (c_void_p,),
    "cudaStreamSynchronize": (c_void_p,),
    "cudaThreadExchangeStreamCaptureMode": (POINTER(c_int),),
    "cudaStreamBeginCapture": (c_void_p, c_int),
    "cudaStreamEndCapture": (c_void_p, _OUT),
    "cudaGraphInstantiateWithFlags": (_OUT, c_void_p, c_ulonglong),
    "cudaGraphDestroy": (c_void_p,),
    "cudaGraphLaunch": (c_void_p, c_void_p),
    "cudaGraphExecDestroy": (c_void_p,),
    "cudaEventCreate": (_OUT,),
    "cudaEventRecord": (c_void_p, c_void_p),
    "cudaEventElapsedTime": (POINTER(c_float), c_void_p, c_void_p),
    "cudaEventDestroy": (c_void_p,),
}
"""Arguments of the functions that return a ``cudaError_t``; streams, graphs and events are pointers."""

TEXT_FUNCTIONS: dict[str, tuple[Any, ...]] = {"cudaGetErrorName": (c_int,), "cudaGetErrorString": (c_int,)}
"""Those that return a C string."""


def load_libcudart() -> Any:
    """Open the library, from the ``nvidia-cuda-runtime`` wheel or else the system's.

    Raises:
        MissingDependency: There is none.
    """
    reasons = []
    for name in (*(str(path) for path in _in_wheels(sys.path)), *_ON_SYSTEM):
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
    raise MissingDependency(f"the CUDA runtime library is not there ({reasons[0]})", _INSTALL)


def declare(library: Any) -> Any:
    """Give every function its types, so that ctypes neither cuts a pointer nor takes a wrong argument.

    Raises:
        MissingDependency: The library is too old to have one of them.
    """
    for functions, result in ((STATUS_FUNCTIONS, c_int), (TEXT_FUNCTIONS, c_char_p)):
        for name, arguments in functions.items():
            try:
                function = getattr(library, name)
            except AttributeError as error:
                raise MissingDependency(f"the CUDA runtime library is too old: {error}", _INSTALL) from error
            function.argtypes, function.restype = arguments, result
    return library


def _in_wheels(folders: Iterable[str]) -> Iterator[Path]:
    """Newest CUDA first: a driver runs older ones too, and the wheel that is there is the one that was asked for."""
    roots = [Path(folder) for folder in folders if folder]
    return (root / name for name in _IN_WHEELS for root in roots if (root / name).is_file())
