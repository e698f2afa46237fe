"""Generations on disk, and which of them a restart comes up on.

Below the state folder::

    generations/
      active.json                 the pointer, replaced in one step
      000007/
        generation.json           who it is: version, parent, reason, metrics, digests, standing
        policy.safetensors        the frozen policy
        bundle/...                hard links where the file system has them: weights are stored once
"""
