"""How many tokens a request may use, by its bytes. Pure.

Where the length of a prompt is unknown, each of its bytes may be a token: numbers and signs are cut so finely. The model's own limit is the
bound, since it refuses what is longer. Images are recognised by their place in the request and never by their content: text can look like one.
"""

from __future__ import annotations

from rightseat.chat import Estimate

BYTES_A_TOKEN = 4  # as texts are
LEAST_BYTES_A_TOKEN = 1  # as dense ones can be
IMAGE_TOKENS = 2000
UNKNOWN_OUTPUT = 8192  # tokens, where neither client nor model says how long an answer may be


def estimate(
    size: int, output_limit: int | None, *, images: tuple[int, int] = (0, 0), prompt_limit: int | None = None
) -> Estimate:
    """What a request may use.

    Args:
        size: bytes of the body as it goes upstream.
        output_limit: tokens of the answer at most, by the largest of the fields that upstream honours; None: unknown. 0 is a value.
        images: how many there are, and their bytes, which are no text.
        prompt_limit: tokens of a prompt that the model takes; None: not known.
    """
    count, held = images
    text = max(0, size - held)
    said, most = text // BYTES_A_TOKEN, -(-text // LEAST_BYTES_A_TOKEN)
    said, most = said + count * IMAGE_TOKENS, most + count * IMAGE_TOKENS
    if prompt_limit is not None:
        said, most = min(said, prompt_limit), min(most, prompt_limit)
    output = UNKNOWN_OUTPUT if output_limit is None else max(0, output_limit)
    return Estimate(said, most + output)
