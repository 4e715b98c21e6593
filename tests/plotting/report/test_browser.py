"""The page in a real browser: what is seen, what the controls do, what downloads hold."""

import base64
import itertools
import re
from xml.etree import ElementTree as ET

import pytest

from mlpf.plotting.report.svg import contrast

SVG = "{http://www.w3.org/2000/svg}"
NARROW = {"width": 400, "height": 850}

TEXT_COLORS = """() => {
  const opaque = (color) => { const parts = color.match(/[\\d.]+/g).map(Number); return parts.length < 4 || parts[3] > 0 ? parts : null; };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * (top[3] ?? 1) + below[i] * (1 - (top[3] ?? 1)));
  const found = new Map();
  const add = (text, color, ground) => { found.set(`${color}|${ground}`, [color, ground, text.trim().slice(0, 30)]); };
  const ground = (element) => {
    for (; element; element = element.parentElement) { const color = opaque(getComputedStyle(element).backgroundColor); if (color) return color.slice(0, 3); }
  };
  const visible = (element) => element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 0;
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const [node, parent] = [walk.currentNode, walk.currentNode.parentElement];
    if (!node.textContent.trim() || !visible(parent)) continue;
    const style = getComputedStyle(parent);
    if (!parent.closest("svg")) { add(node.textContent, opaque(style.color).slice(0, 3), ground(parent)); continue; }
    const box = parent.getBoundingClientRect();
    const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
    let below = ground(parent.closest("svg"));
    for (const area of parent.closest("svg").querySelectorAll("path, rect")) {
      const paint = getComputedStyle(area);
      const place = area.getBoundingClientRect();
      if (paint.fill === "none" || area.closest("defs") || x < place.left || x > place.right || y < place.top || y > place.bottom) continue;
      const color = opaque(paint.fill);
      if (color) below = over([...color.slice(0, 3), (color[3] ?? 1) * paint.fillOpacity * paint.opacity], below);
    }
    add(node.textContent, opaque(style.fill).slice(0, 3), below);
  }
  return [...found.values()];
}"""


def as_hex(color):
    return "#" + "".join(f"{round(part):02x}" for part in color)


def grey(color):
    """Only the lightness is left."""
    return as_hex([sum(weight * int(color[i : i + 2], 16) for i, weight in ((1, 0.2126), (3, 0.7152), (5, 0.0722)))] * 3)


def visible_systems(page, dataset="ttbar"):
    """Systems that any visible part of a figure belongs to."""
    return page.evaluate(
        """(dataset) => [...new Set([...document.getElementById(dataset).querySelectorAll("figure svg [data-system]")]
             .filter((part) => getComputedStyle(part).display !== "none").map((part) => part.dataset.system))].sort()""",
        dataset,
    )


