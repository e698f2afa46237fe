"""A device compiles a plan of its own from the graph that a bundle brings."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from edge_autoglm import Bundle, export_model
from edge_autoglm.bundle import BundleWriter
from edge_autoglm.bundle.plan_folder import PlanFolder
from edge_autoglm.errors import BundleError, ExportError, MissingDependency
from edge_autoglm.export.rebuild import rebuild_plan
from tests.bundle.samples import PLAN, tree
from tests.checkpoints import write_tiny_llama


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without a plan."""
    checkpoint = write_tiny_llama(tmp_path_factory.mktemp("rebuild") / "checkpoint")
    return export_model(checkpoint, checkpoint.with_name("out"), "int8", "tensorrt", plan=False, proof=False)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_AUTOGLM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def library() -> str:
    """Version of the TensorRT-RTX that is here; it needs no GPU to compile."""
    return str(pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed").__version__)


def test_a_plan_for_this_library_is_kept_beside_the_bundle(bundle: Bundle, library: str) -> None:
    before = tree(bundle.root)
    stages: dict[str, tuple[int, int]] = {}
    plan = rebuild_plan(
        bundle,
        compute_capabilities=["8.9"],
        progress=lambda stage, done, total: stages.update({stage: (done, total)}),
    )
    folder = PlanFolder.of(bundle.fingerprint)
    [name] = folder.names()
    assert folder.read(name) == plan
    assert folder.checked_path(plan).stat().st_size == plan.size > 10_000
    assert (plan.entry.library, plan.entry.version) == ("tensorrt_rtx", library)
    assert (plan.entry.compute_capabilities, plan.entry.rows) == (("8.9",), 4)
    assert tree(bundle.root) == before
    assert {stage: done == total for stage, (done, total) in stages.items()} == {"plan": True, "hashing": True}


def test_a_plan_is_built_anew_for_other_steps(bundle: Bundle, library: str) -> None:
    rebuild_plan(bundle, compute_capabilities=["8.9"])
    plan = rebuild_plan(bundle, slots=2, compute_capabilities=["8.9"])
    folder = PlanFolder.of(bundle.fingerprint)
    assert [folder.read(name) for name in folder.names()] == [plan]
    assert plan.entry.rows == 2
    assert len(tree(folder.root)) == 2


def test_the_steps_are_those_of_the_bundles_own_plan(bundle: Bundle, library: str, tmp_path: Path) -> None:
    [engine] = bundle.manifest.engines
    own = dataclasses.replace(PLAN, rows=3, page=64, head_rows=8)
    with BundleWriter(tmp_path / "planned") as writer:
        for entry in bundle.manifest.files:
            writer.link(bundle.path(entry.path), entry)
        writer.path(own.path).write_bytes(b"of another device")
        engines = [dataclasses.replace(engine, plans=(own,))]
        planned = writer.commit(model=bundle.manifest.model, engines=engines, source="x")
    entry = rebuild_plan(planned, compute_capabilities=["8.9"]).entry
    assert (entry.rows, entry.page, entry.head_rows) == (3, 64, 8)


def test_what_cannot_be_compiled_leaves_nothing(bundle: Bundle, library: str, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ExportError, match=r"cannot build here for compute capability 5\.0"):
        rebuild_plan(bundle, compute_capabilities=["5.0"])
    assert not cache.exists()
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    fp32 = export_model(checkpoint, tmp_path / "fp32", "fp32", "tensorrt", plan=False, proof=False)
    with pytest.raises(ExportError, match="TensorRT's attention takes float16 only"):
        rebuild_plan(fp32, compute_capabilities=["8.9"])
    assert tree(cache) == {}


def test_a_bundle_for_the_cpu_has_nothing_to_compile(tmp_path: Path) -> None:
    checkpoint = write_tiny_llama(tmp_path / "checkpoint")
    with pytest.raises(BundleError, match="has no graph that TensorRT can compile") as caught:
        rebuild_plan(export_model(checkpoint, tmp_path / "out", "int8", proof=False))
    assert "--target tensorrt" in caught.value.cure


def test_a_missing_library_is_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, None)  # its import fails, as where it is not installed
    with pytest.raises(MissingDependency, match="TensorRT is not there") as caught:
        rebuild_plan(bundle)
    assert 'pip install "edge-autoglm[tensorrt]"' in caught.value.cure
    assert not cache.exists()
