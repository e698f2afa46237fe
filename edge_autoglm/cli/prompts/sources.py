"""Where task files come from: a bundle, a file, a folder, or the package itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from edge_autoglm.bundle import Bundle
from edge_autoglm.bundle.bundle import soft_prompt_file
from edge_autoglm.bundle.manifest import MANIFEST_NAME
from edge_autoglm.errors import TaskFileError
from edge_autoglm.facade.device_choice import cpu_engine
from edge_autoglm.facade.footprint import kv_bytes_per_token
from edge_autoglm.prompts import Catalogue, builtin_task_files
from edge_autoglm.prompts.checks.text_model import TextModel
from edge_autoglm.runtime.kv.soft_prompt import load_soft_prompt
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer

_CURE = "Name a bundle, a task file (*.yaml) or a folder of task files."

bundle_option = click.option(
    "--bundle",
    "bundle_path",
    type=click.Path(path_type=Path),
    help="Whose tokenizer and chat template to use; by default those of the bundle that is looked at, if it is one.",
)


@dataclass(frozen=True, slots=True)
class Source:
    """Task files that were found under one name.

    Attributes:
        name: What the user called them.
        files: Sorted by name.
        bundle: That they come from, if any.
    """

    name: str
    files: tuple[Path, ...]
    bundle: Bundle | None = None

    @property
    def is_file(self) -> bool:
        """Whether a single task file was named."""
        return self.bundle is None and len(self.files) == 1 and self.name == str(self.files[0])

    def catalogue(self) -> Catalogue:
        """The tasks.

        Raises:
            PromptError: A file is wrong.
        """
        return Catalogue.load(self.files)


BUILTIN = "built-in library"


def read_source(path: Path | None) -> Source:
    """Find the task files under a path; ``None`` for those of the package.

    Raises:
        TaskFileError: There are none.
        BundleError: It is a damaged bundle.
    """
    if path is None:
        return Source(BUILTIN, tuple(builtin_task_files()))
    if (path / MANIFEST_NAME).exists():
        bundle = Bundle.open(path, verify=False)
        return Source(str(path), tuple(bundle.task_files()), bundle)
    if path.is_dir():
        files = tuple(sorted(path.glob("*.yaml")))
        if not files:
            raise TaskFileError(f"{path}: the folder has no task file", _CURE)
        return Source(str(path), files)
    if not path.exists():
        raise TaskFileError(f"{path}: there is no such file", _CURE)
    return Source(str(path), (path,))


def read_sources(paths: Sequence[Path]) -> list[Source]:
    """``read_source`` of each; the package's own library where none is named."""
    return [read_source(path) for path in paths] or [read_source(None)]


def text_model(bundle: Bundle) -> TextModel:
    """The bundle's tokenizer and chat template; its engine is not loaded."""
    facts, template = bundle.manifest.model, bundle.chat_template
    tokenizer = Tokenizer(bundle.tokenizer_path)
    return TextModel(
        encode=tokenizer.encode,
        stable_tokens=tokenizer.stable_tokens,
        shield=tokenizer.shield,
        chat=None if template is None else ChatTemplate(template, facts.bos_token, facts.eos_token).render,
        bos=bool(facts.add_bos and facts.bos_token),
        kv_bytes_per_token=kv_bytes_per_token(bundle, cpu_engine(bundle)),
        soft_prompt=lambda name: load_soft_prompt(bundle.path(soft_prompt_file(name)), bundle.fingerprint).tokens,
    )


def model_for(source: Source, bundle_path: Path | None) -> TextModel | None:
    """That of the bundle that is named, else of the one that the files come from; ``None`` if there is neither."""
    bundle = source.bundle if bundle_path is None else Bundle.open(bundle_path, verify=False)
    return None if bundle is None else text_model(bundle)
