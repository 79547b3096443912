"""Showing text without the secrets in it: `mask` for whole texts, `cut` for what is only echoed.

Part of the ground: it imports nothing else of this package, and everything may import it. It knows what secrets look like and refuses to
know where a text came from. All matching is linear in the length of the text, with RE2 and without.

    patterns.py   what secrets and personal data look like
    checks.py     sums and rules that tell a card from a number
    scans.py      what a regular expression cannot find in linear time, found by hand
    finder.py     finds what the patterns describe
    text.py       mask, mask_short, mask_secret, cut
"""

from rightseat.masking.text import MAX_SHOWN, cut, mask, mask_secret, mask_short

__all__ = ["MAX_SHOWN", "cut", "mask", "mask_secret", "mask_short"]
