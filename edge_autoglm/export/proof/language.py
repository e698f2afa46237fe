"""A model's text side: how the proof turns texts and questions into tokens."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.bundle import Bundle
from edge_autoglm.errors import UnusableText
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.texts import Text
from edge_autoglm.runtime.text.chat import ChatTemplate
from edge_autoglm.runtime.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Language:
    """Tokenizer, chat template and control tokens of a model.

    Attributes:
        tokenizer: Of the model.
        chat: Its template; ``None`` for a base model.
        eos_token_ids: Ids that end a generation.
        bos_id: The token that every prompt starts with, if the model wants one.
    """

    tokenizer: Tokenizer
    chat: ChatTemplate | None
    eos_token_ids: frozenset[int]
    bos_id: int | None

    @classmethod
    def of_files(cls, texts: TokenizerFiles) -> Language:
        """Of a checkpoint.

        Raises:
            UnsupportedModel: The tokenizer cannot be read, or has no such BOS token.
            TemplateError: The chat template has a syntax error.
        """
        tokenizer = Tokenizer(texts.tokenizer_json)
        template = texts.chat_template
        return cls(
            tokenizer,
            None if template is None else ChatTemplate(template, texts.bos_token, texts.eos_token),
            frozenset(texts.eos_token_ids),
            tokenizer.token_id(texts.bos_token) if texts.add_bos and texts.bos_token else None,
        )

    @classmethod
    def of_bundle(cls, bundle: Bundle) -> Language:
        """Of a bundle; raises what `of_files` does."""
        facts = bundle.manifest.model
        return cls.of_files(
            TokenizerFiles(
                bundle.tokenizer_path.read_text(encoding="utf-8"),
                bundle.chat_template,
                facts.bos_token,
                facts.eos_token,
                facts.eos_token_ids,
                facts.add_bos,
            )
        )

    def prompt(self, question: str) -> list[int]:
        """Tokens of a user's question in the form that the model was trained on; of the bare text for a base model."""
        text = question
        if self.chat is not None:
            text = self.chat.render([{"role": "user", "content": question}])
        tokens = self.tokenizer.encode(text)
        return tokens if self.bos_id is None or tokens[:1] == [self.bos_id] else [self.bos_id, *tokens]

    def windows(self, text: Text, count: int, length: int, at_least: int | None = None) -> list[list[int]]:
        """Cut a text into windows that lie evenly over it and do not overlap.

        Args:
            text: Tokenised as a whole.
            count: How many; at least 1.
            length: Tokens of each, BOS included where the model wants it.
            at_least: How many will do if the text has not enough for ``count``.

        Raises:
            UnusableText: It has fewer tokens than that takes.
        """
        tokens = self.tokenizer.encode(text.content)
        start = [] if self.bos_id is None else [self.bos_id]
        body = length - len(start)
        count = min(count, max(len(tokens) // body, at_least or count))
        if len(tokens) < count * body:
            raise UnusableText(
                f"the text {text.name} has {len(tokens)} tokens, {count} windows of {length} take {count * body}",
                "Give a longer text.",
            )
        stride = (len(tokens) - body) / max(count - 1, 1)
        offsets = [int(index * stride) for index in range(count)]
        return [start + tokens[offset : offset + body] for offset in offsets]
