"""What is deployed, on disk: manifest, checksums, atomic writes. Depends on nothing else of this package."""

from edge_autoglm.bundle.atomic import fsync_folder, write_bytes_atomic
from edge_autoglm.bundle.bundle import Bundle
from edge_autoglm.bundle.manifest import SCHEMA_VERSION, EngineEntry, FileEntry, Manifest, ModelFacts, PlanEntry
from edge_autoglm.bundle.writer import BundleWriter

__all__ = [
    "SCHEMA_VERSION",
    "Bundle",
    "BundleWriter",
    "EngineEntry",
    "FileEntry",
    "Manifest",
    "ModelFacts",
    "PlanEntry",
    "fsync_folder",
    "write_bytes_atomic",
]
