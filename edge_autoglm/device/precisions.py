"""Which precision suits a processor.

Measured on SmolLM2-135M with two threads, tokens a second of prefill / decode: with VNNI w8a8 2500 / 115, int8 1370 /
120, int4 1310 / 190; with AVX2 only w8a8 695 / 74, int8 365 / 85, int4 450 / 97, fp32 574 / 43.
"""

from __future__ import annotations

from edge_autoglm.device.checks import Check, note, ok
from edge_autoglm.device.cpu import Cpu

_DOT_PRODUCTS = ("avx_vnni", "avx512_vnni", "amx_int8", "dotprod", "i8mm")
_MEASURE = "Let `edge-autoglm export --precision auto` measure this CPU, or compare bundles with `edge-autoglm bench`."
_BEST_EFFORT = "Choose w8a8 for long prompts, int8 or int4 for long answers; `export --precision auto` measures."


def check_kernels(cpu: Cpu) -> Check:
    """Whether the processor multiplies 8-bit numbers fast."""
    if cpu.features is None:
        return note("8-bit kernels", "the system does not say which instructions the CPU has", _MEASURE)
    present = [feature for feature in _DOT_PRODUCTS if cpu.has(feature)]
    if present:
        return ok(
            "8-bit kernels", f"dot products ({', '.join(present)}): w8a8 prefills fastest, int8 is closest to fp32"
        )
    if cpu.has("avx2"):
        return note("8-bit kernels", "AVX2 without VNNI: prompts take 3 to 4 times as long as with it", _BEST_EFFORT)
    return note("8-bit kernels", "no 8-bit dot products: quantised models gain size rather than speed", _MEASURE)


def check_precision(cpu: Cpu, precision: str) -> Check:
    """Whether an engine's precision is a good choice for the processor.

    Args:
        cpu: The processor.
        precision: As the exporter was asked for it.
    """
    if precision in ("fp32", "fp16"):
        found = f"{precision}: decodes at half the speed of 8 bits, and takes 3 to 4 times the memory"
        return note("precision", found, "Export it in int8, which is closest to fp32, or w8a8, which prefills fastest.")
    if precision == "int8" and cpu.features is not None and not cpu.has(*_DOT_PRODUCTS):
        found = "int8: on a CPU without 8-bit dot products, prompts run at half the speed of w8a8"
        return note("precision", found, "Export it in w8a8 if prompts are long.")
    return ok("precision", f"{precision}: suits this CPU")
