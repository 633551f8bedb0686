"""The pictures: an edit that shows, a collage of several references, or a scene from words."""

import hashlib
import io
import random
from dataclasses import dataclass
from itertools import pairwise

from PIL import Image, ImageDraw, ImageOps

from local.fal.kontext import Arguments
from local.fal.lettering import letter
from local.fal.styles import choose_style, colour_of, grain

# The sizes on which Kontext works: about a megapixel each, sides multiples of 16.
KONTEXT_SIZES = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
    (1024, 1024),
    (1104, 944),
    (1184, 880),
    (1248, 832),
    (1328, 800),
    (1392, 752),
    (1456, 720),
    (1504, 688),
    (1568, 672),
)
KONTEXT_MEGAPIXELS = 1.048576
GRID = 16
QUALITY = 90

Colour = tuple[int, int, int]
# Sky above, sky below, far hills, near hills.
PALETTES: tuple[tuple[Colour, Colour, Colour, Colour], ...] = (
    ((38, 70, 83), (233, 196, 106), (42, 157, 143), (24, 62, 68)),
    ((29, 53, 87), (241, 250, 238), (69, 123, 157), (20, 38, 64)),
    ((53, 30, 74), (255, 183, 148), (181, 101, 118), (43, 24, 54)),
    ((116, 160, 182), (254, 250, 224), (96, 108, 56), (40, 54, 24)),
    ((22, 26, 52), (120, 111, 166), (62, 70, 120), (12, 14, 30)),
)


@dataclass(frozen=True)
class Picture:
    """A finished file."""

    content: bytes
    content_type: str
    width: int
    height: int


def paint(  # noqa: PLR0913 - what a picture depends on, and nothing else
    arguments: Arguments, sources: list[Image.Image], seed: int, index: int, megapixels: float, *, black: bool = False
) -> Picture:
    """Paint the picture of that index; the same arguments, sources and seed give the same bytes."""
    size = picture_size(_ratio(arguments, sources), megapixels)
    dice = random.Random(f"{seed}/{index}/{arguments.prompt}")  # noqa: S311 - the same seed paints the same picture
    if black:
        image = Image.new("RGB", size)
    elif sources:
        image = choose_style(arguments.prompt)(_compose(sources, size), dice)
    else:
        image = _scene(arguments.prompt, size, dice)
    if not black:
        image = letter(grain(image, dice, strength=6), arguments.prompt)
    buffer = io.BytesIO()
    if arguments.output_format == "png":
        image.save(buffer, "PNG", compress_level=3)
    else:
        image.save(buffer, "JPEG", quality=QUALITY)
    return Picture(buffer.getvalue(), f"image/{arguments.output_format}", *size)


def picture_size(ratio: float, megapixels: float) -> tuple[int, int]:
    """Give the size on which Kontext works that is nearest to the ratio, scaled to the area."""
    width, height = min(KONTEXT_SIZES, key=lambda size: abs(size[0] / size[1] - ratio))
    scale = (megapixels / KONTEXT_MEGAPIXELS) ** 0.5
    return max(GRID, round(width * scale / GRID) * GRID), max(GRID, round(height * scale / GRID) * GRID)


def _ratio(arguments: Arguments, sources: list[Image.Image]) -> float:
    if arguments.aspect_ratio is not None:
        width, _, height = arguments.aspect_ratio.partition(":")
        return int(width) / int(height)
    return sources[0].width / sources[0].height if sources else 1.0


def _compose(sources: list[Image.Image], size: tuple[int, int]) -> Image.Image:
    """Lay the references side by side, each cropped to its share and parted by a white line."""
    if len(sources) == 1:
        return ImageOps.fit(sources[0], size)
    canvas = Image.new("RGB", size, "white")
    gap = max(2, size[0] // 160)
    edges = [round(size[0] * at / len(sources)) for at in range(len(sources) + 1)]
    for source, (left, right) in zip(sources, pairwise(edges), strict=True):
        inset = gap if right < size[0] else 0
        canvas.paste(ImageOps.fit(source, (max(1, right - left - inset), size[1])), (left, 0))
    return canvas


def _scene(prompt: str, size: tuple[int, int], dice: random.Random) -> Image.Image:
    """Paint hills under a sky in colours that belong to the prompt and a shape that belongs to the seed."""
    chosen = hashlib.sha256(prompt.encode()).digest()[0] % len(PALETTES)
    high, low, far, near = PALETTES[chosen]
    named = colour_of(prompt)
    if named is not None:
        high = ((named[0] + high[0]) // 2, (named[1] + high[1]) // 2, (named[2] + high[2]) // 2)
    width, height = size
    mask = Image.linear_gradient("L").resize(size)
    image = Image.composite(Image.new("RGB", size, low), Image.new("RGB", size, high), mask)
    brush = ImageDraw.Draw(image)
    radius = dice.uniform(0.06, 0.14) * min(size)
    x, y = dice.uniform(0.2, 0.8) * width, dice.uniform(0.18, 0.4) * height
    for step in range(6, 0, -1):
        glow = radius * (1 + step * 0.18)
        shade = tuple(round(part + (255 - part) * (0.9 - step * 0.12)) for part in low)
        brush.ellipse((x - glow, y - glow, x + glow, y + glow), fill=shade)
    layers = 5
    for layer in range(layers):
        share = layer / (layers - 1)
        shade = tuple(round(a + (b - a) * share) for a, b in zip(far, near, strict=True))
        _ridge(brush, size, dice, base=0.5 + 0.09 * layer, fill=shade)
    return image


def _ridge(
    brush: ImageDraw.ImageDraw, size: tuple[int, int], dice: random.Random, *, base: float, fill: tuple[int, ...]
) -> None:
    """Draw one row of hills by halving and shaking a line."""
    heights = [dice.uniform(-1, 1), dice.uniform(-1, 1)]
    shake = 0.8
    for _ in range(6):
        middles = [(a + b) / 2 + dice.uniform(-shake, shake) for a, b in pairwise(heights)]
        heights = [one for pair in zip(heights, [*middles, 0.0], strict=True) for one in pair][:-1]
        shake *= 0.5
    width, height = size
    points = [(width * at / (len(heights) - 1), height * (base + 0.07 * level)) for at, level in enumerate(heights)]
    brush.polygon([(0, height), *points, (width, height)], fill=fill)
