"""Beat's process: the coordinator's timetable, and nothing of Django."""

import json
import os
import subprocess
import sys

from computenet.celery import app

SAYS = """
import json, sys
from computenet.beat import app
app.loader.import_default_modules()
entries = {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
routes = {task: route["queue"] for task, route in app.conf.task_routes.items()}
print(json.dumps([app.conf.broker_url, entries, routes, "django.db" in sys.modules]))
"""


def test_beat_has_the_coordinators_timetable_and_routes_and_does_without_django() -> None:
    environment = {"PATH": os.environ["PATH"], "REDIS_URL": "redis://nobody:none@127.0.0.1:1/0"}
    environment["DJANGO_SETTINGS_MODULE"] = "computenet.settings"  # which would refuse, without a SECRET_KEY
    run = subprocess.run([sys.executable, "-c", SAYS], env=environment, capture_output=True, text=True, check=True)
    broker, entries, routes, with_django = json.loads(run.stdout)
    assert broker == environment["REDIS_URL"] and not with_django
    assert entries == {entry["task"]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
    assert routes == {task: route["queue"] for task, route in app.conf.task_routes.items()}
    assert set(entries) <= set(routes)
