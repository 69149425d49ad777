"""`manage.py simulate`, as a person and as a program run it."""

import json
from io import StringIO
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command

SMALL = ("--jobs", "150", "--workers", "10", "--cheaters", "20,40")


def test_report_names_what_was_asked_for_and_says_that_cheating_did_not_pay(tmp_path):
    out = StringIO()
    call_command("simulate", *SMALL, "--strategy", "lying", "--strategy", "whitewashing", "--svg", tmp_path, stdout=out)
    text = out.getvalue()
    assert "20% of the workers cheat." in text
    assert text.count("| Lying |") == 2
    assert "Every cheating strategy earned less than honest work at every share." in text
    for name in ("simulated-profit.svg", "simulated-checking.svg"):
        assert ElementTree.parse(tmp_path / name).getroot().tag.endswith("svg")


def test_json_is_one_object_with_a_row_for_each_market():
    out = StringIO()
    call_command("simulate", *SMALL, "--strategy", "lying", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert [row["cheaters"] for row in found["rows"]] == [0.2, 0.4]
    assert all(row["detection"] == 1.0 and row["false_slashes"] == 0 for row in found["rows"])
    assert found["rates"]["trials"] >= 10


def test_exits_with_1_where_a_strategy_pays(settings):
    """Workers that may lie for free on a network that charges honest work more energy than it pays."""
    with pytest.raises(SystemExit) as ended:
        call_command("simulate", *SMALL, "--strategy", "lent", "--energy", "50", stdout=StringIO())
    assert ended.value.code == 1


@pytest.mark.parametrize("given", [("--jobs", "0"), ("--workers", "1"), ("--load", "0"), ("--cheaters", "0,20")])
def test_settings_that_make_no_market_are_refused(given):
    with pytest.raises(CommandError):
        call_command("simulate", *given, stdout=StringIO())
