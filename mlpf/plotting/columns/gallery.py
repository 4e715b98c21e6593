"""All figures on one page that needs nothing else: grouped, with a box to filter by; light or dark as the reader's system."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from mlpf.io.files import write_text

STYLE = """
:root { color-scheme: light dark; --line: #d0d4da; --soft: #5c6370; --page: #ffffff; --text: #1b1f24; }
@media (prefers-color-scheme: dark) { :root { --line: #3a3f47; --soft: #a0a7b4; --page: #16181c; --text: #e6e8eb; }
  img { filter: invert(.91) hue-rotate(180deg); } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1500px; margin: 0 auto; padding: 0 1rem 2rem; background: var(--page); color: var(--text); }
h1 { font-size: 1.5rem; margin: 1.2rem 0 0; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem; } h2 small, p, td { color: var(--soft); }
header { position: sticky; top: 0; background: var(--page); padding: .6rem 0; border-bottom: 1px solid var(--line); z-index: 1; }
input { font: inherit; width: min(28rem, 60%); padding: .3rem .6rem; border: 1px solid var(--line); border-radius: 6px;
  background: transparent; color: inherit; }
nav { display: inline; } nav a { margin-left: .8rem; color: var(--soft); white-space: nowrap; } .wide { overflow-x: auto; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 1rem; }
figure { margin: 0; } .pair { grid-column: span 2; } img { width: 100%; height: auto; display: block; border-radius: 4px; } a { text-decoration: none; }
@media (max-width: 900px) { .pair { grid-column: auto; } } [hidden] { display: none !important; }
"""
SCRIPT = """
const box = document.querySelector('input'), count = document.querySelector('output');
const show = () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let shown = 0;
  for (const section of document.querySelectorAll('section')) {
    let any = false;
    for (const figure of section.querySelectorAll('figure')) {
      const there = words.every(word => figure.dataset.words.includes(word));
      figure.hidden = !there; any ||= there; shown += there;
    }
    section.hidden = !any;
  }
  count.textContent = `${shown} figures`;
};
box.addEventListener('input', show); show();
"""


@dataclass(frozen=True)
class Entry:
    """A figure: the group it belongs to, its files (a PNG that is shown, and what a click opens), the words a filter finds, and whether it is wide."""

    group: str
    image: str
    file: str
    words: str
    wide: bool


def write_gallery(folder: Path, title: str, entries: Sequence[Entry], samples: Sequence[Mapping[str, str]], notes: Sequence[str]) -> None:
    """Write ``index.html`` beside the figures.

    Args:
        folder: where the figures are.
        title: of the page.
        entries: the figures, those of a group beside each other.
        samples: what is told of every sample, as name -> text; all with the same names.
        notes: what else there is to tell.
    """
    head = "".join(f"<th>{html.escape(name)}</th>" for name in samples[0])
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in sample.values())}</tr>" for sample in samples)
    groups = [(group, list(members)) for group, members in groupby(entries, key=lambda entry: entry.group)]
    links = "".join(f"<a href='#{html.escape(group)}'>{html.escape(group)}</a>" for group, _ in groups)
    sections = "".join(
        f"<section id='{html.escape(group)}'><h2>{html.escape(group)} <small>{len(members)}</small></h2>"
        f"<div class='grid'>{''.join(_figure(folder, entry) for entry in members)}</div></section>"
        for group, members in groups
    )
    write_text(
        folder / "index.html",
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f"<div class='wide'><table><tr>{head}</tr>{rows}</table></div>{''.join(f'<p>{html.escape(note)}</p>' for note in notes)}"
        f"<header><input type='search' placeholder='filter, for example: element energy' aria-label='filter'> <output></output><nav>{links}</nav></header>"
        f"{sections}<script>{SCRIPT}</script></body></html>\n",
    )


def _figure(folder: Path, entry: Entry) -> str:
    data = base64.b64encode((folder / entry.image).read_bytes()).decode()
    words = html.escape(entry.words.lower(), quote=True)
    kind = " class='pair'" if entry.wide else ""
    alt = html.escape(entry.image.removesuffix(".png"), quote=True)
    return (
        f"<figure{kind} data-words='{words}'><a href='{html.escape(entry.file, quote=True)}'>"
        f"<img loading='lazy' alt='{alt}' src='data:image/png;base64,{data}'></a></figure>"
    )
