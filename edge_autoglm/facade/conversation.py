"""Free prompts: a text as it is, or a conversation through the model's chat template."""

from __future__ import annotations

from collections.abc import Sequence

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
    if model.chat is None:
        raise RequestError("the model has no chat template", "Give the whole prompt as one text.")
    return model.encode_prompt(model.chat.render([_shielded(model, message) for message in prompt]))


def _shielded(model: LanguageModel, message: Message) -> Message:
    try:
        role, content = message["role"], message["content"]
    except (KeyError, TypeError) as error:
        raise RequestError(f"{message!r} is not a message", 'Give {"role": ..., "content": ...}.') from error
    return {"role": role, "content": model.tokenizer.shield(content)}
