"""A client in a real browser: data, model, quote, a job followed live to its end, its result, and the downloads."""

import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.sandbox.running import Sandbox

pytestmark = pytest.mark.processes


def make_ready(sandbox: Sandbox, client: str, worker: str) -> None:
    worker_says = {"worker_id": worker, "gpu_type": "RTX 4090", "compute_capacity": 82.6, "stake_amount": 150}
    sandbox.call("POST", "/worker/register", worker_says)
    sandbox.call("POST", "/client/register", {"client_address": client, "initial_balance": 500})


def flats(folder: Path) -> Path:
    rng = np.random.default_rng(5)
    area, rooms = rng.uniform(30, 140, 80), rng.integers(1, 6, 80)
    price = 2000 * area + 9000 * rooms + rng.normal(0, 4000, 80)
    rows = [f"Bonn,{a:.1f},{r},{p:.0f}" for a, r, p in zip(area, rooms, price, strict=True)]
    path = folder / "flats.csv"
    path.write_text("\n".join(["city,area,rooms,price", *rows]))
    return path


def test_from_a_file_to_a_picture(open_page: Callable[..., Page], sandbox: Sandbox, tmp_path: Path) -> None:
    make_ready(sandbox, "flat_lab", "flat_gpu")
    page = open_page("/dashboard/jobs/new/")
    page.get_by_label("A table", exact=True).set_input_files(flats(tmp_path))
    page.get_by_role("button", name="Upload and look").click()

    expect(page.get_by_role("heading", name="flats.csv")).to_be_visible()
    expect(page.get_by_role("checkbox", name="city")).not_to_be_checked()
    expect(page.get_by_label("What a regression predicts")).to_have_value("3")
    page.get_by_role("button", name="Choose a model").click()

    page.get_by_role("radio", name="Ridge regression").check()
    page.get_by_label("alpha").fill("0.1")
    page.get_by_label("Client address").fill("flat_lab")
    page.get_by_role("button", name="Get a quote").click()

    expect(page.get_by_role("link", name="flat_gpu")).to_be_visible()
    page.get_by_label("Tokens for a right answer").fill("12.5")
    sandbox.call("POST", "/network/coordination/stop")
    page.get_by_role("button", name="Submit and hold the reward").click()

    expect(page.locator("#job .headline")).to_contain_text("pending")
    expect(page.get_by_text("Auto-coordination is off, so it waits for a trigger.")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("Live")
    sandbox.call("POST", "/network/coordination/start")
    expect(page.locator("#job .headline")).to_contain_text("verified")
    page.get_by_role("link", name="See the result").click()

    expect(page.get_by_role("img", name="Predicted against actual")).to_be_visible()
    expect(page.get_by_role("img", name="Residuals")).to_be_visible()
    expect(page.get_by_role("heading", name="Why you can rely on it")).to_be_visible()
    kept = {}
    for name in ("NPZ", "CSV: row by row", "CSV: coefficients", "SVG"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).first.click()
        kept[name] = Path(download.value.path()).read_bytes()
    assert len(np.load(io.BytesIO(kept["NPZ"]))["coefficients"]) == 2
    assert kept["CSV: row by row"].count(b"\r\n") == 81 and kept["CSV: coefficients"].startswith(b"column,")
    assert kept["SVG"].startswith(b"<?xml") and b"Predicted against actual" in kept["SVG"]


def test_a_large_file_goes_up_in_parts_and_on_after_a_cut(browser: Browser, sandbox: Sandbox, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    large = tmp_path / "large.csv"
    large.write_text("a,b,c\n" + "".join(f"{a:.6f},{b:.6f},{c:.6f}\n" for a, b, c in rng.normal(size=(10_000, 3))))
    parts = -(-large.stat().st_size // 50_000)
    put: list[int] = []

    def number(route: Route) -> int:
        return int(route.request.url.rsplit("/", 1)[1])

    def lose(route: Route) -> None:
        """The line breaks once at the second part, and for good at the fourth."""
        put.append(number(route))
        if put == [0, 1] or number(route) == 3:
            route.abort("connectionreset")
        else:
            route.continue_()

    context = browser.new_context(base_url=sandbox.address)
    page = context.new_page()
    page.route("**/uploads/*/parts/*", lose)
    page.goto("/dashboard/jobs/new/")
    page.get_by_label("A table", exact=True).set_input_files(large)
    page.get_by_role("button", name="Upload and look").click()
    expect(page.get_by_label("Sending")).to_have_attribute("value", str(3 / parts))
    assert put[:5] == [0, 1, 1, 2, 3]

    page.unroute("**/uploads/*/parts/*")
    put.clear()
    page.route("**/uploads/*/parts/*", lambda route: (put.append(number(route)), route.continue_()))
    page.goto("/dashboard/jobs/new/?reward=7")
    page.get_by_label("A table", exact=True).set_input_files(large)
    page.get_by_role("button", name="Upload and look").click()
    expect(page.get_by_role("heading", name="large.csv")).to_be_visible()
    assert put == list(range(3, parts))
    assert f"dataset={hashlib.sha256(large.read_bytes()).hexdigest()}" in page.url and "reward=7" in page.url

    page.goto("/dashboard/jobs/new/")
    page.get_by_label("A table", exact=True).set_input_files(large.rename(tmp_path / "large.txt"))
    page.get_by_role("button", name="Upload and look").click()
    expect(page.get_by_role("alert")).to_contain_text("The file's name must end in one of .csv")
    expect(page.get_by_role("button", name="Upload and look")).to_be_enabled()
    context.close()


def test_a_file_that_another_tab_sends_too_arrives_and_one_that_changes_does_not(
    browser: Browser, sandbox: Sandbox, tmp_path: Path
) -> None:
    large, put = tmp_path / "twice.csv", list[str]()
    large.write_text("a,b\n" + "".join(f"{i},{i * i}\n" for i in range(20_000)))
    context = browser.new_context(base_url=sandbox.address)
    page = context.new_page()
    page.goto("/dashboard/jobs/new/")

    def by_another_tab(route: Route) -> None:
        """The second part comes when the other tab has sent them all."""
        put.append(route.request.url)
        path, _, number = route.request.url.removeprefix(sandbox.address).rpartition("/")
        if number == "1":
            content = large.read_bytes()
            for start in range(50_000, len(content), 50_000):
                body, address = content[start : start + 50_000], f"{sandbox.address}{path}/{start // 50_000}"
                headers = {"Content-Type": "application/octet-stream"}
                urlopen(Request(address, body, headers, method="PUT"), timeout=10).close()
            sandbox.call("POST", f"{path.removesuffix('/parts')}/finish")
        route.continue_()

    def send() -> None:
        page.get_by_label("A table", exact=True).set_input_files(large)
        page.get_by_role("button", name="Upload and look").click()

    page.route("**/uploads/*/parts/*", by_another_tab)
    send()
    expect(page.get_by_role("heading", name="twice.csv")).to_be_visible()
    assert len(put) == 2

    def changes(route: Route) -> None:
        large.write_text("a,b\n")
        route.continue_()

    large.write_text(large.read_text() + "7,8\n")
    page.unroute("**/uploads/*/parts/*")
    page.route("**/uploads/*/parts/*", changes)
    page.goto("/dashboard/jobs/new/")
    send()
    expect(page.get_by_role("alert")).to_contain_text("it may have changed")

    page.unroute("**/uploads/*/parts/*")
    page.route("**/uploads", lambda route: route.fulfill(status=401, json={"error": "Send a key."}))  # no log-in here
    large.write_text("a,b\n" + "1,2\n" * 60_000)
    send()
    expect(page.get_by_role("alert")).to_contain_text("You are no longer logged in")
    context.close()


def test_the_three_steps_work_without_javascript(open_page: Callable[..., Page], sandbox: Sandbox) -> None:
    make_ready(sandbox, "plain_lab", "plain_gpu")
    page = open_page("/dashboard/jobs/new/", java_script_enabled=False)
    expect(page.get_by_text("Without JavaScript a file goes up in one piece")).to_contain_text("computenet submit FILE")
    page.get_by_label("Rows as CSV").fill("1\t2\n2\t4\n9\t8\n8\t9\n")
    page.get_by_role("button", name="Take it and look").click()
    page.get_by_role("button", name="Choose a model").click()
    page.get_by_role("radio", name="K-means clustering").check()
    page.get_by_label("k", exact=True).fill("2")
    page.get_by_label("Client address").fill("plain_lab")
    page.get_by_role("button", name="Get a quote").click()
    page.get_by_role("button", name="Submit and hold the reward").click()
    expect(page.get_by_text("The job is submitted and its reward is held.")).to_be_visible()


def test_ticks_survive_a_swap_and_ticked_jobs_are_cancelled(open_page: Callable[..., Page], sandbox: Sandbox) -> None:
    sandbox.call("POST", "/network/coordination/stop")
    make_ready(sandbox, "tick_lab", "tick_gpu")
    asked = {"client_address": "tick_lab", "model_type": "pca_analysis", "reward": 5}
    first = sandbox.call("POST", "/job/submit", asked)["job_id"]
    page = open_page("/dashboard/jobs/?client=tick_lab")
    expect(page.locator("#connection")).to_have_text("Live")
    page.locator(f"#tick-{first}").check()
    second = sandbox.call("POST", "/job/submit", asked)["job_id"]
    expect(page.locator(f"#tick-{second}")).to_be_visible()
    expect(page.locator(f"#tick-{first}")).to_be_checked()
    expect(page.locator(f"#tick-{second}")).not_to_be_checked()
    page.get_by_role("button", name="Cancel the ticked jobs").click()
    expect(page.get_by_text("1 job is cancelled.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/dashboard/jobs/\?client=tick_lab$"))
    expect(page.locator(f'[data-job="{first}"] [data-state="cancelled"]')).to_be_visible()
    expect(page.locator(f'[data-job="{second}"] [data-state="pending"]')).to_be_visible()
    sandbox.call("POST", "/network/coordination/start")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_these_pages_do_not_scroll_sideways_on_a_phone(
    open_page: Callable[..., Page], sandbox: Sandbox, scheme: str
) -> None:
    name = f"a-rather-long-name-of-a-worker-in-a-basement.{scheme}.lab.edu"
    make_ready(sandbox, f"phone_{scheme}", name)
    asked = {"client_address": f"phone_{scheme}", "model_type": "logistic_regression", "reward": 5}
    job = sandbox.call("POST", "/job/submit", asked)["job_id"]
    page = open_page(f"/dashboard/jobs/{job}/", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    expect(page.locator("#job .headline")).to_contain_text("verified")
    sample = f"?dataset=sample&client_address=phone_{scheme}&model_type=kmeans_clustering"
    for path in (
        f"/dashboard/jobs/{job}/result/", "/dashboard/jobs/", "/dashboard/market/", "/dashboard/jobs/new/",
        f"/dashboard/jobs/new/model/{sample}", f"/dashboard/jobs/new/quote/{sample}", f"/dashboard/workers/{name}/",
    ):  # fmt: skip
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
