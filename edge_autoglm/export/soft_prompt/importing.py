"""A soft prompt and a variant that uses it, in a new bundle over the same engine."""

from __future__ import annotations

import hashlib
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from edge_autoglm.bundle import Bundle
from edge_autoglm.device.threads import default_threads
from edge_autoglm.errors import MissingDependency, TaskFileError, UnsupportedModel
from edge_autoglm.export.soft_prompt.checkpoint import Embeddings, read_soft_prompt
from edge_autoglm.prompts.catalogue import Catalogue
from edge_autoglm.prompts.task import PLAIN, Task
from edge_autoglm.prompts.versions import UNVERSIONED, Bump
from edge_autoglm.prompts.writing import write_task
from edge_autoglm.runtime.engine import KVSegment
from edge_autoglm.runtime.kv.soft_prompt import SoftPrompt
from edge_autoglm.values import Progress, silent

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_DIGITS = 12
"""Of the embeddings' digest, in the name of their file: other embeddings are another soft prompt."""


@dataclass(frozen=True, slots=True)
class ImportedSoftPrompt:
    """What came of an import.

    Attributes:
        bundle: The new one.
        task: That has a new variant.
        variant: Its name.
        soft_prompt: What the variant's ``soft_prompt`` says.
        tokens: Virtual tokens in front of its prompt.
        nbytes: KV held for them.
    """

    bundle: Bundle
    task: str
    variant: str
    soft_prompt: str
    tokens: int
    nbytes: int


def import_soft_prompt(
    bundle: Bundle,
    folder: Path,
    task: str,
    out: Path,
    name: str,
    *,
    base: str = PLAIN,
    progress: Progress = silent,
) -> ImportedSoftPrompt:
    """Write a bundle in which a task has one more variant: ``base`` behind a soft prompt.

    Args:
        bundle: Verified; stays as it is.
        folder: A PEFT prompt-tuning checkpoint.
        task: Of the bundle.
        out: Folder of the new bundle, which shares the engine's files with the old one.
        name: Of the new variant.
        base: The variant that says what follows the soft prompt: the prompts that it was trained in front of.
        progress: Stages ``soft prompt`` and ``hashing``.

    Raises:
        SourceError: The checkpoint is missing, damaged, of another kind, or for a model of another size.
        PromptError: The bundle has no such task or variant, or has one of the new name.
        BundleError: The bundle's files cannot be used.
        ExportError: ``out`` cannot be written.
        MissingDependency: ONNX or ONNX Runtime is not installed.
    """
    catalogue = Catalogue.load(bundle.task_files())
    old = catalogue.task(task)
    old.variant(base)
    _check_name(old, name)
    embeddings = read_soft_prompt(folder, bundle.manifest.model.hidden_size)
    progress("soft prompt", 0, 1)
    soft_prompt = SoftPrompt.of(_kv(bundle, embeddings))
    progress("soft prompt", 1, 1)
    stored = f"{name}-{_digest(embeddings)}"
    with tempfile.TemporaryDirectory() as scratch:
        changed = Path(scratch) / old.file
        write_task(_with_variant(old, base, name, stored), changed)
        files = [changed if path.name == old.file else path for path in bundle.task_files()]
        derived = bundle.derive(out, files, progress, soft_prompts={stored: soft_prompt.to_bytes()})
    return ImportedSoftPrompt(derived, task, name, stored, len(embeddings), soft_prompt.segment.nbytes)


def _with_variant(task: Task, base: str, name: str, stored: str) -> Task:
    variant = replace(
        task.variant(base),
        name=name,
        description=f"{base}, behind a soft prompt",
        soft_prompt=stored,
        calibration={},  # of other scores
        made_by=(f"soft prompt imported in front of {base}",),
    )
    version = task.version if task.version == UNVERSIONED else task.version.bumped(Bump.MINOR)
    return replace(task, variants=(*task.variants, variant), version=version)


def _check_name(task: Task, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise TaskFileError(
            f"{name!r} cannot name a variant", "Use small letters, digits, - and _; begin with a letter or digit."
        )
    if any(variant.name == name for variant in task.variants):
        raise TaskFileError(f"{task.file}: task {task.name} has a variant {name!r} already", "Choose another name.")


def _kv(bundle: Bundle, embeddings: Embeddings) -> KVSegment:
    try:
        from edge_autoglm.export.soft_prompt.graph import embedded_kv
    except ImportError as error:
        raise MissingDependency(
            f"importing a soft prompt needs the package {error.name}",
            'Install it: pip install "edge-autoglm[cpu,export]".',
        ) from error
    kinds = [entry.kind for entry in bundle.manifest.engines]
    if "ort" not in kinds:
        raise UnsupportedModel(
            f"the bundle {bundle.root} has no engine that a soft prompt can stand in front of (it has "
            f"{', '.join(kinds)})",
            "Export the model for the target ort with our own builder (--via own), if it knows the architecture.",
        )
    longest = bundle.manifest.model.context_length
    if len(embeddings) >= longest:
        raise UnsupportedModel(
            f"the soft prompt has {len(embeddings)} tokens, the model was made for {longest}",
            "Train one with fewer virtual tokens.",
        )
    graph = bundle.path(bundle.engine("ort").graph)
    return embedded_kv(graph, bundle.fingerprint, embeddings, default_threads())


def _digest(embeddings: Embeddings) -> str:
    return hashlib.sha256(embeddings.astype("<f4").tobytes()).hexdigest()[:_DIGITS]
