"""Who vouches for a bundle: an Ed25519 signature (RFC 8032) in a small file beside the manifest.

What is signed is the SHA-256 of the manifest's text, which lists every file by its own SHA-256 and holds the facts of
the model: nothing that decides an answer can change behind a signature. The file itself is not listed in the manifest,
so that signing a bundle changes neither its digest nor its fingerprint.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_autoglm.bundle.atomic import write_bytes_atomic
from edge_autoglm.bundle.manifest import Manifest
from edge_autoglm.errors import BundleError, MissingDependency, RequestError, UntrustedBundle

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_NAME = "signature.json"
FORMAT = 1

_DOMAIN = b"edge-autoglm bundle manifest 1\n"
"""In front of what is signed, so that a signature made for another purpose never fits a bundle."""
_PUBLIC_KEY = re.compile("[0-9a-f]{64}")
_KEY_ID = re.compile("[0-9a-f]{16}")
_VALUE = re.compile("[0-9a-f]{128}")
_SIGN_IT = "Sign it with `edge-autoglm sign` and a key that this device trusts."
_MAKE_KEY = "Make one with `edge-autoglm sign --new-key FILE`; one with a passphrase cannot be used."
_COPY_AGAIN = "Copy the bundle again from where it came, or sign it again if the change was meant."


@dataclass(frozen=True, slots=True)
class Signature:
    """Content of ``signature.json``.

    Attributes:
        key_id: Of the public key that it is checked with: see ``key_id``.
        value: 64 bytes, as 128 lower-case hexadecimal characters.
    """

    key_id: str
    value: str

    def to_json(self) -> str:
        """The text of the file."""
        content = {"format": FORMAT, "algorithm": "ed25519", "key_id": self.key_id, "signature": self.value}
        return json.dumps(content, indent=1) + "\n"


def key_id(public_key: str) -> str:
    """Short name of a public key: 16 hexadecimal characters of its SHA-256."""
    return hashlib.sha256(bytes.fromhex(public_key)).hexdigest()[:16]


def read_signature(root: Path) -> Signature | None:
    """The signature that lies in a bundle's folder, unchecked; ``None`` if there is none.

    Raises:
        UntrustedBundle: The file is not a signature of a known format.
        BundleError: The file cannot be read.
    """
    file = root / SIGNATURE_NAME
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BundleError(f"{file} cannot be read: {error.strerror}", "Check its permissions and the disk.") from error
    except UnicodeDecodeError as error:
        raise UntrustedBundle(f"{file} is damaged: {error}", _COPY_AGAIN) from error
    return _parsed(text, file)


def check_signature(root: Path, manifest: Manifest, trusted_keys: Sequence[str]) -> None:
    """Refuse a bundle that nobody trusted has signed as it is.

    Args:
        root: Folder of the bundle.
        manifest: As read from there; whoever checks the files against it has checked all of the bundle then.
        trusted_keys: Public keys, each 64 hexadecimal characters; any one of them will do.

    Raises:
        UntrustedBundle: It is unsigned, signed by another key, or was altered since.
        RequestError: A trusted key is malformed.
        MissingDependency: ``cryptography`` is not installed.
    """
    known = {key_id(key): key for key in map(_public_hex, trusted_keys)}
    signature = read_signature(root)
    file = root / SIGNATURE_NAME
    if signature is None:
        raise UntrustedBundle(f"the bundle {root} is not signed: it has no {SIGNATURE_NAME}", _SIGN_IT)
    if signature.key_id not in known:
        trusted = ", ".join(sorted(known)) or "none"
        raise UntrustedBundle(
            f"{file} was made with the key {signature.key_id}, which is not trusted here (trusted: {trusted})", _SIGN_IT
        )
    if not _fits(known[signature.key_id], signature, manifest):
        raise UntrustedBundle(
            f"{file} does not fit the manifest: one of the two was altered after the key {signature.key_id} signed it",
            _COPY_AGAIN,
        )


def sign(root: Path, manifest: Manifest, key_file: Path) -> Signature:
    """Write the signature of a bundle that has been verified; one that is there is replaced.

    Args:
        root: Folder of the bundle.
        manifest: As read from there.
        key_file: Private key, as ``new_key`` wrote it.

    Raises:
        RequestError: The key file is missing or holds no Ed25519 key.
        BundleError: The folder cannot be written.
        MissingDependency: ``cryptography`` is not installed.
    """
    key = _private_key(key_file)
    value = key.sign(_signed_bytes(manifest)).hex()
    signature = Signature(key_id(public_key_of(key_file)), value)
    _write(root / SIGNATURE_NAME, signature.to_json().encode(), mode=0o666)
    return signature


def new_key(key_file: Path) -> str:
    """Write a fresh private key (PEM, PKCS 8, without a passphrase), readable by its owner only.

    Returns:
        The public key, for ``trusted_keys``.

    Raises:
        RequestError: The file exists.
        BundleError: It cannot be written.
        MissingDependency: ``cryptography`` is not installed.
    """
    with _needs_cryptography():
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    if key_file.exists():
        raise RequestError(f"{key_file} exists; a key is never overwritten", "Name another file.")
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key_file, pem, mode=0o600)
    return public_key_of(key_file)


def public_key_of(key_file: Path) -> str:
    """The public key that belongs to a private one: 64 hexadecimal characters.

    Raises:
        RequestError: The key file is missing or holds no Ed25519 key.
        MissingDependency: ``cryptography`` is not installed.
    """
    public: bytes = _private_key(key_file).public_key().public_bytes_raw()
    return public.hex()


def _parsed(text: str, file: Path) -> Signature:
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise UntrustedBundle(
                f"{file} has format {content['format']!r}; this package reads format {FORMAT}",
                "Sign the bundle with this version, or upgrade edge-autoglm.",
            )
        found = Signature(str(content["key_id"]), str(content["signature"]))
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise UntrustedBundle(f"{file} is no signature: {error!r}", _COPY_AGAIN) from error
    if not _KEY_ID.fullmatch(found.key_id) or not _VALUE.fullmatch(found.value):
        raise UntrustedBundle(f"{file} is no signature: its key id or its value is malformed", _COPY_AGAIN)
    return found


def _fits(public_key: str, signature: Signature, manifest: Manifest) -> bool:
    with _needs_cryptography():
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(signature.value), _signed_bytes(manifest))
    except InvalidSignature:
        return False
    return True


def _signed_bytes(manifest: Manifest) -> bytes:
    return _DOMAIN + hashlib.sha256(manifest.to_json().encode()).digest()


def _public_hex(key: str) -> str:
    if not _PUBLIC_KEY.fullmatch(key):
        raise RequestError(
            f"the trusted key {key!r} is not 64 hexadecimal characters",
            "Give the public key that `edge-autoglm sign` printed.",
        )
    return key


def _private_key(key_file: Path) -> Ed25519PrivateKey:
    with _needs_cryptography():
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except OSError as error:
        raise RequestError(f"the key {key_file} cannot be read: {error.strerror}", "Check its path.") from error
    except (ValueError, TypeError) as error:
        raise RequestError(f"{key_file} holds no private key: {error}", _MAKE_KEY) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise RequestError(f"the key in {key_file} is not an Ed25519 key", _MAKE_KEY)
    return key


def _write(file: Path, data: bytes, mode: int) -> None:
    try:
        write_bytes_atomic(file, data, mode=mode)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BundleError(f"{file} cannot be written: {reason}", "Check the permissions of its folder.") from error


@contextmanager
def _needs_cryptography() -> Iterator[None]:
    """Around its imports, which are done on use: most devices check no signature."""
    try:
        yield
    except ImportError as error:
        raise MissingDependency(
            "signatures of bundles need the package cryptography", 'Install it: pip install "edge-autoglm[signing]".'
        ) from error
