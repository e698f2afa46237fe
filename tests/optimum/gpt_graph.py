"""A small GPT in the form in which Optimum exports one, built without torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper, parser

VOCAB_SIZE, CONTEXT, HIDDEN, HEADS, WIDTH, LAYERS = 320, 150, 64, 4, 16, 2

_PREFIX = {"past": "past_key_values", "present": "present"}
_INPUTS = "int64[B,S] input_ids, int64[B,T] attention_mask, int64[B,S] position_ids"
_START = """
    words = Gather(wte, input_ids)
    places = Gather(wpe, position_ids)
    x0 = Add(words, places)
    S = Shape<start=1, end=2>(input_ids)
    T = Shape<start=1, end=2>(attention_mask)
    count = Squeeze(S)
    total = Squeeze(T)
    zero = Constant<value=int64 {0}>()
    one = Constant<value=int64 {1}>()
    first = Sub(total, count)
    k = Range(zero, total, one)
    q_flat = Range(first, total, one)
    last_axis = Constant<value=int64[1] {1}>()
    q = Unsqueeze(q_flat, last_axis)
    causal = LessOrEqual(k, q)
    reach = Constant<value=int64 {WINDOW}>()
    oldest = Sub(q, reach)
    near = Greater(k, oldest)
    seen = And(causal, near)
    real_flat = Cast<to=9>(attention_mask)
    mask_axes = Constant<value=int64[2] {1, 2}>()
    real = Unsqueeze(real_flat, mask_axes)
    allowed = And(seen, real)
    nothing = Constant<value=float {0.0}>()
    forbidden = Constant<value=float {-3.4e38}>()
    mask = Where(allowed, nothing, forbidden)
    B_axis = Shape<start=0, end=1>(input_ids)
    minus = Constant<value=int64[1] {-1}>()
    hidden = Constant<value=int64[1] {HIDDEN}>()
    packed = Constant<value=int64[1] {PACKED}>()
    heads = Constant<value=int64[1] {HEADS}>()
    width = Constant<value=int64[1] {WIDTH}>()
    flat = Concat<axis=0>(minus, hidden)
    as_packed = Concat<axis=0>(B_axis, S, packed)
    as_heads = Concat<axis=0>(B_axis, S, heads, width)
    as_hidden = Concat<axis=0>(B_axis, S, hidden)
"""
_LAYER = """
    a@ = LayerNormalization<axis=-1, epsilon=1e-5>(x@, w_ln1_@, w_ln1_b_@)
    af@ = Reshape(a@, flat)
    qkv_flat@ = Gemm(af@, w_qkv_@, w_qkv_b_@)
    qkv@ = Reshape(qkv_flat@, as_packed)
    q3@, k3@, v3@ = Split<axis=2, num_outputs=3>(qkv@)
    q4@ = Reshape(q3@, as_heads)
    k4@ = Reshape(k3@, as_heads)
    v4@ = Reshape(v3@, as_heads)
    qt@ = Transpose<perm=[0,2,1,3]>(q4@)
    kt@ = Transpose<perm=[0,2,1,3]>(k4@)
    vt@ = Transpose<perm=[0,2,1,3]>(v4@)
    present_@_key = Concat<axis=-2>(past_@_key, kt@)
    present_@_value = Concat<axis=-2>(past_@_value, vt@)
    wide@ = Shape<start=3, end=4>(qt@)
    widef@ = Cast<to=1>(wide@)
    root@ = Sqrt(widef@)
    half@ = Sqrt(root@)
    unit@ = Constant<value=float {1.0}>()
    s@ = Div(unit@, half@)
    qs@ = Mul(qt@, s@)
    ktr@ = Transpose<perm=[0,1,3,2]>(present_@_key)
    ks@ = Mul(ktr@, s@)
    raw@ = MatMul(qs@, ks@)
    scores@ = Add(raw@, mask)
    soft@ = Softmax<axis=-1>(scores@)
    sum@ = MatMul(soft@, present_@_value)
    turned@ = Transpose<perm=[0,2,1,3]>(sum@)
    joined@ = Reshape(turned@, as_hidden)
    o0@ = MatMul(joined@, w_out_@)
    o@ = Add(w_out_b_@, o0@)
    r@ = Add(o@, x@)
    m@ = LayerNormalization<axis=-1, epsilon=1e-5>(r@, w_ln2_@, w_ln2_b_@)
    u0@ = MatMul(m@, w_up_@)
    u@ = Add(u0@, w_up_b_@)
    g@ = Tanh(u@)
    d@ = MatMul(g@, w_down_@)
    x# = Add(r@, d@)
