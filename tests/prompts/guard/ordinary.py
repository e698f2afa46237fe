"""Ordinary texts in sixteen scripts, put together from phrases that people write; always the same ones."""

from __future__ import annotations

import random

PHRASES: dict[str, tuple[str, ...]] = {
    "Latin": (
        "The film was good; I'd see it again!",
        "Ça alors, où est passé l'été ?",
        "Über den Wolken — „grenzenlos“, nicht wahr?",
        "Đây là một ngày đẹp trời ở Hà Nội.",
        "Zażółć gęślą jaźń, İstanbul'da ığdır.",
        "if (a < b) { x = y |> f; } // <b>html</b> & {braces}",
    ),
    "Cyrillic": ("Фильм был хорош, посмотрю ещё раз.", "Їжак з'їв 3 яблука.", "USB-кабель не работает?"),
    "Greek": ("Η ταινία ήταν πολύ καλή.", "Πόσο κάνει; 12,50 € παρακαλώ.", "Ἄνδρα μοι ἔννεπε, Μοῦσα"),
    "Arabic": (
        "كان الفيلم جيدًا جدًا.",
        "السعر ٢٥٠ ريالاً فقط!",
        "این فیلم را می‌خواهم دوباره ببینم.",
        "قال: \u202b«Windows 11» أفضل\u202c اليوم.",
        "الاسم: \u2068John\u2069، العمر: ٣٠",
        "\u200fمرحبا\u200f، كيف الحال؟\u061c",
    ),
    "Hebrew": (
        "הסרט היה טוב מאוד.",
        "שָׁלוֹם, מה שלומך?",
        "קניתי \u2066iPhone 15\u2069 אתמול.",
        "המחיר: 100 \u20aa\u200e (כולל מע״מ)",
    ),
    "Devanagari": ("फ़िल्म बहुत अच्छी थी।", "मुझे १२ रोटियाँ चाहिए।", "क्\u200dष और क्\u200cष अलग दिखते हैं।"),
    "Bengali": ("ছবিটা খুব ভালো ছিল।", "দাম ৩৫০ টাকা।"),
    "Tamil": ("படம் மிகவும் நன்றாக இருந்தது.", "நாளை மழை பெய்யும்."),
    "Thai": ("หนังเรื่องนี้ดีมาก", "ราคา ๑๒๐ บาท\u200bครับ"),
    "Han": ("这部电影很好看，我还想再看一遍。", "價格：１２３元（含稅）", "用iPhone打電話給我！"),
    "Kana": ("この映画はとても良かったです。", "ｶﾀｶﾅとカタカナ、１２３円。", "葛\U000e0100城市の天気は？"),
    "Hangul": ("이 영화는 정말 좋았어요.", "가격은 3,000원입니다ㅋㅋ"),
    "Georgian": ("ფილმი კარგი იყო.", "ფასი 15 ლარია."),
    "Armenian": ("Ֆիլմը լավն էր։", "Գինը 500 դրամ է։"),
    "Ethiopic": ("ፊልሙ ጥሩ ነበር።", "ዋጋው ፲፪ ብር ነው።"),
    "Emoji": (
        "👍🏽 great ❤️ 1️⃣2️⃣",
        "👩‍👩‍👧‍👦 🇫🇷 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "☕️… ½ ² № ℃ ™ ﷺ",
    ),
}
_BETWEEN = (" ", "\n", "\n\n", "\t", "\r\n", " — ", ": ", "\u2028", "\u00a0", "\f")
_AROUND = ("{}", "«{}»", "“{}”", "({})", "1. {}", "- {}", "> {}", "{}\n", "  {}  ", "# {}")


def ordinary_texts(count: int) -> list[tuple[str, str]]:
    """Script and text; the scripts in turn, and every phrase alone before any is combined."""
    rng = random.Random(7)
    alone = [(script, phrase) for script, phrases in PHRASES.items() for phrase in phrases]
    texts = dict.fromkeys(alone)
    scripts = list(PHRASES)
    while len(texts) < count:
        script = scripts[len(texts) % len(scripts)]
        parts = rng.choices(PHRASES[script], k=rng.randint(1, 4))
        text = rng.choice(_BETWEEN).join(
            rng.choice(_AROUND).format(part) if "{" not in part else part for part in parts
        )
        texts[script, text] = None
    return list(texts)[:count]
