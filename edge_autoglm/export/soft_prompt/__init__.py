"""Soft prompts trained elsewhere (PEFT prompt tuning) become variants of a bundle."""
