"""``manifest.json``: what a bundle holds, of which model it is, and how it was verified.

The text is canonical (sorted keys, indent 1, trailing newline) and carries the checksum of its own content, so that a
flipped byte in the manifest is found like one in any other file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from edge_autoglm.errors import DamagedBundle, ForeignBundle

SCHEMA_VERSION = 2
MANIFEST_NAME = "manifest.json"
CREATOR = "edge-autoglm"

_CHECKSUM = "checksum"
_LEFT_OUT = frozenset({"plans", "columns"})
"""Fields of an engine that are not written where they say nothing."""
_SHA256 = re.compile("[0-9a-f]{64}")
_COPY_AGAIN = "Copy the bundle again from where it came, or export it again."


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a bundle.

    Attributes:
        path: POSIX path relative to the bundle.
        sha256: 64 lower-case hexadecimal characters.
        size: Bytes.
    """

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the runtime must know of the model without opening its graph.

    Attributes:
        name: For people.
        family: Architecture, as the exporter names it (``llama``).
        parameters: Number of weights.
        vocab_size: Rows of the embedding.
        hidden_size: Width of the residual stream.
        layers: Number of decoder layers.
        kv_heads: Key-value heads a layer.
        head_dim: Width of one head.
        context_length: Longest sequence the model was trained for, in tokens.
        eos_token_ids: Ids that end a generation.
        bos_token: Text of the token that the chat template may refer to.
        eos_token: Likewise.
        add_bos: Whether every prompt starts with ``bos_token``.
    """

    name: str
    family: str
    parameters: int
    vocab_size: int
    hidden_size: int
    layers: int
    kv_heads: int
    head_dim: int
    context_length: int
    eos_token_ids: tuple[int, ...]
    bos_token: str | None
    eos_token: str | None
    add_bos: bool


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """A TensorRT plan: an engine's graph, compiled for some devices and one version of one library.

    Attributes:
        path: POSIX path relative to the bundle, or to the folder of rebuilt plans.
        library: Whose plan it is: ``tensorrt`` or ``tensorrt_rtx``.
        version: Of that library; no other opens it.
        compute_capabilities: Of the GPUs that it runs on (``8.9``).
        platform: Operating system and processor (``linux-x86_64``).
        rows, page, head_rows: See ``runtime.engines.standard.sizes``.
    """

    path: str
    library: str
    version: str
    compute_capabilities: tuple[str, ...]
    platform: str
    rows: int
    page: int
    head_rows: int


@dataclass(frozen=True, slots=True)
class EngineEntry:
    """One engine of a bundle.

    Attributes:
        kind: Which runtime opens it: ``ort``, ``ort-past`` or ``standard``.
        graph: Path of the graph within the bundle.
        precision: As the exporter was asked for it (``int8``).
        kv_type: Of the KV cache (``fp32``).
        groups: How the weights of each group of layers are stored (``{"qkv": "int4"}``); for people.
        notes: What else the exporter had to say of this engine, for people.
        plans: Compiled from the graph; for kind ``standard``. Left out of the text where there are none.
        columns: Of a slot's KV cache, where the graph fixes them (kind ``standard``); else 0, and left out.
    """

    kind: str
    graph: str
    precision: str
    kv_type: str
    groups: dict[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    plans: tuple[PlanEntry, ...] = ()
    columns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Content of ``manifest.json``.

    Attributes:
        created_by: Package and version that wrote the bundle.
        created_at: ISO 8601, UTC.
        source: The checkpoint that the bundle was made from, as it was named to the exporter.
        model: Facts of the model.
        engines: Whatever can run the model here.
        files: Every file but the manifest itself.
        verification: Figures of the exporter's comparison with the source; JSON values only, lists rather than tuples.
        schema_version: Of this file's layout.
    """

    created_by: str
    created_at: str
    source: str
    model: ModelFacts
    engines: tuple[EngineEntry, ...]
    files: tuple[FileEntry, ...]
    verification: dict[str, Any]
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """The canonical text, checksum included.

        Raises:
            ValueError: ``verification`` holds NaN or an infinity.
            TypeError: ``verification`` holds something that JSON has no form for.
        """
        content = dataclasses.asdict(self) | {"engines": [engine_json(engine) for engine in self.engines]}
        return _canonical({**content, _CHECKSUM: _checksum(content)})

    @classmethod
    def from_json(cls, text: str, file: str = MANIFEST_NAME) -> Manifest:
        """Read the text that ``to_json`` made; anything else is refused.

        Args:
            text: Content of the file.
            file: Its name, for messages.

        Raises:
            ForeignBundle: Not a bundle's manifest, or one of another schema version.
            DamagedBundle: Not JSON; a field is missing, unknown or malformed; or the text is not the one written.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DamagedBundle(f"{file} is not valid JSON ({error})", _COPY_AGAIN) from error
        _check_schema(content, file)
        written = content.pop(_CHECKSUM, None)
        try:
            manifest: Manifest = decode(cls, content, "")
            _check_paths(manifest)
            canonical = manifest.to_json()
        except (ValueError, RecursionError) as error:
            raise DamagedBundle(f"{file} is damaged: {error}", _COPY_AGAIN) from error
        if canonical != text:
            raise DamagedBundle(
                f"{file} is damaged or was edited: expected checksum {written}, got {_checksum(content)}",
                _COPY_AGAIN,
            )
        return manifest


def engine_json(entry: EngineEntry) -> dict[str, Any]:
    """An engine as it stands in the text: what it does not have is left out, as it was before there was any."""
    content = dataclasses.asdict(entry)
    return {name: value for name, value in content.items() if name not in _LEFT_OUT or value}


def listed_paths(text: str) -> frozenset[str] | None:
    """Paths that a manifest of *any* schema version lists, even a damaged one; ``None`` if it is not a bundle's.

    For deciding whether a folder is ours to replace; nothing else may be concluded from it.
    """
    try:
        content = json.loads(text)
        ours = isinstance(content["schema_version"], int) and content["created_by"].startswith(CREATOR)
        return frozenset(str(entry["path"]) for entry in content["files"]) if ours else None
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None


def is_contained(path: str) -> bool:
    """Whether a path is a plain relative POSIX path that stays within its folder, printable and portable."""
    parts = path.split("/")
    return path.isprintable() and not set(path) & set("\\:") and not set(parts) & {"", ".", ".."}


def _canonical(content: dict[str, Any]) -> str:
    # ASCII, because a source may have been named by a path that is not valid UTF-8.
    return json.dumps(content, sort_keys=True, indent=1, allow_nan=False, ensure_ascii=True) + "\n"


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def _check_schema(content: object, file: str) -> None:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if type(version) is not int:
        raise ForeignBundle(
            f"{file} is not the manifest of a bundle: it has no schema_version",
            "Give the folder that `edge-autoglm export` wrote.",
        )
    if version != SCHEMA_VERSION:
        newer = version > SCHEMA_VERSION
        raise ForeignBundle(
            f"{file} has schema version {version}; this package reads version {SCHEMA_VERSION}",
            "Upgrade edge-autoglm, or export the model again." if newer else "Export the model again.",
        )


def _check_paths(manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.files]
    for index, entry in enumerate(manifest.files):
        if not is_contained(entry.path) or entry.path == MANIFEST_NAME:
            raise ValueError(f"field files[{index}].path is {entry.path!r}, which is not a path within the bundle")
        if not _SHA256.fullmatch(entry.sha256):
            raise ValueError(f"field files[{index}].sha256 is not a SHA-256")
        if entry.size < 0:
            raise ValueError(f"field files[{index}].size is negative")
    if len(set(paths)) != len(paths):
        raise ValueError("field files names a path twice")
    for index, engine in enumerate(manifest.engines):
        if engine.graph not in paths:
            raise ValueError(f"field engines[{index}].graph is {engine.graph!r}, which is not among the files")
        for number, plan in enumerate(engine.plans):
            if plan.path not in paths:
                where = f"field engines[{index}].plans[{number}].path"
                raise ValueError(f"{where} is {plan.path!r}, which is not among the files")


def decode(kind: Any, value: Any, field: str) -> Any:
    """Build a value of an annotated type from JSON, strictly.

    Args:
        kind: The annotation: a dataclass, a tuple, a dict, or types that JSON has.
        value: As ``json.loads`` gives it.
        field: Its name, for messages; empty for the whole.

    Raises:
        ValueError: Naming the field.
    """
    if dataclasses.is_dataclass(kind):
        return _decode_object(kind, value, field)
    if get_origin(kind) is tuple:
        items = _expect((list,), value, field)
        return tuple(decode(get_args(kind)[0], item, f"{field}[{index}]") for index, item in enumerate(items))
    if get_origin(kind) is dict:
        entries, values = _expect((dict,), value, field), get_args(kind)[1]
        if values is Any:
            return entries
        return {name: decode(values, entry, f"{field}.{name}") for name, entry in entries.items()}
    return _expect(get_args(kind) or (kind,), value, field)


def _decode_object(kind: Any, value: Any, field: str) -> Any:
    content = _expect((dict,), value, field)
    hints = get_type_hints(kind)
    prefix = f"{field}." if field else ""
    for missing in sorted(hints.keys() - content.keys() - _LEFT_OUT):
        raise ValueError(f"field {prefix}{missing} is missing")
    for unknown in sorted(content.keys() - hints.keys()):
        raise ValueError(f"field {prefix}{unknown} is unknown")
    present = {name: hint for name, hint in hints.items() if name in content}
    return kind(**{name: decode(hint, content[name], prefix + name) for name, hint in present.items()})


def _expect(kinds: tuple[type, ...], value: Any, field: str) -> Any:
    if type(value) not in kinds:  # exact, because True is an int to isinstance
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"field {field} is of type {type(value).__name__}, expected {expected}")
    return value
