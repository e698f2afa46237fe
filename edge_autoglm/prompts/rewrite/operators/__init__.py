"""The operators, by what they rewrite: layout, words, phrases, style, examples, reasoning, decoding, priors."""
