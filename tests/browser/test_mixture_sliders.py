"""The mixture sliders: whole units and messages in Python, behaviour in Chromium."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Locator, Page, expect
from streamlit.testing.v1 import AppTest

from causalmix_core.errors import CausalMixError
from pages.widgets.mixture_sliders import (
    UNIT,
    SliderRow,
    _Payload,
    _read,
    from_units,
    mixture_sliders,
    to_units,
)

APP = Path(__file__).parent / "apps" / "sliders_app.py"
SIX = {"web": 3200, "code": 2000, "math": 1500, "books": 1500, "wiki": 1000, "arxiv": 800}


# ---- whole units


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20).filter(lambda v: sum(v) > 1e-3))
def test_units_sum_exactly_and_stay_within_one_unit(sizes):
    weights = {f"d{i}": size / sum(sizes) for i, size in enumerate(sizes)}
    units = to_units(weights)
    assert sum(units.values()) == UNIT
    assert list(units) == list(weights)
    assert all(abs(units[d] - weights[d] * UNIT) < 1 + 1e-6 for d in weights)


@given(st.lists(st.integers(0, UNIT), max_size=16))
def test_units_survive_the_way_to_a_mixture_and_back(cuts):
    edges = [0, *sorted(cuts), UNIT]
    units = {f"d{i}": b - a for i, (a, b) in enumerate(itertools.pairwise(edges))}
    assert to_units(from_units(units)) == units


def test_equal_thirds_give_the_odd_unit_to_the_first():
    assert to_units({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}) == {"a": 3334, "b": 3333, "c": 3333}


@pytest.mark.parametrize("units", [{"a": 9_999}, {"a": -1, "b": 10_001}, {}])
def test_units_that_are_no_mixture_are_refused(units):
    with pytest.raises(CausalMixError, match="must sum to 10000"):
        from_units(units)


def test_rows_that_are_no_mixture_are_refused():
    with pytest.raises(CausalMixError, match="web more than once"):
        mixture_sliders([SliderRow("web", 5000, 5000)] * 2, key="x", revision=0)
    with pytest.raises(CausalMixError, match="reference weights"):
        mixture_sliders([SliderRow("web", 10_000, 9_000)], key="x", revision=0)


# ---- messages from the browser

GOOD = {"revision": 1, "units": {"web": 6000, "code": 4000}, "locked": ["web"]}


def test_a_good_message_is_read_and_fits_its_domains():
    payload = _read({"value": GOOD})
    assert isinstance(payload, _Payload)
    assert payload.fits(["code", "web"])
    assert not payload.fits(["web", "code", "math"])


@pytest.mark.parametrize(
    "change",
    [
        {"units": {"web": 6000, "code": 4001}},
        {"units": {"web": 6000, "math": 4000}},
        {"locked": ["math"]},
    ],
)
def test_a_message_about_something_else_does_not_fit(change):
    payload = _read({"value": {**GOOD, **change}})
    assert payload is not None
    assert not payload.fits(["web", "code"])


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"value": None},
        {"value": [1, 2]},
        {"value": {**GOOD, "extra": 1}},
        {"value": {**GOOD, "units": {"web": 10_001, "code": -1}}},
        {"value": {**GOOD, "units": {"web": 6000.5, "code": 3999.5}}},
        {"value": {**GOOD, "units": {"web": "6000", "code": "4000"}}},
        {"value": {"units": GOOD["units"]}},
    ],
)
def test_a_malformed_message_is_ignored(state):
    assert _read(state) is None


def test_python_keeps_the_last_good_value_and_shows_it_again():
    app = AppTest.from_file(str(APP))
    good = {"web": 10_000, **dict.fromkeys(list(SIX)[1:], 0)}
    app.session_state["sliders/released"] = _Payload(revision=0, units=good, locked=["web"])
    app.run()
    assert not app.exception
    assert '"web": 10000' in app.text[0].value
    rows = json.loads(app.get("bidi_component")[0].proto.json)["rows"]
    assert [row["units"] for row in rows] == [10_000, 0, 0, 0, 0, 0]
    assert [row["locked"] for row in rows] == [True, False, False, False, False, False]
    app.button[0].click().run()  # "Apply effects": a new revision, so what was released no longer counts
    assert app.text[0].value.endswith("heard=null")


# ---- in the browser


class Panel:
    """The sliders on a page, read as a user reads them."""

    def __init__(self, page: Page, url: str, world: str = "six") -> None:
        self.page = page
        page.goto(f"{url}/?world={world}")
        expect(page.get_by_role("slider").first).to_be_visible(timeout=30_000)
        expect(page.get_by_text("runs=1 ")).to_be_visible()

    def slider(self, domain: str) -> Locator:
        return self.page.get_by_role("slider", name=f"Weight of {domain}", exact=True)

    def number(self, domain: str) -> Locator:
        return self.page.get_by_role("textbox", name=f"{domain} percent", exact=True)

    def lock(self, domain: str) -> Locator:
        return self.page.get_by_role("button", name=f"Lock {domain}", exact=True)

    def row(self, domain: str) -> Locator:
        return self.page.locator(".row").filter(has=self.slider(domain))

    def units(self) -> dict[str, int]:
        """Weights shown in the number fields, in units."""
        shown = {}
        for field in self.page.locator(".number").all():
            name = (field.get_attribute("aria-label") or "").removesuffix(" percent")
            shown[name] = round(float(field.input_value()) * 100)
        return shown

    def runs(self) -> int:
        text = self.page.get_by_text(re.compile(r"^runs=\d")).inner_text()
        return int(re.findall(r"runs=(\d+)", text)[0])

    def hears(self, units: dict[str, int], locked: tuple[str, ...] = ()) -> None:
        """Python has received exactly these values."""
        words = json.dumps({"units": units, "locked": sorted(locked)})
        expect(self.page.get_by_text(f"heard={words}")).to_be_visible()

    def settle(self) -> None:
        """A rerun that we asked for has come back, so any rerun asked for before it has come back too."""
        before = self.runs()
        self.page.get_by_role("button", name="Plain rerun").click()
        expect(self.page.get_by_text(f"runs={before + 1} ")).to_be_visible()

    def grab(self, domain: str) -> None:
        box = self.slider(domain).bounding_box()
        assert box is not None
        self.left, self.width, self.middle = box["x"] + 8, box["width"] - 16, box["y"] + box["height"] / 2
        share = int(self.slider(domain).input_value()) / UNIT
        self.page.mouse.move(self.left + self.width * share, self.middle)
        self.page.mouse.down()

    def drag_to(self, share: float) -> None:
        self.page.mouse.move(self.left + self.width * share, self.middle, steps=6)


@pytest.fixture(scope="module")
def url(serve: Callable[..., str]) -> str:
    return serve(APP)


@pytest.mark.browser
def test_a_drag_moves_the_others_live_and_sums_exactly(page, url):
    panel = Panel(page, url)
    assert panel.units() == SIX
    panel.grab("web")
    for share in (0.5, 0.77, 0.93, 0.1):
        panel.drag_to(share)
        units = panel.units()
        assert sum(units.values()) == UNIT
        assert abs(units["web"] / UNIT - share) < 0.02
        for d in ("code", "math", "books", "wiki", "arxiv"):
            assert abs(units[d] - (UNIT - units["web"]) * SIX[d] / 6800) < 1
    assert panel.runs() == 1
    expect(page.locator(".sum")).to_have_text("100.00 %")
    page.mouse.up()


@pytest.mark.browser
def test_going_to_everything_and_back_in_one_drag_restores_the_others(page, url):
    panel = Panel(page, url)
    panel.grab("web")
    panel.drag_to(1.2)
    assert panel.units() == {"web": UNIT, **dict.fromkeys(list(SIX)[1:], 0)}
    panel.drag_to(0.32)
    units = panel.units()
    for d in ("code", "math", "books", "wiki", "arxiv"):
        assert abs(units[d] - (UNIT - units["web"]) * SIX[d] / 6800) < 1
    page.mouse.up()


@pytest.mark.browser
def test_others_that_are_all_zero_come_back_in_the_reference_proportions(page, url):
    panel = Panel(page, url)
    panel.number("web").fill("100")
    panel.number("web").press("Enter")
    panel.number("web").fill("32")
    panel.number("web").press("Enter")
    panel.hears(SIX)


@pytest.mark.browser
def test_release_gives_one_rerun_with_the_exact_values(page, url):
    panel = Panel(page, url)
    panel.grab("code")
    panel.drag_to(0.6)
    panel.drag_to(0.45)
    page.mouse.up()
    panel.hears(panel.units())
    assert panel.runs() == 2
    panel.settle()
    assert panel.runs() == 3  # the one that settle() asked for


@pytest.mark.browser
def test_a_rerun_during_a_drag_does_not_jump_back(page, url):
    panel = Panel(page, url)
    panel.number("math").fill("20")
    panel.number("math").press("Enter")  # this rerun is answered while the drag goes on
    panel.grab("web")
    panel.drag_to(0.7)
    held = panel.units()
    expect(page.get_by_text("runs=2 ")).to_be_visible()
    assert panel.units() == held
    page.mouse.up()
    panel.hears(held)


@pytest.mark.browser
def test_locked_domains_hold(page, url):
    panel = Panel(page, url)
    panel.lock("books").click()
    expect(panel.lock("books")).to_have_attribute("aria-pressed", "true")
    expect(panel.slider("books")).to_be_disabled()
    panel.hears(SIX, ("books",))
    panel.grab("web")
    panel.drag_to(1.0)
    page.mouse.up()
    after = {**dict.fromkeys(SIX, 0), "web": 8500, "books": 1500}
    panel.hears(after, ("books",))
    expect(page.get_by_role("status").filter(has_text="web stops at 85.00 %")).to_be_visible()

    for other in ("code", "math", "wiki", "arxiv"):
        panel.lock(other).click()
    panel.slider("web").press("ArrowLeft")
    expect(page.get_by_text("web cannot move: every other domain is locked.")).to_be_visible()
    panel.lock("books").click()
    panel.slider("web").press("ArrowLeft")
    panel.hears({**after, "web": 8490, "books": 1510}, ("code", "math", "wiki", "arxiv"))


@pytest.mark.browser
def test_a_typed_percentage_counts_with_comma_or_dot(page, url):
    panel = Panel(page, url)
    for typed, shown in [("45.67", "45.67"), ("12,5", "12.50"), (" 33.334 % ", "33.33"), (".5", "0.50")]:
        panel.number("web").fill(typed)
        panel.number("web").press("Enter")
        expect(panel.number("web")).to_have_value(shown)
        units = panel.units()
        assert units["web"] == round(float(shown) * 100)
        assert sum(units.values()) == UNIT
        panel.hears(units)


@pytest.mark.browser
def test_junk_restores_the_weight_and_says_so(page, url):
    panel = Panel(page, url)
    for junk in ["abc", "101", "-3", "1.2.3", "", "1e2"]:
        panel.number("code").fill(junk)
        panel.number("code").press("Enter")
        expect(panel.number("code")).to_have_value("20.00")
        message = f"“{junk}” is not a percentage from 0 to 100; code stays at 20.00 %."
        expect(page.get_by_text(message)).to_be_visible()
    assert panel.units() == SIX
    panel.settle()
    assert panel.runs() == 2  # junk asked for no rerun


@pytest.mark.browser
def test_escape_and_shortcut_letters_stay_in_the_number_field(page, url):
    panel = Panel(page, url)
    panel.number("web").press("r")
    panel.number("web").press("c")
    panel.number("web").press("Escape")
    expect(panel.number("web")).to_have_value("32.00")
    expect(page.get_by_role("dialog")).to_have_count(0)
    panel.settle()
    assert panel.runs() == 2


@pytest.mark.browser
def test_a_half_typed_number_survives_a_rerun(page, url):
    panel = Panel(page, url)
    panel.grab("math")
    panel.drag_to(0.3)
    page.mouse.up()
    panel.number("web").fill("4")
    expect(page.get_by_text("runs=2 ")).to_be_visible()
    expect(panel.number("web")).to_have_value("4")


@pytest.mark.browser
def test_keyboard(page, url):
    panel = Panel(page, url)
    slider = panel.slider("web")
    slider.focus()
    for key, value in [
        ("ArrowRight", "3210"),
        ("ArrowUp", "3220"),
        ("ArrowLeft", "3210"),
        ("Shift+ArrowRight", "3310"),
        ("PageUp", "3410"),
        ("PageDown", "3310"),
        ("Shift+ArrowDown", "3210"),
        ("ArrowDown", "3200"),
        ("End", "10000"),
        ("Home", "0"),
        ("ArrowRight", "10"),
    ]:
        slider.press(key)
        expect(slider).to_have_value(value)
        assert sum(panel.units().values()) == UNIT
    expect(slider).to_have_attribute("aria-valuetext", "0.10 %")
    panel.hears(panel.units())


@pytest.mark.browser
def test_a_held_key_is_one_rerun(page, url):
    panel = Panel(page, url)
    panel.slider("web").focus()
    for _ in range(12):
        page.keyboard.down("ArrowRight")
    expect(panel.slider("web")).to_have_value("3320")
    assert panel.runs() == 1
    page.keyboard.up("ArrowRight")
    panel.hears(panel.units())
    assert panel.runs() == 2


@pytest.mark.browser
def test_changed_rows_show_their_delta_and_go_back_to_the_reference(page, url):
    panel = Panel(page, url)
    back = page.get_by_role("button", name="Back to the reference")
    expect(back).to_be_disabled()
    panel.number("web").fill("35.2")
    panel.number("web").press("Enter")
    expect(panel.row("web")).to_contain_text("+3.20 pp")
    expect(panel.row("code")).to_contain_text("−0.94 pp")
    panel.hears(panel.units())
    back.click()
    panel.hears(SIX)
    expect(panel.row("web")).not_to_contain_text("pp")
    expect(back).to_be_disabled()

    panel.number("web").fill("42")
    panel.number("web").press("Enter")
    panel.lock("web").click()
    back.click()
    expect(page.get_by_text("Locked domains kept their weight")).to_be_visible()
    units = panel.units()
    assert units["web"] == 4200
    panel.hears(units, ("web",))


@pytest.mark.browser
def test_effects_are_told_apart_without_colour(page, url):
    panel = Panel(page, url)
    expect(panel.row("web").locator(".effect")).to_have_text("better−0.012−0.015 to −0.009")
    expect(panel.row("code").locator(".effect")).to_have_text("worse+0.004+0.001 to +0.007")
    expect(panel.row("math").locator(".effect")).to_have_text("unclear−0.001−0.006 to +0.004")
    colours = {
        panel.row(d).locator(".headline").evaluate("e => getComputedStyle(e).color")
        for d in ("web", "code", "math")
    }
    assert len(colours) == 3


@pytest.mark.browser
def test_a_new_revision_takes_over_and_a_plain_rerun_does_not(page, url):
    panel = Panel(page, url)
    panel.number("web").fill("50")
    panel.number("web").press("Enter")
    mine = panel.units()
    panel.hears(mine)
    panel.settle()
    assert panel.units() == mine
    page.get_by_role("button", name="Apply effects").click()
    expect(panel.number("web")).to_have_value("25.00")
    assert panel.units() == {**SIX, "web": 2500, "code": 2700}
    expect(page.get_by_text("revision=1 heard=null")).to_be_visible()
    panel.slider("web").press("ArrowRight")
    panel.hears(panel.units())


@pytest.mark.browser
def test_values_survive_leaving_the_page_and_coming_back(page, url):
    panel = Panel(page, url)
    panel.number("web").fill("50")
    panel.number("web").press("Enter")
    panel.lock("code").click()
    mine = panel.units()
    panel.hears(mine, ("code",))
    shown = page.get_by_text("Show the sliders")
    shown.click()
    expect(page.get_by_text("heard=null")).to_be_visible()
    expect(panel.slider("web")).to_have_count(0)
    shown.click()
    expect(panel.number("web")).to_have_value("50.00")
    assert panel.units() == mine
    panel.hears(mine, ("code",))
    expect(panel.slider("code")).to_be_disabled()


@pytest.mark.browser
def test_a_theme_change_keeps_the_values(page, url):
    page.emulate_media(color_scheme="light")
    panel = Panel(page, url)
    panel.number("web").fill("50")
    panel.number("web").press("Enter")
    mine = panel.units()
    panel.hears(mine)
    light = "rgb(23, 35, 43)"
    expect(page.locator(".sliders")).to_have_css("color", light)
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".sliders")).not_to_have_css("color", light)
    assert panel.units() == mine
    panel.slider("web").press("PageUp")
    expect(panel.number("web")).to_have_value("51.00")
    panel.hears(panel.units())


@pytest.mark.browser
def test_domain_names_are_text_and_nothing_else(page, url):
    panel = Panel(page, url, "hostile")
    name = '<b>x</b>&"'
    expect(page.locator(".domain").first).to_have_text(name)
    expect(page.locator(".sliders b")).to_have_count(0)
    panel.number(name).fill("50")
    panel.number(name).press("Enter")
    expect(panel.number("__proto__")).to_have_value("37.50")
    panel.hears({name: 5000, "__proto__": 3750, "12": 1250})


@pytest.mark.browser
def test_nothing_overflows_at_any_width(page, url):
    Panel(page, url, "pile")
    overflow = """root => [...root.querySelectorAll('.domain, .delta, .effect, .entry, .foot')]
        .filter(e => e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right > innerWidth)
        .map(e => e.textContent)"""
    for width in (420, 480, 640, 700, 760, 800, 1000, 1200):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.locator(".sliders").evaluate(overflow) == [], width


def test_what_is_allowed_is_shaded_and_said_and_the_scale_fits(page, url):
    panel = Panel(page, url, "six&bounded=1")
    row, slider = panel.row("web"), panel.slider("web")
    expect(page.locator(".scale")).to_have_text(", 0 to 40 %")
    expect(slider).to_have_attribute("aria-description", re.compile("Not above: web at most 35%"))
    expect(row.locator(".hint")).to_be_hidden()
    slider.focus()
    expect(row.locator(".hint")).to_have_text("Allowed: 5.00 to 35.00 %. Not above: web at most 35%.")
    expect(row.locator(".small").first).to_have_text("1.3 epochs")
    track, band = (row.locator(c).bounding_box() for c in (".range", ".allowed"))
    assert track is not None
    assert band is not None
    assert band["width"] / track["width"] == pytest.approx((3500 - 500) / 4000, abs=0.06)
    number = panel.number("web")
    number.fill("55")
    number.press("Enter")
    expect(page.locator(".scale")).to_have_text(", 0 to 60 %")
    expect(row).to_have_class(re.compile(r"\boutside\b"))
    expect(row.locator(".small").first).to_have_text("2.2 epochs")
