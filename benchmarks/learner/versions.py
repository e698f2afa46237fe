"""Versions of what takes part."""

from __future__ import annotations

from importlib import metadata

_PACKAGES = ("vowpalwabbit", "river", "scikit-learn", "scipy", "numpy", "matplotlib", "pillow", "joblib", "fonttools")


def versions() -> dict[str, str | None]:
    """By package; ``None`` where it is not installed."""
    found: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found
