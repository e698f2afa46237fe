"""Bundles that must not go live: what a disk, a broken build or an attacker makes of a good one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge_autoglm.bundle import Bundle, Manifest
from edge_autoglm.swap.health import HealthPolicy
from tests.checkpoints import CHAT_TEMPLATE
from tests.swap.checks.bad_weights import DATA, Weights, edit_weights, reseal
from tests.swap.world import TOKENIZER

UNTIMED = HealthPolicy(max_latency_ratio=None)
"""So that the load of the machine decides no other case than that of the slow model."""
LABELS_ONLY = {"tasks": ("mood",)}
"""So that a model of random weights is not refused for the texts it makes."""
GRAPH = "engine/model.onnx"


@dataclass(frozen=True)
class BadArtefact:
    """One way to be bad.

    Attributes:
        name: Of the case.
        damage: Is given a copy of a good bundle.
        reason: What the refusal must say.
        policy: Limits of the health check.
        settings: Of the runtime.
    """

    name: str
    damage: Callable[[Path], None]
    reason: str
    policy: HealthPolicy = UNTIMED
    settings: Mapping[str, Any] = field(default_factory=dict)


def on_disk() -> list[BadArtefact]:
    """What a disk or a transfer does: the manifest tells."""
    return [
        BadArtefact("flipped byte in the weights", _flip(DATA), "model.onnx.data is damaged: expected sha256"),
        BadArtefact("flipped byte in the tokenizer", _flip("tokenizer.json"), "tokenizer.json is damaged"),
        BadArtefact("flipped byte in the manifest", _flip("manifest.json"), "manifest.json is"),
        BadArtefact("truncated weights", _truncate, "model.onnx.data is damaged: expected"),
        BadArtefact("missing file", lambda root: (root / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        BadArtefact("link out of the bundle", _link_out, "is a link that leaves the bundle"),
        BadArtefact("manifest of the future", _future, "schema version 99"),
    ]


def weights() -> list[BadArtefact]:
    """Wrong weights in a bundle whose checksums fit."""
    differs = "output distribution: mean KL"
    return [
        BadArtefact("truncated weights, resealed", _then_reseal(_truncate), "cannot load the graph"),
        BadArtefact(
            "no graph, resealed", _then_reseal(lambda root: _write(root, GRAPH, b"graph")), "cannot load the graph"
        ),
        BadArtefact("weights outside the bundle", _then_reseal(_outside_data), "escapes model directory"),
        BadArtefact("NaN scales", _weights(_fill("layer.0.down.scales", np.nan)), "logit of nan"),
        BadArtefact("infinite weights", _weights(_fill("layer.1.mlp_norm.weight", np.inf)), "logit of"),
        BadArtefact("zeroed layer", _weights(_zero), differs, settings=LABELS_ONLY),
        BadArtefact("swapped layers", _weights(_swap), differs, settings=LABELS_ONLY),
        BadArtefact("garbage in one layer", _weights(_garbage), differs),
        BadArtefact("shuffled embedding", _weights(_shuffle), differs),
        BadArtefact("loops", _always("a"), "the same token over and over"),
        BadArtefact("answers nothing", _always("<|im_end|>"), "answers nothing"),
        BadArtefact("answers no characters", _always(None), "answers bytes that are no characters"),
        BadArtefact("slow", _then_reseal(_slow), "above max_latency_ratio", HealthPolicy(max_kl=None)),
        BadArtefact(
            "forgot what it knew", _weights(_garbage), "golden questions", dataclasses.replace(UNTIMED, max_kl=None)
        ),
    ]


def language() -> list[BadArtefact]:
    """Tokenizer, chat template and end of answers that are not the model's."""
    return [
        BadArtefact("permuted vocabulary", _then_reseal(_permute), "tokenizer or vocabulary are not those"),
        BadArtefact("template of another family", _template(_INSTRUCT), "no control token ends what the assistant"),
        BadArtefact("template that opens no turn", _template(_UNOPENED), "does not open the assistant's turn"),
        BadArtefact("template without the user's text", _template(_DEAF), "leaves out what the user says"),
        BadArtefact("template that fails", _template("{{ nothing.at.all }}"), "chat_template.jinja"),
        BadArtefact(
            "template in other words", _template(_OTHER_WORDS), "answers to chats differ", settings=LABELS_ONLY
        ),
        BadArtefact("never stops", _facts(eos_token_ids=(0,)), "with which the chat template ends them"),
        BadArtefact("stops at once", _facts(eos_token_ids=(2, _id(" "))), "is the text ' ', no control token"),
        BadArtefact("ends nothing", _facts(eos_token_ids=()), "no token ends one"),
    ]


