"""The command `computenet`: tables and bars for people, `--json` for programs.

Exit codes: 0 done; 1 the job failed, was cancelled or is not ready, or an export does not hold; 2 a wrong command line;
3 the network refused; 4 the network cannot be reached; 5 no key, or one that does not open this; 6 a receipt that does
not hold.
"""

import click

from computenet_client.cli import account, jobs, results, verify, workers

COMMANDS = (
    account.login, account.balance, account.transfer,
    jobs.quote, jobs.submit, jobs.jobs, jobs.job, jobs.cancel,
    results.result, results.predict, results.receipt,
    workers.workers, workers.worker,
    verify.verify,
)  # fmt: skip


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="computenet-client", prog_name="computenet")
def main() -> None:
    """Submit machine-learning jobs to a computenet network, and pay for right answers.

    Begin with `computenet login ADDRESS --client NAME`. COMPUTENET_URL, COMPUTENET_CLIENT and COMPUTENET_API_KEY take
    the place of what `login` keeps.
    """


for command in COMMANDS:
    main.add_command(command)
