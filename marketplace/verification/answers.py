"""Reading what a worker wrote: an uncompressed archive of the arrays that its model answers, and nothing else."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marketplace import storage
from marketplace.domain.errors import Refused
from marketplace.tables.arrays import Header, open_archive, read_header
from workers.catalog.base import Answer, AnswerError, CatalogModel, Params

ARCHIVE_OVERHEAD_BYTES = 64 * 1024  # zip's directory and the arrays' headers, generously


def bytes_max(model: CatalogModel, params: Params, rows: int, features: int) -> int:
    """No answer of this model is a larger file than this."""
    return model.answer_bytes_max(params, rows, features) + ARCHIVE_OVERHEAD_BYTES


def read_answer(path: Path, model: CatalogModel, params: Params, rows: int, features: int) -> Answer:
    """The arrays in the archive at `path`, whose names, dtypes and shapes are held against the model first.

    Raises:
        AnswerError: it is no such archive, or its arrays do not fit.
    """
    try:
        with open_archive(path) as archive:
            headers = _headers(archive)
            found = {name: (header.dtype.name, header.shape) for name, header in headers.items()}
            model.refuse_misfit(params, rows, features, found)
            return {name: _read(archive, name, header) for name, header in headers.items()}
    except Refused as error:
        raise AnswerError(str(error)) from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        if isinstance(error, AnswerError):
            raise
        raise AnswerError("The answer is not an archive of arrays.") from None


def _headers(archive: zipfile.ZipFile) -> Mapping[str, Header]:
    headers: dict[str, Header] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if info.compress_type != zipfile.ZIP_STORED or name in headers:
            raise AnswerError("The answer must be an uncompressed archive that names each array once.")
        with archive.open(info) as member:
            headers[name] = read_header(member, info.file_size)
    return headers


def _read(archive: zipfile.ZipFile, name: str, header: Header) -> NDArray:
    content = bytearray()
    with archive.open(f"{name}.npy") as member:
        while chunk := member.read(storage.CHUNK_BYTES):  # the archive is open for small reads alone
            content += chunk
    array = np.frombuffer(content, header.dtype, offset=header.offset)
    return array.reshape(header.shape, order="F" if header.fortran_order else "C")
