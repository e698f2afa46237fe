from __future__ import annotations

from collections.abc import Sequence

import pytest

from edge_autoglm.runtime.engines.scripted_engine import ScriptedEngine
from edge_autoglm.runtime.model import LanguageModel
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.swap.checks.language import language_faults
from tests.checkpoints import CHAT_TEMPLATE, VOCAB_SIZE
from tests.swap.world import EOS, TOKENIZER, make_model, scripted

OPENED = "{% if add_generation_prompt %}<|im_start|>{% endif %}"


def model(chat: str | None = CHAT_TEMPLATE, eos: Sequence[int] = (EOS,), vocabulary: int = VOCAB_SIZE) -> LanguageModel:
    template = None if chat is None else ChatTemplate(chat)
    return LanguageModel(ScriptedEngine(vocabulary), TOKENIZER, template, eos, None)


def test_a_model_that_fits_together_has_no_faults() -> None:
    assert language_faults(model(), make_model()) == []
    assert language_faults(model(chat=None), model(chat=None)) == []


@pytest.mark.parametrize(
    ("candidate", "fault"),
    [
        (model(eos=()), "end of answers: no token ends one"),
        (model(eos=(EOS, VOCAB_SIZE)), f"end of answers: token {VOCAB_SIZE} is outside"),
        (model(eos=(EOS, *TOKENIZER.encode("a"))), "is the text 'a', no control token"),
        (model(eos=(0,)), "end of answers: token 2, with which the chat template ends them"),
        (model(vocabulary=VOCAB_SIZE - 1), f"tokenizer: it has {VOCAB_SIZE} tokens, of which the engine knows"),
        (model("{{ messages[0]['content'] }}" + OPENED), "no control token ends what the assistant says"),
        (model("<|im_end|>" * 3 + OPENED), "leaves out what the user says"),
        (model("{{ raise_exception('no') }}"), "chat template: "),
        (model(CHAT_TEMPLATE.split("{% if add_gen")[0]), "does not open the assistant's turn"),
    ],
)
def test_what_does_not_fit_is_named(candidate: LanguageModel, fault: str) -> None:
    faults = language_faults(candidate, make_model(scripted()))
    assert any(fault in found for found in faults), faults


def test_a_fault_of_the_active_generation_is_not_held_against_a_candidate() -> None:
    assert language_faults(model(eos=(0,)), model(eos=(0,))) == []


def test_an_assistant_that_is_ended_by_the_next_turn_is_ended() -> None:
    """As GLM does: the token that opens the user's turn ends an answer."""
    glm = "{% for turn in messages %}<|im_start|>{{ turn['content'] }}{% endfor %}" + OPENED
    assert language_faults(model(glm, eos=(1,)), model()) == []