def memory() -> list[BadArtefact]:
    """More than the device has, or than the manifest admits to."""
    small = {"memory_budget": 40_000_000, "kv_cache_bytes": 4_000_000}
    return [
        BadArtefact("huge KV", _facts(layers=2_000_000), "its memory budget is 40 MB", settings=small),
        BadArtefact("KV larger than it says", _facts(kv_heads=1), "bytes of KV a token, its manifest says"),
        BadArtefact("second model too many", _weights(_zero), "of a generation beside it", settings=_room_for_one()),
    ]


def prompts() -> list[BadArtefact]:
    """Task files that cannot work."""
    return [
        BadArtefact(
            "task that renders nothing", _task("{{ text }}", "{% if text == 'x' %}{{ text }}{% endif %}"), "to nothing"
        ),
        BadArtefact("label that does not exist", _task("expect: good", "expect: splendid"), "is 'splendid'"),
        BadArtefact("variable that is not there", _task("{{ text }}", "{{ texts }}"), "undefined variable 'texts'"),
        BadArtefact("task that is no YAML", _task("labels: [good, bad]", "labels: [good"), "mood.yaml"),
        BadArtefact("prompt that does not fit", _task("A film is", "A film is" + " so" * 400), "a KV slot holds"),
    ]


def signatures(sign_with: Callable[[Path, str], None]) -> list[BadArtefact]:
    """What a runtime that enforces signatures refuses.

    Args:
        sign_with: Signs a bundle with a key of that name: ``trusted`` or ``stranger``.
    """

    def altered(root: Path) -> None:
        sign_with(root, "trusted")
        _flip(DATA)(root)
        reseal(root)

    return [
        BadArtefact("unsigned", lambda root: (root / "signature.json").unlink(), "is not signed"),
        BadArtefact("signed by a stranger", lambda root: sign_with(root, "stranger"), "which is not trusted here"),
        BadArtefact("altered after it was signed", altered, "was altered after the key"),
    ]


_INSTRUCT = (
    "{% for turn in messages %}[INST] {{ turn.content }} [/INST]{% endfor %}{% if add_generation_prompt %} {% endif %}"
)
_UNOPENED = CHAT_TEMPLATE[: CHAT_TEMPLATE.index("{% if add_generation_prompt")]
_DEAF = CHAT_TEMPLATE.replace("+ message['content'] +", "+ (message['content'] if message['role'] != 'user' else '') +")
_OTHER_WORDS = CHAT_TEMPLATE.replace("<|im_start|>assistant\\n", "<|im_start|>user: the bad movie ")


def _id(text: str) -> int:
    [token] = TOKENIZER.encode(text)
    return token


def _write(root: Path, path: str, content: bytes) -> None:
    (root / path).write_bytes(content)


