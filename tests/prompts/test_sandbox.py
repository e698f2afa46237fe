"""What templates may do, and how their failures read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_autoglm.errors import TemplateError
from edge_autoglm.sandbox import MAX_OUTPUT, compile_template, constants, undeclared_variables


def render(source: str, **variables: object) -> str:
    return compile_template(source, "mood.yaml: variants[1].prompt").render(**variables)


def test_block_tags_leave_no_blank_lines_and_the_last_newline_stays() -> None:
    source = "{% for x in items %}\n  {% if x %}\n- {{ x }}\n  {% endif %}\n{% endfor %}\nend\n"
    assert render(source, items=["a", "", "b"]) == "- a\n- b\nend\n"


def test_tojson_is_plain_json() -> None:
    assert render("{{ x | tojson }}", x={"a": "<b> & 'c' 好"}) == '{"a": "<b> & \'c\' 好"}'
    assert render("{{ x | tojson(indent=2) }}", x=[1]) == "[\n  1\n]"


def test_loop_controls_work() -> None:
    assert render("{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}") == "012"


@given(st.text())
def test_values_are_never_read_as_template_source(text: str) -> None:
    assert render("[{{ x }}]", x=text) == f"[{text}]"


@pytest.mark.parametrize(
    "attack", ["{{ 7 * 7 }}", "{% raw %}", "{{ ''.__class__ }}", "{# #}", "{{ raise_exception('x') }}"]
)
def test_template_syntax_in_a_value_stays_text(attack: str) -> None:
    assert render("{{ x }}", x=attack) == attack


@pytest.mark.parametrize("variable", ["self", "name", "source", "environment"])
def test_any_variable_name_can_be_passed(variable: str) -> None:
    assert compile_template("{{ x }}", "n").render(**{"x": "ok", variable: "?"}) == "ok"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ x.append(1) }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ 'x' * 10 ** 12 }}",
        "{{ 10 ** 12 * 'x' }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ range.__globals__ }}",
        "{{ (x | map(attribute='__class__') | list)[0].__mro__ }}",
    ],
)
def test_leaving_the_sandbox_is_an_error(source: str) -> None:
    with pytest.raises(TemplateError, match=r"mood.yaml: variants\[1\].prompt") as caught:
        render(source, x=[1])
    assert "line 1" in str(caught.value)


@pytest.mark.parametrize(
    "source", ["{% for i in range(10 ** 9) %}x{% endfor %}", "{% include 'mood.yaml' %}", "{{ 1 / 0 }}"]
)
def test_whatever_an_expression_raises_becomes_a_template_error(source: str) -> None:
    with pytest.raises(TemplateError, match=r"variants\[1\].prompt, line 2 failed"):
        render("\n" + source)


def test_output_is_bounded() -> None:
    source = "{% for i in range(99999) %}{{ x }}{% endfor %}"
    with pytest.raises(TemplateError, match=f"more than {MAX_OUTPUT} characters"):
        render(source, x="x" * 1000)


@pytest.mark.parametrize("source", ["{{ lipsum() }}", "{{ [1, 2] | random }}", "{{ strftime_now('%d') }}"])
def test_nothing_random_and_no_clock(source: str) -> None:
    with pytest.raises(TemplateError):
        render(source)


def test_an_undefined_variable_is_named_with_its_line() -> None:
    with pytest.raises(
        TemplateError, match=r"variants\[1\].prompt, line 3 uses something undefined: 'txet' is undefined"
    ):
        render("a\nb\n{{ txet }}")


def test_an_undefined_attribute_is_named() -> None:
    with pytest.raises(TemplateError, match="no attribute 'contnet'"):
        render("{{ message.contnet }}", message={"content": "x"})


def test_a_syntax_error_is_named_with_its_line() -> None:
    with pytest.raises(TemplateError, match=r"variants\[1\].prompt, line 2 has a syntax error"):
        render("a\n{% if %}")


def test_source_that_is_nested_too_deeply_is_an_error() -> None:
    source = "{{ " + "(" * 5000 + ")" * 5000 + " }}"
    with pytest.raises(TemplateError, match="RecursionError"):
        render(source)
    with pytest.raises(TemplateError, match="nested too deeply"):
        undeclared_variables(source, "n")


def test_raise_exception_carries_the_templates_message() -> None:
    with pytest.raises(TemplateError, match="refuses its input: roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}")


def test_undeclared_variables_leave_out_loops_sets_and_globals() -> None:
    source = "{% set a = b %}{% for c in d %}{{ a }}{{ c }}{{ range(3) | list }}{% endfor %}{{ raise_exception('x') }}"
    assert undeclared_variables(source, "n") == {"b", "d"}


def test_constants_are_those_of_expressions_not_of_text() -> None:
    source = "1 {% if text | length > 100 or 'not' in text or text == 'not' %}yes{% endif %}{{ x == none }}{{ true }}"
    assert constants(source, "n") == (100, "not")
