"""Wallet and ledger: what is there, statements, transfers, allowances, and whether the books add up."""

import pytest

from marketplace.actions import books, coordination, minting
from marketplace.dashboard import statement, wallet
from marketplace.domain.errors import Conflict
from marketplace.models import Account, Allowance, BooksCheck, Transfer
from tests.dashboard import cast

pytestmark = pytest.mark.django_db
WALLET = "/dashboard/wallet/"


def text(response) -> str:
    return response.content.decode()


@pytest.fixture
def two(settings):
    """Alice's lab, with a job that is held for, and Bob's; nobody else's door is open."""
    alice, bob = cast.alice(), cast.bob()
    cast.a_worker("her_gpu", alice)
    cast.a_job(cast.a_client("her_lab", alice), "pending")
    cast.a_client("his_lab", bob)
    settings.SANDBOX = False
    return alice, bob


def send(http, to="his_lab", amount="10", once="once"):
    form = {"transfer-to": to, "transfer-amount": amount, "transfer-once": once}
    return http.post(f"{WALLET}transfer/?name=her_lab", form)


def test_a_wallet_says_what_is_available_held_and_at_stake(client, two):
    client.force_login(two[0])
    html = text(client.get(f"{WALLET}?name=her_lab"))
    assert 'class="figure">950<' in html and 'class="figure">50<' in html
    assert "held for a job" in html and "−50" in html
    assert 'class="figure">150<' in text(client.get(f"{WALLET}?name=alice"))  # the contributor's, with its stake


def test_anothers_wallet_is_not_there(client, two):
    client.force_login(two[1])
    for path in (f"{WALLET}?name=her_lab", f"{WALLET}statement.csv?name=her_lab"):
        assert client.get(path).status_code == 404
    for verb in ("transfer", "approve", "take"):
        assert client.post(f"{WALLET}{verb}/?name=her_lab", {}).status_code in (400, 404)
    assert "her_lab" not in text(client.get("/dashboard/ledger/"))


def test_a_transfer_that_is_sent_twice_moves_once(client, two):
    client.force_login(two[0])
    assert send(client).status_code == send(client).status_code == 302
    assert Account.objects.get(name="his_lab").balance == 1_010_000_000
    assert Transfer.objects.filter(code="transfer").count() == 1


def test_a_transfer_that_cannot_be_says_why_and_keeps_what_was_typed(client, two):
    client.force_login(two[0])
    for to, amount, why in (("nobody", "1", "no wallet"), ("his_lab", "5000", "950"), ("her_lab", "1", "itself")):
        answer = send(client, to, amount, once=to)
        assert answer.status_code == 400 and f'value="{to}"' in text(answer)
        assert why in text(answer)
    assert not Transfer.objects.filter(code="transfer").exists()


def test_an_allowance_is_given_taken_from_and_revoked(client, two):
    client.force_login(two[0])
    form = {"approve-spender": "his_lab", "approve-amount": "30"}
    client.post(f"{WALLET}approve/?name=her_lab", form)
    assert "<strong>his_lab</strong> may take 30" in text(client.get(f"{WALLET}?name=her_lab"))
    client.force_login(two[1])
    assert "30 of her_lab" in text(client.get(f"{WALLET}?name=his_lab"))
    client.post(f"{WALLET}take/?name=his_lab", {"take-owner": "her_lab", "take-amount": "10"})
    assert Account.objects.get(name="his_lab").balance == 1_010_000_000
    client.force_login(two[0])
    client.post(f"{WALLET}approve/?name=her_lab", {**form, "approve-amount": "0"})
    assert Allowance.objects.get().amount == 0
    assert "Nobody may take tokens" in text(client.get(f"{WALLET}?name=her_lab"))


def test_an_operator_reads_every_wallet_and_moves_nobodys_tokens(client, two):
    client.force_login(cast.olga())
    assert "her_lab" in text(client.get(f"{WALLET}?name=her_lab"))
    assert send(client).status_code == 400
    assert not Transfer.objects.filter(code="transfer").exists()


