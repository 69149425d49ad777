"""The pages of tokens and of one's machines, and their files."""

from django.urls import path

from marketplace.dashboard import ledger, machines, wallet

urlpatterns = [
    path("machines/", machines.add, name="add-machine"),
    path("machines/<str:name>/key/", machines.new_key, name="machine-key"),
    path("machines/computenet-worker.service", machines.unit, name="machine-unit"),
    path("wallet/", wallet.wallet, name="wallet"),
    path("wallet/statement.csv", wallet.wallet_csv, name="wallet-csv"),
    path("wallet/transfer/", wallet.transfer, name="wallet-transfer"),
    path("wallet/approve/", wallet.approve, name="wallet-approve"),
    path("wallet/take/", wallet.take, name="wallet-take"),
    path("ledger/", ledger.ledger, name="ledger"),
    path("ledger/ledger.csv", ledger.ledger_csv, name="ledger-csv"),
    path("ledger/check/", ledger.check_books, name="check-books"),
]
