"""The band at the foot of every picture: what was asked, and that nobody paid for it."""

from bisect import bisect_right
from functools import lru_cache
from math import ceil

from PIL import Image, ImageDraw, ImageFont

MARK = "SIMULATED"
INK = (250, 247, 240)
AMBER = (255, 191, 94)
SHADE = (16, 16, 20, 190)
LINES = 3
FEW_PIXELS = 48
MOST_CHARACTERS = 600
"""The characters of a prompt that are looked at: more than the lines hold, and few enough to measure one by one."""

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def letter(image: Image.Image, prompt: str) -> Image.Image:
    """Write the prompt and the mark on a dark band at the foot."""
    width, height = image.size
    unit = max(8, round(min(width, height) / 34))
    margin = unit if width > FEW_PIXELS else 1
    font, small = _font(unit), _font(max(7, round(unit * 0.62)))
    text = " ".join(prompt[: 4 * MOST_CHARACTERS].split())[:MOST_CHARACTERS]
    lines = _wrap(text, font, width - 2 * margin)
    step = round(unit * 1.35)
    # A band never takes more than two fifths of the picture, however small that is.
    band = min(round(height * 0.4), margin * 2 + round(unit * 0.9) + step * len(lines))
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    brush = ImageDraw.Draw(layer)
    top = height - band
    brush.rectangle((0, top, width, height), fill=SHADE)
    brush.rectangle((0, top, width, top + max(1, unit // 12)), fill=(*AMBER, 255))
    y = top + round(margin * 0.8)
    x = float(margin)
    for character in MARK:
        brush.text((x, y), character, font=small, fill=(*AMBER, 255))
        x += small.getlength(character) + unit * 0.14
    y += round(unit * 1.05)
    for line in lines:
        brush.text((margin, y), line, font=font, fill=(*INK, 255))
        y += step
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


@lru_cache(maxsize=32)
def _font(size: int) -> Font:
    return ImageFont.load_default(size)


def _wrap(text: str, font: Font, width: int) -> list[str]:
    """Break the text into a few lines, the last one cut short where there is more to say."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        longer = f"{line} {word}".strip()
        if font.getlength(longer) <= width or not line:
            line = longer
            continue
        lines.append(line)
        line = word
    if line:
        lines.append(line)
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], lines[LINES - 1] + "…"]
    return [_cut(line, font, width) for line in lines]


def _cut(line: str, font: Font, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    stem = line.rstrip("…")
    fits = bisect_right(range(1, len(stem) + 1), width, key=lambda length: ceil(font.getlength(stem[:length] + "…")))
    return stem[:fits] + "…"
