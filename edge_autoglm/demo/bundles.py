"""The demo's bundles: the exported model, and two prompt sets over it. Made once, kept in the cache."""

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
from edge_autoglm.demo.model import SMOLLM2
from edge_autoglm.demo.session import TASK
from edge_autoglm.device.cache_folder import cache_folder
from edge_autoglm.errors import BundleError
from edge_autoglm.values import Progress

LONG_VARIANT = "many_shot"
"""Variant of the second prompt set whose static prefix is about 200 tokens."""

_FIRST_VARIANTS = ("plain", "review", "two_shot", "chinese", "yes_no", "unhelpful")
"""Good ones and bad ones; not all, because each is measured alone at the end."""

_PRECISION = "int8"


def exported_bundle(gguf: Path, progress: Progress) -> Bundle:
    """The model in int8; exported anew when the model or the code of this package has changed."""
    folder = cache_folder() / f"smollm2-{_PRECISION}.bundle"
    key = f"{SMOLLM2.sha256} {_PRECISION} {edge_autoglm.__version__} {_code_digest()}"
    return _kept(folder, key, lambda: export_model(gguf, folder, precision=_PRECISION, progress=progress, proof=False))


def first_bundle(base: Bundle, progress: Progress) -> Bundle:
    """The same engine with the variants of the task ``sentiment`` that the demo begins with."""
    return _with_variants(base, "first", [], progress)


def extended_bundle(base: Bundle, progress: Progress) -> Bundle:
    """The same with more variants."""
    return _with_variants(base, "more", _more_variants(), progress)


def _with_variants(base: Bundle, name: str, more: list[dict[str, Any]], progress: Progress) -> Bundle:
    """A bundle of that prompt set; it shares its large files with ``base``."""
    folder = cache_folder() / f"smollm2-{_PRECISION}-{name}.bundle"
    built_in = next(path for path in base.task_files() if path.stem == TASK)
    task = yaml.safe_load(built_in.read_text(encoding="utf-8"))
    task["variants"] = [variant for variant in task["variants"] if variant["name"] in _FIRST_VARIANTS] + more
    text = str(yaml.safe_dump(task, allow_unicode=True, sort_keys=False))

    def derive() -> Bundle:
        with tempfile.TemporaryDirectory() as aside:
            file = Path(aside) / built_in.name
            file.write_text(text, encoding="utf-8")
            return base.derive(folder, [file], progress)

    return _kept(folder, hashlib.sha256((base.digest + text).encode()).hexdigest(), derive)


def long_prefix() -> str:
    """Text of `LONG_VARIANT` before the input."""
    prompt = next(variant["prompt"] for variant in _more_variants() if variant["name"] == LONG_VARIANT)
    return str(prompt).partition("{{")[0]


def _kept(folder: Path, key: str, make: Callable[[], Bundle]) -> Bundle:
    """The bundle in the cache; a new one where that is missing, damaged or made from something else.

    What it was made from stands in a file beside it, written last.
    """
    stamp = folder.with_suffix(".key")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == key:
        try:
            return Bundle.open(folder)
        except BundleError:
            pass  # damaged: made anew below
    stamp.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    bundle = make()
    stamp.write_text(key, encoding="utf-8")
    return bundle


def _code_digest() -> str:
    """Changes with any module or task file of this package, so that a checkout never meets a stale bundle."""
    package = Path(edge_autoglm.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for path in package.rglob("*") if path.suffix in (".py", ".yaml")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _more_variants() -> list[dict[str, Any]]:
    text = files("edge_autoglm.data").joinpath("sentiment_more_variants.yaml").read_text(encoding="utf-8")
    variants: list[dict[str, Any]] = yaml.safe_load(text)
    return variants
