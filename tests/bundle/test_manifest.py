from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.bundle import SCHEMA_VERSION, EngineEntry, FileEntry, Manifest, ModelFacts, PlanEntry
from edge_autoglm.bundle.manifest import is_contained, listed_paths
from edge_autoglm.errors import DamagedBundle, ForeignBundle
from tests.bundle.samples import ENGINE, FACTS, PLAN, PLANNED

SHA = "ab" * 32
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
counts = st.integers(0, 2**40)
model_facts = st.builds(
    ModelFacts,
    name=st.text(),
    family=st.text(),
    parameters=counts,
    vocab_size=counts,
    hidden_size=counts,
    layers=counts,
    kv_heads=counts,
    head_dim=counts,
    context_length=counts,
    eos_token_ids=st.lists(counts, max_size=3).map(tuple),
    bos_token=st.none() | st.text(),
    eos_token=st.none() | st.text(),
    add_bos=st.booleans(),
)


def _plans(path: str) -> st.SearchStrategy[PlanEntry]:
    return st.builds(
        PlanEntry,
        path=st.just(path),
        library=names,
        version=names,
        compute_capabilities=st.lists(names, max_size=2).map(tuple),
        platform=names,
        rows=counts,
        page=counts,
        head_rows=counts,
    )


def _engines(graph: str) -> st.SearchStrategy[EngineEntry]:
    return st.builds(
        EngineEntry,
        kind=names,
        graph=st.just(graph),
        precision=names,
        kv_type=names,
        groups=st.dictionaries(st.text(), st.text(), max_size=3),
        notes=st.lists(st.text(), max_size=2).map(tuple),
        plans=st.lists(_plans(graph), max_size=2).map(tuple),
        columns=counts,
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    listed = draw(st.lists(paths, min_size=1, max_size=4, unique=True))
    digests = st.binary(max_size=4).map(lambda data: hashlib.sha256(data).hexdigest())
    graphs = draw(st.lists(st.sampled_from(listed), max_size=2))
    return Manifest(
        created_by=draw(st.text()),
        created_at=draw(st.text()),
        source=draw(st.text()),
        model=draw(model_facts),
        engines=tuple(draw(_engines(graph)) for graph in graphs),
        files=tuple(FileEntry(path, draw(digests), draw(counts)) for path in listed),
        verification=draw(st.dictionaries(st.text(), json_values, max_size=3)),
    )


@settings(deadline=None, max_examples=50)
@given(manifests())
def test_a_manifest_reads_back_as_it_was_written(manifest: Manifest) -> None:
    text = manifest.to_json()
    again = Manifest.from_json(text)
    assert again == manifest
    assert again.to_json() == text


@pytest.fixture
def manifest() -> Manifest:
    return Manifest(
        created_by="edge-autoglm 0",
        created_at="2025-01-01T00:00:00Z",
        source="tiny.gguf",
        model=FACTS,
        engines=(ENGINE,),
        files=(FileEntry(ENGINE.graph, SHA, 5), FileEntry("tokenizer.json", SHA, 2)),
        verification={"kl": 0.5},
    )


@pytest.fixture
def planned(manifest: Manifest) -> Manifest:
    """With a plan."""
    return dataclasses.replace(manifest, engines=(PLANNED,), files=(*manifest.files, FileEntry(PLAN.path, SHA, 4)))


def signed(content: dict[str, Any]) -> str:
    """The canonical text of any content, with the checksum that makes it look untouched."""
    body = {key: value for key, value in content.items() if key != "checksum"}

    def dump(value: dict[str, Any]) -> str:
        return json.dumps(value, sort_keys=True, indent=1) + "\n"

    return dump({**body, "checksum": hashlib.sha256(dump(body).encode()).hexdigest()})


def test_a_source_whose_name_is_not_utf8_is_kept(manifest: Manifest) -> None:
    named = dataclasses.replace(manifest, source=os.fsdecode(b"mod\xffel.gguf"))
    assert Manifest.from_json(named.to_json().encode().decode()) == named


def test_the_text_is_stable(manifest: Manifest) -> None:
    text = manifest.to_json()
    assert text == signed(json.loads(text))
    assert text.isascii()


@pytest.mark.parametrize("mask", [0x01, 0x20])
def test_a_flipped_bit_in_any_character_is_found(manifest: Manifest, mask: int) -> None:
    text = manifest.to_json()
    for position, character in enumerate(text):
        flipped = text[:position] + chr(ord(character) ^ mask) + text[position + 1 :]
        with pytest.raises((DamagedBundle, ForeignBundle), match=r"^here/manifest\.json "):
            Manifest.from_json(flipped, "here/manifest.json")


def test_every_truncation_is_found(manifest: Manifest) -> None:
    text = manifest.to_json()
    for length in range(len(text)):
        with pytest.raises(DamagedBundle, match=r"^manifest\.json is"):
            Manifest.from_json(text[:length])


def test_an_edit_by_hand_is_found_though_it_is_valid(manifest: Manifest) -> None:
    text = manifest.to_json().replace('"source": "tiny.gguf"', '"source": "other.gguf"')
    with pytest.raises(DamagedBundle, match=r"damaged or was edited: expected checksum [0-9a-f]{64}, got [0-9a-f]{64}"):
        Manifest.from_json(text)


def change(content: dict[str, Any], field: str, value: Any) -> None:
    *parents, last = field.split(".")
    target: Any = content
    for name in parents:
        target = target[int(name) if name.isdigit() else name]
    target[last] = value


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("surplus", 1, "field surplus is unknown"),
        ("model.surplus", 1, "field model.surplus is unknown"),
        ("source", None, "field source is of type NoneType, expected str"),
        ("model", [], "field model is of type list, expected dict"),
        ("model.layers", "2", "field model.layers is of type str, expected int"),
        ("model.layers", True, "field model.layers is of type bool, expected int"),
        ("model.layers", 2.0, "field model.layers is of type float, expected int"),
        ("model.bos_token", 1, "field model.bos_token is of type int, expected str or NoneType"),
        ("model.eos_token_ids", [1, "2"], "field model.eos_token_ids[1] is of type str, expected int"),
        ("verification", [], "field verification is of type list, expected dict"),
        ("files.1.path", "../tokenizer.json", "field files[1].path is '../tokenizer.json', which is not a path within"),
        ("files.1.path", "manifest.json", "field files[1].path is 'manifest.json', which is not a path within"),
        ("files.1.path", "engine/model.onnx", "field files names a path twice"),
        ("files.1.sha256", SHA.upper(), "field files[1].sha256 is not a SHA-256"),
        ("files.1.sha256", SHA + "\n", "field files[1].sha256 is not a SHA-256"),
        ("files.1.size", -1, "field files[1].size is negative"),
        ("engines.0.groups", {"qkv": 4}, "field engines[0].groups.qkv is of type int, expected str"),
        ("engines.0.notes", [None], "field engines[0].notes[0] is of type NoneType, expected str"),
        ("engines.0.graph", "/etc/passwd", "field engines[0].graph is '/etc/passwd', which is not among the files"),
    ],
)
def test_a_malformed_field_is_named(manifest: Manifest, field: str, value: Any, message: str) -> None:
    content = json.loads(manifest.to_json())
    change(content, field, value)
    with pytest.raises(DamagedBundle) as caught:
        Manifest.from_json(signed(content), "m")
    assert caught.value.cause.startswith(f"m is damaged: {message}")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("path", "engine/other.plan", "path is 'engine/other.plan', which is not among the files"),
        ("path", "/etc/passwd", "path is '/etc/passwd', which is not among the files"),
        ("surplus", 1, "surplus is unknown"),
        ("rows", "4", "rows is of type str, expected int"),
        ("compute_capabilities", [8.9], "compute_capabilities[0] is of type float, expected str"),
    ],
)
def test_a_malformed_field_of_a_plan_is_named(planned: Manifest, field: str, value: Any, message: str) -> None:
    content = json.loads(planned.to_json())
    change(content, f"engines.0.plans.0.{field}", value)
    with pytest.raises(DamagedBundle) as caught:
        Manifest.from_json(signed(content), "m")
    assert caught.value.cause.startswith(f"m is damaged: field engines[0].plans[0].{message}")


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(PlanEntry)])
def test_a_missing_field_of_a_plan_is_named(planned: Manifest, field: str) -> None:
    content = json.loads(planned.to_json())
    del content["engines"][0]["plans"][0][field]
    with pytest.raises(DamagedBundle, match=rf"field engines\[0\]\.plans\[0\]\.{field} is missing"):
        Manifest.from_json(signed(content))


