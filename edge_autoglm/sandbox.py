"""The Jinja sandbox in which every template of a bundle runs: task templates and chat templates alike.

Settings follow ``transformers`` (``trim_blocks``, ``lstrip_blocks``, loop controls, ``raise_exception``, a ``tojson``
that does not escape HTML), so that a checkpoint's chat template means here what it means there. Three things differ on
purpose: an undefined variable is an error, whatever is random or depends on the clock is gone (``lipsum``, ``random``,
``strftime_now``: the same request gives the same tokens), and output, ranges and repetition are bounded.

Values passed to ``Template.render`` are data: they are never parsed as template source.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edge_autoglm.errors import TemplateError

MAX_OUTPUT = 16 * 1024 * 1024
"""Characters that one rendering may produce."""

_MAX_BITS = 4096
_FIX = "Correct the template."


class _InputRefusedError(Exception):
    """The template called ``raise_exception``."""


class _Environment(ImmutableSandboxedEnvironment):
    """Adds bounds on ``*`` and ``**``, which would otherwise fill the memory from a few characters of source."""

    intercepted_binops = frozenset(("*", "**"))

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Refuse a repetition or power whose result would be unreasonably large."""
        if operator == "**" and _bits_of_power(left, right) > _MAX_BITS:
            raise SecurityError(f"{left!r} ** {right!r} is too large")
        if operator == "*" and max(_length_repeated(left, right), _length_repeated(right, left)) > MAX_OUTPUT:
            raise SecurityError("a repetition is too long")
        return super().call_binop(context, operator, left, right)


def _bits_of_power(base: object, exponent: object) -> int:
    return base.bit_length() * exponent if isinstance(base, int) and isinstance(exponent, int) else 0


def _length_repeated(sequence: object, times: object) -> int:
    return len(sequence) * times if isinstance(sequence, (str, list, tuple)) and isinstance(times, int) else 0


class Template:
    """A compiled template; immutable, and safe to render from several threads at once."""

    def __init__(self, compiled: jinja2.Template, name: str) -> None:
        self._compiled = compiled
        self.name = name

    def render(self, /, **variables: object) -> str:
        """Fill in the variables.

        Raises:
            TemplateError: A variable is undefined, the template left the sandbox, called ``raise_exception``, failed in
                an expression, or produced more than ``MAX_OUTPUT`` characters.
        """
        try:
            return self._collect(variables)
        except _InputRefusedError as error:
            raise self._error(error, f"refuses its input: {error}", "Change the input.") from error
        except jinja2.UndefinedError as error:
            cure = "Correct the name, or pass the variable."
            raise self._error(error, f"uses something undefined: {error}", cure) from error
        except SecurityError as error:
            raise self._error(error, f"leaves the sandbox: {error}", _FIX) from error
        except (MemoryError, TemplateError):
            raise
        except Exception as error:  # an expression in a template can raise anything
            raise self._error(error, f"failed: {type(error).__name__}: {error}", _FIX) from error

    def _error(self, error: BaseException, problem: str, cure: str) -> TemplateError:
        """Names the template, and its line where that is known."""
        line = _line(error)
        where = self.name if line is None else f"{self.name}, line {line}"
        return TemplateError(f"{where} {problem}", cure, field=self.name, line=line)

    def _collect(self, variables: dict[str, object]) -> str:
        """Render piece by piece, so that runaway output is stopped before it fills the memory."""
        pieces: list[str] = []
        room = MAX_OUTPUT
        for piece in self._compiled.generate(variables):
            room -= len(piece)
            if room < 0:
                raise TemplateError(f"{self.name} produces more than {MAX_OUTPUT} characters", _FIX, field=self.name)
            pieces.append(piece)
        return "".join(pieces)


def compile_template(source: str, name: str) -> Template:
    """Compile a template for the sandbox.

    Args:
        source: Jinja source.
        name: What errors call the template, e.g. ``sentiment.yaml: variants[2].prompt``.

    Raises:
        TemplateError: The source has a syntax error.
    """
    environment = _environment()
    try:
        return Template(environment.from_string(source), name)
    except jinja2.TemplateSyntaxError as error:
        raise _syntax_error(error, name) from error
    except (RecursionError, OverflowError, ValueError) as error:
        cause = f"{name} cannot be compiled: {type(error).__name__}: {error}"
        raise TemplateError(cause, _FIX, field=name) from error


def undeclared_variables(source: str, name: str) -> frozenset[str]:
    """Names that the template takes from its caller.

    Raises:
        TemplateError: The source has a syntax error, or uses a filter that there is not.
    """
    try:
        return frozenset(meta.find_undeclared_variables(_parse(source, name)))
    except jinja2.TemplateSyntaxError as error:  # an unknown filter or test
        raise _syntax_error(error, name) from error


def constants(source: str, name: str) -> tuple[str | int, ...]:
    """Texts and integers that stand in the template's expressions, in order: what it may compare its variables with.

    Raises:
        TemplateError: The source has a syntax error.
    """
    found = (node.value for node in _parse(source, name).find_all(nodes.Const))
    return tuple(dict.fromkeys(value for value in found if type(value) in (str, int)))


def _parse(source: str, name: str) -> nodes.Template:
    try:
        return _environment().parse(source)
    except jinja2.TemplateSyntaxError as error:
        raise _syntax_error(error, name) from error
    except RecursionError as error:
        raise TemplateError(f"{name} is nested too deeply", _FIX, field=name) from error


def _environment() -> _Environment:
    environment = _Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.loopcontrols"],
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.filters["tojson"] = _to_json
    del environment.globals["lipsum"]
    del environment.filters["random"]
    return environment


def _raise_exception(message: str) -> NoReturn:
    raise _InputRefusedError(message)


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Plain JSON; Jinja's own filter escapes ``<``, ``>``, ``&`` and ``'`` for HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _syntax_error(error: jinja2.TemplateSyntaxError, name: str) -> TemplateError:
    cause = f"{name}, line {error.lineno} has a syntax error: {error.message}"
    return TemplateError(cause, _FIX, field=name, line=error.lineno)


def _line(error: BaseException) -> int | None:
    """Line of the template at which the error arose; ``None`` if unknown."""
    line: int | None = None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
