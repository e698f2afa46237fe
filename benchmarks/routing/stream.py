"""A stream of what users of an app with the built-in tasks might say, in the words that they might use.

Phrasings are written by hand, half of them polite or careless; contents are snippets of the demo's data, the held-out
text of the export proof, and a few lines written here. Nothing of the tasks' own descriptions or probes is copied.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib.resources import files

PHRASES = {
    "sentiment": (
        "Is this review positive or negative? {x}",
        "how does the writer feel about it: {x}",
        "{x} -- good or bad?",
        'Did they like it? "{x}"',
        "positive or negative: {x}",
        "what's the mood of this comment\n{x}",
        "Tell me if this customer is happy: {x}",
        "Check the sentiment of: {x}",
        "rate the tone of this message please. {x}",
        "A guest wrote: {x} Is he satisfied?",
        "{x}\nIs that praise or a complaint?",
        "Classify the feeling: {x}",
        "happy or unhappy customer? {x}",
        "Does this sound angry to you? {x}",
        "Sentiment? {x}",
        "{x}",
    ),
    "topic": (
        "What is this article about? {n}",
        "which section does this belong in: {n}",
        "Sports, business or politics? {n}",
        "give me the category of this story: {n}",
        "Topic: {n}",
        "file this under the right heading please\n{n}",
        "What subject is this text on?\n{n}",
        "Classify the topic of the following news. {n}",
        "where would a newspaper put this? {n}",
        "{n}\nWhat kind of news is it?",
        "tag this article: {n}",
        "Which department should read this: {n}",
        "is it about technology or health? {n}",
        "Sort this headline into a category: {h}",
        "what field is this from: {h}",
    ),
    "summarize": (
        "Summarize this: {p}",
        "sum up the following text\n{p}",
        "tl;dr {p}",
        "Make this shorter: {p}",
        "In one sentence, what does it say? {p}",
        "Give me the gist of this:\n{p}",
        "I have no time to read this, what are the main points?\n{p}",
        "Condense the paragraph below.\n\n{p}",
        "can you write a brief summary of this for me? {p}",
        "{p}\n\nSummary please",
        "short version: {p}",
        "Boil this down to two sentences. {p}",
        "What's the bottom line here? {p}",
        "key takeaways: {p}",
        "Shorten the following for a text message: {p}",
    ),
    "translate_en_zh": (
        "Translate into Chinese: {e}",
        "how do you say '{e}' in Chinese?",
        "{e} -> Chinese",
        "Put this in Mandarin please: {e}",
        'Chinese for "{e}"',
        "I need this in Chinese: {e}",
        "英译中：{e}",
        "把这句话翻译成中文：{e}",
        "What is '{e}' in Mandarin",
        "write this in chinese characters: {e}",
        "用中文怎么说 {e}",
        "translate to zh: {e}",
        'Please say "{e}" to my Chinese friend in her language',
        "请把下面的英文译成中文。{e}",
        "into simplified Chinese: {e}",
    ),
    "translate_zh_en": (
        "Translate into English: {z}",
        "what does {z} mean in English?",
        "中译英：{z}",
        "把这句话翻译成英文：{z}",
        "{z} 用英语怎么说？",
        "English please: {z}",
        "I don't read Chinese, what does this say: {z}",
        "Put this sign into English: {z}",
        "请翻译成英语。{z}",
        "what's the meaning of {z}",
        "{z}",
        "{z} in English",
        "can you read this? {z}",
        "帮我把这段话翻成英文 {z}",
        "translate this sign for me, {z}",
    ),
    "ask": (
        "{q}",
        "{q}",
        "{q} please",
        "hey, {q}",
        "Quick question: {q}",
        "I was wondering, {q}",
        "Can you tell me {q}",
    ),
}
QUESTIONS = (
    "how far is the moon from here?",
    "What is the tallest mountain in Africa?",
    "why is the sky blue",
    "who wrote War and Peace?",
    "How long do I cook rice?",
    "what's the best way to remove a coffee stain",
    "When did the Berlin wall fall?",
    "Why do cats purr?",
    "how many litres are in a gallon?",
    "Which planet has the most moons?",
    "What do bees eat in winter?",
    "How can I fall asleep faster?",
    "what is the difference between a crocodile and an alligator?",
    "Who invented the telephone?",
    "How does a microwave oven work?",
    "what should I pack for a week in Norway",
    "Is it safe to eat raw eggs?",
    "How do I change a bicycle tube?",
    "what language do they speak in Brazil?",
    "Why does bread rise?",
    "What's a good present for a ten year old?",
    "how old is the universe",
    "explain inflation to a child",
    "Give me three ideas for dinner with potatoes.",
    "what time zone is Tokyo in?",
    "How do I tie a bow tie?",
    "who painted the Mona Lisa?",
    "Why are leaves green?",
    "what does a carburettor do?",
    "How deep is the ocean?",
)
ENGLISH = (
    "Where is the station?",
    "The bill, please.",
    "My room has no hot water.",
    "I am allergic to nuts.",
    "Good luck with your exam!",
    "We will be ten minutes late.",
    "Do you have this in a smaller size?",
    "Happy birthday!",
    "The meeting has moved to Thursday.",
    "Could you speak more slowly?",
    "Please turn left here.",
    "I forgot my umbrella.",
    "See you at the airport.",
    "This seat is taken.",
    "How much is the fish?",
)
CHINESE = (
    "请问洗手间在哪里？",
    "今天晚上有空吗？",
    "小心地滑",
    "我的手机丢了。",
    "这道菜太辣了。",
    "禁止吸烟",
    "我们明天八点出发。",
    "祝你生日快乐！",
    "营业时间：上午九点至晚上十点",
    "请把门关上。",
    "他下个月搬到上海。",
    "这个周末要下雨。",
    "欢迎光临",
    "我想退这件衣服。",
    "会议改到下午三点。",
)
HEADLINES = (
    "Striker signs three-year deal after record season", "Chip maker opens second plant", "Senate passes budget bill",
    "New drug halves the risk of stroke", "Festival crowd sings in the rain", "Shares slide as rates climb",
    "Marathon winner sets course record", "Phone update brings satellite calls", "Mayor resigns over contracts",
)  # fmt: skip
STRANGE = (
    "set an alarm for seven", "play some jazz", "turn the lights off in the kitchen", "call my mother",
    "asdf qwer zxcv", "12 + 45 * 3", "remind me on Friday", "open the window a little", "volume up", "next", "ok",
    "skip this song", "navigate home", "take a picture", "lock the front door", "🙂🙂🙂", "add milk to the list",
    "turn down the heating", "stop", "read my messages",
)  # fmt: skip
"""Nothing that any of the tasks is for: a router should say that it does not know."""


def stream(seed: int, length: int) -> Iterator[tuple[str, str]]:
    """Texts with the task that is meant, tasks equally often on average."""
    rng = random.Random(seed)
    snippets = [*_column("sentiment_movies.tsv"), *_column("sentiment_tweets.tsv")]
    news = [line for line in _text("heldout.txt").split("\n") if len(line) > 120] or [_text("heldout.txt")]
    tasks = sorted(PHRASES)
    for _ in range(length):
        task = rng.choice(tasks)
        paragraph = rng.choice(news)
        yield (
            rng.choice(PHRASES[task]).format(
                x=rng.choice(snippets),
                n=" ".join(paragraph.split()[: rng.randint(12, 40)]),
                p=" ".join(paragraph.split()[: rng.randint(40, 120)]),
                h=rng.choice(HEADLINES),
                e=rng.choice(ENGLISH),
                z=rng.choice(CHINESE),
                q=rng.choice(QUESTIONS),
            ),
            task,
        )


def _column(name: str) -> list[str]:
    return [line.split("\t")[1] for line in _text(name).splitlines() if line.count("\t") == 1]


def _text(name: str) -> str:
    return files("edge_autoglm.data").joinpath(name).read_text(encoding="utf-8")
