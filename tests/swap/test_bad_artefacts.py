"""Every bad artefact is refused by the real swap, for what is wrong with it, and requests go on being answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_autoglm import Bundle, Rejected, Runtime, Swapped, export_model
from edge_autoglm.errors import UntrustedBundle
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.swap.health import HealthPolicy
from edge_autoglm.swap.policy import SwapPolicy
from tests.checkpoints import write_tiny_llama
from tests.swap.bad_artefacts import (
    UNTIMED,
    BadArtefact,
    bundle_copy,
    language,
    memory,
    on_disk,
    prompts,
    signatures,
    weights,
)
from tests.swap.checks.bad_weights import reseal

TEXTS = ("a great movie", "the film is bad", "good", "this text is a movie", "bad and bad", "the end")
MOOD = """
name: mood
description: Is a text good or bad?
kind: classify
inputs: [text]
labels: [good, bad]
variants:
  - {name: plain, prompt: "{{ text }}"}
  - name: framed
    prompt: |
      A film is good or bad. This is the text of a user: {{ text }}
      The film is
  - name: chat
    messages:
      - {role: user, content: "Is this good or bad? {{ text }}"}
probes:
  - {text: a great movie, expect: good}
  - {text: the film is bad, expect: bad}
"""
ECHO = """
name: echo
description: Continue a text.
kind: generate
inputs: [text]
variants:
  - {name: plain, prompt: "{{ text }}"}
  - name: answer
    messages:
      - {role: user, content: "{{ text }}"}
probes:
  - {text: the movie}
  - {text: a film}
"""


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """An int8 bundle whose golden questions ask for what its model answers."""
    folder = tmp_path_factory.mktemp("good")
    files = [folder / "mood.yaml", folder / "echo.yaml"]
    for file, text in zip(files, (MOOD, ECHO), strict=True):
        file.write_text(text)
    bundle = export_model(write_tiny_llama(folder / "checkpoint"), folder / "bundle", "int8", tasks=files, proof=False)
    with opened(bundle) as runtime:
        answers = {text: runtime.run("mood", {"text": text}, variant="framed").label for text in TEXTS}
    questions = "".join(f"  - {{text: {text}, expect: {label}}}\n" for text, label in answers.items())
    (bundle.root / "prompts/mood.yaml").write_text(MOOD + "golden:\n" + questions)
    reseal(bundle.root)
    return Bundle.open(bundle.root)


def opened(bundle: Bundle, policy: HealthPolicy = UNTIMED, **settings: Any) -> Runtime:
    usual = {"seed": 1, "context_length": 256, "promote_every": None, "swap_policy": SwapPolicy(check=policy)}
    return Runtime.open(bundle, threads=1, config=RuntimeConfig(**{**usual, **settings}))


def assert_refused(bundle: Bundle, artefact: BadArtefact, tmp_path: Path, **settings: Any) -> None:
    candidate = bundle_copy(bundle, tmp_path / "candidate", artefact.damage)
    with opened(bundle, artefact.policy, **artefact.settings, **settings) as runtime:
        before = runtime.run("mood", {"text": "a film"}, variant="framed").scores
        outcome = runtime.swap(candidate)
        assert isinstance(outcome, Rejected), outcome
        assert artefact.reason in outcome.reason
        assert runtime.run("mood", {"text": "a film"}, variant="framed").scores == before
        assert runtime.generation == 1


@pytest.mark.parametrize(
    "artefact", [*on_disk(), *weights(), *language(), *memory(), *prompts()], ids=lambda artefact: artefact.name
)
def test_a_bad_artefact_is_refused_for_what_is_wrong_with_it(
    good: Bundle, artefact: BadArtefact, tmp_path: Path
) -> None:
    assert_refused(good, artefact, tmp_path)


def test_a_good_artefact_is_not(good: Bundle, tmp_path: Path) -> None:
    """Without this, refusing everything would pass."""

    def renamed(root: Path) -> None:
        reseal(root, source="another name of the same checkpoint")

    with opened(good, memory_budget=40_000_000, kv_cache_bytes=4_000_000) as runtime:
        assert runtime.swap(bundle_copy(good, tmp_path / "candidate", renamed)) == Swapped(2)


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """Public keys by name; the private ones lie beside each other."""
    pytest.importorskip("cryptography")
    from edge_autoglm.bundle.signature import new_key

    return {name: new_key(tmp_path / f"{name}.pem") for name in ("trusted", "stranger")}


@pytest.mark.parametrize("case", range(3))
def test_signatures_are_enforced_where_keys_are_trusted(
    good: Bundle, keys: dict[str, str], tmp_path: Path, case: int
) -> None:
    from edge_autoglm.bundle.signature import sign

    def sign_with(root: Path, name: str) -> None:
        sign(root, Bundle.open(root).manifest, tmp_path / f"{name}.pem")

    signed = Bundle.open(bundle_copy(good, tmp_path / "signed", lambda root: sign_with(root, "trusted")))
    assert_refused(signed, signatures(sign_with)[case], tmp_path, trusted_keys=(keys["trusted"],))


def test_a_runtime_does_not_open_on_a_bundle_that_nobody_trusted_signed(good: Bundle, keys: dict[str, str]) -> None:
    with pytest.raises(UntrustedBundle, match="is not signed"):
        opened(good, trusted_keys=(keys["trusted"],))
