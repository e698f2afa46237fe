"""What ``PastEngine`` does beyond the contract: pages, the end of the context, and bundles that name it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.bundle import BundleWriter, EngineEntry, ModelFacts
from edge_autoglm.facade.config import RuntimeConfig
from edge_autoglm.facade.loading import load_model
from edge_autoglm.runtime.engine import Chunk, Engine, Logits
from edge_autoglm.runtime.engines.ort_model import OrtModel
from edge_autoglm.runtime.engines.past_engine import PAGE, PastEngine
from edge_autoglm.runtime.engines.past_step import PastStep
from edge_autoglm.values import SamplingParams
from tests.checkpoints import tiny_tokenizer_json
from tests.optimum.gpt_graph import CONTEXT, HEADS, HIDDEN, LAYERS, VOCAB_SIZE, WIDTH, Variant
from tests.optimum.rewritten import WINDOW, open_engine

TEXT = [int(token) for token in np.random.default_rng(11).integers(0, VOCAB_SIZE, size=CONTEXT)]
SPLITS = [[75, 75], [31, 3, 60, 56], [2] * 75, [33, 33, 33, 33, 18], [32, 64, 32, 22]]


def in_parts(engine: Engine, sizes: list[int]) -> Logits:
    """Logits at every position of the text, prefilled into an emptied slot in chunks of these sizes."""
    engine.truncate(0, 0)
    ends = np.cumsum(sizes)
    chunks = [TEXT[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    return np.concatenate([engine.forward([Chunk(0, chunk, range(len(chunk)))])[0] for chunk in chunks])


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_any_split_gives_the_same_bits_up_to_the_end_of_the_context(rewritten: Any, precision: str) -> None:
    assert CONTEXT % PAGE
    graph, result = rewritten(WINDOW, precision)
    engine = open_engine(graph, result, capacity=CONTEXT)
    assert engine.facts.page == PAGE
    whole = in_parts(engine, [CONTEXT])
    for sizes in SPLITS:
        assert np.array_equal(whole, in_parts(engine, sizes))
    engine.close()


def test_shapes_of_a_prefill_depend_on_the_page_only(rewritten: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes equal bits a matter of construction, on kernels too that were not at hand when this was written."""
    graph, result = rewritten(WINDOW)
    engine = open_engine(graph, result, capacity=CONTEXT)
    shapes = set()
    run = PastStep.run

    def recorded(step: PastStep, tokens: npt.NDArray[np.int64], past: Any, logits_at: Any) -> Any:
        shapes.add((past.shape[2], len(tokens)))
        return run(step, tokens, past, logits_at)

    monkeypatch.setattr(PastStep, "run", recorded)
    for sizes in SPLITS:
        in_parts(engine, sizes)
    assert shapes == {(page, min(PAGE, CONTEXT - page)) for page in range(0, CONTEXT, PAGE)}
    engine.close()


def test_a_chunk_behind_decode_steps_is_the_same_after_a_restore(rewritten: Any) -> None:
    graph, result = rewritten(WINDOW)
    engine = open_engine(graph, result, capacity=CONTEXT)
    engine.forward([Chunk(0, TEXT[:40], ())])
    for token in TEXT[40:45]:
        engine.forward([Chunk(0, [token], ())])
    prefix = engine.copy_out(0, 0, 45)
    [fresh] = engine.forward([Chunk(0, TEXT[45:50], range(5))])
    engine.forward([Chunk(1, TEXT[::-1][:60], ())])
    engine.copy_in(1, [prefix])
    [restored] = engine.forward([Chunk(1, TEXT[45:50], range(5))])
    assert np.array_equal(fresh, restored)
    engine.close()


def test_capacity_is_cut_to_the_context(rewritten: Any) -> None:
    graph, _ = rewritten(WINDOW)
    engine = PastEngine(OrtModel(graph, "x", CONTEXT, 1), 1, 10)
    assert engine.facts.capacity == 10
    engine.close()
    loaded = PastEngine.load(graph, fingerprint="x", context_length=CONTEXT, slots=1, capacity=4096, threads=1)
    assert loaded.facts.capacity == CONTEXT
    loaded.close()


@pytest.mark.parametrize("kind", ["ort", "ort-past"])
def test_a_bundle_opens_with_the_engine_that_it_names(rewritten: Any, tmp_path: Path, kind: str) -> None:
    graph, result = rewritten(WINDOW if kind == "ort-past" else Variant())
    facts = ModelFacts(
        name="tiny",
        family="gpt",
        parameters=1,
        vocab_size=VOCAB_SIZE,
        hidden_size=HIDDEN,
        layers=LAYERS,
        kv_heads=HEADS,
        head_dim=WIDTH,
        context_length=CONTEXT,
        eos_token_ids=(2,),
        bos_token=None,
        eos_token=None,
        add_bos=False,
    )
    with BundleWriter(tmp_path / "bundle") as writer:
        for file in (graph, graph.with_name(f"{graph.name}.data")):
            writer.path(f"engine/{file.name}").write_bytes(file.read_bytes())
        writer.path("tokenizer.json").write_text(tiny_tokenizer_json(), encoding="utf-8")
        entry = EngineEntry(kind=result.kind, graph=f"engine/{graph.name}", precision="fp32", kv_type="fp32")
        bundle = writer.commit(model=facts, engines=(entry,), source="tiny")
    model = load_model(bundle, 1, RuntimeConfig(slots=2, context_length=64))
    assert entry.kind == kind
    assert isinstance(model.engine, PastEngine) == (kind == "ort-past")
    prompt = model.encode_prompt("a good film")
    [logits] = model.engine.forward([Chunk(1, prompt)])
    answer = model.stream(prompt, SamplingParams(max_new_tokens=1)).read()
    assert answer == model.tokenizer.decode([int(logits[-1].argmax())])
    model.close()
