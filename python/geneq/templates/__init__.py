"""Pages: one HTML file each, with style and script inside, that load nothing.

Everything is escaped unless it is Markup; a content security policy in the page forbids what was
not put there on purpose.
"""

import base64
import hashlib
import math
from pathlib import Path

import jinja2
from markupsafe import Markup

from ..artifacts import atomic_path
from ..plots.svg import MINUS, shorten

HERE = Path(__file__).parent
MISSING = "\N{EN DASH}"


def write_page(template: str, path: str | Path, **values) -> None:
    """Render `template` (a file of this folder) with `values` into the file `path`."""
    script = (HERE / "page.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = _environment().get_template(template).render(
        style=Markup((HERE / "style.css").read_text()),
        script=Markup(script),
        script_digest=digest,
        **values,
    )  # fmt: skip
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        r=figure, count=count, percent=percent, plain=plain, plural=plural, short=short
    )
    return environment


def figure(value, digits: int = 3) -> str:
    """A number with so many decimals and a true minus sign, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.{digits}f}".replace("-", MINUS)


def percent(share) -> str:
    """A share in per cent, or a dash where there is none."""
    return MISSING if share is None or not math.isfinite(share) else f"{100 * share:.0f} %"


def count(value) -> str:
    """An integer with thousands marked, or a dash where there is none."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:,.0f}"


def plain(value) -> str:
    """A number for scripts to sort by, or nothing."""
    return "" if value is None or not math.isfinite(value) else f"{value:.6g}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """`1 gene`, `2 genes`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short(name: str, length: int = 48) -> Markup | str:
    """A name of at most `length` characters; a longer one is cut, with the full name as tooltip."""
    if len(name) <= length:
        return name
    return Markup('<span title="{}">{}</span>').format(name, shorten(name, length))
