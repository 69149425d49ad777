"""Pictures of every page for the docs, out of a real sandbox: light and dark, wide and narrow, into docs/images/.

python -m tests.browser.pictures        (make pictures)
"""

import base64
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from computenet.sandbox.embedded_redis import free_port
from tests.browser.conftest import NAMES
from tests.sandbox.running import ROOT, Sandbox, running, wait_until

FOLDER = ROOT / "docs" / "images"
SIZES = {"wide": (1280, 900, 1500), "narrow": (390, 844, 1100)}  # width, height, and the most height of a picture
QUALITY = {"wide": 62, "narrow": 60}
MODELS = ("linear_regression", "kmeans_clustering", "pca_analysis", "ridge_regression", "logistic_regression")


def fill(sandbox: Sandbox) -> dict[str, str]:
    """A small network with something on every page; its addresses by the pictures' names."""

    def post(path: str, **body: Any) -> Any:
        return sandbox.call("POST", path, body)

    for name, gpu, tflops, stake in (
        ("attic_4090", "RTX 4090", 82.6, 150), ("lab_h100", "H100", 67, 400), ("basement_3090", "RTX 3090", 35.6, 120),
    ):  # fmt: skip
        post("/worker/register", worker_id=name, gpu_type=gpu, compute_capacity=tflops, stake_amount=stake)
    for name, balance in (("ada", 1000), ("grace", 750), ("emmy", 8)):
        post("/client/register", client_address=name, initial_balance=balance)
    jobs: dict[str, str] = {}
    for number in range(3):
        for model in MODELS:
            client = "ada" if number % 2 else "grace"
            jobs[model] = post("/job/submit", client_address=client, model_type=model, reward=5 + 5 * number)["job_id"]
            wait_until(lambda model=model: _state(sandbox, jobs[model]) == "verified", 30)
    post("/token/transfer", **{"from": "ada", "to": "grace", "amount": 12.5})
    post("/token/approve", owner="ada", spender="grace", amount=50)
    data = {"client_address": "ada", "model_type": "kmeans_clustering", "reward": 10}
    waits = post("/job/submit", **data, requirements={"gpu_type": "B200"}).get("job_id", jobs["pca_analysis"])
    return {
        "home": "/dashboard/",
        "market": "/dashboard/market/",
        "worker": "/dashboard/workers/lab_h100/",
        "new-job": "/dashboard/jobs/new/",
        "jobs": "/dashboard/jobs/",
        "job": f"/dashboard/jobs/{jobs['linear_regression']}/",
        "job-waiting": f"/dashboard/jobs/{waits}/",
        "result-kmeans": f"/dashboard/jobs/{jobs['kmeans_clustering']}/result/",
        "result-pca": f"/dashboard/jobs/{jobs['pca_analysis']}/result/",
        "result-regression": f"/dashboard/jobs/{jobs['linear_regression']}/result/",
        "wallet": "/dashboard/wallet/?name=ada",
        "ledger": "/dashboard/ledger/",
        "machines": "/dashboard/machines/",
        "incident": "/dashboard/incident/",
        "error": "/nowhere/",
        "login": "/login/",
    }


def _state(sandbox: Sandbox, job: str) -> str:
    return sandbox.call("GET", f"/job/{job}/status")["status"]


def take(page: Page, name: str, size: str, scheme: str) -> Path:
    """One picture, as WebP: the browser writes that by itself, in a fifth of a PNG's bytes."""
    width, _, most = SIZES[size]
    height = min(page.evaluate("document.documentElement.scrollHeight"), most)
    session = page.context.new_cdp_session(page)
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    asked = {"format": "webp", "quality": QUALITY[size], "clip": clip, "captureBeyondViewport": True}
    file = FOLDER / f"{name}-{scheme}-{size}.webp"
    file.write_bytes(base64.b64decode(session.send("Page.captureScreenshot", asked)["data"]))
    session.detach()
    return file


def take_all(browser: Browser, sandbox: Sandbox) -> list[Path]:
    addresses, taken = fill(sandbox), []
    time.sleep(6)  # a cycle, and the first check of the books
    for size, (width, height, _) in SIZES.items():
        context = browser.new_context(base_url=sandbox.address, viewport={"width": width, "height": height})
        page = context.new_page()
        for logged_in in (False, True):
            if logged_in:
                page.goto("/login/")
                page.get_by_label("Username").fill("admin")
                page.get_by_label("Password").fill(sandbox.password)
                page.get_by_role("main").get_by_role("button").click()
                page.wait_for_url("**/dashboard/")
            own = {"account": "/account/", "notifications": "/account/notifications/", "admin": "/admin/"}
            for name, path in (own if logged_in else addresses).items():
                page.goto(path)
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    page.wait_for_timeout(400)
                    taken.append(take(page, name, size, scheme))
        context.close()
    return taken


def chromium() -> str | None:
    """The machine's own, or None for the one that Playwright fetched."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="computenet-pictures-") as home, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        with running(Path(home), free_port()) as sandbox:
            taken = take_all(browser, sandbox)
        browser.close()
    size = sum(file.stat().st_size for file in taken)
    print(f"{len(taken)} pictures, {size / 1e6:.1f} MB in {FOLDER.relative_to(ROOT)}/")


if __name__ == "__main__":
    main()
