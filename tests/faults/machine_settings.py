"""How long state machines run: `COMPUTENET_MACHINE_RUNS` runs of at most `COMPUTENET_MACHINE_STEPS` steps."""

import os

from hypothesis import HealthCheck, settings

RUNS = int(os.environ.get("COMPUTENET_MACHINE_RUNS", "10"))
STEPS = int(os.environ.get("COMPUTENET_MACHINE_STEPS", "15"))


def machine_settings() -> settings:
    return settings(
        max_examples=RUNS,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        derandomize="COMPUTENET_MACHINE_RUNS" not in os.environ,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
