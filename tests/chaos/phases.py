"""The parts of a run, one after the other, on one network."""

import random

import django

django.setup()

from django.core.management import call_command  # noqa: E402  Django must be set up first

from tests.chaos import away, bank, disk, frozen, invariants, points, storm  # noqa: E402
from tests.chaos.client import CLIENT, table, upload  # noqa: E402
from tests.chaos.findings import Findings  # noqa: E402
from tests.chaos.network import CLOCK_OFF, FAKETIME, Network  # noqa: E402
from tests.chaos.scale import Scale  # noqa: E402

OF_NETWORK = {"storm": storm.run, "points": points.run, "frozen": frozen.run, "away": away.run, "disk": disk.run}


def run(findings: Findings, scale: Scale, phases: list[str], network: Network) -> None:
    """Run the named parts; what does not hold is in `findings`."""
    call_command("migrate", verbosity=0, interactive=False)
    if set(phases) & set(OF_NETWORK):
        _on_network(findings, scale, phases, network)
        network.stop()
    if "bank" in phases:  # the last, because every check replays all transfers
        findings.say("bank begins")
        bank.run(findings, scale, network)


def _on_network(findings: Findings, scale: Scale, phases: list[str], network: Network) -> None:
    network.start()
    network.call("POST", "/client/register", {"client_address": CLIENT, "initial_balance": 1_000_000})
    small, large = upload(network, table(200, 4)), upload(network, table(4_000, 8))
    _start_workers(findings, network)
    for name, part in OF_NETWORK.items():
        if name in phases:
            findings.say(f"{name} begins")
            part(findings, scale, network, {"small": small, "large": large}, random.Random(f"{findings.seed}-{name}"))
            if problems := invariants.whole():
                findings.blame(name, problems)


def _start_workers(findings: Findings, network: Network) -> None:
    """Six Celery workers: threads, solo and prefork pools, Redis and HTTPS, two with their clocks a day off."""
    clock = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1"}
    off = [clock | {"FAKETIME": shift} for shift in ("+1d", "-1d")] if FAKETIME.is_file() else [{}, {}]
    if not FAKETIME.is_file():
        findings.skip(CLOCK_OFF, "no libfaketime here: apt install faketime")
    network.worker("threads", "-P", "threads")
    network.worker("solo", "-P", "solo")
    network.worker("prefork", "--pool=prefork", "-c", "1")
    network.worker("https", "-P", "threads", COMPUTENET_TRANSPORT="https")
    network.worker("ahead", "-P", "solo", **off[0])
    network.worker("behind", "-P", "threads", **off[1])
    network.wait_for_workers()
    findings.say("web, coordinator, verifier, beat and six workers are up")
