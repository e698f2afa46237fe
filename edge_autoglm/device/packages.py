"""Which packages are installed, found by their metadata and files: nothing heavy is imported to find out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions

from edge_autoglm.device.requirements import Requirement, normalised, parse_requirements

OURS = "edge-autoglm"
_ORT_FILE = "onnxruntime/__init__.py"


@dataclass(frozen=True, slots=True)
class Installed:
    """A requirement and what is installed for it.

    Attributes:
        requirement: From the package's own metadata.
        version: The installed one; ``None`` if there is none.
    """

    requirement: Requirement
    version: str | None

    @property
    def is_met(self) -> bool:
        """Installed, in a version that will do."""
        return self.version is not None and self.requirement.is_met_by(self.version)


@dataclass(frozen=True, slots=True)
class OrtBuild:
    """An installed distribution of ONNX Runtime: ``onnxruntime``, ``onnxruntime-gpu``, ``-directml``, ``-openvino`` ...

    All of them write into one folder, ``onnxruntime``.
    """

    name: str
    version: str


def our_version() -> str | None:
    """Of this package, as it is installed; ``None`` where it runs from a source tree."""
    return version_of(OURS)


def version_of(name: str) -> str | None:
    """Installed version of a distribution; ``None`` if there is none."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def requirements() -> list[Installed]:
    """What this package's metadata asks for, of the core and of every extra, beside what is installed.

    Empty where it runs from a source tree that is not installed.
    """
    try:
        lines = distribution(OURS).requires or []
    except PackageNotFoundError:
        return []
    return [Installed(requirement, version_of(requirement.name)) for requirement in parse_requirements(lines)]


def onnxruntime_builds(installed: Iterable[Distribution] | None = None) -> list[OrtBuild]:
    """Every distribution that writes the package ``onnxruntime``; two of them overwrite each other's files.

    Args:
        installed: To look through; by default what this interpreter can import.
    """
    found: dict[str, OrtBuild] = {}
    for each in distributions() if installed is None else installed:
        name = normalised(each.metadata["Name"] or "")  # a half-removed distribution has no name
        if name.startswith(("onnxruntime", "ort-")) and _writes_onnxruntime(each):
            found.setdefault(name, OrtBuild(name, each.version))
    return [found[name] for name in sorted(found)]


def _writes_onnxruntime(installed: Distribution) -> bool:
    """Not so do ``onnxruntime-genai`` and ``onnxruntime-extensions``."""
    if installed.files is None:  # no list of files, as in an installation by a Linux distribution
        return "onnxruntime" in (installed.read_text("top_level.txt") or "").split()
    return any(file.as_posix() == _ORT_FILE for file in installed.files)
