"""The trusted side's checks: a dataset and an answer in, a verdict out. No database, no money."""
