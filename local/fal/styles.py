"""How an edit changes a picture: the words of the prompt choose."""

import colorsys
import random
import re
from collections.abc import Callable

from PIL import Image, ImageChops, ImageEnhance, ImageFilter, ImageOps

Style = Callable[[Image.Image, random.Random], Image.Image]
Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (214, 40, 40),
    "orange": (240, 130, 30),
    "yellow": (244, 208, 50),
    "green": (48, 160, 72),
    "teal": (22, 140, 140),
    "turquoise": (50, 200, 190),
    "blue": (40, 90, 210),
    "purple": (124, 58, 180),
    "violet": (124, 58, 180),
    "pink": (236, 110, 170),
    "gold": (220, 170, 60),
    "brown": (130, 84, 48),
}


def choose_style(prompt: str) -> Style:
    """Give the first style that a word of the prompt asks for; a plain wish is printed in two inks."""
    words = set(re.findall(r"[a-z]+", prompt.lower()))
    for triggers, style in STYLES:
        if words & triggers:
            return style
    colour = colour_of(prompt)
    if colour is not None:
        return lambda image, dice: _recolour(image, dice, colour)
    return _duotone


def colour_of(prompt: str) -> Colour | None:
    """Give the last colour named: "change the red car to blue" means blue."""
    named = [COLOURS[word] for word in re.findall(r"[a-z]+", prompt.lower()) if word in COLOURS]
    return named[-1] if named else None


def grain(image: Image.Image, dice: random.Random, strength: int) -> Image.Image:
    """Lay film grain over the picture, which no two seeds share."""
    return ImageChops.overlay(image, Image.merge("RGB", [_noise(image.size, dice, strength)] * 3))


