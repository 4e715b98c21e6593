"""The page in a real browser: what a reader sees and can do."""

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from mlpf import schema
from mlpf.events import Events
from mlpf.plotting.display.event import make_display
from mlpf.plotting.display.page import write_page
from mlpf.plotting.event_files import Predicted

WINDOW = {"width": 1000, "height": 640}
IS_DRAWN = "document.getElementById('busy').hidden && !drawing"
# Where an object is on the screen, by plotly's own camera.
ON_SCREEN = """([key, row]) => {
  const scene = plot("space")._fullLayout.scene._scene, { model, view, projection } = scene.glplot.cameraParams, frame = plot("space").getBoundingClientRect();
  const times = (matrix, v) => [0, 1, 2, 3].map((i) => matrix[i] * v[0] + matrix[i + 4] * v[1] + matrix[i + 8] * v[2] + matrix[i + 12] * v[3]);
  const place = [2, 0, 1].map((axis, i) => objects[key].position[3 * row + axis] * scene.dataScale[i]);
  const clip = times(projection, times(view, times(model, [...place, 1])));
  return [frame.x + (0.5 + 0.5 * clip[0] / clip[3]) * frame.width, frame.y + (0.5 - 0.5 * clip[1] / clip[3]) * frame.height];
}"""
ON_PLANE = """([key, row]) => {
  const { xaxis, yaxis } = plot("plane")._fullLayout, frame = plot("plane").getBoundingClientRect(), { eta, phi } = objects[key].columns;
  return [frame.x + xaxis._offset + xaxis.l2p(eta[row]), frame.y + yaxis._offset + yaxis.l2p(phi[row])];
}"""


@pytest.fixture(scope="module")
def event(random_dataset):
    event = random_dataset(1, 150, 7)
    phi = event["element_phi"].copy()
    phi[:2] = np.pi - 0.1, -np.pi + 0.1  # at the edges
    edges = {"edge_source": np.arange(30), "edge_target": np.arange(1, 31), "edge_distance": np.full(30, 0.1), "edge_kind": np.ones(30)}
    return event.with_columns({"element_phi": phi, **edges}, {"edge": np.array([0, 30])})


@pytest.fixture(scope="module")
def shared_page(event, make_candidates, chromium, tmp_path_factory):
    """The event with candidates of two models, opened once: a browser without a graphics card needs seconds for it."""
    path = tmp_path_factory.mktemp("page") / "event.html"
    predictions = {name: Predicted(make_candidates(event, np.arange(40), size), path) for name, size in (("tiny", 1.1), ("other", 0.9))}
    write_page(make_display(event, predictions), path, "a.root: event 0")
    page = chromium.new_context(viewport=WINDOW, color_scheme="light").new_page()
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:", "blob:")) else errors.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_function(IS_DRAWN, timeout=60_000)
    page.evaluate("globalThis.first = { ...state, shown: [...state.shown] }")
    yield page, errors
    page.context.close()


@pytest.fixture
def page(shared_page):
    """The page as it was opened; the test fails where the browser complains."""
    page, errors = shared_page
    page.evaluate("""async () => {
      Object.assign(state, first, { shown: new Set(first.shown) });
      for (const box of document.querySelectorAll("[data-layer]")) box.checked = state.shown.has(box.dataset.layer);
      await setView("space");
    }""")
    settle(page)
    yield page
    assert errors == []


def pixels(page, view="#views"):
    return imread(io.BytesIO(page.locator(view).screenshot()))[..., :3]


def settle(page):
    page.wait_for_function(IS_DRAWN)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def colors(picture):
    return len(np.unique((255 * picture).astype(np.uint8).reshape(-1, 3), axis=0))