"""
_HEADS = {
    "copy": "logits = MatMul(last, w_head)",
    "transpose": "turned_table = Transpose<perm=[1,0]>(wte)\n logits = MatMul(last, turned_table)",
    "untied": "logits = MatMul(last, w_head)",
    "hidden": "turned = Transpose<perm=[0,2,1]>(last)\n straight = Transpose<perm=[0,2,1]>(turned)\n"
    "unscaled = MatMul(straight, w_head)\n logits = Softplus(unscaled)",
}


@dataclass(frozen=True)
class Variant:
    """What differs between exported graphs.

    Attributes:
        window: Tokens that a token sees, itself included; more than the context is plain causal attention.
        head: ``copy`` or ``transpose`` (tied, written twice or turned at run time), ``untied``, or ``hidden`` behind
            an operator that no rewrite looks through.
    """

    window: int = 10_000
    head: str = "copy"


def write_gpt(path: Path, variant: Variant = Variant()) -> Path:
    """Write the graph; its weights are always the same random ones."""
    halves = [f"{layer}_{kind}" for layer in range(LAYERS) for kind in ("key", "value")]
    inputs = ", ".join([_INPUTS, *(f"float[B,{HEADS},P,{WIDTH}] past_{half}" for half in halves)])
    outputs = ", ".join(
        [f"float[B,S,{VOCAB_SIZE}] logits", *(f"float[B,{HEADS},T,{WIDTH}] present_{half}" for half in halves)]
    )
    sizes = {"WINDOW": variant.window, "PACKED": 3 * HIDDEN, "HIDDEN": HIDDEN, "HEADS": HEADS, "WIDTH": WIDTH}
    body = _START
    for name, size in sizes.items():
        body = body.replace(f"{{{name}}}", f"{{{size}}}")
    for layer in range(LAYERS):
        body += _LAYER.replace("@", str(layer)).replace("#", str(layer + 1))
    body += f"last = LayerNormalization<axis=-1, epsilon=1e-5>(x{LAYERS}, w_ln, w_ln_b)\n{_HEADS[variant.head]}"
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> gpt ({inputs}) => ({outputs}) {{{body}}}')
    weights = _weights(variant.head)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    _name_as_optimum_does(model.graph)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


def _name_as_optimum_does(graph: onnx.GraphProto) -> None:
    """ONNX's text format has no names like ``past_key_values.0.key``."""
    cache = re.compile(r"(past|present)_(\d+)_(key|value)")

    def renamed(name: str) -> str:
        match = cache.fullmatch(name)
        return name if match is None else f"{_PREFIX[match[1]]}.{match[2]}.{match[3]}"

    for value in (*graph.input, *graph.output):
        value.name = renamed(value.name)
    for node in graph.node:
        node.name = f"node_{node.output[0]}"
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]


def _weights(head: str) -> dict[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(5)

    def random(*shape: int, scale: float = 1.0) -> npt.NDArray[np.float32]:
        return (rng.standard_normal(shape) * scale).astype(np.float32)

    weights = {"wte": random(VOCAB_SIZE, HIDDEN), "wpe": random(CONTEXT, HIDDEN, scale=0.3)}
    for layer in range(LAYERS):
        for name, (rows, columns) in {
            "qkv": (HIDDEN, 3 * HIDDEN),
            "out": (HIDDEN, HIDDEN),
            "up": (HIDDEN, 96),
            "down": (96, HIDDEN),
        }.items():
            weights[f"w_{name}_{layer}"] = random(rows, columns, scale=rows**-0.5)
            if name != "down":
                weights[f"w_{name}_b_{layer}"] = random(columns, scale=0.1)
        for name in ("ln1", "ln2"):
            weights[f"w_{name}_{layer}"] = 1 + random(HIDDEN, scale=0.1)
            weights[f"w_{name}_b_{layer}"] = random(HIDDEN, scale=0.1)
    weights["w_ln"], weights["w_ln_b"] = 1 + random(HIDDEN, scale=0.1), random(HIDDEN, scale=0.1)
    own_head = random(HIDDEN, VOCAB_SIZE)
    if head != "transpose":
        weights["w_head"] = np.ascontiguousarray(weights["wte"].T) if head == "copy" else own_head
    return weights
