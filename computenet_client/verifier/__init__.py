"""Checks an export of a network's sealed log, or proofs out of it, on any machine that has Python.

Nothing here imports anything but the standard library and its own files, so that the folder may be copied and run by
itself: ``python verifier EXPORT``. What it knows of the format it knows from `docs/state-export.md`, not from the code
that writes it. Signatures are checked where the library `cryptography` is installed.
"""
