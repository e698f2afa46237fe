"""A soft prompt from a PEFT folder to answers: imported, resident, swapped, restarted, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_autoglm import Bundle, Runtime, Swapped, export_model
from edge_autoglm.errors import BundleError, ForeignSoftPrompt, TaskFileError, UnknownTask, UnknownVariant
from edge_autoglm.export.soft_prompt.importing import ImportedSoftPrompt, import_soft_prompt
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.prompts import Catalogue
from edge_autoglm.prompts.writing import write_task
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from tests.checkpoints import tiny_tokenizer_json, write_tiny_llama
from tests.soft_prompts import rows_of, write_peft

TOKENIZER = Tokenizer(tiny_tokenizer_json())
LEAD = "this is a text of a user: "
TEXTS = ["a great film", "the bad film really good", "this film: really good"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("tiny") / "checkpoint")


@pytest.fixture(scope="module")
def imported(bundle: Bundle, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> ImportedSoftPrompt:
    """``mood`` with a variant whose embeddings are exactly those of the tokens of ``LEAD``."""
    folder = tmp_path_factory.mktemp("soft")
    peft = write_peft(folder / "peft", rows_of(checkpoint, TOKENIZER.encode(LEAD)))
    return import_soft_prompt(bundle, peft, "mood", folder / "bundle", "tuned")


def config(**settings: object) -> RuntimeConfig:
    return replace(RuntimeConfig(seed=1, context_length=256, promote_every=None), **settings)


def test_the_new_bundle_has_one_more_variant_and_shares_the_engine(
    bundle: Bundle, imported: ImportedSoftPrompt
) -> None:
    new = Catalogue.load(imported.bundle.task_files()).task("mood")
    old = Catalogue.load(bundle.task_files()).task("mood")
    assert new.variants[:-1] == old.variants
    assert new.variants[-1].soft_prompt == imported.soft_prompt
    assert new.variants[-1].prompt == old.variant("plain").prompt
    assert new.fingerprint != old.fingerprint
    assert imported.bundle.fingerprint == bundle.fingerprint
    graph = bundle.engine("ort").graph
    assert imported.bundle.path(graph).samefile(bundle.path(graph))
    assert imported.tokens == len(TOKENIZER.encode(LEAD))


def test_embeddings_of_real_tokens_score_as_these_tokens_do(imported: ImportedSoftPrompt) -> None:
    with Runtime.open(imported.bundle, threads=1, config=config()) as rt:
        model = rt._buffer.active.model
        for text in TEXTS:
            reply = rt.run("mood", {"text": text}, variant="tuned")
            tokens = [*TOKENIZER.encode(LEAD), *TOKENIZER.encode(text)]
            labels = [model.label_tokens(text, f" {label}") for label in ("good", "bad")]
            joint = np.asarray(model.score(tokens, labels).logprobs)
            expected = joint - np.logaddexp.reduce(joint)
            assert list(reply.scores.values()) == expected.tolist()  # to the bit
            assert reply.usage.prompt_tokens == len(tokens)
            assert reply.usage.num_cached_tokens == imported.tokens


def test_answers_are_the_same_whatever_is_batched_chunked_or_cached(
    imported: ImportedSoftPrompt, bundle: Bundle, checkpoint: Path, tmp_path: Path
) -> None:
    peft = write_peft(tmp_path / "peft", rows_of(checkpoint, TOKENIZER.encode(LEAD))[::-1].copy())
    both = import_soft_prompt(imported.bundle, peft, "echo", tmp_path / "bundle", "turned", base="answer").bundle
    asked = [("mood", "tuned"), ("echo", "turned"), ("echo", "plain"), ("mood", "chat")]
    requests = [(task, variant, text) for text in TEXTS for task, variant in asked]

    def answers(settings: RuntimeConfig, *, together: bool) -> list[tuple[str, object]]:
        with Runtime.open(both, threads=1, config=settings) as rt:
            if together:
                futures = [rt.submit(task, {"text": text}, variant=name) for task, name, text in requests]
                replies = [future.result() for future in futures]
            else:
                replies = [rt.run(task, {"text": text}, variant=name) for task, name, text in requests]
            return [(reply.text, reply.scores) for reply in replies]

    alone = answers(config(slots=1, response_cache_bytes=0), together=False)
    assert answers(config(slots=4, response_cache_bytes=0, prefill_chunk=3), together=True) == alone
    assert answers(config(slots=3, response_cache_bytes=0, kv_cache_bytes=1 << 16), together=True) == alone


def test_it_is_swapped_in_carried_by_a_promotion_and_comes_back_after_a_restart(
    bundle: Bundle, imported: ImportedSoftPrompt, tmp_path: Path
) -> None:
    asked = {"text": "the movie is great"}
    with Runtime.open(bundle, tmp_path / "state", threads=1, config=config()) as rt:
        assert isinstance(rt.swap(imported.bundle), Swapped)
        first = rt.run("mood", asked, variant="tuned")
        rt.feedback(first.id, 1.0)
        assert isinstance(rt.learner.promote(), Swapped)
        again = rt.run("mood", asked, variant="tuned")
        assert (again.scores, again.generation) == (first.scores, first.generation + 1)
    with Runtime.open(bundle, tmp_path / "state", threads=1, config=config()) as rt:
        assert rt._pack._restored_tokens > 0
        assert rt.run("mood", asked, variant="tuned").scores == first.scores


def test_it_is_refused_behind_another_engine(
    bundle: Bundle, imported: ImportedSoftPrompt, checkpoint: Path, tmp_path: Path
) -> None:
    """The same model in another precision: its KV is not the same."""
    other = export_model(str(checkpoint), tmp_path / "fp16", "fp16", tasks=bundle.task_files(), proof=False)
    name = imported.soft_prompt
    content = imported.bundle.path(f"soft_prompts/{name}.kv").read_bytes()
    mixed = other.derive(tmp_path / "mixed", imported.bundle.task_files(), soft_prompts={name: content})
    with pytest.raises(ForeignSoftPrompt, match=r"task mood, variant tuned: .*it was made for engine") as raised:
        Runtime.open(mixed, threads=1, config=config())
    assert "Import the soft prompt again" in raised.value.cure


def test_a_task_file_that_names_one_which_is_not_there_is_refused(
    bundle: Bundle, imported: ImportedSoftPrompt, tmp_path: Path
) -> None:
    bare = bundle.derive(tmp_path / "bare", imported.bundle.task_files())
    with pytest.raises(BundleError, match=r"task mood, variant tuned: .* has no soft_prompts/tuned-\w+\.kv"):
        Runtime.open(bare, threads=1, config=config())


def test_an_active_generation_survives_a_candidate_that_cannot_use_it(
    bundle: Bundle, imported: ImportedSoftPrompt, tmp_path: Path
) -> None:
    bare = bundle.derive(tmp_path / "bare", imported.bundle.task_files())
    with Runtime.open(imported.bundle, threads=1, config=config()) as rt:
        before = rt.run("mood", {"text": "a film"}, variant="tuned").scores
        outcome = rt.swap(bare)
        assert "soft_prompts/tuned-" in str(outcome)
        assert rt.run("mood", {"text": "a film"}, variant="tuned").scores == before


def test_unknown_names_are_refused_before_anything_is_written(
    bundle: Bundle, imported: ImportedSoftPrompt, checkpoint: Path, tmp_path: Path
) -> None:
    peft = write_peft(tmp_path / "peft", rows_of(checkpoint, [5, 6]))
    out = tmp_path / "out"
    with pytest.raises(UnknownTask):
        import_soft_prompt(bundle, peft, "nothing", out, "tuned")
    with pytest.raises(UnknownVariant):
        import_soft_prompt(bundle, peft, "mood", out, "tuned", base="nothing")
    with pytest.raises(TaskFileError, match="has a variant 'framed' already"):
        import_soft_prompt(bundle, peft, "mood", out, "framed")
    with pytest.raises(TaskFileError, match="'No Name' cannot name a variant"):
        import_soft_prompt(bundle, peft, "mood", out, "No Name")
    assert not out.exists()


def test_a_derived_bundle_keeps_its_soft_prompts(imported: ImportedSoftPrompt, tmp_path: Path) -> None:
    task = Catalogue.load(imported.bundle.task_files()).task("mood")
    write_task(replace(task, description="Another one"), tmp_path / "mood.yaml")
    derived = imported.bundle.derive(tmp_path / "derived", [tmp_path / "mood.yaml"])
    with Runtime.open(derived, threads=1, config=config()) as rt:
        assert rt.run("mood", {"text": "a film"}, variant="tuned").usage.num_cached_tokens >= imported.tokens
