"""A model's chat template: messages to the prompt that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.defaults

from edge_autoglm.sandbox import compile_template, undeclared_variables

_NAME = "chat_template.jinja"
_GLOBALS = {*jinja2.defaults.DEFAULT_NAMESPACE, "raise_exception"}


class _Absent(jinja2.Undefined):
    """What a chat template may ask for but not print.

    Published templates test for features (``{% if tools %}``, ``message.tool_calls``), to which ``transformers``
    answers no. To print something undefined stays an error.
    """

    def __str__(self) -> str:
        self._fail_with_undefined_error()


class _Turn(dict[str, Any]):
    """A message whose missing fields are absent rather than an error."""

    def __missing__(self, key: str) -> _Absent:
        return _Absent(obj=self, name=key)


class ChatTemplate:
    """Renders messages; immutable.

    Args:
        source: Jinja source, as in ``tokenizer_config.json``.
        bos_token: Text that the template knows as ``bos_token``.
        eos_token: Likewise.

    Raises:
        TemplateError: The source has a syntax error.
    """

    def __init__(self, source: str, bos_token: str | None = None, eos_token: str | None = None) -> None:
        self._template = compile_template(source, _NAME)
        names = undeclared_variables(source, _NAME)
        self.takes_tools = "tools" in names and "tool_calls" in source
        """Whether it shows the model tools, its calls of them, and their results."""
        self._variables: dict[str, Any] = {name: _Absent(name=name) for name in names - _GLOBALS}
        # transformers hands these over in every call, so that templates test them without `is defined`.
        self._variables |= {"tools": None, "documents": None}
        self._variables |= {"bos_token": bos_token or "", "eos_token": eos_token or ""}

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """The prompt.

        Args:
            messages: The conversation so far: role and content of each, and what a template with tools reads besides.
            add_generation_prompt: Whether to open the assistant's turn.
            tools: Definitions of functions, for a template that ``takes_tools``.

        Raises:
            TemplateError: The template refuses the messages (say, two user turns in a row), or is broken.
        """
        turns = [_Turn(message) for message in messages]
        variables = self._variables | {"messages": turns, "add_generation_prompt": add_generation_prompt}
        variables |= {"tools": tools}
        return self._template.render(**variables)
