"""The demo's two bundles: the exported model, and the same with a longer prompt set. Made once, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

import edge_autoglm
from edge_autoglm import Bundle, export_model
from edge_autoglm.demo.model import SMOLLM2, cache_folder
from edge_autoglm.demo.session import TASK
from edge_autoglm.errors import BundleError
from edge_autoglm.values import Progress

LONG_VARIANT = "many_shot"
"""Variant of the second prompt set whose static prefix is about 200 tokens."""


def exported_bundle(gguf: Path, progress: Progress) -> Bundle:
    """The model in int8; exported anew for each version of this package."""
    folder = cache_folder() / f"smollm2-{SMOLLM2.sha256[:12]}-{edge_autoglm.__version__}-int8.bundle"
    return _kept(folder, lambda: export_model(gguf, folder, precision="int8", force=True, progress=progress))


def extended_bundle(base: Bundle, progress: Progress) -> Bundle:
    """The same engine with more variants of the task ``sentiment``; shares its large files with ``base``."""
    task = next(path for path in base.task_files() if path.stem == TASK)
    text = _extended_task(task.read_text(encoding="utf-8"))
    key = hashlib.sha256((base.digest + text).encode()).hexdigest()[:12]
    folder = cache_folder() / f"smollm2-more-variants-{key}.bundle"

    def derive() -> Bundle:
        if folder.exists():
            shutil.rmtree(folder)
        with tempfile.TemporaryDirectory() as aside:
            extended = Path(aside) / task.name
            extended.write_text(text, encoding="utf-8")
            others = [path for path in base.task_files() if path != task]
            return base.derive(folder, [*others, extended], progress)

    return _kept(folder, derive)


def long_prefix() -> str:
    """Text of `LONG_VARIANT` before the input."""
    prompt = next(variant["prompt"] for variant in _more_variants() if variant["name"] == LONG_VARIANT)
    return str(prompt).partition("{{")[0]


def _kept(folder: Path, make: Callable[[], Bundle]) -> Bundle:
    """What is in the cache, or, where that is missing or damaged, a new one."""
    try:
        return Bundle.open(folder)
    except BundleError:
        return make()


def _extended_task(text: str) -> str:
    task = yaml.safe_load(text)
    task["variants"] += _more_variants()
    return str(yaml.safe_dump(task, allow_unicode=True, sort_keys=False))


def _more_variants() -> list[dict[str, Any]]:
    text = files("edge_autoglm.data").joinpath("sentiment_more_variants.yaml").read_text(encoding="utf-8")
    variants: list[dict[str, Any]] = yaml.safe_load(text)
    return variants
