"""A tiny real bundle, and a report whose figures can be worked out by hand."""

from __future__ import annotations

import pytest

from edge_autoglm import Bundle, Usage, export_model
from edge_autoglm.bench.config import BenchConfig
from edge_autoglm.bench.host import Host
from edge_autoglm.bench.loading import Load
from edge_autoglm.bench.report import BenchReport, BundleFacts, PeakMemory
from edge_autoglm.bench.samples import RequestSample, Round
from edge_autoglm.device.cpu import Cpu
from edge_autoglm.device.placement import Placement
from tests.checkpoints import write_tiny_llama


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A random two-layer Llama in fp32, for contexts of up to 512 tokens."""
    folder = tmp_path_factory.mktemp("bench")
    return export_model(write_tiny_llama(folder / "checkpoint"), folder / "tiny.bundle", "fp32", proof=False)


@pytest.fixture
def request_sample() -> RequestSample:
    """100 prompt tokens in 0.2 s, then 4 more tokens, 10 and 30 ms apart in turn."""
    return RequestSample(
        usage=Usage(prompt_tokens=100, num_cached_tokens=0, new_tokens=5),
        finish_reason="length",
        started=0.0,
        queue=0.001,
        arrivals=(0.2, 0.21, 0.24, 0.25, 0.28),
        decode=0.08,
        total=0.28,
    )


@pytest.fixture
def report(request_sample: RequestSample) -> BenchReport:
    """Three rounds of that request, after one to warm up."""
    one = Round((request_sample,), seconds=0.28)
    return BenchReport(
        config=BenchConfig(prompt_tokens=100, new_tokens=5, repeat=3),
        bundle=BundleFacts(
            path="tiny.bundle",
            digest="0123456789abcdef",
            model="tiny",
            parameters=1000,
            precision="int8",
            kv_type="fp32",
            size=2_500_000,
        ),
        host=Host(
            cpu=Cpu("Processor [10 GHz]", "x86_64", ("avx2",), physical_cores=2, logical_cores=4),
            granted_threads=2,
            system="Linux 6 x86_64",
            governor=None,
            load_average=0.1,
            versions={"numpy": "2.0"},
            taken_at="2026-01-01T00:00:00Z",
        ),
        threads=2,
        placement=Placement("cpu", "onnxruntime 1.32.0", "Processor"),
        load=Load(1.5, {"verifying": 0.5}),
        memory=PeakMemory(50_000_000, 80_000_000, None),
        warmup=(one,),
        rounds=(one, one, one),
    )
