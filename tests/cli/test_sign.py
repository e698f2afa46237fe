from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from edge_autoglm.bundle import BundleWriter
from edge_autoglm.cli import main
from tests.bundle.samples import CONTENTS, ENGINE, FACTS, stage, write_bundle

pytest.importorskip("cryptography")


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_a_bundle_is_signed_inspected_and_verified(tmp_path: Path) -> None:
    key, figures = tmp_path / "release.pem", tmp_path / "key.json"
    with BundleWriter(tmp_path / "bundle") as writer:
        stage(writer, {path: data for path, data in CONTENTS.items() if not path.startswith("prompts/")})
        bundle = writer.commit(model=FACTS, engines=[ENGINE], source="tiny.gguf")
    assert "not signed" in run("verify", bundle.root).lower()
    run("sign", "--new-key", key, "--json", figures)
    made = json.loads(figures.read_text())
    assert made["key_id"] in run("sign", bundle.root, "--key", key)
    assert f"key {made['key_id']} (not checked)" in " ".join(run("inspect", bundle.root).split())
    assert "which is trusted" in run("verify", bundle.root, "--trusted-key", made["public_key"])
    refused = run("verify", bundle.root, "--trusted-key", "0" * 64, code=1)
    assert "is not trusted here" in refused


@pytest.mark.parametrize("arguments", [(), ("bundle",), ("--key", "a.pem"), ("bundle", "--new-key", "a.pem")])
def test_half_a_command_is_refused(arguments: tuple[str, ...]) -> None:
    assert "Error" in run("sign", *arguments, code=2)


def test_a_damaged_bundle_is_not_signed(tmp_path: Path) -> None:
    bundle, key = write_bundle(tmp_path / "bundle"), tmp_path / "release.pem"
    run("sign", "--new-key", key)
    (bundle.root / "tokenizer.json").write_text("[]")
    assert "tokenizer.json is damaged" in run("sign", bundle.root, "--key", key, code=1)
    assert bundle.signature is None