def _flip(path: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        data = bytearray((root / path).read_bytes())
        data[len(data) // 2] ^= 1
        _write(root, path, bytes(data))

    return damage


def _truncate(root: Path) -> None:
    data = (root / DATA).read_bytes()
    _write(root, DATA, data[: len(data) // 2])


def _link_out(root: Path) -> None:
    outside = root.parent / "outside.json"
    (root / "tokenizer.json").rename(outside)
    (root / "tokenizer.json").symlink_to(outside)


def _future(root: Path) -> None:
    content = json.loads((root / "manifest.json").read_text())
    _write(root, "manifest.json", json.dumps({**content, "schema_version": 99}).encode())


def _then_reseal(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    def both(root: Path) -> None:
        damage(root)
        reseal(root)

    return both


def _weights(change: Callable[[Weights], None]) -> Callable[[Path], None]:
    return _then_reseal(lambda root: edit_weights(root, change))


def _fill(name: str, value: float) -> Callable[[Weights], None]:
    def change(found: Weights) -> None:
        found[name][...] = value

    return change


def _zero(found: Weights) -> None:
    for name in ("output", "down"):
        found[f"layer.1.{name}.scales"][...] = 0


def _swap(found: Weights) -> None:
    for name, values in found.items():
        if name.startswith("layer.0."):
            other = found[name.replace("layer.0.", "layer.1.")]
            values[...], other[...] = other.copy(), values.copy()


def _garbage(found: Weights) -> None:
    rng = np.random.default_rng(0)
    for name, values in found.items():
        if name.startswith("layer.1.") and values.dtype == np.uint8:
            values[...] = rng.integers(0, 16, values.shape) * 16


def _shuffle(found: Weights) -> None:
    order = np.random.default_rng(0).permutation(len(found["embedding.weight"]))
    for name in ("embedding.weight", "embedding.scales"):
        found[name][...] = found[name][order]


def _graph(root: Path, change: Callable[[Any], None]) -> None:
    import onnx

    model = onnx.load(str(root / GRAPH), load_external_data=False)
    change(model.graph)
    onnx.save(model, str(root / GRAPH))


def _outside_data(root: Path) -> None:
    (root.parent / "stolen.data").write_bytes((root / DATA).read_bytes())

    def change(graph: Any) -> None:
        for tensor in graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = "../../stolen.data"

    _graph(root, change)


def _behind_logits(graph: Any, nodes: Callable[[str], list[Any]]) -> None:
    """Put nodes between the head and the output; they read a tensor of that name and write ``logits``."""
    head = next(node for node in graph.node if "logits" in node.output)
    head.output[list(head.output).index("logits")] = "logits.raw"
    graph.node.extend(nodes("logits.raw"))


def _always(text: str | None) -> Callable[[Path], None]:
    """One token, or half a character, is always the most probable."""
    token = TOKENIZER.encode("é")[0] if text is None else _id(text)

    def damage(root: Path) -> None:
        from onnx import helper, numpy_helper

        bias = np.zeros(TOKENIZER.vocab_size, dtype=np.float32)
        bias[token] = 1e4

        def change(graph: Any) -> None:
            graph.initializer.append(numpy_helper.from_array(bias, "bias"))
            _behind_logits(graph, lambda raw: [helper.make_node("Add", [raw, "bias"], ["logits"])])

        _graph(root, change)

    return _then_reseal(damage)


def _slow(root: Path) -> None:
    """A detour of large products, of which nothing is left in the result."""
    from onnx import helper, numpy_helper

    wide = np.full((TOKENIZER.vocab_size, 3000), 1e-3, dtype=np.float32)

    def change(graph: Any) -> None:
        graph.initializer.append(numpy_helper.from_array(wide, "wide"))
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(wide.T), "narrow"))
        graph.initializer.append(numpy_helper.from_array(np.zeros(1, dtype=np.float32), "nothing"))

        def nodes(raw: str) -> list[Any]:
            found, name = [], raw
            for turn in range(12):
                found.append(helper.make_node("MatMul", [name, "wide"], [f"wide.{turn}"]))
                found.append(helper.make_node("MatMul", [f"wide.{turn}", "narrow"], [f"turn.{turn}"]))
                name = f"turn.{turn}"
            found.append(helper.make_node("Tanh", [name], ["bounded"]))
            found.append(helper.make_node("Mul", ["bounded", "nothing"], ["none"]))
            return [*found, helper.make_node("Add", [raw, "none"], ["logits"])]

        _behind_logits(graph, nodes)

    _graph(root, change)


def _permute(root: Path) -> None:
    """Tokens of single bytes, in another order; the merges stay."""
    content = json.loads((root / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    names = sorted((name for name in vocabulary if len(name) == 1), key=vocabulary.__getitem__)
    ids = [vocabulary[name] for name in names]
    vocabulary.update(zip(names, np.random.default_rng(0).permutation(ids).tolist(), strict=True))
    _write(root, "tokenizer.json", json.dumps(content).encode())


def _template(source: str) -> Callable[[Path], None]:
    return _then_reseal(lambda root: _write(root, "chat_template.jinja", source.encode()))


def _facts(**changes: Any) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        model = Manifest.from_json((root / "manifest.json").read_text()).model
        reseal(root, model=dataclasses.replace(model, **changes))

    return damage


def _task(before: str, after: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        text = (root / "prompts/mood.yaml").read_text()
        if before not in text:
            raise ValueError(f"mood.yaml has no {before}")
        _write(root, "prompts/mood.yaml", text.replace(before, after).encode())

    return _then_reseal(damage)


def _room_for_one() -> dict[str, Any]:
    """Slots of 256 tokens and a KV cache, once but not twice."""
    return {"memory_budget": 7_000_000, "kv_cache_bytes": 4_000_000}


def bundle_copy(bundle: Bundle, out: Path, damage: Callable[[Path], None]) -> Path:
    """A damaged copy."""
    from tests.swap.checks.bad_weights import copy_bundle

    root = copy_bundle(bundle, out)
    damage(root)
    return root
