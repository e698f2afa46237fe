"""All operators by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from edge_autoglm.prompts.rewrite.compose import FormOperator
from edge_autoglm.prompts.rewrite.draft import Operator
from edge_autoglm.prompts.rewrite.operators.calibrate import Calibrate
from edge_autoglm.prompts.rewrite.operators.decoding import Decoding
from edge_autoglm.prompts.rewrite.operators.layout import case, lines, order, separators
from edge_autoglm.prompts.rewrite.operators.phrases import instruction, lead_in, question, role
from edge_autoglm.prompts.rewrite.operators.reasoning import least_to_most, step_by_step
from edge_autoglm.prompts.rewrite.operators.shots import shot_order, shots
from edge_autoglm.prompts.rewrite.operators.style import style
from edge_autoglm.prompts.rewrite.operators.words import cue, field_names, label_words

_ALL: tuple[Operator, ...] = (
    FormOperator("separators", separators),
    FormOperator("lines", lines),
    FormOperator("case", case),
    FormOperator("order", order),
    FormOperator("field_names", field_names),
    FormOperator("cue", cue),
    FormOperator("label_words", label_words),
    FormOperator("instruction", instruction),
    FormOperator("question", question),
    FormOperator("role", role),
    FormOperator("lead_in", lead_in),
    FormOperator("style", style),
    FormOperator("shots", shots),
    FormOperator("shot_order", shot_order),
    FormOperator("step_by_step", step_by_step),
    FormOperator("least_to_most", least_to_most),
    Decoding(),
    Calibrate(),
)

OPERATORS: Mapping[str, Operator] = MappingProxyType({operator.name: operator for operator in _ALL})
"""Format first, then words, phrases, style, examples, reasoning, decoding and priors."""
