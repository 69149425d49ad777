"""The dashboard in a real browser: the seed's "via dashboard" steps, live pages, phones, and no JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from tests.sandbox.running import Sandbox

pytestmark = pytest.mark.processes


def unfold(page: Page, title: str) -> None:
    """Open a form that is folded, as a person does."""
    form = page.locator("details", has=page.get_by_role("heading", name=title))
    if form.get_attribute("open") is None:
        form.locator("summary").click()


def figure(page: Page, name: str):
    return page.locator(f'[data-figure="{name}"]')


def test_the_seeds_steps_via_dashboard(open_page):
    page = open_page("/")
    expect(page.locator("#connection")).to_have_text("Live")

    unfold(page, "Register a worker")
    page.get_by_label("Worker ID").fill("worker_rtx4090_01")
    page.get_by_label("GPU type").select_option("RTX 4090")
    expect(page.get_by_label("Compute capacity")).to_have_value("82.6")
    page.get_by_label("Stake").fill("150")
    page.get_by_role("button", name="Register worker").click()
    expect(page.locator("#workers")).to_contain_text("worker_rtx4090_01")

    unfold(page, "Register a client")
    page.get_by_label("Client address").locator("visible=true").fill("alice")
    page.get_by_label("Initial balance").fill("1000")
    page.get_by_role("button", name="Register client").click()
    expect(page.locator('[data-client="alice"]')).to_contain_text("1,000")

    page.get_by_role("button", name="Stop auto-coordination").click()
    expect(page.locator("#coordination")).to_contain_text("off")

    page.get_by_label("Client address").locator("visible=true").fill("alice")
    page.get_by_label("Model").select_option("linear_regression")
    page.get_by_label("Reward").fill("50")
    page.get_by_role("button", name="Submit job").click()
    expect(page.locator("#job .headline")).to_contain_text("pending")

    page.goto("/")
    expect(page.locator("#jobs [data-state]").first).to_have_text("… pending")
    page.get_by_role("button", name="Trigger cycle").click()
    expect(page.get_by_text("A cycle ran and assigned 1 job.")).to_be_visible()
    expect(page.locator("#jobs [data-state]").first).to_have_text("✓ verified")
    expect(page.locator("#jobs tbody tr").first).to_contain_text("worker_rtx4090_01")
    expect(figure(page, "completed_jobs")).to_have_text("1")
    expect(page.locator('[data-client="alice"]')).to_contain_text("950")

    page.get_by_role("button", name="Start auto-coordination").click()
    expect(page.locator("#coordination")).to_contain_text("on")


def test_what_happens_elsewhere_shows_up_without_a_reload(open_page, sandbox: Sandbox):
    page = open_page("/")
    expect(page.locator("#connection")).to_have_text("Live")
    page.evaluate("window.sameDocument = true")
    sandbox.call("POST", "/worker/register", {"worker_id": "elsewhere_gpu", "gpu_type": "A100",
                                              "compute_capacity": 19.5, "stake_amount": 200})  # fmt: skip
    sandbox.call("POST", "/client/register", {"client_address": "elsewhere", "initial_balance": 77})
    asked = {"client_address": "elsewhere", "model_type": "kmeans_clustering", "reward": 7, "params": {"k": 2}}
    job = sandbox.call("POST", "/job/submit", asked)["job_id"]
    expect(page.locator(f'[data-job="{job}"] [data-state="verified"]')).to_be_visible()
    expect(page.locator('[data-worker="elsewhere_gpu"]')).to_be_visible()
    expect(page.locator('[data-client="elsewhere"]')).to_contain_text("70")
    assert page.evaluate("window.sameDocument")


def test_a_job_page_shows_the_result_when_it_is_there(open_page, sandbox: Sandbox):
    sandbox.call("POST", "/client/register", {"client_address": "watcher", "initial_balance": 100})
    sandbox.call("POST", "/network/coordination/stop")
    asked = {"client_address": "watcher", "model_type": "pca_analysis", "reward": 5}
    job = sandbox.call("POST", "/job/submit", asked)["job_id"]
    page = open_page(f"/dashboard/jobs/{job}/")
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.get_by_role("button", name="Cancel this job")).to_be_visible()
    sandbox.call("POST", "/network/coordination/start")
    expect(page.locator("#job .headline")).to_contain_text("verified")
    expect(page.locator("#announcement")).to_have_text("The job is verified.")
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    expect(page.get_by_role("heading", name="Verdict on attempt 1")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel this job")).to_be_hidden()


def test_without_a_socket_the_page_polls_and_says_so(open_page, sandbox: Sandbox):
    page = open_page("about:blank")
    page.route_web_socket("**/live/**", lambda socket: socket.close(code=1013))
    page.goto("/")
    expect(page.locator("#connection")).to_have_text("Polling every 5 s")
    sandbox.call("POST", "/client/register", {"client_address": "polled", "initial_balance": 1})
    expect(page.locator('[data-client="polled"]')).to_be_visible()


def test_focus_survives_a_swap(open_page, sandbox: Sandbox):
    sandbox.call("POST", "/worker/register", {"worker_id": "focused", "gpu_type": "A100", "compute_capacity": 19.5,
                                              "stake_amount": 200})  # fmt: skip
    page = open_page("/")
    expect(page.locator("#connection")).to_have_text("Live")
    link = page.get_by_role("link", name="focused", exact=True)
    link.focus()
    sandbox.call("POST", "/worker/register", {"worker_id": "another", "gpu_type": "A100", "compute_capacity": 19.5,
                                              "stake_amount": 200})  # fmt: skip
    expect(page.locator('[data-worker="another"]')).to_be_visible()
    expect(link).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways_on_a_phone(open_page, sandbox: Sandbox, scheme):
    name = "a-rather-long-name-of-a-worker-that-stands-in-a-basement.lab.edu"
    sandbox.call("POST", "/worker/register", {"worker_id": name, "gpu_type": "RTX 4090", "compute_capacity": 82.6,
                                              "stake_amount": 150})  # fmt: skip
    sandbox.call("POST", "/client/register", {"client_address": "phone", "initial_balance": 100})
    asked = {"client_address": "phone", "model_type": "linear_regression", "reward": 5}
    job = sandbox.call("POST", "/job/submit", asked)["job_id"]
    page = open_page(f"/dashboard/jobs/{job}/", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    expect(page.locator("#job .headline")).to_contain_text("verified")
    for path in (f"/dashboard/jobs/{job}/", "/", f"/dashboard/workers/{name}/"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path


def test_reading_and_forms_work_without_javascript(open_page):
    page = open_page("/", java_script_enabled=False)
    expect(page.locator("#connection")).to_have_text("Reload for news")
    unfold(page, "Register a client")
    page.get_by_label("Client address").locator("visible=true").fill("no_script")
    page.get_by_role("button", name="Register client").click()
    expect(page.locator('[data-client="no_script"]')).to_contain_text("1,000")
    expect(page.get_by_role("group", name="Linear regression")).to_be_visible()
    expect(page.get_by_role("group", name="K-means clustering")).to_be_visible()
