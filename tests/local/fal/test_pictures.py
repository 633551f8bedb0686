"""The pictures and the images they are made from."""

import base64
import io
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image, ImageChops, ImageFont, ImageStat

from local.fal import EmulatorSettings, lettering
from local.fal.inputs import InputTooLargeError, make_fetch
from local.fal.pictures import KONTEXT_SIZES, picture_size

if TYPE_CHECKING:
    from tests.local.fal.conftest import Fal

PHOTO = "https://photos.example/cat.png"
PHOTOS = Path(__file__).parents[3] / "events" / "photos"
EDIT = "fal-ai/flux-pro/kontext"
MULTI = "fal-ai/flux-pro/kontext/multi"
PAINT = "fal-ai/flux-pro/kontext/text-to-image"


def edit(fal: "Fal", prompt: str, url: str = PHOTO, **more: object) -> tuple[Image.Image, bytes]:
    """Edit a photo and give the picture, decoded and as a file."""
    answer = fal.call({"prompt": prompt, "image_url": url, "seed": 7, **more}, EDIT)
    assert answer.status_code == 200, answer.text
    content = fal.http.get(answer.json()["images"][0]["url"], headers={"Authorization": ""}).content
    with Image.open(io.BytesIO(content)) as opened:
        return opened.convert("RGB"), content


def distance(first: Image.Image, second: Image.Image) -> float:
    """Measure how far two pictures are apart, from 0 to 255."""
    difference = ImageChops.difference(first, second.resize(first.size))
    return sum(ImageStat.Stat(difference).mean) / 3


def refusal(fal: "Fal", url: str) -> dict[str, Any]:
    """Give the one detail for an input that cannot be used."""
    answer = fal.call({"prompt": "a", "image_url": url}, EDIT)
    assert (answer.status_code, answer.headers["x-fal-billable-units"]) == (422, "0")
    (fault,) = answer.json()["detail"]
    assert fault["loc"] == ["body", "image_url"]
    found: dict[str, Any] = fault
    return found


def test_outputs_are_on_the_public_host(fal: "Fal") -> None:
    """The URL is below the one that is set, whoever calls, and needs no key."""
    fal.set(public_url="https://media.example")
    url = fal.call().json()["images"][0]["url"]
    assert url.startswith("https://media.example/files/")
    assert fal.http.get(url.removeprefix("https://media.example"), headers={"Authorization": ""}).status_code == 200


@pytest.mark.parametrize(("form", "start"), [("jpeg", b"\xff\xd8\xff"), ("png", b"\x89PNG\r\n")])
def test_outputs_are_real_files_of_the_form_asked_for(fal: "Fal", form: str, start: bytes) -> None:
    """Bytes, content type and the size told all agree."""
    answer = fal.call({"prompt": "a", "output_format": form, "aspect_ratio": "16:9"}).json()["images"][0]
    file = fal.http.get(answer["url"])
    assert file.content.startswith(start)
    assert file.headers["content-type"] == answer["content_type"] == f"image/{form}"
    with Image.open(io.BytesIO(file.content)) as opened:
        assert opened.size == (answer["width"], answer["height"])


def test_an_unreachable_input_is_a_download_error(fal: "Fal") -> None:
    """The request fails on the runner, with the URL in the detail."""
    fault = refusal(fal, "https://nowhere.example/a.png")
    assert (fault["type"], fault["input"]) == ("file_download_error", "https://nowhere.example/a.png")


def test_a_private_input_can_be_refused(fal: "Fal") -> None:
    """fal's runners fetch from no private address; locally that is a switch."""
    url = "http://127.0.0.1:5000/bucket/a.png"
    fal.web[url] = fal.web[PHOTO]
    assert fal.call({"prompt": "a", "image_url": url}, EDIT).status_code == 200
    fal.set(allow_private_inputs=False)
    assert refusal(fal, url)["type"] == "file_download_error"


def test_an_input_over_the_limit_is_too_large(fal: "Fal") -> None:
    """The limit is 50 MiB, and the context has it."""
    assert fal.emulator.settings.max_input_bytes == 50 * 1024 * 1024
    fal.set(max_input_bytes=100)
    fault = refusal(fal, PHOTO)
    assert (fault["type"], fault["ctx"]) == ("file_too_large", {"max_size": 100})


def test_a_download_is_broken_off_at_the_limit(fal: "Fal") -> None:
    """A fetch that stops because there is too much gives the same answer."""
    fal.web[PHOTO] = InputTooLargeError()
    assert refusal(fal, PHOTO)["type"] == "file_too_large"


def test_a_data_uri_is_an_input(fal: "Fal", photo: bytes) -> None:
    """Bytes in the URL itself give the same picture as bytes from the web."""
    uri = "data:image/png;base64," + base64.b64encode(photo).decode()
    assert edit(fal, "a", uri)[1] == edit(fal, "a")[1]


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:image/png;base64,@@"])
def test_a_broken_data_uri_is_a_download_error(fal: "Fal", uri: str) -> None:
    """It gives no bytes."""
    assert refusal(fal, uri)["type"] == "file_download_error"


