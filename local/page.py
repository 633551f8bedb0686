"""The page that shows each picture before and after."""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Protocol

from local.prices import dollars, price

PAGE = Path(__file__).with_name("page.html")
CARD = Template("""\
<article>
  <div class="pictures count-$count">
$figures
  </div>
  <h2>$title</h2>
  <p class="prompt">$prompt</p>$recovered
  <p class="facts"><code>$endpoint</code><span>$begun</span><span>$size</span><span>$seconds</span><span>$price</span>\
<span>seed $seed</span></p>
  <p class="facts"><span>$keys</span></p>
</article>
""")
FIGURE = Template("""\
    <figure class="$kind">
      <a href="$file"><img src="$file" alt="$alt"></a>
      <figcaption>$kind</figcaption>
    </figure>
""")
RECOVERED = Template("""
  <p class="recovered">Recovered: $what.</p>""")
SIMULATED = (
    "These pictures are <strong>simulated</strong>: the emulator that stands in for fal on this machine drew them."
    " With a key for fal, the same service makes real ones."
)


class Shown(Protocol):
    """What the page needs to know of an edit."""

    name: str
    photos: list[str]
    prompt: str
    job: dict[str, Any]
    recovered: str
    files: list[str]


def write_page(edits: Sequence[Shown], folder: Path, *, simulated: bool) -> Path:
    """Write index.html next to the pictures, and say where it is."""
    page = folder / "index.html"
    cards = "\n".join(_card(edit) for edit in edits)
    note = SIMULATED if simulated else ""
    cost = "would cost" if simulated else "cost"
    total = dollars(sum(_price(edit) for edit in edits))
    text = Template(PAGE.read_text(encoding="utf-8")).substitute(
        cards=cards, count=len(edits), note=note, total=total, cost=cost
    )
    page.write_text(text, encoding="utf-8")
    return page.resolve()


def _card(edit: Shown) -> str:
    before = [("before", f"before-{photo}", f"The photo {photo}") for photo in edit.photos]
    after = [("after", file, edit.prompt) for file in edit.files]
    figures = [
        FIGURE.substitute(kind=kind, file=escape(file, quote=True), alt=escape(alt, quote=True)).rstrip()
        for kind, file, alt in before + after
    ]
    return CARD.substitute(
        count=len(figures),
        figures="\n".join(figures),
        title=escape(edit.name.replace("-", " ").capitalize()),
        prompt=escape(edit.prompt),
        recovered=RECOVERED.substitute(what=escape(edit.recovered)) if edit.recovered else "",
        endpoint=escape(edit.job["endpoint"]),
        size=_size(edit.job["outputs"][0]),
        seconds=f"{_seconds(edit.job):.1f} s",
        price=dollars(_price(edit)),
        seed=escape(str(edit.job["seed"] or "unknown")),
        begun=escape(_begun(edit.job)),
        keys="<br>".join(f"<code>{escape(output['key'])}</code>" for output in edit.job["outputs"]),
    )


def _price(edit: Shown) -> int:
    return price(edit.job["endpoint"], len(edit.files))


def _begun(job: dict[str, Any]) -> str:
    """What made the job: an upload, or a post, and the preset."""
    by = f"upload of {job['upload']['key']}" if job["upload"] else "posted"
    return f"{by}, preset {job['preset']}" if job["preset"] else by


def _size(output: dict[str, Any]) -> str:
    kind = str(output["content_type"]).removeprefix("image/").upper()
    pixels = f"{output['width']} × {output['height']} " if output["width"] else ""  # noqa: RUF001 - the sign for sizes
    return f"{pixels}{kind}"


def _seconds(job: dict[str, Any]) -> float:
    return (datetime.fromisoformat(job["settled_at"]) - datetime.fromisoformat(job["created_at"])).total_seconds()
