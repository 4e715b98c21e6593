"""Figures of Matplotlib (SVG) as parts of a page: in the page's colours, with identifiers of their own, and as small as they can be."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree as ET

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
SYSTEM = "system:"  # artists whose gid starts so belong to the system named behind it
_REFERENCE = re.compile(r"url\(#([^)]*)\)|^#(.*)$")
_LONG_NUMBER = re.compile(r"-?\d*\.\d{3,}(?:e-?\d+)?")
_COLOR = re.compile(r"#[0-9a-f]{6}\b")
_FAMILY = re.compile(r"font-family: 'TeX Gyre Heros'[^;]*;? ?")  # the page's own style names it once
_BLACK, _WHITE = "#000000", "#ffffff"
_DARK_PAGE = "#14171c"
_LINE_CONTRAST = 3.0  # WCAG 2.2, 1.4.11: graphical objects


@dataclass(frozen=True)
class InlineFigure:
    """A figure to put into HTML.

    Attributes:
        markup: the element ``svg``.
        colors: ``rrggbb`` of its lines.
    """

    markup: str
    colors: set[str]


def inline_svg(source: str, prefix: str, label: str) -> InlineFigure:
    """A figure to put into HTML.

    Black becomes the colour of the page's text, white that of the page, and colours of lines become variables ``--cRRGGBB``, so that the page can give them
    another lightness in its dark theme. The parts of a system get ``data-system``.

    Args:
        source: content of a file that Matplotlib wrote with ``svg.fonttype: none``.
        prefix: of all identifiers, to make them unique on the page.
        label: text for those who do not see it.

    """
    root = ET.fromstring(source)
    _drop_style_and_metadata(root)
    _gather_definitions(root)
    _flatten(root)
    _rename(root, prefix)
    colors = {color for element in root.iter() for color in _line_colors(element)} - {_BLACK[1:], _WHITE[1:]}
    for element in root.iter():
        _shorten(element, colors)
        _join_letters(element)
    width = float(root.get("viewBox", "").split()[2])
    root.set("style", f"--width:{width:.0f}")
    root.attrib |= {"xmlns": _SVG[1:-1], "xmlns:xlink": _XLINK[1:-1], "role": "img", "aria-label": label}
    return InlineFigure(ET.tostring(root, encoding="unicode"), colors)


def color_on_dark(color: str) -> str:
    """``rrggbb`` mixed with as much white as a line needs to be seen on the dark page."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (0, 2, 4))
    for share in range(0, 101, 5):
        mixed = "#" + "".join(f"{round(part + (255 - part) * share / 100):02x}" for part in (red, green, blue))
        if contrast(mixed, _DARK_PAGE) >= _LINE_CONTRAST:
            break
    return mixed


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours ``#rrggbb``, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _line_colors(element: ET.Element) -> list[str]:
    return re.findall(r"(?<![-\w])stroke: #([0-9a-f]{6})", element.get("style", ""))


def _drop_style_and_metadata(root: ET.Element) -> None:
    """Its style sheet would hold for the whole page."""
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag in (f"{_SVG}metadata", f"{_SVG}style")]:
            parent.remove(child)


def _gather_definitions(root: ET.Element) -> None:
    """All definitions at the top, where they stay if a system that happened to need them first is taken away."""
    top = ET.Element(f"{_SVG}defs")
    for parent in list(root.iter()):
        for child in [c for c in parent if c.tag == f"{_SVG}defs"]:
            top.extend(list(child))
            parent.remove(child)
    root.insert(0, top)


def _flatten(parent: ET.Element) -> None:
    """Take away groups that say nothing."""
    children = []
    for child in parent:
        _flatten(child)
        bare = child.tag == f"{_SVG}g" and not set(child.attrib) - {"id"} and not child.get("id", "").startswith(SYSTEM)
        children += list(child) if bare else [child]
    parent[:] = children
    if len(children) or not (parent.text or "").strip(" \n"):
        parent.text = None
    for child in children:
        child.tail = None


def _rename(root: ET.Element, prefix: str) -> None:
    """Identifiers that something refers to get the prefix, those of systems become attributes, others go."""
    used = {name for element in root.iter() for value in element.attrib.values() for found in _REFERENCE.findall(value) for name in found if name}
    for element in root.iter():
        name = element.attrib.pop("id", "")
        if name.startswith(SYSTEM):
            element.attrib |= {"class": "system", "data-system": name.removeprefix(SYSTEM)}
        elif name in used:
            element.set("id", prefix + name)
        for key, value in element.attrib.items():
            if key == f"{_XLINK}href" and value.startswith("#"):
                element.set(key, f"#{prefix}{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{prefix}"))


def _shorten(element: ET.Element, colors: set[str]) -> None:
    """Two decimals (a hundredth of a point), no name spaces, no font, colours of the page."""
    element.tag = element.tag.removeprefix(_SVG)
    element.attrib = {key.replace(_XLINK, "xlink:"): value for key, value in element.attrib.items()}
    for key, value in element.attrib.items():
        if key == "style":
            value = _COLOR.sub(lambda found: _themed(found.group(), colors), _FAMILY.sub("", value)).strip("; ")
            element.set(key, value.replace(": ", ":").replace("; ", ";"))
        elif key == "xlink:href" and value.startswith("data:"):
            element.set(key, "".join(value.split()))
        elif key in ("d", "x", "y", "width", "height", "points") or (key == "transform" and "scale" not in value):
            value = re.sub(r"rotate\(-?0(?: [^)]*)?\)", "", value)
            value = _LONG_NUMBER.sub(_rounded, value).strip()
            element.set(key, re.sub(r"\s*([A-Za-z])\s*", r"\1", value) if key == "d" else value)
    for key in [key for key in ("style", "transform") if element.get(key) == ""]:
        del element.attrib[key]


def _rounded(found: re.Match[str]) -> str:
    short = f"{float(found.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def _themed(color: str, colors: set[str]) -> str:
    if color == _BLACK:
        return "currentColor"
    if color == _WHITE:
        return "var(--page)"
    return f"var(--c{color[1:]})" if color[1:] in colors else color


def _join_letters(element: ET.Element) -> None:
    """Formulas come one letter an element: those of one style and height become one element with a list of places."""
    joined: list[ET.Element] = []
    for child in element:
        last = joined[-1] if joined else None
        if last is not None and _is_letter(child) and _is_letter(last, len(last.text or "")) and all(child.get(key) == last.get(key) for key in ("y", "style")):
            last.set("x", f"{last.get('x')} {child.get('x')}")
            last.text = f"{last.text}{child.text}"
        else:
            joined.append(child)
    if len(joined) < len(element):
        element[:] = joined


def _is_letter(element: ET.Element, letters: int = 1) -> bool:
    """Whether it is a letter at its place (or ``letters``, each at its own)."""
    return element.tag == "tspan" and len(element.text or "") == letters == len(element.get("x", "").split())