def _noise(size: tuple[int, int], dice: random.Random, strength: int) -> Image.Image:
    width, height = max(1, size[0] // 2), max(1, size[1] // 2)
    speckles = Image.frombytes("L", (width, height), dice.randbytes(width * height))
    return speckles.point([128 + (level - 128) * strength // 64 for level in range(256)]).resize(size)


def _reach(image: Image.Image, share: float) -> float:
    """Give a radius that is the same part of every picture."""
    return max(1.0, min(image.size) * share)


def _sketch(image: Image.Image, dice: random.Random) -> Image.Image:
    grey = ImageOps.grayscale(image).filter(ImageFilter.GaussianBlur(_reach(image, 0.0008)))
    # Where a pixel is darker than its surroundings there is a line.
    lines = ImageChops.subtract(grey.filter(ImageFilter.GaussianBlur(_reach(image, 0.008))), grey)
    lines = ImageOps.invert(lines.point([min(255, level * 7) for level in range(256)]))
    shading = grey.point([min(255, 160 + level * 110 // 255) for level in range(256)])
    hatched = ImageChops.multiply(lines, shading)
    paper = ImageOps.colorize(_noise(image.size, dice, 14).filter(ImageFilter.GaussianBlur(1)), "#d8cfbc", "#fffaf0")
    return ImageChops.multiply(ImageOps.colorize(hatched, "#2b2a2d", "#ffffff"), paper)


def _studio(image: Image.Image, _dice: random.Random) -> Image.Image:
    """Keep what is in the middle, evenly lit, and let the rest pass into a seamless grey."""
    middle = ImageOps.invert(Image.radial_gradient("L")).point(
        [min(255, max(0, level - 95) * 4) for level in range(256)]
    )
    backdrop = ImageOps.colorize(Image.linear_gradient("L"), "#f1f1ef", "#c4c4c2").resize(image.size)
    lit = ImageEnhance.Brightness(ImageOps.autocontrast(image, cutoff=1)).enhance(1.1)
    return Image.composite(
        lit, backdrop, middle.resize(image.size).filter(ImageFilter.GaussianBlur(_reach(image, 0.03)))
    )


def _clay(image: Image.Image, dice: random.Random) -> Image.Image:
    """Few colours in lumps, each rounded towards its border, and thumbed."""
    few = image.reduce(2).filter(ImageFilter.MedianFilter(5))
    few = ImageEnhance.Color(few).enhance(1.35).quantize(20).convert("RGB")
    lumps = few.filter(ImageFilter.ModeFilter(7)).filter(ImageFilter.MedianFilter(5))
    borders = (
        ImageOps.grayscale(lumps).filter(ImageFilter.FIND_EDGES).point([min(255, level * 12) for level in range(256)])
    )
    height = ImageOps.invert(borders).filter(ImageFilter.GaussianBlur(_reach(lumps, 0.012)))
    thumbs = _noise(lumps.size, dice, 26).filter(ImageFilter.GaussianBlur(_reach(lumps, 0.006)))
    relief = ImageChops.overlay(height, ImageOps.autocontrast(thumbs)).filter(ImageFilter.EMBOSS)
    relief = ImageEnhance.Contrast(relief.filter(ImageFilter.GaussianBlur(1))).enhance(1.8)
    lit = ImageChops.overlay(lumps, Image.merge("RGB", [relief] * 3))
    return ImageEnhance.Brightness(lit.resize(image.size)).enhance(1.1)


def _paint(image: Image.Image, _dice: random.Random) -> Image.Image:
    strokes = image.filter(ImageFilter.ModeFilter(7)).filter(ImageFilter.SMOOTH_MORE)
    edges = ImageOps.grayscale(strokes).filter(ImageFilter.FIND_EDGES)
    ink = ImageOps.invert(edges.point([min(255, level * 2) for level in range(256)]))
    return ImageChops.multiply(ImageEnhance.Color(strokes).enhance(1.5), ImageOps.colorize(ink, "#3a2f2a", "#ffffff"))


def _relight(image: Image.Image, top: str, bottom: str, brightness: float) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(image.size)
    light = ImageOps.colorize(ramp, top, bottom)
    lit = ImageChops.soft_light(ImageEnhance.Brightness(image).enhance(brightness), light)
    return Image.blend(lit, ImageChops.multiply(lit, light), 0.5)


def _sunset(image: Image.Image, _dice: random.Random) -> Image.Image:
    return _relight(image, "#5b2a86", "#ff9a3c", 1.25)


def _night(image: Image.Image, _dice: random.Random) -> Image.Image:
    return _relight(image, "#14205a", "#5a72b0", 1.05)


def _day(image: Image.Image, _dice: random.Random) -> Image.Image:
    bright = ImageEnhance.Brightness(ImageOps.autocontrast(image, cutoff=1)).enhance(1.3)
    return ImageChops.screen(bright, Image.new("RGB", image.size, (26, 40, 62)))


def _recolour(image: Image.Image, _dice: random.Random, colour: Colour) -> Image.Image:
    """Give all that has a colour this one, and leave the greys."""
    hue = round(colorsys.rgb_to_hsv(*(part / 255 for part in colour))[0] * 255)
    _, saturation, value = image.convert("HSV").split()
    vivid = saturation.point([min(255, round(level * 1.15)) for level in range(256)])
    painted = Image.merge("HSV", (Image.new("L", image.size, hue), vivid, value)).convert("RGB")
    coloured = saturation.point([min(255, max(0, (level - 40) * 5)) for level in range(256)])
    return Image.composite(painted, image, coloured.filter(ImageFilter.GaussianBlur(1)))


def _duotone(image: Image.Image, dice: random.Random) -> Image.Image:
    hue = dice.random()
    dark = tuple(round(part * 255) for part in colorsys.hsv_to_rgb(hue, 0.75, 0.28))
    light = tuple(round(part * 255) for part in colorsys.hsv_to_rgb((hue + 0.42) % 1, 0.22, 1.0))
    return ImageOps.colorize(ImageOps.autocontrast(ImageOps.grayscale(image), cutoff=1), dark, light)


STYLES: tuple[tuple[frozenset[str], Style], ...] = (
    (frozenset({"sketch", "pencil", "graphite", "drawing", "charcoal", "draw"}), _sketch),
    (frozenset({"studio", "seamless", "backdrop"}), _studio),
    (frozenset({"claymation", "clay", "plasticine", "lego", "toy"}), _clay),
    (frozenset({"sunset", "sunrise", "dusk", "dawn", "golden"}), _sunset),
    (frozenset({"night", "nighttime", "midnight", "moonlight", "dark"}), _night),
    (frozenset({"day", "daytime", "daylight", "noon", "sunny"}), _day),
    (frozenset({"watercolor", "watercolour", "oil", "painting", "painted", "cartoon", "anime", "comic"}), _paint),
)
