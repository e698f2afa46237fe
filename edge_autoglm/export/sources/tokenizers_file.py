"""Checks of a ``tokenizers`` file and of a chat template, whatever they come from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tokenizers import Tokenizer

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.sandbox import compile_template

_AGAIN = "Download the checkpoint again."


def load_tokenizer(text: str, what: str) -> Tokenizer:
    """Load a ``tokenizers`` file.

    Args:
        text: Its content, which must neither cut nor pad: a padding of 10^15 tokens would be carried out.
        what: Where it comes from, for messages.

    Raises:
        NotAModel: The package ``tokenizers`` does not take it.
    """
    with _as_error(what):
        return Tokenizer.from_str(text)


def encode_nothing(tokenizer: Tokenizer, what: str) -> list[str]:
    """The tokens that the post-processor puts around an empty text.

    Raises:
        NotAModel: It cannot.
    """
    with _as_error(what):
        return list(tokenizer.encode("").tokens)


def check_vocabulary(tokenizer: Tokenizer, rows: int, what: str) -> None:
    """Check that the embedding has a row for every token.

    Raises:
        UnsupportedModel: It has not.
    """
    token, token_id = max(
        tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1], default=("", 0)
    )
    if token_id >= rows:
        raise UnsupportedModel(
            f"{what}: the token {token!r} has the id {token_id}, but the embedding has {rows} rows (vocab_size)",
            "Use the tokenizer that belongs to these weights.",
        )


def checked_template(template: object, what: str) -> str | None:
    """A chat template that the runtime will be able to compile; ``None`` for what is no text.

    Raises:
        TemplateError: It has a syntax error.
    """
    if not isinstance(template, str):
        return None
    compile_template(template, f"the chat template of {what}")
    return template


@contextmanager
def _as_error(what: str) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    # tokenizers raises plain Exception, whatever is wrong, and where its Rust code panics a BaseException.
    except BaseException as error:
        raise NotAModel(f"{what} is not a tokenizers file ({str(error)[:200]})", _AGAIN) from error
