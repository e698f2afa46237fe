"""Free prompts: a text as it is, or a conversation through the model's chat template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from edge_autoglm.errors import RequestError
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.values import Message

Prompt = str | Sequence[Message]


def encode(model: LanguageModel, prompt: Prompt) -> list[int]:
    """Tokens of a prompt.

    A text is the app's own: chat markers in it are special tokens. The contents of messages come from outside: in them
    they are text.

    Raises:
        RequestError: Messages are empty or malformed, or the model has no chat template.
        PromptTooLong: It does not fit a slot.
    """
    if isinstance(prompt, str):
        return model.encode_prompt(prompt)
    return model.encode_prompt(chat_prompt(model, prompt))


def chat_prompt(model: LanguageModel, messages: Sequence[Message]) -> str:
    """Messages put together, however long they are.

    Raises:
        RequestError: See ``encode``.
    """
    if model.chat is None:
        raise RequestError("the model has no chat template", "Give the whole prompt as one text.")
    return model.chat.render([_shielded(model, message) for message in messages])


def encode_with_tools(
    model: LanguageModel, turns: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] | None
) -> list[int]:
    """Tokens of a conversation in which functions are called.

    Args:
        model: Whose chat template puts it together.
        turns: Messages; all their texts come from outside, arguments and results of calls too.
        tools: Definitions, for a template that takes them.

    Raises:
        RequestError: A message is malformed, or the model has no chat template.
        PromptTooLong: It does not fit a slot.
    """
    if model.chat is None:
        raise RequestError("the model has no chat template", "Use a chat model for requests with tools.")
    shielded = [{**_covered(model, turn), **_shielded(model, cast("Message", turn))} for turn in turns]
    return model.encode_prompt(model.chat.render(shielded, tools=None if tools is None else _covered(model, tools)))


def _covered(model: LanguageModel, value: Any) -> Any:
    """JSON with every text in it shielded."""
    if isinstance(value, str):
        return model.tokenizer.shield(value)
    if isinstance(value, Mapping):
        return {name: _covered(model, one) for name, one in value.items()}
    return [_covered(model, one) for one in value] if isinstance(value, (list, tuple)) else value


def _shielded(model: LanguageModel, message: Message) -> Message:
    try:
        role, content = message["role"], message["content"]
    except (KeyError, TypeError) as error:
        raise RequestError(f"{message!r} is not a message", 'Give {"role": ..., "content": ...}.') from error
    return {"role": role, "content": model.tokenizer.shield(content)}
