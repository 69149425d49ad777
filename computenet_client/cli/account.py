"""`login`, `balance`, `transfer`."""

import sys

import click

from computenet_client import config
from computenet_client.cli.shared import PATIENCE, command, network, say
from computenet_client.errors import NotAllowed, NotFound, Refused
from computenet_client.network import Network


@click.command()
@click.argument("url")
@click.option("--client", required=True, help="The client that you submit and pay as.")
@click.option("--key-stdin", is_flag=True, help="Read the API key from standard input, instead of asking for it.")
@click.option("--register", is_flag=True, help="Register the client if the network does not know it.")
@command
def login(url: str, client: str, key_stdin: bool, register: bool, as_json: bool) -> None:
    """Keep the address URL, a client and an API key in ~/.config/computenet, for your eyes alone.

    Without --key-stdin you are asked for the key, if the network wants one; a sandbox needs none.
    """
    key = sys.stdin.readline().strip() or None if key_stdin else None
    found = Network(url, key, client=client, patience=PATIENCE)
    found.health()
    try:
        balance = _balance(found, register)
    except NotAllowed:
        if key or key_stdin or not sys.stdin.isatty():
            raise
        key = click.prompt("API key", hide_input=True, err=True)
        found = Network(url, key, client=client, patience=PATIENCE)
        balance = _balance(found, register)
    file = config.save(config.Config(found.url, client, key))
    document = {"url": found.url, "client": client, "balance": balance, "config": str(file)}
    say(
        document,
        as_json,
        lambda console: console.print(f"You are {client}, with {balance:,.6g} tokens. Kept in {file}."),
    )


def _balance(found: Network, register: bool) -> float:
    try:
        return found.balance()
    except NotFound:
        if register:
            return found.register()
        sentence = f"The network has no client {found.client} of yours: add --register to make one."
        raise Refused(sentence, 404) from None


@click.command()
@command
def balance(as_json: bool) -> None:
    """What your client's wallet holds, in tokens."""
    found = network()
    tokens = found.balance()
    document = {"client": found.client, "balance": tokens}
    say(document, as_json, lambda console: console.print(f"{found.client} has {tokens:,.6f} tokens."))


@click.command()
@click.argument("to")
@click.argument("amount", type=float)
@click.option("--idempotency-key", help="The same key again sends nothing again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@command
def transfer(to: str, amount: float, idempotency_key: str | None, yes: bool, as_json: bool) -> None:
    """Send AMOUNT tokens from your client's wallet to the wallet TO. There is no way back."""
    found = network()
    if not yes and not as_json:
        click.confirm(f"Send {amount:,.6g} tokens from {found.client} to {to}?", abort=True, err=True)
    answer = found.transfer(to, amount, idempotency_key=idempotency_key)
    say(answer, as_json, lambda console: console.print(f"{amount:,.6g} tokens went from {found.client} to {to}."))
