"""Questions that the original and the exported engine answer side by side."""

from __future__ import annotations

PROMPTS = (
    "What is the capital of France?",
    "Explain in two sentences why the sea is salty.",
    "Write a short poem about the first snow.",
    "Translate into German: The library is closed on Mondays.",
    "List three things to check before a long car journey.",
    "Is this review positive or negative? Review: The battery died after two days.",
    "Summarise: The council met on Tuesday and agreed to plant two hundred trees along the river before spring.",
    "Write a Python function that reverses a string.",
    "How do I remove a coffee stain from a cotton shirt?",
    "What is 12 times 9?",
    "Give me a title for a story about a lighthouse keeper who finds a letter.",
    "Rewrite politely: Send me the report now.",
    "Name the planets of the solar system in order.",
    "My laptop does not switch on. What should I try first?",
    "Extract the city from this sentence: We landed in Lisbon late at night.",
    "Which topic fits best: sport, politics or science? Text: The striker scored twice in the final.",
    "Continue the story: When the last train had left, Anna heard someone whistle behind her.",
    "What does the SQL statement SELECT COUNT(*) FROM orders return?",
    "请用一句话介绍北京。",
    "把这句话翻译成英文：今天的天气很好。",
)
"""Twenty of them: facts, chat, labels, code, translation, Chinese. They occur in no shipped text."""
