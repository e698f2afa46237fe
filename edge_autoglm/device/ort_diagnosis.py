"""Whether ONNX Runtime is installed once, whole, and in a version that will do."""

from __future__ import annotations

from edge_autoglm.device.accelerators import GpuState
from edge_autoglm.device.checks import Check, note, ok, problem
from edge_autoglm.device.extras import ORT_EXTRAS
from edge_autoglm.device.host import HostFacts
from edge_autoglm.device.packages import OrtBuild

_SUBJECT = "ONNX Runtime"
_PIP = "python -m pip"
_GPU_BUILD = "onnxruntime-gpu"


def check_onnxruntime(facts: HostFacts) -> list[Check]:
    """Clash, damage, version, GPU: the first that is wrong, or that all is well."""
    builds = facts.onnxruntime
    if len(builds) > 1:
        return [_clash(facts)]
    if facts.ort.error is not None:
        return [_damaged(builds[0], facts.ort.error) if builds else _missing(facts.ort.error)]
    name = f"{builds[0].name} {builds[0].version}" if builds else f"{facts.ort.version}, not installed by pip"
    too_old = _too_old(facts)
    if too_old is not None:
        return [too_old]
    return [ok(_SUBJECT, f"{name}: {', '.join(facts.ort.providers)}"), *_gpu_build(facts)]


def _clash(facts: HostFacts) -> Check:
    builds = facts.onnxruntime
    names = " ".join(build.name for build in builds)
    kept = _to_keep(facts)
    offered = ", ".join(facts.ort.providers) or f"nothing ({facts.ort.error})"
    return problem(
        _SUBJECT,
        f"{' and '.join(f'{build.name} {build.version}' for build in builds)} are installed together and have "
        f"overwritten each other's files; what is left offers {offered}",
        f"Keep {kept.name} only: {_PIP} uninstall -y {names} && {_PIP} install {kept.name}=={kept.version}",
    )


def _to_keep(facts: HostFacts) -> OrtBuild:
    """The GPU's build where there is a GPU, the CPU's where there is none."""
    wanted = _GPU_BUILD if facts.accelerators.state is GpuState.READY else "onnxruntime"
    return next((build for build in facts.onnxruntime if build.name == wanted), facts.onnxruntime[0])


def _damaged(build: OrtBuild, error: str) -> Check:
    cure = f"Install it anew: {_PIP} install --force-reinstall --no-deps {build.name}=={build.version}"
    return problem(_SUBJECT, f"{build.name} {build.version} cannot be imported: {error}", cure)


def _missing(error: str) -> Check:
    return problem(_SUBJECT, f"not installed ({error})", f'Install it: {_PIP} install "edge-autoglm[cpu]"')


def _too_old(facts: HostFacts) -> Check | None:
    for each in facts.requirements:
        wanted = each.requirement
        if wanted.extra in ORT_EXTRAS and each.version is not None and not each.is_met:
            found = f"{wanted.name} {each.version}; {wanted.text} is needed"
            return problem(_SUBJECT, found, f'Install it: {_PIP} install "{wanted.text}"')
    return None


def _gpu_build(facts: HostFacts) -> list[Check]:
    if [build.name for build in facts.onnxruntime] != [_GPU_BUILD] or facts.accelerators.state is GpuState.READY:
        return []
    return [
        note(
            _SUBJECT,
            f"{_GPU_BUILD} is installed and no usable GPU was found; engines run on the CPU",
            f"On a device without a GPU, save its hundreds of megabytes: {_PIP} uninstall -y {_GPU_BUILD} && "
            f'{_PIP} install "edge-autoglm[cpu]"',
        )
    ]