def test_every_switch_changes_what_is_seen_in_both_views(page):
    page.click("[data-view=both]")
    page.click("[data-camera=whole]")
    settle(page)
    space, plane = pixels(page, "#space"), pixels(page, "#plane")
    assert colors(space) > 50
    assert colors(plane) > 50
    switches = page.locator("[data-layer]").evaluate_all("(boxes) => boxes.map((box) => box.dataset.layer)")
    assert {"TRACK", "GSF", "ECAL", "HCAL", "HFEM", "HFHAD", "truth", "pf", "model_0", "model_1", "genjet", "link_0", "link_2", "detector"} <= set(switches)
    for name in reversed(switches):  # links before the elements that they lead to
        before = [page.evaluate("(view) => plot(view).data.length", view) for view in ("space", "plane")]
        was_on = page.is_checked(f"[data-layer={name}]")
        page.click(f"[data-layer={name}]")
        settle(page)
        changed = pixels(page, "#space"), pixels(page, "#plane")
        after = [page.evaluate("(view) => plot(view).data.length", view) for view in ("space", "plane")]
        assert (changed[0] != space).any(), name
        assert name == "detector" or (changed[1] != plane).any(), name
        assert (after[0] < before[0]) == was_on, name
        space, plane = changed


def test_pointing_at_an_object_shows_its_values_and_a_click_its_links(page, event):
    row = int(np.argmax(np.where(np.abs(event["element_eta"]) < 1.4, event["element_pt"], 0)))  # in the barrel, in front
    pt, eta, phi = (float(event[f"element_{name}"][row]) for name in ("pt", "eta", "phi"))
    for view, script in (("space", ON_SCREEN), ("plane", ON_PLANE)):
        page.click(f"[data-view={view}]")
        settle(page)
        for name in page.evaluate("(row) => [...state.shown].filter((key) => key !== layers[objects.element.layerOf[row]].key)", row):
            page.click(f"[data-layer={name}]")  # nothing else in the way
        settle(page)
        x, y = page.evaluate(script, ["element", row])
        page.mouse.move(x - 4, y - 4)
        page.mouse.move(x, y, steps=3)
        page.wait_for_selector("#tip:not([hidden])")
        text = page.inner_text("#tip")
        assert f"element #{row}" in text
        digits = 0 if pt >= 100 else 1 if pt >= 10 else 2
        assert f"{pt:.{digits}f} GeV" in text
        assert f"{eta:.3f}, {phi:.3f} rad".replace("-", "−") in text
    assert page.evaluate("[-1, 0, 1].map(charge)") == ["−1", "0", "+1"]
    assert page.evaluate("[0, 0.0004, 0.012, -1.5, 123.4, 2e6, NaN].map((value) => number(value, 'cm'))") == [
        "0 cm", "4.00e−4 cm", "0.012 cm", "−1.50 cm", "123 cm", "2.00e+6 cm", "–",
    ]  # fmt: skip
    page.mouse.click(x, y)
    settle(page)
    chosen = page.evaluate("chosenObjects().map(({ key, row }) => [key, objects[key].columns.pt[row]])")
    expected = [["element", pt]]
    expected += [[key, float(event[f"{name}_pt"][row])] for key, name in (("truth", "target"), ("pf", "candidate")) if event[f"{name}_class"][row]]
    assert chosen[: len(expected)] == expected
    assert "Selected" in page.inner_text("#selection")
    page.keyboard.press("Escape")
    settle(page)
    assert page.is_hidden("#selection")


def test_the_slider_hides_what_is_soft(page, event):
    page.locator("#min_pt").fill("67")  # 10 GeV
    settle(page)
    threshold = page.evaluate("state.minPt")
    assert threshold == pytest.approx(10.0)
    kept = (event["element_type"] == 5) & (event["element_pt"] >= threshold)
    assert page.inner_text("[data-count=HCAL]") == f"{kept.sum()} of {(event['element_type'] == 5).sum()}"
    assert page.evaluate("plot('space').data.find((trace) => trace.name === 'HCAL clusters').x.length") == 8 * kept.sum()


def test_every_path_is_drawn_from_its_first_point_on_and_dashes_leave_gaps(page):
    lines = """(kind) => Object.keys(objects).flatMap((key) => Array.from({ length: objects[key].size }, (_, row) => {
      const { path, pathOffsets } = objects[key], stroke = new Stroke(), add = { addPath, addDashes }[kind];
      const length = (points) => points.slice(1).reduce((sum, point, i) => sum + (Math.hypot(...point.map((value, axis) => value - points[i][axis])) || 0), 0);
      const whole = Array.from({ length: pathOffsets[row + 1] - pathOffsets[row] }, (_, i) => [...path.slice(3 * (pathOffsets[row] + i)).slice(0, 3)]);
      add(stroke, key, row);
      const drawn = stroke.x.map((x, i) => [stroke.y[i], stroke.z[i], x]);
      return drawn.length ? [length([drawn[0], whole[0]]), length(drawn) / length(whole)] : null;
    })).filter((found) => found)"""
    for kind, share in (("addPath", 1.0), ("addDashes", 0.6)):
        starts, shares = np.array(page.evaluate(lines, kind)).T
        assert len(starts) > 100
        assert starts == pytest.approx(0.0)
        assert shares == pytest.approx(share, abs=1e-3)
    dashes = page.evaluate("[...new Set(plot('space').data.map((trace) => trace.line?.dash).filter((dash) => dash))]")
    assert dashes == []  # plotly's own, which hide whole paths


