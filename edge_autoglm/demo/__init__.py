"""The demo: an application on top of the public names of `edge_autoglm`, nothing below them."""

from edge_autoglm.demo.report import DemoReport
from edge_autoglm.demo.run import run_demo

__all__ = ["DemoReport", "run_demo"]
