"""Which language a text in Latin letters is in, by its function words."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+")
_FUNCTION_WORDS = {
    "en": "the and of to is that it for was with are this not have you but be",
    "de": "der die das und ist nicht ich ein eine zu den mit auf sich auch es wir",
    "fr": "le les des est et une que pour pas dans qui sur ce au il je nous",
    "es": "el los las que por una con para es del no se lo como pero más muy",
    "it": "il che di è per non una sono con del della ho ma gli anche come più",
    "pt": "o os que não uma para com em do da um é mas ao são você muito",
    "nl": "het een van niet dat ik op te zijn voor met die maar aan er wel naar",
}
_LANGUAGES_OF = {
    word: tuple(language for language, words in _FUNCTION_WORDS.items() if word in words.split())
    for words in _FUNCTION_WORDS.values()
    for word in words.split()
}


def language_shares(text: str) -> dict[str, float]:
    """Share of a text's words that are function words of each language; a word of several counts for each in part.

    >>> language_shares("The plot is thin, and that is all.")
    {'en': 0.625}
    """
    words = _WORD.findall(text.lower())
    shares: dict[str, float] = {}
    for word in words:
        languages = _LANGUAGES_OF.get(word, ())
        for language in languages:
            shares[language] = shares.get(language, 0.0) + 1.0 / (len(languages) * len(words))
    return shares
