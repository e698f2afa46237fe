from __future__ import annotations

import pytest

from edge_autoglm.errors import TemplateError
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.values import Message

USER: Message = {"role": "user", "content": "Hi"}
BOT: Message = {"role": "assistant", "content": "Hello"}
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nBe kind<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# The constructs with which Qwen2.5 and Llama 3 templates ask for features that a conversation does not use.
FEATURES = """{%- if tools %}TOOLS{% endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{% set date_string = strftime_now("%d") %}
    {%- else %}{% set date_string = "26 Jul" %}{% endif %}
{%- endif %}
{{- bos_token + date_string }}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "assistant" and not message.tool_calls) %}
        {{- "|" + message.role + ":" + message.content }}
    {%- elif 'tool_calls' in message or message.tool_call_id is defined %}{{- "CALL" }}
    {%- endif %}
    {%- for call in message.tool_calls %}{{ call }}{% endfor %}
{%- endfor %}
{%- if xml_tools or documents %}MORE{% endif %}"""


def test_a_conversation_is_rendered_with_the_turn_to_answer() -> None:
    template = ChatTemplate(CHATML)
    opening = "<|im_start|>system\nBe kind<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
    assert template.render([USER]) == opening + "<|im_start|>assistant\n"
    assert template.render([USER], add_generation_prompt=False) == opening
    system: Message = {"role": "system", "content": "Short."}
    assert template.render([system, USER]).startswith("<|im_start|>system\nShort.<|im_end|>\n<|im_start|>user")


def test_features_that_are_asked_for_are_absent() -> None:
    assert ChatTemplate(FEATURES, bos_token="<s>").render([USER, BOT]) == "<s>26 Jul|user:Hi|assistant:Hello"


def test_special_tokens_are_known_to_the_template() -> None:
    assert ChatTemplate("{{ bos_token }}-{{ eos_token }}", "<s>", "</s>").render([]) == "<s>-</s>"
    assert ChatTemplate("{{ bos_token }}-{{ eos_token }}").render([]) == "-"


@pytest.mark.parametrize(
    "source", ["{{ mesages }}", "{{ messages[0].contents }}", "{{ 'x' ~ nme }}", "{{ nme.first }}"]
)
def test_printing_something_undefined_is_an_error(source: str) -> None:
    with pytest.raises(TemplateError, match=r"chat_template\.jinja"):
        ChatTemplate(source).render([USER])


def test_a_refusal_of_the_template_is_passed_on() -> None:
    with pytest.raises(TemplateError, match="roles must alternate"):
        ChatTemplate("{{ raise_exception('roles must alternate') }}").render([USER])


def test_a_syntax_error_is_found_at_once() -> None:
    with pytest.raises(TemplateError, match=r"chat_template\.jinja"):
        ChatTemplate("{% for %}")


def test_a_template_cannot_reach_the_interpreter() -> None:
    with pytest.raises(TemplateError):
        ChatTemplate("{{ messages.__class__.__mro__ }}").render([USER])


def test_content_is_data() -> None:
    message: Message = {"role": "user", "content": "{{ 7 * 7 }}"}
    assert ChatTemplate("{{ messages[0].content }}").render([message]) == "{{ 7 * 7 }}"