def top_of(page, selector):
    return page.eval_on_selector(selector, "element => element.getBoundingClientRect().top")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_without_errors_and_the_figures_are_there(open_page, report, scheme):
    page, errors = open_page(report, color_scheme=scheme)
    figures = page.locator("#ttbar figure svg")
    assert figures.count() == 4
    for figure in figures.all():
        box = figure.bounding_box()
        assert box["width"] > 500
        assert box["height"] > 150
        assert figure.locator("path").count() > 5
        assert figure.get_attribute("aria-label")
    assert page.locator("#ttbar-headline-section table").is_visible()
    assert not page.locator("#ttbar-jets table").is_visible()  # folded
    assert errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read_with_and_without_colours(open_page, report, scheme):
    page, _ = open_page(report, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    pairs = [(as_hex(color), as_hex(ground), text) for color, ground, text in page.evaluate(TEXT_COLORS)]
    assert len(pairs) > 8
    assert [pair for pair in pairs if contrast(*pair[:2]) < 4.5] == []
    assert [pair for pair in pairs if contrast(grey(pair[0]), grey(pair[1])) < 4.5] == []


def test_unchecking_a_system_hides_it_in_all_figures_and_tables_of_all_datasets(open_page, report):
    page, _ = open_page(report)
    everything = ["pf", "targets", "targets_hard", "tiny", "tiny_hard", "window", "window_hard"]
    assert visible_systems(page) == everything
    columns = page.locator("#ttbar .table[data-table=headline] thead th:visible")
    assert columns.count() == 7
    page.get_by_role("checkbox", name="tiny", exact=True).uncheck()
    assert visible_systems(page) == [key for key in everything if key != "tiny"]
    assert columns.count() == 6
    assert "tiny" not in columns.all_inner_texts()
    page.get_by_role("tab", name="qcd").click()
    assert visible_systems(page, "qcd") == ["pf", "targets", "window"]
    page.get_by_role("checkbox", name="tiny", exact=True).check()
    assert visible_systems(page, "qcd") == ["pf", "targets", "tiny", "window"]


def test_the_theme_is_the_systems_until_the_reader_chooses(open_page, report):
    page, _ = open_page(report, color_scheme="dark")

    def colors():
        return page.evaluate("[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('figure svg text')).fill]")

    dark = ["rgb(20, 23, 28)", "rgb(231, 234, 239)"]
    light = ["rgb(255, 255, 255)", "rgb(26, 30, 36)"]
    assert colors() == dark
    page.get_by_label("Theme").select_option("light")
    assert colors() == light
    page.reload()
    assert colors() == light  # remembered
    page.get_by_label("Theme").select_option("dark")
    page.emulate_media(color_scheme="light")
    assert colors() == dark
    page.get_by_label("Theme").select_option("system")
    assert colors() == light


def test_tabs_switch_the_dataset_and_keep_the_place(open_page, report):
    page, errors = open_page(report)
    assert page.locator("#ttbar").is_visible()
    assert not page.locator("#qcd").is_visible()
    page.evaluate("document.getElementById('ttbar-figure-jets').scrollIntoView(); window.scrollBy(0, 20)")
    before = top_of(page, "#ttbar-figure-jets")
    page.get_by_role("tab", name="qcd").dispatch_event("click")  # Playwright's own click scrolls first
    assert page.locator("#qcd").is_visible()
    assert not page.locator("#ttbar").is_visible()
    assert top_of(page, "#qcd-figure-jets") == pytest.approx(before, abs=2)
    assert page.get_by_role("tab", name="qcd").get_attribute("aria-selected") == "true"
    page.evaluate("document.getElementById('tab-1').focus({ preventScroll: true })")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#ttbar").is_visible()
    assert top_of(page, "#ttbar-figure-jets") == pytest.approx(before, abs=2)
    assert errors == []


def test_a_link_into_another_dataset_opens_it(open_page, report):
    page, _ = open_page(report)
    page.evaluate("location.hash = '#qcd-met'")
    page.wait_for_function("document.getElementById('qcd').checkVisibility()")
    assert -5 < top_of(page, "#qcd-met") < 200


def test_the_contents_lead_to_sections_and_say_where_the_reader_is(open_page, report):
    page, _ = open_page(report)
    page.get_by_role("navigation").get_by_role("link", name="Classification").click()
    page.wait_for_function("document.querySelector('nav [aria-current]')?.textContent === 'Classification'")
    bar = page.eval_on_selector(".bar", "element => element.getBoundingClientRect().bottom")
    assert bar <= top_of(page, "#ttbar-roc h2") < bar + 60  # not below the bar
    assert page.locator("nav a[href^='#qcd']:visible").count() == 0


def test_the_reference_of_the_comparison_can_be_chosen(open_page, report):
    page, _ = open_page(report)
    assert page.locator("#ttbar .comparison:visible h3").all_inner_texts() == ["Against rule-based PF"]
    page.locator("#ttbar [data-reference]").select_option("window")
    assert page.locator("#ttbar .comparison:visible h3").all_inner_texts() == ["Against window"]
    page.get_by_role("tab", name="qcd").click()
    assert page.locator("#qcd .comparison:visible h3").all_inner_texts() == ["Against window"]


def download(page, figure, kind):
    page.locator(f"#ttbar-figure-{figure} summary").click()
    with page.expect_download() as event:
        page.locator(f"#ttbar-figure-{figure} .menu").get_by_text(kind.upper(), exact=True).click()
    return event.value


def test_the_downloaded_svg_is_a_figure_of_its_own_in_its_own_colours(open_page, report, tmp_path):
    page, errors = open_page(report, color_scheme="dark")
    page.get_by_role("checkbox", name="tiny", exact=True).uncheck()
    saved = download(page, "jets", "svg")
    assert saved.suggested_filename == "ttbar_jets.svg"
    path = tmp_path / "jets.svg"
    saved.save_as(path)
    source = path.read_text()
    assert "var(" not in source
    assert "currentColor" not in source
    root = ET.fromstring(source)
    systems = {group.get("data-system") for group in root.iter(f"{SVG}g")} - {None}
    assert "tiny" not in systems
    assert "window" in systems
    identifiers = set(re.findall(r'\bid="([^"]*)"', source))
    assert {name for pair in re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', source) for name in pair if name} <= identifiers
    assert "#832db6" in source  # the second model as drawn, not lightened for the dark page
    alone, more = open_page(path)
    assert alone.evaluate("document.documentElement.getBBox().width") > 300
    assert alone.evaluate("[...document.querySelectorAll('text')].some((text) => text.getBoundingClientRect().width > 0)")
    assert alone.evaluate("getComputedStyle(document.querySelector('text')).fill") == "rgb(0, 0, 0)"
    assert errors == more == []


def test_the_downloaded_png_is_three_times_as_large_and_on_white(open_page, report, tmp_path):
    image = pytest.importorskip("PIL.Image")
    page, _ = open_page(report, color_scheme="dark")
    download(page, "met", "png").save_as(tmp_path / "met.png")
    size = page.eval_on_selector("#ttbar-figure-met svg", "svg => [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height]")
    with image.open(tmp_path / "met.png") as picture:
        assert picture.size == tuple(int(3 * length) for length in size)
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert min(picture.convert("L").get_flattened_data()) < 60  # something is drawn, and not in the white of the dark page


def test_the_downloaded_pdf_is_that_of_the_folder(open_page, report, plots):
    page, _ = open_page(report)
    page.locator("#ttbar-figure-met summary").click()
    link = page.locator("#ttbar-figure-met a[download]")
    assert link.get_attribute("download") == "ttbar_met.pdf"
    assert base64.b64decode(link.get_attribute("href").split(",")[1]) == (plots / "ttbar" / "met.pdf").read_bytes()
    page.keyboard.press("Escape")
    assert not link.is_visible()


def copied(page, table, kind):
    page.evaluate("navigator.clipboard.writeText = async (words) => { window.copied = words; }")
    page.locator(f"#ttbar [data-table={table}] [data-copy={kind}]").click()
    assert page.get_by_role("status").inner_text() == "Copied"
    return page.evaluate("window.copied")


def test_tables_are_copied_as_tsv_with_the_columns_that_are_shown(open_page, report, metrics):
    page, _ = open_page(report)
    page.get_by_role("checkbox", name="tiny", exact=True).uncheck()
    lines = [line.split("\t") for line in copied(page, "headline", "tsv").splitlines()]
    assert lines[0][:7] == ["", "rule-based PF", "low", "high", "window", "low", "high"]
    row = next(line for line in lines if line[0] == "response IQR / median, 30–50 GeV")
    assert len(row) == len(lines[0])
    widths = metrics["datasets"]["ttbar"]["jets"]
    for system, numbers in (("pf", row[1:4]), ("window", row[4:7])):
        estimate = widths[system]["central"]["response"]["pt"]["iqr_over_median"][1]
        assert [float(number) for number in numbers] == pytest.approx([estimate[key] for key in ("value", "low", "high")], rel=1e-5)


def test_tables_are_copied_as_latex(open_page, report):
    page, _ = open_page(report)
    for table in ("headline", "against_pf"):
        lines = copied(page, table, "latex").splitlines()
        columns = len(re.match(r"\\begin\{tabular\}\{(l(r+))\}", lines[0]).group(1))
        assert lines[-1] == r"\end{tabular}"
        for line in lines[1:-1]:
            assert line == r"\hline" or line.startswith(f"\\multicolumn{{{columns}}}") or line.count("&") == columns - 1, line
        assert "".join(lines).isascii()


def test_a_narrow_window_does_not_scroll_sideways(open_page, report):
    page, errors = open_page(report, viewport=NARROW)
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for name in ("ttbar", "qcd"):
        page.get_by_role("tab", name=name).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    box = page.locator("#qcd-figure-jets svg").bounding_box()
    assert box["width"] > NARROW["width"]  # readable: scrolls in its own frame
    assert errors == []


def test_paper_shows_everything_in_light(open_page, report):
    page, _ = open_page(report, color_scheme="dark")
    page.get_by_role("checkbox", name="tiny", exact=True).uncheck()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill") == "rgb(26, 30, 36)"
    assert not page.locator(".bar").is_visible()
    assert not page.get_by_role("navigation").is_visible()
    for name in ("ttbar", "qcd"):
        assert page.locator(f"#{name}").is_visible()
        assert "tiny" in visible_systems(page, name)
    assert page.locator("#ttbar .comparison:visible").count() == 3
    tables = page.locator("#ttbar details table")
    assert tables.count() > 4
    assert all(table.bounding_box()["height"] > 40 for table in tables.all())  # also those that are folded on the screen
    breaks = page.evaluate("[...document.querySelectorAll('figure')].map((figure) => getComputedStyle(figure).breakInside)")
    assert set(breaks) == {"avoid"}


def test_without_scripts_everything_is_shown_and_nothing_pretends_to_work(open_page, report):
    page, errors = open_page(report, java_script_enabled=False)
    for name in ("ttbar", "qcd"):
        assert page.locator(f"#{name}").is_visible()
        assert page.locator(f"#{name}-figure-jets svg").is_visible()
    assert page.locator("#ttbar .comparison:visible").count() == 3
    assert not page.locator(".bar").is_visible()
    assert page.locator("button:visible, select:visible").count() == 0
    page.locator("#ttbar-figure-jets summary").click()
    assert page.locator("#ttbar-figure-jets a[download]").is_visible()  # PDF works all the same
    assert errors == []


def test_everything_is_reached_with_the_keyboard_and_has_a_name(open_page, report):
    page, _ = open_page(report)
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("((on) => on.id || on.value || on.className || on.textContent.trim())(document.activeElement)"))
    assert seen[:2] == ["skip", "tab-0"]  # arrows lead to the other tabs
    assert "tiny" in seen
    assert "theme" in seen
    assert "wide" in seen  # tables scroll with the arrows
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, a, select, input, [role=region], svg[role=img]")].filter((element) =>
             !element.textContent.trim() && !element.getAttribute("aria-label") && !element.labels?.length).map((element) => element.outerHTML.slice(0, 80))"""
    )
    assert nameless == []
    groups = itertools.groupby(page.locator("h1, h2, h3").evaluate_all("found => found.map((heading) => Number(heading.tagName[1]))"))
    levels = [level for level, _ in groups]
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
