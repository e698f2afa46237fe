"""``active.json``: which generation a restart comes up on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edge_autoglm.swap.store.record import SCHEMA_VERSION, ForeignSchema
from edge_autoglm.swap.store.sealed import seal, unseal


@dataclass(frozen=True, slots=True)
class Pointer:
    """The pointer, and what must outlive the generations that are deleted.

    Attributes:
        active: Number of the generation; ``None`` where the app's bundle is what there is.
        last_number: The highest number that was ever written down.
        bundles: Digests of all bundles that were ever active or given up, in order: none of them is a new release.
    """

    active: int | None = None
    last_number: int = 0
    bundles: tuple[str, ...] = ()

    def knowing(self, digest: str, number: int) -> Pointer:
        """This one, with a bundle and a number that are known from now on."""
        bundles = self.bundles if digest in self.bundles else (*self.bundles, digest)
        return Pointer(self.active, max(self.last_number, number), bundles)


def encode_pointer(pointer: Pointer) -> bytes:
    """Content of the file."""
    return seal({"schema_version": SCHEMA_VERSION, **dataclasses.asdict(pointer)})


def decode_pointer(data: bytes) -> Pointer:
    """What ``encode_pointer`` was given.

    Raises:
        ForeignSchema: It was written by another version of this package.
        ValueError: It is not as it was written.
    """
    content = unseal(data)
    schema = content.get("schema_version")
    if schema != SCHEMA_VERSION:
        raise ForeignSchema(f"it is of schema {schema!r}, not {SCHEMA_VERSION}")
    try:
        return Pointer(content["active"], content["last_number"], tuple(content["bundles"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"a field is missing or of another type: {error}") from error
