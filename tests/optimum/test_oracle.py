"""Tiny random models of transformers, through Optimum and our runtime, against transformers itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from edge_autoglm.errors import UnsupportedModel
from edge_autoglm.export.optimum.pipeline import OptimumResult, export_through_optimum
from edge_autoglm.runtime.engine import Chunk, Engine
from edge_autoglm.runtime.engines.ort_engine import OrtEngine
from edge_autoglm.runtime.engines.past_engine import PastEngine
from edge_autoglm.runtime.model import LanguageModel, ModelLimits
from edge_autoglm.runtime.text.tokenizer import Tokenizer
from edge_autoglm.values import SamplingParams, silent
from tests.checkpoints import VOCAB_SIZE, tiny_tokenizer_json

pytestmark = [
    pytest.mark.oracle,
    # Of the libraries that export; ours raise none.
    pytest.mark.filterwarnings("default"),
]

_SIZE = {"vocab_size": VOCAB_SIZE, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
_CONTEXT = {"max_position_embeddings": 256}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", {"vocab_size": VOCAB_SIZE, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256}),
    "opt": ("opt", {**_SIZE, **_CONTEXT, "ffn_dim": 96, "word_embed_proj_dim": 64}),
    "opt-350m": (
        "opt",
        {**_SIZE, **_CONTEXT, "ffn_dim": 96, "word_embed_proj_dim": 32, "do_layer_norm_before": False},
    ),
    "gpt_neox": ("gpt_neox", {**_SIZE, **_CONTEXT, "intermediate_size": 96}),
    "stablelm": ("stablelm", {**_SIZE, **_CONTEXT, "intermediate_size": 96, "num_key_value_heads": 2}),
    "bloom": ("bloom", {"vocab_size": VOCAB_SIZE, "hidden_size": 64, "n_layer": 2, "n_head": 4, "seq_length": 256}),
}
ALIBI = {"bloom"}
"""Position is a bias on the scores, so that attention stays as exported."""
PROMPTS = ["the film is", "a good text of the user and the answer", "你好 🙂 1984", "positive or negative"]


@dataclass(frozen=True)
class Exported:
    """One checkpoint, exported."""

    torch_model: Any
    graph: Path
    result: OptimumResult

    def engine(self, slots: int = 3) -> Engine:
        kind: Any = {"ort": OrtEngine, "ort-past": PastEngine}[self.result.kind]
        context = self.result.context_length
        engine: Engine = kind.load(
            self.graph, fingerprint="x", context_length=context, slots=slots, capacity=128, threads=2
        )
        return engine

    def reference(self, tokens: list[int]) -> npt.NDArray[np.float32]:
        """Logits at every position."""
        import torch

        with torch.no_grad():
            logits: npt.NDArray[np.float32] = self.torch_model(input_ids=torch.tensor([tokens])).logits[0].numpy()
        return logits


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with random weights of a model, once each."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("optimum.exporters.onnx", reason="optimum-onnx is not installed")
    folders: dict[str, Path] = {}

    def write(name: str) -> Path:
        if name not in folders:
            family, fields = CONFIGS[name]
            torch.manual_seed(0)
            model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(family, **fields))
            for weights in model.parameters():
                if weights.dim() > 1:
                    torch.nn.init.normal_(weights, std=0.2)
                else:
                    weights.data.add_(torch.randn_like(weights) * 0.1)
            folders[name] = tmp_path_factory.mktemp("checkpoint") / name
            model.save_pretrained(folders[name], safe_serialization=True)
        return folders[name]

    return write


@pytest.fixture(scope="module")
def exported(checkpoint: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Exported]:
    """A model exported at a precision, once each."""
    import transformers

    made: dict[tuple[str, str], Exported] = {}

    def export(name: str, precision: str = "fp32") -> Exported:
        if (name, precision) not in made:
            source = checkpoint(name)
            graph = tmp_path_factory.mktemp(f"{name}-{precision}") / "model.onnx"
            result = export_through_optimum(source, graph, precision, silent)
            model = transformers.AutoModelForCausalLM.from_pretrained(source, use_safetensors=True).eval()
            made[name, precision] = Exported(model, graph, result)
        return made[name, precision]

    return export


@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_generations_are_those_of_transformers(exported: Any, name: str) -> None:
    import torch

    model = exported(name)
    tokenizer = Tokenizer(tiny_tokenizer_json())
    language = LanguageModel(model.engine(), tokenizer, None, [], None, limits=ModelLimits(prefill_chunk=5))
    language.make_resident(PROMPTS[1][:20])
    for prompt in PROMPTS:
        tokens = language.encode_prompt(prompt)
        ids = torch.tensor([tokens])
        mask = torch.ones_like(ids)
        generated = model.torch_model.generate(
            ids, attention_mask=mask, max_new_tokens=32, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        stream = language.stream(tokens, SamplingParams(max_new_tokens=32))
        assert stream.read() == tokenizer.decode(generated[0, len(tokens) :].tolist())
        assert stream.usage.new_tokens == 32
    language.close()


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_of_prefill_chunks_and_decode_steps_are_those_of_transformers(exported: Any, name: str) -> None:
    model = exported(name)
    engine = model.engine()
    texts = [np.random.default_rng(row).integers(0, VOCAB_SIZE, size=48).tolist() for row in range(3)]
    for sizes in ([40], [13, 13, 14]):
        answers: list[list[npt.NDArray[np.float32]]] = [[], [], []]
        for slot in range(3):
            engine.truncate(slot, 0)
        ends = [int(end) for end in np.cumsum([*sizes, *[1] * 8])]
        for begin, end in zip([0, *ends], ends, strict=False):
            chunks = [Chunk(row, texts[row][begin:end], range(end - begin)) for row in range(3)]
            for row, logits in enumerate(engine.forward(chunks)):
                answers[row].append(logits)
        for row in range(3):
            expected = model.reference(texts[row])
            difference = np.abs(np.concatenate(answers[row]) - expected).max()
            assert difference < 1e-3 * np.abs(expected).max()
    engine.close()


@pytest.mark.parametrize("name", CONFIGS)
def test_int8_stays_close(exported: Any, name: str) -> None:
    plain, quantized = exported(name), exported(name, "int8")
    tokens = np.random.default_rng(0).integers(0, VOCAB_SIZE, size=100).tolist()
    engine = quantized.engine()
    [logits] = engine.forward([Chunk(0, tokens, range(100))])
    engine.close()
    exact, rounded = (_log_softmax(values) for values in (plain.reference(tokens), logits))
    divergence = (np.exp(exact) * (exact - rounded)).sum(axis=1)
    assert divergence.mean() < 0.02
    assert (exact.argmax(axis=1) == rounded.argmax(axis=1)).mean() > 0.85
    weights = [model.graph.with_name("model.onnx.data").stat().st_size for model in (plain, quantized)]
    assert weights[1] < 0.6 * weights[0]


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


@pytest.mark.parametrize("name", CONFIGS)
def test_facts_and_notes_say_what_was_exported(exported: Any, name: str) -> None:
    model = exported(name)
    result = model.result
    shape = (result.vocab_size, result.hidden_size, result.layers, result.kv_heads, result.head_dim)
    assert shape == (VOCAB_SIZE, 64, 2, 2 if name == "stablelm" else 4, 16)
    assert result.family == CONFIGS[name][0]
    assert result.context_length == 256
    assert result.parameters == model.torch_model.num_parameters()
    assert result.kind == ("ort-past" if name in ALIBI else "ort")
    assert ("left as exported" in result.notes[0]) == (name in ALIBI)
    assert "head: runs on chosen positions only" in result.notes
    assert {file.name for file in model.graph.parent.iterdir()} == {"model.onnx", "model.onnx.data"}


def test_a_missing_tensor_is_not_made_up(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    source = checkpoint("gpt_neox")
    tensors = load_file(source / "model.safetensors")
    del tensors["gpt_neox.layers.1.mlp.dense_h_to_4h.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_bytes((source / "config.json").read_bytes())
    with pytest.raises(UnsupportedModel, match=r"tensor gpt_neox\.layers\.1\.mlp\.dense_h_to_4h\.weight is missing"):
        export_through_optimum(tmp_path, tmp_path / "model.onnx", "fp32", silent)


def test_weights_that_are_not_finite_are_refused(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    source = checkpoint("gpt2")
    tensors = load_file(source / "model.safetensors")
    tensors["transformer.h.0.mlp.c_fc.weight"][3, 4] = np.nan
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_bytes((source / "config.json").read_bytes())
    with pytest.raises(UnsupportedModel, match="not finite"):
        export_through_optimum(tmp_path, tmp_path / "model.onnx", "fp32", silent)


@pytest.mark.parametrize("change", [{"model_type": "nobody-knows"}, {"n_head": 5}])
def test_a_model_that_transformers_does_not_load_is_refused(
    checkpoint: Callable[[str], Path], tmp_path: Path, change: dict[str, Any]
) -> None:
    source = checkpoint("gpt2")
    (tmp_path / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    config = json.loads((source / "config.json").read_text()) | change
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModel, match="transformers does not load it"):
        export_through_optimum(tmp_path, tmp_path / "model.onnx", "fp32", silent)


def test_code_that_comes_with_a_checkpoint_is_not_run(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    source = checkpoint("gpt2")
    (tmp_path / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    config = json.loads((source / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    ran = tmp_path / "ran"
    (tmp_path / "code.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
    with pytest.raises(UnsupportedModel, match="transformers does not load it"):
        export_through_optimum(tmp_path, tmp_path / "model.onnx", "fp32", silent)
    assert not ran.exists()
