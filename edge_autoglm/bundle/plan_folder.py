"""TensorRT plans that were rebuilt on this device, one folder a bundle.

A bundle is sealed, and a plan fits one kind of GPU and one version of one library. So a device that no plan of its
bundle fits compiles one of its own and keeps it in the user's cache. A small file beside each plan says what it is for;
it is written last and names the plan, so that a crash leaves the old plan or the new one.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_autoglm.bundle.atomic import write_bytes_atomic
from edge_autoglm.bundle.checksums import hash_files
from edge_autoglm.bundle.manifest import PlanEntry, decode, is_contained
from edge_autoglm.bundle.staging import locked
from edge_autoglm.device.cache_folder import cache_folder
from edge_autoglm.errors import BundleError, DamagedPlan
from edge_autoglm.values import Progress, silent

_BUILDING = ".building.plan"
_DIGITS = 8
"""Of a plan's checksum, in its file's name: a new plan never lies where an old one is being read."""


@dataclass(frozen=True, slots=True)
class RebuiltPlan:
    """A plan of the folder.

    Attributes:
        entry: What it is for; its path is relative to the folder.
        sha256: 64 lower-case hexadecimal characters.
        size: Bytes.
    """

    entry: PlanEntry
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class PlanFolder:
    """The rebuilt plans of one bundle.

    Attributes:
        root: The folder; it need not exist.
    """

    root: Path

    @classmethod
    def of(cls, fingerprint: str) -> PlanFolder:
        """Of the bundle of a fingerprint, in the user's cache."""
        return cls(cache_folder() / "plans" / fingerprint)

    @property
    def timing_cache(self) -> Path:
        """What TensorRT has learnt of this GPU's kernels; makes the next build shorter."""
        return self.root / "timing.cache"

    def kernels(self, sha256: str) -> Path:
        """What TensorRT-RTX compiles on this device for the plan of a checksum."""
        return self.root / f"{sha256[:_DIGITS]}.kernels"

    def names(self) -> list[str]:
        """Of the plans, sorted; some may be damaged."""
        return sorted(path.stem for path in self.root.glob("*.json"))

    def read(self, name: str) -> RebuiltPlan:
        """What is said of a plan, and whether it is there in full; its content is for ``checked_path``.

        Raises:
            DamagedPlan: The plan is missing or of another size, or what is said of it is damaged.
        """
        file = self._about(name)
        try:
            plan: RebuiltPlan = decode(RebuiltPlan, json.loads(file.read_bytes()), "")
            if not is_contained(plan.entry.path):
                raise ValueError(f"field entry.path is {plan.entry.path!r}, which is not a path within the folder")
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(file, f"is damaged: {error}", name) from error
        self._check_size(plan)
        return plan

    def checked_path(self, plan: RebuiltPlan, progress: Progress = silent) -> Path:
        """Where a plan lies, once its content is what it was when it was built.

        Args:
            plan: As ``read`` gave it.
            progress: Stage ``verifying``, in bytes.

        Raises:
            DamagedPlan: It is not.
        """
        self._check_size(plan)
        file = self.root / plan.entry.path
        with self._reading(file, plan):
            [found] = hash_files(self.root, [plan.entry.path], "verifying", progress)
        if found.sha256 != plan.sha256:
            how = f"is damaged: expected sha256 {plan.sha256}, got {found.sha256}"
            raise self._damaged(file, how, _name(plan.entry))
        return file

    def keep(self, build: Callable[[Path], PlanEntry], progress: Progress = silent) -> RebuiltPlan:
        """Have a plan built and keep it, in place of an earlier one for the same library and GPUs.

        Another process that builds for this bundle waits.

        Args:
            build: Writes a plan to a path and says what it is for. Whatever it raises, nothing of it is left.
            progress: Stage ``hashing``, in bytes.

        Raises:
            BundleError: The folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with locked(self.root):
                return self._built(build, progress)
        except OSError as error:
            raise BundleError(
                f"{self.root}: a plan cannot be kept there: {(error.strerror or str(error)).lower()}",
                "Free space, or name another folder in EDGE_AUTOGLM_CACHE.",
            ) from error

    def _built(self, build: Callable[[Path], PlanEntry], progress: Progress) -> RebuiltPlan:
        aside = self.root / _BUILDING
        try:
            entry = build(aside)
            [file] = hash_files(self.root, [_BUILDING], "hashing", progress, fsync=True)
            name = _name(entry)
            path = f"{name}-{file.sha256[:_DIGITS]}.plan"
            plan = RebuiltPlan(dataclasses.replace(entry, path=path), file.sha256, file.size)
            os.replace(aside, self.root / path)
        finally:
            aside.unlink(missing_ok=True)
        text = json.dumps(dataclasses.asdict(plan), indent=1) + "\n"
        write_bytes_atomic(self._about(name), text.encode())
        for other in self.root.glob(f"{name}-*.plan"):
            if other.name != path:
                with suppress(OSError):  # Windows deletes no file that is open
                    other.unlink()
                    self.kernels(other.stem[-_DIGITS:]).unlink(missing_ok=True)
        return plan

    def _about(self, name: str) -> Path:
        return self.root / f"{name}.json"

    def _check_size(self, plan: RebuiltPlan) -> None:
        file = self.root / plan.entry.path
        with self._reading(file, plan):
            size = file.stat().st_size
        if size != plan.size:
            raise self._damaged(file, f"is damaged: expected {plan.size} bytes, got {size}", _name(plan.entry))

    @contextmanager
    def _reading(self, file: Path, plan: RebuiltPlan) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            how = f"cannot be read: {(error.strerror or str(error)).lower()}"
            raise self._damaged(file, how, _name(plan.entry)) from error

    def _damaged(self, file: Path, how: str, name: str) -> DamagedPlan:
        cure = f"Build the plan again (edge-autoglm rebuild BUNDLE), or delete {self._about(name)}."
        return DamagedPlan(f"{file} {how}", cure)


def _name(entry: PlanEntry) -> str:
    """The same for plans that take each other's place."""
    capabilities = "_".join(capability.replace(".", "") for capability in entry.compute_capabilities)
    return f"{entry.library}-{entry.version}-{entry.platform}-sm{capabilities}"
