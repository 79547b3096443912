"""Images for a question: paths, bytes and addresses as what a model can be shown.

The kind of an image is found from its first bytes, not from its name. Does not know who looks at it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rightseat.chat import Image
from rightseat.errors import InvalidOptionError

if TYPE_CHECKING:
    from rightseat.facade.options import ImageSource

MAX_IMAGE_BYTES = 20 * 1024 * 1024  # of one image
MAX_IMAGES_BYTES = 48 * 1024 * 1024  # of all images of a question
MAX_IMAGES = 100

_TAKEN = "PNG, JPEG, GIF and WebP"


async def images_of(sources: Sequence[ImageSource]) -> tuple[Image, ...]:
    """What a model is shown. Files are read beside the event loop.

    Raises:
        InvalidOptionError: naming the image and what is wrong with it.
    """
    if isinstance(sources, (str, bytes, os.PathLike)) or not isinstance(sources, Sequence):
        raise InvalidOptionError(f"images: must be a list of paths, bytes or URLs, not {type(sources).__name__}")
    if len(sources) > MAX_IMAGES:
        raise InvalidOptionError(f"images: {len(sources)} are more than {MAX_IMAGES}")
    if all(isinstance(source, Image) or _is_link(source) for source in sources):
        return _read(sources)
    return await asyncio.to_thread(_read, sources)


def _read(sources: Sequence[ImageSource]) -> tuple[Image, ...]:
    images: list[Image] = []
    size = 0
    for i, source in enumerate(sources):
        image = source if isinstance(source, Image) else _image(source, f"images[{i}]")
        size += len(image.url)
        if size > MAX_IMAGES_BYTES * 4 // 3 + 4096:
            raise InvalidOptionError(f"images: together they are larger than {MAX_IMAGES_BYTES} bytes")
        images.append(image)
    return tuple(images)


def _image(source: object, where: str) -> Image:
    if isinstance(source, str) and _is_link(source):
        return Image(source)
    if isinstance(source, str) and source[:5].lower() == "data:":
        return _of_data_url(source, where)
    if isinstance(source, (str, os.PathLike)):
        return _of_bytes(_file(Path(source), where), where)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(source), where)
    raise InvalidOptionError(f"{where}: must be a path, bytes or a URL, not {type(source).__name__}")


def _is_link(source: object) -> bool:
    return isinstance(source, str) and source[:8].lower().startswith(("http://", "https://"))


def _of_data_url(url: str, where: str) -> Image:
    head, comma, data = url.partition(",")
    if not comma or not head[5:].lower().startswith("image/") or not head.lower().endswith(";base64"):
        raise InvalidOptionError(f"{where}: a data: URL of an image is data:image/png;base64,...")
    if len(data) > MAX_IMAGE_BYTES * 4 // 3 + 4:
        raise InvalidOptionError(f"{where}: larger than {MAX_IMAGE_BYTES} bytes")
    try:
        kind = kind_of(base64.b64decode(data, validate=True))
    except ValueError as e:
        raise InvalidOptionError(f"{where}: its data is not base64: {e}") from e
    return Image(f"data:{kind};base64,{data}" if kind is not None else url)


def _file(path: Path, where: str) -> bytes:
    try:
        # A pipe would keep the open waiting for a writer.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InvalidOptionError(f"{where}: {path}: is not a file")
            return file.read(MAX_IMAGE_BYTES + 1)
    except (OSError, ValueError) as e:
        if isinstance(e, InvalidOptionError):
            raise
        raise InvalidOptionError(f"{where}: {path}: {_why(e)}") from e


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "is not a file"
    return str(getattr(error, "strerror", None) or error)


def _of_bytes(data: bytes, where: str) -> Image:
    if len(data) > MAX_IMAGE_BYTES:
        raise InvalidOptionError(f"{where}: larger than {MAX_IMAGE_BYTES} bytes")
    if not data:
        raise InvalidOptionError(f"{where}: is empty")
    kind = kind_of(data)
    if kind is None:
        raise InvalidOptionError(f"{where}: is no image that models take; they take {_TAKEN}")
    return Image(f"data:{kind};base64,{base64.b64encode(data).decode()}")


def kind_of(data: bytes) -> str | None:
    """The media type of an image, from its first bytes; None: it is none of those that models take."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None
