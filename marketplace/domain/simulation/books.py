"""The simulated market's accounts, moved by the real ledger's rules alone."""

from marketplace.domain.ledger import AccountKind, AccountView, Code, Move, settle


class Books:
    """Accounts by number. Number 0 is issuance and 1 the treasury."""

    ISSUANCE, TREASURY = 0, 1

    def __init__(self) -> None:
        self.accounts: list[AccountView] = []
        self.open(AccountKind.ISSUANCE, "issuance")
        self.open(AccountKind.TREASURY, "treasury")

    def open(self, kind: AccountKind, name: str) -> int:
        self.accounts.append(AccountView(kind, name, 0))
        return len(self.accounts) - 1

    def balance(self, account: int) -> int:
        return self.accounts[account].balance

    def move(self, source: int, destination: int, amount: int, code: Code) -> None:
        """Move `amount` micro-tokens, if it is any.

        Raises:
            ValueError, InsufficientFunds: as `settle` does.
        """
        if not amount:
            return
        touched = {key: self.accounts[key] for key in (source, destination)}
        for key, balance in settle(touched, [Move(source, destination, amount, code)]).items():
            self.accounts[key] = AccountView(touched[key].kind, touched[key].name, balance)

    def total(self) -> int:
        """The sum over all accounts, which is 0: what is out came from issuance."""
        return sum(account.balance for account in self.accounts)