def test_pages_of_a_statement_hold_every_transfer_once(client, two, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(statement, "SHOWN", 2)
    client.force_login(two[0])
    for number in range(6):
        send(client, amount="1", once=str(number))
    seen, before = [], None
    account = Account.objects.get(kind="wallet", name="her_lab")
    while True:
        sheet = statement.of_wallet(account, before)
        seen += sheet.lines
        if (before := sheet.older) is None:
            break
    ids = [line.id for line in seen]
    assert ids == sorted({*ids}, reverse=True) and len(ids) == 8  # minted, held, six sent
    left = 0
    for line in reversed(seen):
        left += line.signed
        assert line.balance == left
    assert left == account.balance == 944_000_000
    with django_assert_max_num_queries(20):
        assert "Older" in text(client.get(f"{WALLET}?name=her_lab"))
    with django_assert_max_num_queries(20):
        page = text(client.get(f"{WALLET}?name=her_lab&before={ids[-2]}"))
    assert 'data-label="Balance" class="amount">1,000</td>' in page


@pytest.mark.parametrize("before", ["0", "1", "999999999999999999"])
def test_a_statement_from_anywhere_has_the_balances_of_its_moment(client, two, before):
    client.force_login(two[0])
    html = text(client.get(f"{WALLET}?name=her_lab&before={before}"))
    assert ('data-label="Balance" class="amount">950</td>' in html) == (len(before) > 1)


def test_wallets_are_chosen_from_a_list_until_there_are_too_many(client, two, monkeypatch):
    client.force_login(two[0])
    html = text(client.get(f"{WALLET}?name=her_lab"))
    assert "<option selected>her_lab</option>" in html and '<optgroup label="Contributors">' in html
    monkeypatch.setattr(wallet, "LISTED", 1)
    html = text(client.get(f"{WALLET}?name=her_lab"))
    assert 'list="wallet-names"' in html and "<optgroup" not in html


def test_a_statement_as_a_file_runs_no_formula(client, two):
    client.force_login(two[0])
    answer = client.get(f"{WALLET}statement.csv?name=her_lab")
    lines = b"".join(answer).decode().splitlines()
    assert lines[0] == "id,at,why,from,to,tokens,effect,balance,job" and lines[1].split(",")[5:8] == [
        "50",
        "-50",
        "950",
    ]
    client.force_login(cast.olga())
    assert len(b"".join(client.get("/dashboard/ledger/ledger.csv")).decode().splitlines()) > 5


def test_the_books_are_checked_by_time_and_by_an_operators_word(client, two):
    coordination.run_cycle(assign=False)  # asks
    asked = BooksCheck.objects.get()
    with pytest.raises(Conflict):
        books.ask(actor="olga")
    books.check(row=asked.pk)
    coordination.run_cycle(assign=False)  # none is due
    assert BooksCheck.objects.count() == 1
    client.force_login(two[1])
    assert "The books add up" in text(client.get("/dashboard/ledger/"))
    assert client.post("/dashboard/ledger/check/").status_code == 403
    minting.mint(amount=7, reason="more", actor="olga")
    cards = client.get("/dashboard/ledger/").context
    assert cards["issued"] == sum(amount for _, amount in cards["kinds"])  # all of one moment
    client.force_login(cast.olga())
    client.post("/dashboard/ledger/check/")
    assert BooksCheck.objects.first().asked_by == "olga"
    assert "Being checked now" in text(client.get("/dashboard/ledger/"))


def test_books_that_do_not_add_up_are_an_alert(client, two, monkeypatch):
    row = books.ask(actor="olga")
    wrong = books.audit()
    wrong.problems.append("Account wallet her_lab holds 1 micro-tokens; its transfers make 2.")
    monkeypatch.setattr(books, "audit", lambda: wrong)
    books.check(row=row.pk)
    client.force_login(two[0])
    html = text(client.get("/dashboard/ledger/"))
    assert "The books do not add up" in html and "her_lab holds 1" not in html
    client.force_login(cast.olga())
    assert "her_lab holds 1" in text(client.get("/dashboard/ledger/"))
