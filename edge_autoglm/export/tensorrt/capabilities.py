"""Compute capabilities of the GPUs that a plan is to run on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edge_autoglm.device.accelerators import Gpu
from edge_autoglm.device.tensorrt_import import TensorRT
from edge_autoglm.errors import ExportError

_WRITTEN = re.compile(r"(?:sm[_ ]?)?(\d{1,2})\.?(\d)", re.IGNORECASE)
_AMPERE = (8, 0)


def choose_capabilities(asked: Sequence[str], library: TensorRT, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """What a plan is built for (``("8.6", "8.9")``), the lowest first.

    TensorRT builds for the GPU that it runs on. TensorRT-RTX builds for any, and generates the code for the lowest one
    that is asked for, so a plan for 7.5 as well makes no use of what later GPUs can do. Unless it is told, it builds
    for the GPUs that are here; where there are none, for all that it knows from 8.0 on.

    Args:
        asked: As a user wrote them: ``8.9``, ``89`` or ``sm89``.
        library: That builds.
        gpus: Of this machine.

    Raises:
        ExportError: Not a compute capability, or one that the library cannot build for here.
    """
    here = tuple(gpu.compute_capability for gpu in gpus if gpu.compute_capability is not None)
    wanted = [parse_capability(text) for text in asked]
    known = known_capabilities(library) if library.is_rtx else here[:1]
    if not known:
        raise ExportError(
            "TensorRT builds plans on the GPU that they are for, and there is none here",
            "Build on the device: edge-autoglm rebuild BUNDLE. Or install TensorRT-RTX, which needs no GPU to build.",
        )
    for capability in wanted:
        if capability not in known:
            raise ExportError(
                f"{library.name} {library.version} cannot build here for compute capability {capability}",
                f"Use one of: {', '.join(known)}.",
            )
    by_default = [each for each in known if (each in here if here else _order(each) >= _AMPERE)]
    if not wanted and not by_default:
        raise ExportError(
            f"{library.name} {library.version} knows no compute capability {' or '.join(here)}, which the GPU here has",
            f"Install TensorRT itself; or, for other devices, name --compute-capability: {', '.join(known)}.",
        )
    return tuple(sorted(set(wanted or by_default), key=_order))


def parse_capability(text: str) -> str:
    """``8.9`` from ``8.9``, ``89``, ``sm89`` or ``sm_89``.

    Raises:
        ExportError: It is none.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise ExportError(f"{text!r} is not a compute capability", "Write it as 8.9, 89 or sm89.")
    return f"{match[1]}.{match[2]}"


def known_capabilities(library: TensorRT) -> tuple[str, ...]:
    """All that TensorRT-RTX can build for, the lowest first."""
    names = library.module.ComputeCapability.__members__
    return tuple(sorted((parse_capability(name) for name in names if _WRITTEN.fullmatch(name)), key=_order))


def member(library: TensorRT, capability: str) -> object:
    """TensorRT-RTX's own name of a compute capability."""
    return library.module.ComputeCapability.__members__[f"SM{capability.replace('.', '')}"]


def _order(capability: str) -> tuple[int, ...]:
    return tuple(map(int, capability.split(".")))
