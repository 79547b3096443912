"""`images=`: paths, bytes and URLs; the kind is found from the bytes, the size is bounded, and what is wrong is named."""

import base64
import json
import os

import pytest

from rightseat import CopilotSDK, InvalidOptionError
from rightseat.chat import Image
from rightseat.testing import ScriptedHandler

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
KINDS = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0" + b"\0" * 20,
    "image/gif": b"GIF89a" + b"\0" * 20,
    "image/webp": b"RIFF\0\0\0\0WEBPVP8 ",
}


async def shown(*images, **options):
    upstream = ScriptedHandler()
    async with CopilotSDK(handler=upstream) as sdk:
        await sdk.chat("What is it?", images=list(images), **options)
    text, *parts = upstream.calls[0].messages[0].parts
    assert text == "What is it?"
    return parts


def url(kind, data):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


@pytest.mark.parametrize("kind", KINDS)
async def test_the_kind_is_found_from_the_bytes_not_from_the_name(kind, tmp_path):
    data = KINDS[kind]
    path = tmp_path / "picture.txt"
    path.write_bytes(data)
    wanted = Image(url(kind, data))
    assert await shown(path, str(path), data, bytearray(data), memoryview(data)) == [wanted] * 5
    assert await shown(url("image/png", data)) == [wanted]  # a data: URL that names the wrong kind, too


async def test_addresses_are_passed_on_and_several_keep_their_order():
    link = "https://example.com/a.png"
    assert await shown(link, PNG, Image("x:y")) == [Image(link), Image(url("image/png", PNG)), Image("x:y")]


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (["/nowhere/x.png"], r"images\[0\]: /nowhere/x.png: there is no such file"),
        (["https://example.com/a", "/nowhere/x.png"], r"images\[1\]: "),
        (["/"], r"images\[0\]: /: is not a file"),
        (["/dev/zero"], r"images\[0\]: /dev/zero: is not a file"),
        (["a\0b"], r"images\[0\]: .*null"),
        ([b""], r"images\[0\]: is empty"),
        ([b"<svg/>"], r"images\[0\]: is no image that models take; they take PNG, JPEG, GIF and WebP"),
        ([3], r"images\[0\]: must be a path, bytes or a URL, not int"),
        (["data:text/plain,hello"], r"images\[0\]: a data: URL of an image is data:image/png;base64"),
        (["data:image/png;base64,???"], r"images\[0\]: its data is not base64"),
        ("x.png", "images: must be a list of paths, bytes or URLs, not str"),
        (b"x", "images: must be a list of paths, bytes or URLs, not bytes"),
        ([PNG] * 101, "images: 101 are more than 100"),
    ],
)
async def test_what_is_no_image_is_refused_by_its_place(images, said):
    upstream = ScriptedHandler()
    async with CopilotSDK(handler=upstream) as sdk:
        with pytest.raises(InvalidOptionError, match=said):
            await sdk.chat("?", images=images)
    assert upstream.calls == []


async def test_sizes_are_bounded_and_a_pipe_does_not_hold_anybody(tmp_path, monkeypatch):
    monkeypatch.setattr("rightseat.facade.images.MAX_IMAGE_BYTES", 100)
    monkeypatch.setattr("rightseat.facade.images.MAX_IMAGES_BYTES", 200)
    large = tmp_path / "large.png"
    large.write_bytes(PNG + b"\0" * 100)
    os.mkfifo(tmp_path / "pipe")
    for image in (large, large.read_bytes(), url("image/png", large.read_bytes())):
        with pytest.raises(InvalidOptionError, match=r"images\[0\]: larger than 100 bytes"):
            await shown(image)
    with pytest.raises(InvalidOptionError, match="images: together they are larger than 200 bytes"):
        await shown(*[PNG] * 80)
    with pytest.raises(InvalidOptionError, match="pipe: is not a file"):
        await shown(tmp_path / "pipe")


@pytest.mark.contract
async def test_the_cli_gets_paths_and_bytes_as_attachments_and_addresses_are_refused(simulator, copilot, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(PNG_OF_A_PIXEL)
    async with copilot(simulator) as client, CopilotSDK(client=client) as sdk:
        session = await sdk.create_session()
        # The CLI tells the model the attachment's name, too.
        assert (await session.chat("Reply with exactly: seen", images=[path])).text.startswith("seen")
        with pytest.raises(
            InvalidOptionError, match=r"images\[0\]: the Copilot CLI takes paths and bytes, and no addr"
        ):
            await session.chat("?", images=["https://example.com/a.png"])
    body = [json.loads(s.body) for s in simulator.app.seen if s.method == "POST" and s.body.startswith(b"{")][-1]
    assert base64.b64encode(PNG_OF_A_PIXEL).decode() in json.dumps(body)


PNG_OF_A_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
