"""`python -m computenet_client` is the command `computenet`."""

from computenet_client.cli import main

main()