def test_the_text_of_a_bundle_without_plans_is_what_it_was_before_there_were_any(manifest: Manifest) -> None:
    text = manifest.to_json()
    assert "plans" not in text
    assert "columns" not in text
    content = json.loads(text)
    content["engines"][0]["plans"] = []
    with pytest.raises(DamagedBundle, match="was edited"):
        Manifest.from_json(signed(content))


@pytest.mark.parametrize("field", ["model", "files", "source", "verification"])
def test_a_missing_field_is_named(manifest: Manifest, field: str) -> None:
    content = json.loads(manifest.to_json())
    del content[field]
    with pytest.raises(DamagedBundle, match=f"field {field} is missing"):
        Manifest.from_json(signed(content))


def test_a_manifest_without_checksum_is_refused(manifest: Manifest) -> None:
    content = json.loads(manifest.to_json())
    del content["checksum"]
    with pytest.raises(DamagedBundle, match="expected checksum None"):
        Manifest.from_json(json.dumps(content, sort_keys=True, indent=1) + "\n")


def test_a_newer_schema_says_what_is_read_and_what_to_do(manifest: Manifest) -> None:
    content = json.loads(manifest.to_json()) | {"schema_version": SCHEMA_VERSION + 1, "novelty": []}
    with pytest.raises(ForeignBundle) as caught:
        Manifest.from_json(signed(content), "m")
    assert (
        caught.value.cause == f"m has schema version {SCHEMA_VERSION + 1}; this package reads version {SCHEMA_VERSION}"
    )
    assert caught.value.cure == "Upgrade edge-autoglm, or export the model again."


