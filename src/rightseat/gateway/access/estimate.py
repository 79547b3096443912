"""How many tokens a request may use, by its bytes. Pure, and linear in their number."""

from __future__ import annotations

import string

from rightseat.chat import Estimate

BYTES_A_TOKEN = 4  # as texts are
LEAST_BYTES_A_TOKEN = 2  # as dense ones are
IMAGE_TOKENS = 2000
UNKNOWN_OUTPUT = 8192  # tokens, where neither client nor model says how long an answer may be
_IMAGES = 1000  # looked for in one body; beyond it, images count as text
_SMALLEST = 64  # bytes of base64 that can be an image
# How an image begins in the dialects' JSON: a data URL, or the `data` beside a `media_type`.
_MARKS = (b";base64,", b'"data":"', b'"data": "')
_BASE64 = (string.ascii_letters + string.digits + "+/=\\").encode()  # some encoders write \/


def estimate(data: bytes, output_limit: int | None, *, vision: bool = False) -> Estimate:
    """What a request may use.

    Args:
        data: the body as it goes upstream.
        output_limit: tokens of the answer at most, by the largest of the fields that upstream honours; None: nobody says. 0 is a value.
        vision: it holds images, whose bytes are not text.
    """
    size, images = len(data), 0
    if vision:
        images, held = _images(data)
        size -= held
    of_images = images * IMAGE_TOKENS
    output = UNKNOWN_OUTPUT if output_limit is None else max(0, output_limit)
    return Estimate(size // BYTES_A_TOKEN + of_images, -(-size // LEAST_BYTES_A_TOKEN) + of_images + output)


def _images(data: bytes) -> tuple[int, int]:
    """How many images there are, and their bytes."""
    images = held = 0
    for mark in _MARKS:
        images_here, held_here = _marked(data, mark)
        images, held = images + images_here, held + held_here
    return images, held


def _marked(data: bytes, mark: bytes) -> tuple[int, int]:
    images = held = position = 0
    for _ in range(_IMAGES):
        at = data.find(mark, position)
        if at < 0:
            break
        begin = at + len(mark)
        end = data.find(b'"', begin)
        end = len(data) if end < 0 else end
        position = end
        # What holds anything but base64 is text that looks like an image.
        if end - begin >= _SMALLEST and not data[begin:end].translate(None, _BASE64):
            images, held = images + 1, held + end - begin
    return images, held
