"""Every page of ours in both colours, wide and narrow: no violation that axe knows, and nothing scrolls sideways."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.sandbox.running import Sandbox, wait_until

pytestmark = pytest.mark.processes
ALL = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}  # all that differs in the dark


def pages(sandbox: Sandbox) -> list[str]:
    """Addresses of pages, with something on each."""
    sandbox.call("POST", "/worker/register", {"worker_id": "axe_gpu", "gpu_type": "A100", "compute_capacity": 19.5,
                                              "stake_amount": 200})  # fmt: skip
    sandbox.call("POST", "/client/register", {"client_address": "axe", "initial_balance": 100})
    sandbox.call("POST", "/client/register", {"client_address": "poor", "initial_balance": 1})
    sandbox.call("POST", "/token/approve", {"owner": "axe", "spender": "poor", "amount": 5})
    found = ["/dashboard/wallet/?name=axe", "/nowhere/", "/login/", "/dashboard/workers/axe_gpu/"]
    found += ["/dashboard/incident/"]
    for model in ("kmeans_clustering", "pca_analysis", "linear_regression", "logistic_regression"):
        asked = {"client_address": "axe", "model_type": model, "reward": 5}
        job = sandbox.call("POST", "/job/submit", asked)["job_id"]
        wait_until(lambda job=job: sandbox.call("GET", f"/job/{job}/status")["status"] == "verified", 30)
        found += [f"/dashboard/jobs/{job}/", f"/dashboard/jobs/{job}/result/"]
    return found


def look(page: Page, path: str) -> list[str]:
    """What is wrong with the page that is open, in all four ways to look at it."""
    problems = []
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for scheme, options in (("light", ALL), ("dark", COLOURS)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = Axe().run(page, options=options)
            problems += [
                f"{path} at {width} px, {scheme}: {each['id']}: {each['nodes'][0]['html'][:200]}"
                for each in found.response["violations"]
            ]
        if page.evaluate("document.documentElement.scrollWidth") > width:
            problems.append(f"{path} at {width} px scrolls sideways")
    return problems


def test_no_page_violates_what_axe_knows_scrolls_sideways_or_asks_elsewhere(browser: Browser, sandbox: Sandbox) -> None:
    paths, problems = pages(sandbox), []
    context = browser.new_context(base_url=sandbox.address)
    page = context.new_page()
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    page.goto("/")
    links: Any = page.eval_on_selector_all("nav a", "links => links.map(link => link.getAttribute('href'))")
    paths += [path for path in links if path.startswith("/dashboard/")]
    for path in paths:
        page.goto(path)
        problems += look(page, path)
    context.close()
    problems += sorted(url for url in asked if not url.startswith((sandbox.address, "data:", "blob:")))
    assert len(paths) > 15 and not problems, "\n".join(problems)
