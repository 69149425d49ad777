"""Checking an export: a folder with `leaves.jsonl`, `checkpoints.jsonl` and `export.json`.

Every byte of it is stated by others: a leaf's line by its hash, hashes by checkpoints' roots, a checkpoint's line by
its own digest and signature, and the digests of both files by `export.json`. So what was damaged is named, and the
first bad leaf too.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .checkpoints import Checkpoint
from .encoding import MAX_LINE, Bad, canonical, parse, read_document
from .replay import Replay
from .report import Report
from .tree import Tree, leaf_hash

FORMAT = "computenet-export-1"
LEAVES, CHECKPOINTS, MANIFEST = "leaves.jsonl", "checkpoints.jsonl", "export.json"
EVERY = 10_000  # leaves between two words of progress


class _Lines:
    """A file's lines, each of at most 4 MiB, and the digest of what was read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        while line := self._file.readline(MAX_LINE):
            self._digest.update(line)
            yield line

    def digest(self) -> str:
        """Of the whole file; reads on to its end."""
        while block := self._file.read(1 << 20):
            self._digest.update(block)
        return self._digest.hexdigest()


def verify(
    folder: Path, older: Checkpoint | None, progress: Callable[[int], None] = lambda leaves: None
) -> tuple[Report, Replay]:
    """Check all of an export, and that it extends `older` if one is given. Stops at the first bad leaf.

    Raises:
        Bad: one of its files cannot be read.
    """
    report, replay = Report(), Replay()
    checkpoints, stated = _checkpoints(folder, report)
    digests = {CHECKPOINTS: stated}
    try:
        with (folder / LEAVES).open("rb") as file:
            lines = _Lines(file)
            _leaves(lines, checkpoints, older, report, replay, progress)
            digests[LEAVES] = lines.digest()
    except OSError as error:
        raise Bad(f"{folder / LEAVES} cannot be read: {error.strerror}.") from None
    report.checkpoints = len(checkpoints)
    report.checkpoint = checkpoints[-1] if checkpoints else None
    _manifest(folder, digests, report)
    return report, replay


def _checkpoints(folder: Path, report: Report) -> tuple[list[Checkpoint], str]:
    found: list[Checkpoint] = []
    try:
        with (folder / CHECKPOINTS).open("rb") as file:
            lines = _Lines(file)
            for number, line in enumerate(lines, start=1):
                try:
                    found.append(_checkpoint(line, found[-1].size if found else 0))
                except Bad as problem:
                    report.problem(f"{CHECKPOINTS}, line {number}", str(problem))
                    break
            return found, lines.digest()
    except OSError as error:
        raise Bad(f"{folder / CHECKPOINTS} cannot be read: {error.strerror}.") from None


def _checkpoint(line: bytes, last: int) -> Checkpoint:
    found = Checkpoint.of(parse(line))
    if found.line() != line:
        raise Bad("The line is not what its own digest states.")
    if found.size <= last:
        raise Bad(f"It covers {found.size} leaves, and the one before it {last}.")
    found.require_signature()
    return found


def _leaves(
    lines: _Lines,
    checkpoints: list[Checkpoint],
    older: Checkpoint | None,
    report: Report,
    replay: Replay,
    progress: Callable[[int], None],
) -> None:
    tree, due = Tree(), {each.size: each for each in checkpoints}
    for line in lines:
        number = tree.size
        try:
            hash_, leaf = read_leaf(line, number)
            tree.add(hash_)
            replay.play(number, leaf)
        except Bad as problem:
            return report.problem(f"{LEAVES}, line {number + 1}", str(problem), leaf=number)
        report.leaves = tree.size
        if (at := due.pop(tree.size, None)) and at.root != tree.root().hex():
            since = max((each.size for each in checkpoints if each.size < at.size), default=0)
            what = f"The root of leaves 0 to {number} is not that of the checkpoint of {at.size} leaves."
            return report.problem(f"{LEAVES}, lines {since + 1} to {at.size}", what, leaf=since)
        if older and tree.size == older.size:
            report.extends = tree.root().hex() == older.root
            if not report.extends:
                what = f"The first {older.size} leaves are not those of the older checkpoint."
                return report.problem(LEAVES, what)
        if tree.size % EVERY == 0:
            progress(tree.size)
    if due:
        what = f"It ends after leaf {tree.size - 1}, and a checkpoint covers {max(due)} leaves."
        return report.problem(f"{LEAVES}, line {tree.size + 1}", what, leaf=tree.size)
    last = checkpoints[-1].size if checkpoints else 0
    if tree.size > last and not report.problems:
        report.problem(f"{LEAVES}, line {last + 1}", f"No checkpoint covers leaf {last}.", leaf=last)
    if older and older.size > tree.size:
        report.extends = False
        what = f"The older checkpoint covers {older.size} leaves and this export has {tree.size}: some were cut off."
        report.problem(LEAVES, what)
    return None


def read_leaf(line: bytes, number: int) -> tuple[bytes, dict[str, Any]]:
    """A line's leaf and its hash.

    Raises:
        Bad: the line is not exactly what its content, its hash and its number make.
    """
    stated = parse(line)
    leaf = stated.get("leaf")
    if not isinstance(leaf, dict):
        raise Bad("There is no leaf in the line.")
    content = canonical(leaf)
    hash_ = leaf_hash(content)
    if line == b'{"hash":"%s","leaf":%s,"number":%d}\n' % (hash_.hex().encode(), content, number):
        return hash_, leaf
    if stated.get("number") != number:
        raise Bad(f"It says that it is leaf {stated.get('number')!r:.40}, and leaf {number} is due.")
    if stated.get("hash") != hash_.hex():
        raise Bad("Its hash is not that of its content.")
    raise Bad("It is not written in the canonical form.")


def _manifest(folder: Path, digests: dict[str, str], report: Report) -> None:
    try:
        stated = read_document(folder / MANIFEST)
        text = (folder / MANIFEST).read_bytes()
    except (Bad, OSError) as problem:
        return report.problem(MANIFEST, str(problem))
    known = {
        "format": FORMAT,
        "leaves": report.leaves,
        "checkpoints": report.checkpoints,
        "files": digests,
    }
    if stated.get("format") != FORMAT:
        return report.problem(MANIFEST, f"It is of the format {stated.get('format')!r:.40}, and this reads {FORMAT}.")
    if not report.problems and text != canonical(known) + b"\n":
        report.problem(MANIFEST, "It states other numbers or digests than those of the files, which are whole.")
    return None
