"""An export vouches for its engine, or refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm import Bundle, export_model
from edge_autoglm.bundle import BundleWriter
from edge_autoglm.errors import EdgeAutoGLMError, ExportError, OverBudget, SourceError, UnusableText
from edge_autoglm.export.proof.against import verify_against
from edge_autoglm.export.proof.figures import Proof
from edge_autoglm.export.proof.graphs import refuse_bundle
from edge_autoglm.export.texts import heldout_text
from tests.checkpoints import write_tiny_llama


def _proof(bundle: Bundle) -> Proof:
    proof = Proof.from_json(Bundle.open(bundle.root).manifest.verification)
    assert proof is not None
    return proof


def _corrupted(bundle: Bundle, out: Path) -> Bundle:
    """A sound bundle whose weights are not the model's: one in fifty bytes is another one."""
    manifest = bundle.manifest
    with BundleWriter(out) as writer:
        for entry in manifest.files:
            data = np.frombuffer(bundle.path(entry.path).read_bytes(), dtype=np.uint8).copy()
            if entry.path.endswith(".data"):
                data[::50] ^= np.uint8(0x20)
            writer.path(entry.path).write_bytes(data.tobytes())
        return writer.commit(
            model=manifest.model,
            engines=manifest.engines,
            source=manifest.source,
            verification=manifest.verification,
        )


def test_the_figures_are_in_the_manifest(bundle: Bundle) -> None:
    proof = _proof(bundle)
    assert (proof.precision, proof.reference, proof.text_sha256) == ("int8", "fp32", heldout_text().sha256)
    assert (proof.windows, proof.window_tokens, proof.predicted_tokens) == (12, 512, 12 * 511)
    assert (proof.generations, proof.new_tokens, proof.max_kl) == (20, 32, 0.01)
    assert 1e-5 < proof.kl < 0.01
    assert 0.9 < proof.top1 < 1.0
    assert proof.within_budget


def test_an_fp32_engine_is_its_own_original(checkpoint: Path, tmp_path: Path) -> None:
    proof = _proof(export_model(checkpoint, tmp_path / "out", "fp32"))
    assert proof.reference == "itself"
    assert (proof.kl, proof.top1, proof.perplexity_change) == (0.0, 1.0, 0.0)
    assert (proof.identical_generations, proof.degenerate) == (20, proof.reference_degenerate)
    assert proof.within_budget


def test_nothing_of_the_original_is_left_beside_or_in_the_bundle(bundle: Bundle) -> None:
    assert [path.name for path in bundle.root.parent.iterdir()] == ["int8"]
    assert not any("reference" in entry.path for entry in bundle.manifest.files)
    assert not (bundle.root / "reference").exists()


def test_without_proof_the_bundle_says_so(checkpoint: Path, tmp_path: Path) -> None:
    stages: set[str] = set()
    bundle = export_model(
        checkpoint, tmp_path / "out", proof=False, progress=lambda stage, done, total: stages.add(stage)
    )
    assert bundle.manifest.verification == {}
    assert not stages & {"reference", "perplexity", "generations"}


def test_beyond_the_budget_no_bundle_is_left(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(OverBudget) as caught:
        export_model(checkpoint, tmp_path / "out", "int8", max_kl=1e-5)
    assert not list(tmp_path.iterdir())
    message = str(caught.value)
    for part in (str(checkpoint), "int8", "KL 0.00", "limit 1e-05", "fp16", "--max-kl", "--force"):
        assert part in message


def test_force_ships_it_and_the_manifest_says_so(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_model(checkpoint, tmp_path / "out", "int8", max_kl=1e-5, force=True)
    proof = _proof(bundle)
    assert proof.max_kl == 1e-5
    assert not proof.within_budget
    assert Bundle.open(bundle.root).manifest.verification["within_budget"] is False


@pytest.mark.parametrize("stage", ["reference", "perplexity", "generations"])
def test_an_interrupt_during_the_proof_leaves_nothing(checkpoint: Path, tmp_path: Path, stage: str) -> None:
    def interrupt(at: str, done: int, total: int) -> None:
        if at == stage and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_model(checkpoint, tmp_path / "out", progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_a_repeated_proof_finds_the_same_figures(bundle: Bundle, checkpoint: Path) -> None:
    stages: dict[str, tuple[int, int]] = {}
    again = verify_against(
        bundle, str(checkpoint), progress=lambda stage, done, total: stages.update({stage: (done, total)})
    )
    assert again == _proof(bundle)
    assert {stage for stage, (done, total) in stages.items() if done == total} >= {"perplexity", "generations"}


def test_an_fp32_bundle_is_compared_with_a_graph_that_is_built_anew(checkpoint: Path, tmp_path: Path) -> None:
    bundle = export_model(checkpoint, tmp_path / "out", "fp32", proof=False)
    proof = verify_against(bundle, str(checkpoint))
    assert (proof.reference, proof.kl, proof.identical_generations) == ("fp32", 0.0, 20)
    refuse_bundle(proof, "out")


def test_a_corrupted_engine_is_caught(bundle: Bundle, checkpoint: Path, tmp_path: Path) -> None:
    bad = _corrupted(bundle, tmp_path / "bad")
    proof = verify_against(bad, str(checkpoint))
    assert proof.kl > 0.1
    with pytest.raises(OverBudget, match=r"bad: int8 differs from the original .* KL"):
        refuse_bundle(proof, "bad")


def test_the_wrong_checkpoint_is_caught(bundle: Bundle, tmp_path: Path) -> None:
    other = write_tiny_llama(tmp_path / "other", seed=3)
    assert not verify_against(bundle, str(other)).within_budget


def test_a_checkpoint_of_another_shape_is_named(checkpoint: Path, bundle: Bundle, tmp_path: Path) -> None:
    facts = dataclasses.replace(bundle.manifest.model, layers=3)
    with BundleWriter(tmp_path / "three") as writer:
        for entry in bundle.manifest.files:
            writer.link(bundle.path(entry.path), entry)
        three = writer.commit(model=facts, engines=bundle.manifest.engines, source="x")
    with pytest.raises(SourceError, match="its layers is 2, that of the bundle 3"):
        verify_against(three, str(checkpoint))


def test_max_kl_of_a_repeated_proof_takes_the_place_of_the_recorded_one(bundle: Bundle, checkpoint: Path) -> None:
    proof = verify_against(bundle, str(checkpoint), max_kl=1e-5)
    assert (proof.max_kl, proof.max_perplexity_increase) == (1e-5, None)
    assert not proof.within_budget


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_kl": -0.1}, ExportError, "max_kl is -0.1"),
        ({"max_kl": float("nan")}, ExportError, "max_kl is nan"),
        ({"kv": "int2"}, ExportError, "kv 'int2' is not known"),
        ({"via": "magic"}, ExportError, "via 'magic' is not known"),
        ({"via": "optimum", "adapter": Path("a")}, ExportError, "adapter"),
        ({"calibration": Path("nowhere.txt")}, UnusableText, r"nowhere\.txt"),
    ],
)
def test_bad_options_are_refused_before_anything_is_read(
    tmp_path: Path, options: dict[str, object], error: type[EdgeAutoGLMError], message: str
) -> None:
    with pytest.raises(error, match=message):
        export_model("nowhere.gguf", tmp_path / "out", **options)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())
