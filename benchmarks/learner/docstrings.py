"""A text task without a download: which package does this docstring come from?"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.learner.stream import Stream, classification, shuffled
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.hashing import hash_name

REPORTED = ("numpy", "scipy", "sklearn", "river", "matplotlib", "PIL", "joblib", "fontTools")
TUNING = ("asyncio", "email", "http", "importlib", "logging", "multiprocessing", "unittest", "xml")
"""Of the standard library."""
_A_PACKAGE = 400
_SHORTEST = 40
_WORDS = 30
_WORD = re.compile(r"[a-z]{2,}")
_NAMES = frozenset({*map(str.lower, REPORTED + TUNING), "np", "scikit", "learn", "plt", "pillow", "fonttools"})
"""A docstring must not name its own package."""


def docstring_stream(packages: tuple[str, ...]) -> Callable[[int, int], Stream]:
    """The maker of a stream over the docstrings of these packages."""
    return lambda seed, limit: shuffled(_documented(packages), seed, limit)


@lru_cache(maxsize=2)
def _documented(packages: tuple[str, ...]) -> Stream:
    features: list[Features] = []
    labels: list[str] = []
    for package in packages:
        found = [_featurised(text) for text in _texts(package)]
        features += found
        labels += [package] * len(found)
    return classification(features, labels)


def _texts(package: str) -> list[str]:
    """Docstrings of a package, all different, the same ones in every run.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed: the docstring streams need {', '.join(REPORTED)}")
    root = Path(spec.origin).parent
    files = sorted(path for path in root.rglob("*.py") if "test" not in str(path.relative_to(root)))
    texts: dict[str, None] = {}
    for place in np.random.default_rng(0).permutation(len(files)):
        texts.update(dict.fromkeys(_docstrings(files[place])))
        if len(texts) >= _A_PACKAGE:
            break
    return list(texts)[:_A_PACKAGE]


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None and len(text) >= _SHORTEST:
                yield text


def _featurised(text: str) -> Features:
    """The first different words, hashed; their vector has length 1."""
    words = [word for word in dict.fromkeys(_WORD.findall(text.lower())) if word not in _NAMES][:_WORDS]
    indices = np.array([hash_name(word) for word in words], dtype=np.int64)
    return Features(indices, np.full(len(words), 1.0 / np.sqrt(max(len(words), 1))), "docstrings")
