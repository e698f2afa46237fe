"""The TensorRT plans that there are for a bundle: those that were built on this device, then its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.manifest import EngineEntry, PlanEntry
from edge_autoglm.bundle.plan_folder import PlanFolder
from edge_autoglm.errors import DamagedPlan


@dataclass(frozen=True, slots=True)
class KnownPlan:
    """A plan on disk.

    Attributes:
        name: For people: its path within the bundle, or its file.
        entry: What it is for.
        sha256: 64 lower-case hexadecimal characters.
        size: Bytes.
        open: Where it lies, once its content was checked; raises ``DamagedPlan``.
    """

    name: str
    entry: PlanEntry
    sha256: str
    size: int
    open: Callable[[], Path]


def plans_of(bundle: Bundle, entry: EngineEntry) -> Iterator[KnownPlan | DamagedPlan]:
    """Every plan of an engine; an error for one that is damaged, since another may do.

    One that was built here comes first: somebody wanted it in place of the bundle's.
    """
    folder = PlanFolder.of(bundle.fingerprint)
    for name in folder.names():
        try:
            plan = folder.read(name)
        except DamagedPlan as error:
            yield error
        else:
            file = str(folder.root / plan.entry.path)
            yield KnownPlan(file, plan.entry, plan.sha256, plan.size, partial(folder.checked_path, plan))
    files = {file.path: file for file in bundle.manifest.files}
    for own in entry.plans:
        file_entry = files[own.path]  # the manifest was checked for that
        yield KnownPlan(own.path, own, file_entry.sha256, file_entry.size, partial(bundle.path, own.path))
