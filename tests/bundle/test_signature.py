from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_autoglm.bundle import Bundle
from edge_autoglm.errors import DamagedBundle, MissingDependency, RequestError, UntrustedBundle
from tests.bundle.samples import CONTENTS, PLAN, write_bundle, write_planned_bundle

pytest.importorskip("cryptography")

from edge_autoglm.bundle.signature import SIGNATURE_NAME, key_id, new_key, public_key_of, sign


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "release.pem"
    new_key(file)
    return file


@pytest.fixture
def signed(key: Path, tmp_path: Path) -> Bundle:
    bundle = write_bundle(tmp_path / "signed")
    sign(bundle.root, bundle.manifest, key)
    return bundle


def test_a_signed_bundle_opens_for_whoever_trusts_its_key(signed: Bundle, key: Path, tmp_path: Path) -> None:
    stranger = new_key(tmp_path / "stranger.pem")
    opened = Bundle.open(signed.root, trusted_keys=(stranger, public_key_of(key)))
    assert opened.signature is not None
    assert opened.signature.key_id == key_id(public_key_of(key))


def test_a_plan_is_signed_like_any_file(key: Path, tmp_path: Path) -> None:
    bundle = write_planned_bundle(tmp_path / "planned")
    sign(bundle.root, bundle.manifest, key)
    trusted = (public_key_of(key),)
    assert Bundle.open(bundle.root, trusted_keys=trusted).manifest == bundle.manifest
    bundle.path(PLAN.path).write_bytes(b"plam")
    with pytest.raises(DamagedBundle, match=r"plans/tiny\.plan is damaged"):
        Bundle.open(bundle.root, trusted_keys=trusted)
    other = write_planned_bundle(tmp_path / "other", plan=b"plam")
    (other.root / SIGNATURE_NAME).write_bytes((bundle.root / SIGNATURE_NAME).read_bytes())
    with pytest.raises(UntrustedBundle, match="was altered after the key"):
        Bundle.open(other.root, trusted_keys=trusted)


def test_signing_changes_no_identity(signed: Bundle, tmp_path: Path) -> None:
    unsigned = write_bundle(tmp_path / "unsigned")
    assert (unsigned.digest, unsigned.fingerprint) == (signed.digest, signed.fingerprint)
    assert unsigned.signature is None
    assert Bundle.open(signed.root).digest == signed.digest


def test_nobody_is_asked_where_no_keys_are_configured(signed: Bundle) -> None:
    (signed.root / SIGNATURE_NAME).write_text("{}")
    Bundle.open(signed.root)


def _unsigned(root: Path) -> None:
    (root / SIGNATURE_NAME).unlink()


def _edit(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        content = json.loads((root / SIGNATURE_NAME).read_text())
        change(content)
        (root / SIGNATURE_NAME).write_text(json.dumps(content))

    return damage


def _flipped(content: dict[str, object]) -> None:
    value = str(content["signature"])
    content["signature"] = ("1" if value[0] == "0" else "0") + value[1:]


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (_unsigned, "is not signed"),
        (_edit(_flipped), "was altered after the key"),
        (_edit(lambda content: content.update(key_id="0" * 16)), "which is not trusted here"),
        (_edit(lambda content: content.update(signature="ab")), "malformed"),
        (_edit(lambda content: content.update(format=2)), "has format 2; this package reads format 1"),
        (_edit(lambda content: content.pop("key_id")), "is no signature"),
        (lambda root: (root / SIGNATURE_NAME).write_text("["), "is no signature"),
        (lambda root: (root / SIGNATURE_NAME).write_text("[" * 100_000), "is no signature"),
        (lambda root: (root / SIGNATURE_NAME).write_bytes(b"\xff\xfe"), "is damaged"),
    ],
)
def test_what_is_not_signed_as_it_is_is_refused(
    signed: Bundle, key: Path, damage: Callable[[Path], None], cause: str
) -> None:
    damage(signed.root)
    with pytest.raises(UntrustedBundle, match=cause) as refused:
        Bundle.open(signed.root, trusted_keys=(public_key_of(key),))
    assert str(signed.root) in refused.value.cause
    assert refused.value.cure


def test_a_signature_of_another_bundle_does_not_fit(signed: Bundle, key: Path, tmp_path: Path) -> None:
    other = write_bundle(tmp_path / "other", {**CONTENTS, "tokenizer.json": b"[]"})
    (other.root / SIGNATURE_NAME).write_bytes((signed.root / SIGNATURE_NAME).read_bytes())
    with pytest.raises(UntrustedBundle, match="was altered after the key"):
        Bundle.open(other.root, trusted_keys=(public_key_of(key),))


@pytest.mark.parametrize("path", list(CONTENTS))
def test_every_file_is_behind_the_signature(signed: Bundle, key: Path, path: str) -> None:
    data = CONTENTS[path]
    (signed.root / path).write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(DamagedBundle, match=Path(path).name):
        Bundle.open(signed.root, verify=False, trusted_keys=(public_key_of(key),))


def test_no_trusted_keys_trust_nobody(signed: Bundle) -> None:
    with pytest.raises(UntrustedBundle, match="trusted: none"):
        Bundle.open(signed.root, trusted_keys=())


@pytest.mark.parametrize("key_text", ["", "abc", "Z" * 64, "é" * 64])
def test_a_malformed_trusted_key_is_named(signed: Bundle, key_text: str) -> None:
    with pytest.raises(RequestError, match="is not 64 hexadecimal characters"):
        Bundle.open(signed.root, trusted_keys=(key_text,))


def test_a_derived_bundle_is_not_signed_by_its_origin(signed: Bundle, tmp_path: Path) -> None:
    derived = signed.derive(tmp_path / "derived", [])
    assert derived.signature is None


def test_a_signed_bundle_can_be_replaced(signed: Bundle) -> None:
    assert write_bundle(signed.root, overwrite=True).signature is None


def test_a_key_is_readable_by_its_owner_only_and_never_overwritten(key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    content = key.read_bytes()
    with pytest.raises(RequestError, match="exists"):
        new_key(key)
    assert key.read_bytes() == content


def test_files_that_hold_no_key_are_named(signed: Bundle, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import x25519

    other = x25519.X25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "exchange.pem").write_bytes(other)
    (tmp_path / "text.pem").write_text("no key")
    for name, cause in (
        ("exchange", "not an Ed25519 key"),
        ("text", "holds no private key"),
        ("gone", "cannot be read"),
    ):
        with pytest.raises(RequestError, match=cause):
            sign(signed.root, signed.manifest, tmp_path / f"{name}.pem")


def test_without_the_package_the_extra_is_named(signed: Bundle, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public = public_key_of(key)
    for name in [*sys.modules]:
        if name == "cryptography" or name.startswith("cryptography."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingDependency, match=r"edge-autoglm\[signing\]"):
        Bundle.open(signed.root, trusted_keys=(public,))
