"""People and their names: joining with a stake of one's own or a lent one, leaving, coming back under a new name."""

from dataclasses import dataclass, field

from marketplace.domain.ledger import AccountKind, Code
from marketplace.domain.money import MICRO
from marketplace.domain.policy import Policy
from marketplace.domain.simulation.agents import BASELINE, Identity, Person
from marketplace.domain.simulation.books import Books
from marketplace.domain.simulation.setup import Client, Setup

CLIENT_TOKENS = 10**7
TREASURY_TOKENS = 10**7


@dataclass
class Population:
    """Everybody with an account in `books`."""

    setup: Setup
    policy: Policy
    books: Books = field(default_factory=Books)
    people: list[Person] = field(default_factory=list)
    names: list[Identity] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        setup = self.setup
        self.books.move(Books.ISSUANCE, Books.TREASURY, TREASURY_TOKENS * MICRO, Code.MINT)
        for _ in range(setup.clients):
            self._add_client(ring=False)
        if setup.strategy.ring:
            self._add_client(ring=True)
        for i in range(setup.workers):
            person = Person(f"person-{i}", setup.strategy if i < setup.cheating else BASELINE)
            self.people.append(person)
            self.join(person)

    def _add_client(self, *, ring: bool) -> None:
        wallet = self.books.open(AccountKind.WALLET, "client")
        self.books.move(Books.ISSUANCE, wallet, CLIENT_TOKENS * MICRO, Code.MINT)
        self.clients.append(Client(wallet, ring))

    def join(self, person: Person) -> None:
        """A new name with the least stake, lent or brought from outside, and no record."""
        id_ = f"{person.id}.{len(person.names)}"
        wallet = self.books.open(AccountKind.WALLET, id_)
        stake, unbonding = self.books.open(AccountKind.STAKE, id_), self.books.open(AccountKind.UNBONDING, id_)
        name = Identity(id_, person, wallet, stake, unbonding, self.policy.reputation_start)
        amount = self.policy.micro("minimum_stake")
        if person.strategy.lent and len(person.names) < person.strategy.loans:
            self.books.move(Books.TREASURY, stake, amount, Code.LEND)
            name.lent = amount
        else:
            self.books.move(Books.ISSUANCE, wallet, amount, Code.MINT)
            self.books.move(wallet, stake, amount, Code.STAKE)
            person.brought += amount
        person.names.append(name)
        self.names.append(name)

    def would_leave(self, name: Identity) -> bool:
        """Whether this name is spoilt for somebody who comes back under another, and nothing of it is open."""
        spoilt = not name.active or name.reputation < self.setup.leave_below
        return spoilt and name.owner.strategy.returns and not (name.left or name.computing or name.unsettled)

    def leave(self, name: Identity) -> None:
        name.active, name.left = False, True
        self.books.move(name.stake, name.unbonding, self.books.balance(name.stake), Code.UNBOND)

    def release(self, name: Identity) -> None:
        """After the unbonding delay: a loan first, the rest to the wallet."""
        amount = self.books.balance(name.unbonding)
        repaid = min(name.lent, amount)
        self.books.move(name.unbonding, Books.TREASURY, repaid, Code.UNBOND)
        self.books.move(name.unbonding, name.wallet, amount - repaid, Code.UNBOND)
        name.lent -= repaid

    def own_stake(self, name: Identity) -> int:
        """What of a name's stake would come out to its owner, who owes no more than is there."""
        return max(0, self.books.balance(name.stake) + self.books.balance(name.unbonding) - name.lent)

    def profit(self, person: Person) -> float:
        """Tokens: what its names are worth now, less what was brought in and what the computing took in energy.

        The members of a ring share equally what their client won or lost.
        """
        worth = sum(self.books.balance(name.wallet) + self.own_stake(name) for name in person.names)
        total = (worth - person.brought) / MICRO - person.energy
        if person.strategy.ring:
            shared = sum(self.books.balance(c.wallet) / MICRO - CLIENT_TOKENS for c in self.clients if c.ring)
            total += shared / self.setup.cheating
        return total
