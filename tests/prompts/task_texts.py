"""Parts of a well-formed task file, for tests to put together and to spoil."""

HEADER = """\
name: mood
description: How does the writer feel?
kind: classify
inputs: [text]
labels: [happy, sad]
"""
PROBES = """\
probes:
  - {text: What a day!, expect: happy}
  - {text: It rained.}
"""
PLAIN = """\
  - name: plain
    prompt: "{{ text }}"
"""
