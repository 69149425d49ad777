#!/usr/bin/env python
"""Django's command line for this project."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "computenet.settings")
    if sys.argv[1:2] in (["sandbox"], ["demo"]):  # they make their own secrets
        os.environ["COMPUTENET_SANDBOX"] = "1"
    execute_from_command_line(sys.argv)
