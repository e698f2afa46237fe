"""Do model, tokenizer and chat template belong together?"""

from __future__ import annotations

from collections.abc import Iterator

from edge_autoglm.errors import EdgeAutoGLMError
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.swap.outcome import cause_of
from edge_autoglm.values import Message

_ASKED, _ANSWERED, _NEXT = "Which day is it?", "Wednesday", "Thank you."


def language_faults(candidate: LanguageModel, active: LanguageModel) -> list[str]:
    """What is wrong with how the candidate's prompts are made and its answers ended.

    A fault that the active generation's model has as well is passed over.
    """
    excused = set(_faults(active))
    faults = [fault for fault in _faults(candidate) if fault not in excused]
    same_language = candidate.tokenizer.fingerprint == active.tokenizer.fingerprint
    if same_language and _opens_turn(active) and not _opens_turn(candidate):  # some families' templates never do
        faults.append("chat template: it does not open the assistant's turn, which the active generation's does")
    return faults


def _faults(model: LanguageModel) -> Iterator[str]:
    yield from _vocabulary_faults(model)
    yield from _ending_faults(model)
    if model.chat is not None:
        yield from _chat_faults(model, model.chat)


def _vocabulary_faults(model: LanguageModel) -> Iterator[str]:
    tokens, rows = model.tokenizer.vocab_size, model.engine.facts.vocab_size
    if tokens > rows:
        yield f"tokenizer: it has {tokens} tokens, of which the engine knows {rows}"


def _ending_faults(model: LanguageModel) -> Iterator[str]:
    """An answer ends at a control token: one with a text of its own would cut answers short."""
    if not model.eos_token_ids:
        yield "end of answers: no token ends one"
    for token in sorted(model.eos_token_ids):
        if not 0 <= token < model.engine.facts.vocab_size:
            yield f"end of answers: token {token} is outside the engine's vocabulary"
        elif token not in model.tokenizer.special_ids and (text := model.tokenizer.token_bytes(token)):
            yield f"end of answers: token {token} is the text {text.decode(errors='replace')!r}, no control token"


def _chat_faults(model: LanguageModel, chat: ChatTemplate) -> Iterator[str]:
    try:
        opened = chat.render([Message(role="user", content=_ASKED)])
        whole = chat.render(_conversation(), add_generation_prompt=False)
    except EdgeAutoGLMError as error:
        yield f"chat template: {cause_of(error)}"
        return
    if _ASKED not in opened:
        yield "chat template: it leaves out what the user says"
    behind = model.tokenizer.encode(whole.partition(_ANSWERED)[2])
    control = next((token for token in behind if token in model.tokenizer.special_ids), None)
    if control is None:
        yield "chat template: no control token ends what the assistant says"
    elif control not in model.eos_token_ids:
        yield f"end of answers: token {control}, with which the chat template ends them, is not among those that do"


def _conversation() -> list[Message]:
    return [
        Message(role="user", content=_ASKED),
        Message(role="assistant", content=_ANSWERED),
        Message(role="user", content=_NEXT),
    ]


def _opens_turn(model: LanguageModel) -> bool:
    if model.chat is None:
        return False
    asked = [Message(role="user", content=_ASKED)]
    try:
        return model.chat.render(asked) != model.chat.render(asked, add_generation_prompt=False)
    except EdgeAutoGLMError:
        return False
