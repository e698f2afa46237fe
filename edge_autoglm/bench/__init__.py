"""The benchmark behind ``edge-autoglm bench``: an application on the public names and on `edge_autoglm.device`."""

from edge_autoglm.bench.config import BenchConfig
from edge_autoglm.bench.report import BenchReport
from edge_autoglm.bench.run import run_bench

__all__ = ["BenchConfig", "BenchReport", "run_bench"]
