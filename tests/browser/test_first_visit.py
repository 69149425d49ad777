"""The first thing a person does in the browser: register both sides, submit a job, and see it paid."""

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.sandbox.running import Sandbox


def test_a_person_registers_both_sides_submits_a_file_and_sees_it_paid(
    page: Page, sandbox: Sandbox, tmp_path: Path
) -> None:
    page.goto(sandbox.address)
    page.get_by_text("Register a worker", exact=True).click()
    page.get_by_label("Worker ID").fill("rig_in_the_attic")
    page.get_by_label("GPU type").select_option("RTX 4090")
    page.get_by_label("Stake (tokens)").fill("150")
    page.get_by_role("button", name="Register worker").click()
    expect(page.locator("#workers")).to_contain_text("rig_in_the_attic")

    page.get_by_text("Register a client", exact=True).click()
    page.locator("#id_client-client_address").fill("ada")
    page.get_by_label("Initial balance (tokens)").fill("500")
    page.get_by_role("button", name="Register client").click()
    expect(page.locator("#clients")).to_contain_text("ada")

    file = tmp_path / "line.csv"
    file.write_text("x,y\n" + "".join(f"{x},{3 * x + 7}\n" for x in range(20)))
    expect(page.locator("#id_job-client_address")).to_have_value("ada")  # the only client there is
    page.get_by_label("Model", exact=True).select_option("linear_regression")
    page.get_by_label("Reward (tokens)").fill("25")
    page.get_by_label("Data", exact=True).set_input_files(file)
    page.get_by_role("button", name="Submit job").click()

    # The job's page follows it by itself, without a reload.
    expect(page.locator("#job")).to_contain_text("verified")
    expect(page.locator("#job")).to_contain_text("rig_in_the_attic")
    assert sandbox.call("GET", "/client/ada/balance")["balance"] == 475
    page.goto(sandbox.address)
    expect(page.locator("#jobs")).to_contain_text("verified")