def test_the_first_schema_is_exported_again(manifest: Manifest) -> None:
    with pytest.raises(ForeignBundle, match=r"schema version 1; this package reads version 2. Export the model again"):
        Manifest.from_json(signed(json.loads(manifest.to_json()) | {"schema_version": 1}))


def test_an_older_schema_is_not_cured_by_upgrading(manifest: Manifest) -> None:
    with pytest.raises(ForeignBundle) as caught:
        Manifest.from_json(signed(json.loads(manifest.to_json()) | {"schema_version": 0}))
    assert caught.value.cure == "Export the model again."


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"name": "a web app", "icons": []}', '{"schema_version": true}'])
def test_the_manifest_of_something_else_is_foreign(text: str) -> None:
    with pytest.raises(ForeignBundle, match="not the manifest of a bundle"):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    "text", ["", "not JSON", '{"schema_version": NaN}', "[" * 100_000, '{"a": 1' + "0" * 5000 + "}"]
)
def test_what_is_not_json_is_damaged(text: str) -> None:
    # The last one is JSON, but Python refuses numbers of that length; where it does not, it is foreign.
    with pytest.raises((DamagedBundle, ForeignBundle)):
        Manifest.from_json(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_figure_that_json_cannot_hold_is_refused_on_writing(manifest: Manifest, value: float) -> None:
    manifest.verification["kl"] = value
    with pytest.raises(ValueError, match="JSON"):
        manifest.to_json()


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity"])
def test_a_figure_that_json_cannot_hold_is_refused_on_reading(manifest: Manifest, number: str) -> None:
    with pytest.raises(DamagedBundle, match="not JSON compliant"):
        Manifest.from_json(manifest.to_json().replace("0.5", number))


@pytest.mark.parametrize("path", ["a", "a/b.c", "prompts/\u60c5\u611f \u5206\u6790.yaml", "..a", "a..", "-", "~"])
def test_plain_relative_paths_are_contained(path: str) -> None:
    assert is_contained(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/a",
        "//a",
        "a/",
        "a//b",
        ".",
        "..",
        "./a",
        "../a",
        "a/../b",
        "a/..",
        "C:/a",
        "c:a",
        "a\\b",
        "a\0",
        "a\nb",
        "\ud800",
    ],
)
def test_other_paths_are_not(path: str) -> None:
    assert not is_contained(path)


def test_paths_are_listed_for_any_schema_version_and_despite_damage(manifest: Manifest) -> None:
    content = json.loads(manifest.to_json()) | {"schema_version": 7, "novelty": 1, "source": "edited"}
    assert listed_paths(json.dumps(content)) == frozenset({"engine/model.onnx", "tokenizer.json"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"schema_version": 1, "files": []}',
        '{"schema_version": 1, "created_by": null, "files": []}',
        '{"schema_version": 1, "created_by": "webpack", "files": []}',
        '{"schema_version": 1, "created_by": "edge-autoglm 1", "files": ["a"]}',
        '{"schema_version": "1", "created_by": "edge-autoglm 1", "files": []}',
    ],
)
def test_no_paths_are_listed_for_what_is_not_ours(text: str) -> None:
    assert listed_paths(text) is None
