"""Between text and tokens: tokenizer, chat template, streaming, stop texts."""
