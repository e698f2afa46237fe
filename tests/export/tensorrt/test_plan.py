"""Plans are built from standard graphs without a GPU; what goes wrong is named, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from edge_autoglm.bundle.manifest import PlanEntry
from edge_autoglm.device.tensorrt_import import TensorRT, platform_name
from edge_autoglm.device.tensorrt_log import tensorrt_log
from edge_autoglm.errors import ExportError
from edge_autoglm.export.standard.dialect import StandardDialect
from edge_autoglm.export.tensorrt.inspect import PlanFigures
from edge_autoglm.export.tensorrt.network import parse
from edge_autoglm.runtime.engines.standard.sizes import StepSizes
from tests.export.standard.graphs import write_graph
from tests.export.tensorrt.builds import COLUMNS, SIZES, build, rtx, tiny_graph
from tests.export.tensorrt.compiled import bound, gpus, kernels
from tests.oracles.family_cases import CASES

trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")


@pytest.fixture
def library() -> TensorRT:
    return rtx()


def _figures(library: TensorRT, graph: Path, sizes: StepSizes = SIZES) -> PlanFigures:
    with tensorrt_log(library).listening() as heard:
        build(graph, graph.with_suffix(".plan"), sizes=sizes)
    return PlanFigures.of(heard.remarks)


@pytest.mark.parametrize("precision", ["fp16", "int8", "w8a8", "int4"])
def test_every_precision_is_built(precision: str, tmp_path: Path) -> None:
    out = tmp_path / "plans" / "tiny.plan"
    out.parent.mkdir()
    entry = build(tiny_graph(tmp_path, precision), out)
    assert entry == PlanEntry(
        path="tiny.plan",
        library="tensorrt_rtx",
        version=trt.__version__,
        compute_capabilities=("8.9",),
        platform=platform_name(),
        rows=SIZES.rows,
        page=SIZES.page,
        head_rows=SIZES.head_rows,
    )
    assert list(out.parent.iterdir()) == [out]
    assert gpus(out) == {"sm89"}
    caches = {"present_key.0", "present_value.0"}
    for inputs, outputs in bound(out):
        assert outputs == {"logits", *caches}
        assert caches < inputs  # under the same name: they are updated in place
    assert len(bound(out)) == 2


def test_a_cache_of_one_live_length_is_updated_in_place(tmp_path: Path) -> None:
    sizes = StepSizes(rows=2, page=64, head_rows=4)
    columns = sizes.columns(100)
    assert len(sizes.live_lengths(columns)) == 1
    config = CASES["llama"] | {"num_hidden_layers": 1}
    graph = write_graph(tmp_path / "standard.onnx", config, StandardDialect("native", "fp16", columns))
    build(graph, tmp_path / "plan", sizes=sizes)
    for inputs, outputs in bound(tmp_path / "plan"):
        assert outputs - inputs == {"logits"}


def test_one_plan_serves_several_gpus(tmp_path: Path) -> None:
    entry = build(tiny_graph(tmp_path), tmp_path / "plan", "sm89", "12.0")
    assert entry.compute_capabilities == ("8.9", "12.0")
    assert gpus(tmp_path / "plan") == {"sm89", "sm120"}


@pytest.mark.parametrize("precision", ["int8", "w8a8", "int4"])
def test_weights_are_dequantised_within_their_products(precision: str, tmp_path: Path) -> None:
    config = CASES["llama"] | {"num_hidden_layers": 1, "hidden_size": 128, "head_dim": 32}  # two blocks of int4
    graph = write_graph(tmp_path / "standard.onnx", config, StandardDialect("native", precision, COLUMNS))
    build(graph, tmp_path / "plan")
    nodes = onnx.load(str(graph), load_external_data=False).graph.node
    maker = {name: node.op_type for node in nodes for name in node.output}
    products = [node for node in nodes if node.op_type == "MatMul" and maker.get(node.input[1]) == "DequantizeLinear"]
    compiled = kernels(tmp_path / "plan")
    assert len(products) >= 5
    for product in products:
        layers = {product.name, product.input[1]}
        assert sum(layers <= kernel for kernel in compiled) == 2, layers  # one kernel a profile


def test_weights_are_held_once_for_both_profiles_and_as_they_were_quantised(library: TensorRT, tmp_path: Path) -> None:
    held = {}
    for precision in ("fp16", "int8"):
        folder = tmp_path / precision
        folder.mkdir()
        graph = tiny_graph(folder, precision)
        stored = graph.with_name(f"{graph.name}.data").stat().st_size
        figures = _figures(library, graph)
        assert len(figures.scratch) == 2
        assert figures.weights is not None
        assert figures.weights <= 1.1 * stored
        held[precision] = figures.weights
    assert held["int8"] < 0.7 * held["fp16"]


@pytest.mark.parametrize("rows", [1, 4])
def test_a_decode_step_does_not_write_its_weights_out_as_float16(rows: int, library: TensorRT, tmp_path: Path) -> None:
    """It would need scratch for them."""
    width, vocabulary = 256, 49152
    config = CASES["llama"] | {"num_hidden_layers": 1, "hidden_size": width, "vocab_size": vocabulary}
    graph = write_graph(tmp_path / "wide.onnx", config, StandardDialect("native", "int8", COLUMNS))
    [_, decode] = _figures(library, graph, StepSizes(rows, SIZES.page, SIZES.head_rows)).scratch
    assert decode < 2 * width * vocabulary


def test_progress_never_goes_back_and_ends_at_its_total(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    build(tiny_graph(tmp_path), tmp_path / "plan", progress=lambda *step: told.append(step))
    stages, done, totals = zip(*told, strict=True)
    assert set(stages) == {"plan"}
    assert set(totals) == {done[-1]}
    assert done[0] == 0
    assert list(done) == sorted(done)
    assert any(0 < step < done[-1] for step in done)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("the window was closed"), OSError("broken pipe")])
def test_what_progress_raises_ends_the_build_and_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    graph, plans = tiny_graph(tmp_path), tmp_path / "plans"
    plans.mkdir()

    def interrupt(_stage: str, done: int, _total: int) -> None:
        if done:
            raise error

    with pytest.raises(type(error)) as raised:
        build(graph, plans / "plan", progress=interrupt)
    assert raised.value is error
    assert not list(plans.iterdir())
    build(graph, plans / "plan")  # TensorRT has ended, and can build again


def _without_weights(graph: Path) -> None:
    graph.with_name(f"{graph.name}.data").unlink()


def _with_half_of_its_weights(graph: Path) -> None:
    data = graph.with_name(f"{graph.name}.data")
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])


def _half(graph: Path) -> None:
    graph.write_bytes(graph.read_bytes()[: graph.stat().st_size // 2])


def _with_an_unknown_operator(graph: Path) -> None:
    model = onnx.load(str(graph), load_external_data=False)
    next(node for node in model.graph.node if node.op_type == "Attention").op_type = "Telepathy"
    graph.write_bytes(model.SerializeToString())


def _something_else(graph: Path) -> None:
    graph.write_bytes(b"hello" * 100)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "cannot parse it: .*cannot be found"),
        (_half, "cannot parse it: .*Failed to parse the ONNX model"),
        (_without_weights, r"cannot parse it: .*Failed to open file: .*standard\.onnx\.data"),
        (_with_half_of_its_weights, r"cannot parse it: .*out of range for file: .*standard\.onnx\.data"),
        (_with_an_unknown_operator, "cannot parse it: .*Telepathy"),
        (_something_else, r"is not a standard graph: its inputs are \[\]"),
    ],
)
def test_a_damaged_graph_is_named_with_the_parsers_words(
    damage: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    graph = tiny_graph(tmp_path)
    damage(graph)
    with pytest.raises(ExportError, match=words) as raised:
        build(graph, tmp_path / "plan")
    assert str(graph) in raised.value.cause
    assert raised.value.cure == "Export the model again with --target tensorrt."
    assert not (tmp_path / "plan").exists()


def test_a_graph_of_which_tensorrt_has_no_kernels_is_named_with_its_words(tmp_path: Path) -> None:
    config = CASES["llama-head8"] | {"num_hidden_layers": 1}
    graph = write_graph(tmp_path / "narrow.onnx", config, StandardDialect("native", "fp16", COLUMNS))
    with pytest.raises(ExportError, match=r"narrow\.onnx: TensorRT cannot compile it for 8\.9: .*Error Code"):
        build(graph, tmp_path / "plan")
    assert not (tmp_path / "plan").exists()


def test_a_float32_cache_is_refused_before_the_build(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"has a cache of type FLOAT; .*Export the model in fp16, int8"):
        build(tiny_graph(tmp_path, "fp32"), tmp_path / "plan")


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "w8a8", "int4"])
def test_the_decomposed_graph_is_compiled_in_every_precision_and_leaves_its_cache_alone(
    precision: str, tmp_path: Path
) -> None:
    config = CASES["llama"] | {"num_hidden_layers": 1, "hidden_size": 128, "head_dim": 32}
    graph = write_graph(tmp_path / "standard.onnx", config, StandardDialect("decomposed", precision, COLUMNS))
    build(graph, tmp_path / "plan")
    assert len(bound(tmp_path / "plan")) == 2
    for inputs, outputs in bound(tmp_path / "plan"):
        assert outputs == {"logits", "new_key.0", "new_value.0"}
        assert {"past_key.0", "past_value.0"} < inputs
        assert not inputs & (outputs | {"write_indices"})


def test_a_decomposed_step_holds_the_live_columns_of_one_layer_at_a_time(library: TensorRT, tmp_path: Path) -> None:
    columns, kv_heads, head_dim = 8192, 2, 16
    sizes = StepSizes(rows=4, page=128, head_rows=4)
    scratch = {}
    for layers in (2, 8):
        config = CASES["llama"] | {"num_hidden_layers": layers, "num_key_value_heads": kv_heads, "head_dim": head_dim}
        dialect = StandardDialect("decomposed", "fp16", columns)
        graph = write_graph(tmp_path / f"{layers}.onnx", config, dialect)
        [_, scratch[layers]] = _figures(library, graph, sizes).scratch
    live = sizes.rows * kv_heads * columns * head_dim * 2
    assert scratch[8] - scratch[2] < 2 * live, "six layers more have twelve caches more"


def test_heads_for_which_attention_has_no_kernels_are_compiled_in_parts(tmp_path: Path) -> None:
    config = CASES["llama-head8"] | {"num_hidden_layers": 1}
    graph = write_graph(tmp_path / "narrow.onnx", config, StandardDialect("decomposed", "fp16", COLUMNS))
    assert build(graph, tmp_path / "plan").compute_capabilities == ("8.9",)


def test_a_native_graph_whose_cache_is_copied_is_refused(tmp_path: Path) -> None:
    graph = tiny_graph(tmp_path)
    model = onnx.load(graph, load_external_data=False)
    [scatter] = [node for node in model.graph.node if node.output[0] == "present_key.0"]
    scatter.output[0] = "scattered"
    for node in model.graph.node:
        node.input[:] = ["scattered" if name == "present_key.0" else name for name in node.input]
    model.graph.node.append(onnx.helper.make_node("Identity", ["scattered"], ["present_key.0"]))
    onnx.save(model, graph)
    with pytest.raises(ExportError, match=r"does not update its cache past_key\.0 in place"):
        build(graph, tmp_path / "plan")


def test_a_library_without_the_native_layers_gets_the_cure(tmp_path: Path) -> None:
    """TensorRT of JetPack 6: TensorRT-RTX stands in for its parser, which refuses another graph here."""
    old = TensorRT(rtx().module, "tensorrt", "10.3.0")
    (tmp_path / "model.onnx").write_bytes(b"what it cannot parse")
    log = tensorrt_log(old)
    with log.listening() as heard, pytest.raises(ExportError, match=r"tensorrt 10\.3\.0 cannot parse it") as raised:
        parse(old, old.module.Builder(log.logger), tmp_path / "model.onnx", log.logger, heard)
    assert "--lowering decomposed" in raised.value.cure


def test_pages_that_do_not_divide_the_cache_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=f"cache of {COLUMNS} columns does not divide into pages of 128"):
        build(tiny_graph(tmp_path), tmp_path / "plan", sizes=StepSizes())


def test_an_unknown_capability_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"compute capability 9\.9. Use one of"):
        build(tiny_graph(tmp_path), tmp_path / "plan", "sm99")


def test_a_missing_folder_is_named_before_the_build(tmp_path: Path) -> None:
    out = tmp_path / "missing" / "plan"
    with pytest.raises(ExportError, match="cannot be written: its folder is missing") as raised:
        build(tmp_path / "no graph either", out)
    assert str(out) in raised.value.cause


def test_a_folder_where_the_plan_should_be_is_named(tmp_path: Path) -> None:
    graph, plans = tiny_graph(tmp_path), tmp_path / "plans"
    out = plans / "plan"
    out.mkdir(parents=True)
    with pytest.raises(ExportError, match="cannot be written: Is a directory"):
        build(graph, out)
    assert list(plans.iterdir()) == [out]
