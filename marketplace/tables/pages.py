"""How large a Parquet file's pages unpack, read from the pages' own headers before anything is unpacked.

What the footer says of sizes is not believed: a page's header decides how much memory its reader takes. Headers are
structs of Thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MAX_HEADER_BYTES = 64 * 1024
MAX_DEPTH = 16
DICTIONARY_PAGE, DATA_PAGE_V2 = 2, 3
# Of each kind of page that holds values: the header's field that says so, and in it the one of the values' encoding.
HEADERS = {0: (5, 2), DICTIONARY_PAGE: (7, 2), DATA_PAGE_V2: (8, 4)}
STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)


class Damaged(ValueError):
    """It is no page header."""


@dataclass(frozen=True)
class Page:
    """What a page's header says. `encoding` is that of its values, as `Encoding` of parquet.thrift numbers them."""

    unpacked_bytes: int
    packed_bytes: int
    values: int
    encoding: int
    is_dictionary: bool


class _Header:
    """The numbers of a struct in `content`: `numbers` by their field's id, `inner` by their struct's id and their own.

    A reader passes over a field of another type than it knows, takes the last of two, and cuts a number to its width.
    None of that is let pass, so that what is read here is what it takes.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0
        self.numbers: dict[int, int] = {}
        self.inner: dict[tuple[int, int], int] = {}
        self._struct(0)

    def _byte(self) -> int:
        if self.at >= len(self.content):
            raise Damaged
        self.at += 1
        return self.content[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 63:
                raise Damaged

    def _struct(self, depth: int, within: int = 0) -> None:
        field, seen = 0, set()
        while (head := self._byte()) != STOP:
            kind, delta = head & 0x0F, head >> 4
            field = field + delta if delta else self._zigzag(16)
            if field in seen:
                raise Damaged
            seen.add(field)
            if kind == I32:
                value = self._zigzag(32)
                if depth == 0:
                    self.numbers[field] = value
                elif depth == 1:
                    self.inner[within, field] = value
            elif kind == STRUCT and depth == 0:
                self._struct(1, field)
            elif kind not in (TRUE, FALSE):
                self._skip(kind, depth + 1)

    def _zigzag(self, bits: int) -> int:
        value = self._varint()
        if value >> bits:
            raise Damaged
        return (value >> 1) ^ -(value & 1)

    def _skip(self, kind: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Damaged
        if kind == STRUCT:
            self._struct(depth)
        elif kind == BINARY:
            self._pass(self._varint())
        elif kind == DOUBLE:
            self._pass(8)
        elif kind in (BYTE, TRUE, FALSE):
            self._pass(1)
        elif kind in (I16, I32, I64):
            self._varint()
        elif kind in (LIST, SET):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            for _ in range(min(count, len(self.content))):
                self._skip(head & 0x0F, depth + 1)
        else:  # page headers have no maps
            raise Damaged

    def _pass(self, count: int) -> None:
        self.at += count
        if self.at > len(self.content):
            raise Damaged


def read_pages(file: IO[bytes], start: int, size_bytes: int) -> Iterator[Page]:
    """The pages of a column chunk of `size_bytes` from `start`.

    Raises:
        Damaged: their headers do not fill it.
    """
    at, end = start, start + size_bytes
    while at < end:
        file.seek(at)
        header = _Header(file.read(min(MAX_HEADER_BYTES, end - at)))
        kind, unpacked, packed = (header.numbers.get(field, -1) for field in (1, 2, 3))
        if unpacked < 0 or packed < 0:
            raise Damaged
        struct, encoding = HEADERS.get(kind, (0, 0))
        yield Page(
            unpacked, packed, header.inner.get((struct, 1), 0), header.inner.get((struct, encoding), 0),
            kind == DICTIONARY_PAGE,
        )  # fmt: skip
        at += header.at + packed
    if at != end:
        raise Damaged