def test_what_is_at_the_edge_of_phi_is_seen_on_both_sides(page):
    page.click("[data-view=plane]")
    settle(page)
    y = page.evaluate("turns(Math.PI - 0.1).concat(turns(-Math.PI + 0.1), turns(1))")
    assert y == pytest.approx([0, -2 * np.pi, 0, 2 * np.pi, 0])
    segment = page.evaluate("(() => { const x = [], y = []; planeSegment(x, y, 0, Math.PI - 0.1, 1, -Math.PI + 0.1); return y.filter(Number.isFinite); })()")
    assert sorted(segment) == pytest.approx([-np.pi - 0.1, -np.pi + 0.1, np.pi - 0.1, np.pi + 0.1])  # 0.2 long, twice
    drawn = page.evaluate("plot('plane').data.filter((trace) => trace.mode === 'markers').flatMap((trace) => [...trace.y])")
    assert max(drawn) > np.pi
    assert min(drawn) < -np.pi


def test_the_theme_can_be_switched(page):
    light = pixels(page, "#space")
    page.click("#theme")
    settle(page)
    dark = pixels(page, "#space")
    assert ((light[5, 5] > 0.5).all(), (dark[5, 5] < 0.5).all()) == (True, True)
    page.emulate_media(color_scheme="dark")
    page.emulate_media(color_scheme="light")
    settle(page)
    assert page.evaluate("state.theme") == "dark"  # the reader's own choice stays


@pytest.mark.parametrize("format_", ["png", "svg"])
def test_the_picture_is_saved(page, format_):
    with page.expect_download() as download:
        page.click(f"[data-format={format_}]")
    content = Path(download.value.path()).read_bytes()
    assert download.value.suggested_filename == f"event_1_1_7_3d.{format_}"
    assert content.startswith(b"\x89PNG") if format_ == "png" else b"tracks" in content


def test_cameras_move_the_picture(page):
    seen = [pixels(page, "#space")]
    for name in ("beam", "side", "whole"):
        page.click(f"[data-camera={name}]")
        settle(page)
        seen.append(pixels(page, "#space"))
        assert (seen[-1] != seen[-2]).any()
    frame = page.locator("#space").bounding_box()
    x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 30, steps=4)
    page.mouse.up()
    settle(page)
    assert page.evaluate("state.camera") is None
    assert (pixels(page, "#space") != seen[-1]).any()
    eye = "Object.values(plot('space')._fullLayout.scene._scene.getCamera().eye)"
    turned = page.evaluate(eye)
    while (still := page.evaluate(eye)) != pytest.approx(turned, abs=1e-3):  # a turn comes to rest slowly
        turned = still
        settle(page)
    for _ in range(2):  # off and on again
        page.click("[data-layer=TRACK]")
        settle(page)
    assert page.evaluate(eye) == pytest.approx(turned, abs=0.1)


def test_a_page_follows_the_systems_theme_and_may_show_nothing(open_page, tmp_path):
    nothing = Events({"event": [1], "run": [1], "lumi": [1]}, {}, 1, layout=schema.DATASET)
    write_page(make_display(nothing, {}), tmp_path / "a.html", "a")
    page, errors = open_page(tmp_path / "a.html", viewport=WINDOW, color_scheme="dark")
    page.wait_for_function(IS_DRAWN, timeout=60_000)
    assert (pixels(page, "#space")[5, 5] < 0.5).all()
    page.emulate_media(color_scheme="light")
    settle(page)
    assert (pixels(page, "#space")[5, 5] > 0.5).all()
    assert "0 elements" in page.inner_text("#facts")
    assert errors == []
