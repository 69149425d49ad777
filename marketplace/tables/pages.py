"""How large a Parquet file's pages unpack, read from the pages' own headers before anything is unpacked.

What the footer says of sizes is not believed: a page's header decides how much memory its reader takes. Headers are
structs of Thrift's compact protocol (https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md).
"""

from typing import IO

MAX_HEADER_BYTES = 64 * 1024
MAX_DEPTH = 16
STOP, TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)


class Damaged(ValueError):
    """It is no page header."""


class _Header:
    """The fields of a struct in `content`, of which numbers at the top are kept in `numbers` by their field's id."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0
        self.numbers: dict[int, int] = {}
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

    def _struct(self, depth: int) -> None:
        field = 0
        while (head := self._byte()) != STOP:
            kind, delta = head & 0x0F, head >> 4
            field = field + delta if delta else self._zigzag()
            if kind in (I16, I32, I64):
                value = self._zigzag()
                if depth == 0:
                    self.numbers[field] = value
            elif kind not in (TRUE, FALSE):
                self._skip(kind, depth + 1)

    def _zigzag(self) -> int:
        value = self._varint()
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


def largest_page(file: IO[bytes], start: int, size_bytes: int) -> int:
    """The most bytes that one page of a column chunk of `size_bytes` from `start` unpacks to.

    Raises:
        Damaged: its headers do not fill it.
    """
    largest, at, end = 0, start, start + size_bytes
    while at < end:
        file.seek(at)
        header = _Header(file.read(min(MAX_HEADER_BYTES, end - at)))
        unpacked, packed = header.numbers.get(2, -1), header.numbers.get(3, -1)
        if unpacked < 0 or packed < 0:
            raise Damaged
        largest = max(largest, unpacked, packed)
        at += header.at + packed
    if at != end:
        raise Damaged
    return largest
