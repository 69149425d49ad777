"""A real Chromium against a real sandbox: the machine's own, or the one that `playwright install chromium` fetched."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from computenet.sandbox.embedded_redis import free_port
from tests.sandbox.running import Sandbox, running

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def playwright(django_db_setup: str, playwright: Playwright) -> Playwright:
    """Begun after the test database: Playwright keeps a loop in this thread, in which Django would not make one."""
    return playwright


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], playwright: Playwright) -> dict[str, Any]:
    if program := next(filter(None, map(shutil.which, NAMES)), None):
        return {**browser_type_launch_args, "executable_path": program}
    if Path(playwright.chromium.executable_path).exists():
        return browser_type_launch_args
    pytest.skip("There is no Chromium here (Debian: apt install chromium).")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    small_parts = {"UPLOAD_PART_BYTES": "50000"}  # a file above four times that goes up in parts
    with running(tmp_path_factory.mktemp("home"), free_port(), small_parts) as started:
        yield started


@pytest.fixture
def page(page: Page, sandbox: Sandbox) -> Iterator[Page]:
    """A page whose errors fail the test, and which asks nobody but the sandbox for anything."""
    problems: list[str] = []
    _watch(page, sandbox, problems)
    yield page
    assert problems == []


@pytest.fixture
def open_page(browser: Browser, sandbox: Sandbox) -> Iterator[Callable[..., Page]]:
    """Opens a path of the sandbox in a context of one's own (a phone, no scripts), watched like `page`."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_(path: str = "/", **options: Any) -> Page:
        contexts.append(browser.new_context(base_url=sandbox.address, **options))
        page = contexts[-1].new_page()
        _watch(page, sandbox, problems)
        page.goto(path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


def _watch(page: Page, sandbox: Sandbox, problems: list[str]) -> None:
    page.on("pageerror", lambda error: problems.append(f"script: {error}"))
    page.on("console", lambda line: problems.append(f"console: {line.text}") if line.type == "error" else None)
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((sandbox.address, "data:", "blob:"))
            else problems.append(f"asked {request.url}")
        ),
    )
    page.set_default_timeout(10_000)
    expect.set_options(timeout=10_000)
