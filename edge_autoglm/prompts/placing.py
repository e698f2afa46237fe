"""Where in its file a template went wrong: a template knows its own lines only."""

from __future__ import annotations

import re

from edge_autoglm.errors import TemplateError
from edge_autoglm.prompts.fields import Field


def placed(error: TemplateError, variant: Field) -> TemplateError:
    """The error of a variant's template, with the line of the file."""
    template = variant.at(error.field.removeprefix(f"{variant.file}: {variant.path}."))
    line = template.line_within(error.line or 1)
    return TemplateError(f"{error.cause} (line {line})", error.cure, field=template.path, line=line)


def undefined(variant: Field, where: str, source: str, name: str, cause: str, cure: str) -> TemplateError:
    """An error about a variable of a template, with the first line in which its name stands."""
    word = re.search(rf"\b{re.escape(name)}\b", source)
    inside = 1 if word is None else source.count("\n", 0, word.start()) + 1
    return placed(TemplateError(cause, cure, field=f"{variant.file}: {variant.path}.{where}", line=inside), variant)