@pytest.mark.parametrize("content", [b"", b"<svg/>", b"not an image", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_what_is_no_image_is_a_load_error(fal: "Fal", content: bytes) -> None:
    """The file was had and cannot be opened."""
    fal.web["https://photos.example/bad"] = content
    assert refusal(fal, "https://photos.example/bad")["type"] == "image_load_error"


@pytest.mark.parametrize("name", ["chelsea.gif", "chelsea.png", "coffee.avif", "coffee.webp", "rocket.jpg"])
def test_the_formats_that_kontext_reads(fal: "Fal", name: str) -> None:
    """jpg, png, webp, gif and avif are opened."""
    fal.web["https://photos.example/it"] = (PHOTOS / name).read_bytes()
    picture, _ = edit(fal, "Change the car color to green", "https://photos.example/it")
    assert picture.width % 16 == 0


def test_heic_is_not_read(fal: "Fal") -> None:
    """The list of formats does not have it, so a phone's photo is refused."""
    fal.web["https://photos.example/it"] = (PHOTOS / "rocket.heic").read_bytes()
    assert refusal(fal, "https://photos.example/it")["type"] == "image_load_error"


def test_sync_mode_puts_the_picture_into_the_body(fal: "Fal") -> None:
    """The URL is a data URI, the request is not in the history, and the result lives for minutes."""
    fal.set(megapixels=0.1)
    job = fal.submit(arguments={"prompt": "a", "sync_mode": True, "output_format": "png"})
    fal.emulator.advance(10)
    url = fal.http.get(job["response_url"]).json()["images"][0]["url"]
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data).startswith(b"\x89PNG")
    assert fal.seen(job)["in_history"] is False
    fal.emulator.advance(360)
    assert fal.http.get(job["response_url"]).status_code == 404


def test_several_images_are_several_pictures(fal: "Fal") -> None:
    """num_images gives as many files and flags, and no two are alike."""
    body = fal.call({"prompt": "a", "num_images": 4, "seed": 1}).json()
    assert body["has_nsfw_concepts"] == [False] * 4
    assert len({fal.http.get(one["url"]).content for one in body["images"]}) == 4


def test_the_same_seed_and_input_give_the_same_bytes(fal: "Fal") -> None:
    """Two requests with one seed are equal to the byte, and another seed is not."""
    assert edit(fal, "a")[1] == edit(fal, "a")[1]
    assert edit(fal, "a")[1] != edit(fal, "a", seed=8)[1]


@pytest.mark.parametrize(
    "prompt",
    [
        "Convert to pencil sketch",
        "Restyle to Claymation style",
        "Place the product on a seamless light grey studio background",
        "change the background to a sunset",
        "make it night",
        "Change to daytime",
        "as an oil painting",
        "Change the red car to blue",
        "Put a donut next to the flour.",
    ],
)
def test_an_edit_shows(fal: "Fal", prompt: str) -> None:
    """Each way of changing a photograph leaves it far from what it was."""
    fal.set(megapixels=0.05)
    fal.web["https://photos.example/it"] = (PHOTOS / "coffee.png").read_bytes()
    with Image.open(PHOTOS / "coffee.png") as opened:
        before = opened.convert("RGB")
    after, _ = edit(fal, prompt, "https://photos.example/it")
    upper = (0, 0, after.width, after.height // 2)
    assert distance(after.crop(upper), before.resize(after.size).crop(upper)) > 8


def test_a_studio_is_grey_around_what_is_in_the_middle(fal: "Fal") -> None:
    """The corners are a light grey without colour, and the product keeps its own."""
    fal.set(megapixels=0.05)
    fal.web["https://photos.example/it"] = (PHOTOS / "coffee.png").read_bytes()
    picture, _ = edit(fal, "on a grey studio background", "https://photos.example/it")
    corner = ImageStat.Stat(picture.crop((0, 0, 12, 12))).mean
    assert max(corner) - min(corner) < 8
    assert min(corner) > 200
    middle = (picture.width // 2 - 12, picture.height // 2 - 12, picture.width // 2 + 12, picture.height // 2 + 12)
    red, _green, blue = ImageStat.Stat(picture.crop(middle)).mean
    assert red > blue + 40


def test_the_last_colour_named_is_the_one_painted(fal: "Fal") -> None:
    """Red to blue makes the red half blue."""
    fal.set(megapixels=0.05)
    picture, _ = edit(fal, "Change the red car to blue")
    red, _green, blue = ImageStat.Stat(picture.crop((0, 0, picture.width // 3, picture.height // 2))).mean
    assert blue > red + 80


def test_a_photo_lying_on_its_side_is_set_upright(fal: "Fal") -> None:
    """The EXIF orientation is honoured: both files of the rocket give nearly the same picture."""
    fal.set(megapixels=0.05)
    pictures = []
    for name in ("rocket.jpg", "rocket-orientation-6.jpg"):
        fal.web["https://photos.example/it"] = (PHOTOS / name).read_bytes()
        pictures.append(edit(fal, "a", "https://photos.example/it")[0])
    assert pictures[0].size == pictures[1].size
    assert distance(*pictures) < 12


@pytest.mark.parametrize("prompt", ["写真を青くしてください。" * 350, "x" * 120_000, "a " * 60_000, "\x7f" * 60_000])
def test_a_long_prompt_is_cut_before_it_is_measured(prompt: str) -> None:
    """Of any prompt that the API takes a bounded number of characters is measured, so that it is drawn at once."""
    measured = 0

    class Counting(ImageFont.FreeTypeFont):
        def getlength(self, text: str | bytes, *more: Any, **options: Any) -> float:
            nonlocal measured
            measured += len(text)
            return super().getlength(text, *more, **options)

    font = ImageFont.load_default(24)
    font.__class__ = Counting
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lettering, "_font", lambda _: font)
        lettering.letter(Image.new("RGB", (1248, 832)), prompt)
    assert 0 < measured < 50 * lettering.MOST_CHARACTERS


def test_references_stand_side_by_side(fal: "Fal") -> None:
    """The left half comes from the first image and the right half from the second."""
    fal.set(megapixels=0.05)
    for name, colour in (("black", "black"), ("white", "white")):
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64), colour).save(buffer, "PNG")
        fal.web[f"https://photos.example/{name}"] = buffer.getvalue()
    urls = ["https://photos.example/black", "https://photos.example/white"]
    answer = fal.call({"prompt": "make it night", "image_urls": urls, "seed": 1}, MULTI).json()
    with Image.open(io.BytesIO(fal.http.get(answer["images"][0]["url"]).content)) as opened:
        picture = opened.convert("L")
    half = picture.width // 2
    left = ImageStat.Stat(picture.crop((0, 0, half - 8, half))).mean[0]
    right = ImageStat.Stat(picture.crop((half + 8, 0, picture.width, half))).mean[0]
    assert right > left + 30
    (fault,) = fal.call({"prompt": "a", "image_urls": [PHOTO, "https://no.example"]}, MULTI).json()["detail"]
    assert fault["loc"] == ["body", "image_urls", 1]


def test_the_prompt_is_written_on_the_picture(fal: "Fal") -> None:
    """The band at the foot differs with the words, and is there for the longest prompt."""
    fal.set(megapixels=0.2)
    feet = []
    for prompt in ("Put a donut next to the flour.", "Put a donut next to the sugar.", "word " * 500):
        picture, _ = edit(fal, prompt)
        feet.append(picture.crop((0, picture.height * 4 // 5, picture.width, picture.height)))
    assert distance(feet[0], feet[2]) > 1
    brightest = [ImageStat.Stat(foot.convert("L")).extrema[0][1] for foot in feet]
    assert min(brightest) > 180
    assert max(ImageStat.Stat(foot.convert("L")).median[0] for foot in feet) < 90


def test_a_black_picture_is_black(fal: "Fal") -> None:
    """Moderation may leave nothing of a picture."""
    fal.script({"black": True})
    picture, _ = edit(fal, "a")
    assert ImageStat.Stat(picture.convert("L")).extrema == [(0, 0)]


def test_sizes_are_those_on_which_kontext_works() -> None:
    """A 16:9 input comes back as 1392x752, which was seen; small areas keep a side of 16 at least."""
    assert picture_size(16 / 9, 1.048576) == (1392, 752)
    assert all(width % 16 == height % 16 == 0 for width, height in KONTEXT_SIZES)
    assert picture_size(21 / 9, 0.0001) == (16, 16)


class Site(BaseHTTPRequestHandler):
    """Answers /a/<n> with n redirects and then a kilobyte."""

    def do_GET(self) -> None:
        """Redirect or answer, by the path."""
        left = int(self.path.rpartition("/")[2])
        self.send_response(302 if left else 200)
        self.send_header("Location", f"/a/{left - 1}")
        body = b"" if left else b"x" * 1024
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_real_fetch_has_its_limits() -> None:
    """Over a socket it follows five redirects and no more, stops at the size limit, and tells a closed port."""
    with HTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
        thread.start()
        site = f"http://127.0.0.1:{server.server_port}/a"
        fetch = make_fetch(EmulatorSettings())
        assert fetch(f"{site}/5") == b"x" * 1024
        with pytest.raises(httpx.TooManyRedirects):
            fetch(f"{site}/6")
        with pytest.raises(InputTooLargeError):
            make_fetch(EmulatorSettings(max_input_bytes=1023))(f"{site}/0")
        server.shutdown()
        thread.join()
    with pytest.raises(httpx.ConnectError):
        fetch(f"{site}/0")
