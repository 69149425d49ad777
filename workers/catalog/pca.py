"""Principal component analysis: the worker sends the Gram matrix, and the components follow from it exactly."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from workers.catalog.backend import BLOCK_BYTES_NUMPY, NUMPY, Backend, row_slices
from workers.catalog.base import (
    Answer,
    ArraySpec,
    CatalogModel,
    Check,
    DataError,
    Float,
    Parameter,
    ParameterError,
    Params,
    Progress,
    refused_unread,
)
from workers.catalog.mapped import made
from workers.catalog.shifted import find_shift

SIDE_MAX = 4096  # min(rows, features): a Gram matrix of 128 MiB
PROBES = 4
ROWS_A_COLUMN = 4  # of a block, at least
TOLERANCE = 1e-5
FEW_ROWS = 64  # that float32 sums up at once
METHOD = "Freivalds: the scaled error of the Gram matrix, Frobenius, over the square root of its side"


class PCA(CatalogModel):
    """The leading eigenvectors of the covariance of X (centred, not scaled).

    The answer is G = XcᵀXc, or XcXcᵀ where X has fewer rows than features. The trusted side takes its eigenvectors
    itself, so a component cannot be dropped, turned or made up.
    """

    name: ClassVar[str] = "pca_analysis"
    result_name: ClassVar[str] = "pca"
    title: ClassVar[str] = "Principal component analysis"
    help: ClassVar[str] = "Finds the directions along which the data vary most, and the data in those directions."
    version: ClassVar[int] = 1
    needs_target: ClassVar[bool] = False
    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("n_components", int, 2, "How many directions to keep.", minimum=1, maximum=SIDE_MAX),
    )

    def validate(self, params: Params, rows: int, features: int) -> None:
        if rows < 2 or features < 1:
            raise ParameterError("A principal component analysis needs at least two rows and one feature column.")
        side = min(rows, features)
        if side > SIDE_MAX:
            raise ParameterError(f"The smaller of rows and features may be at most {SIDE_MAX}, and it is {side}.")
        if params["n_components"] > side:
            raise ParameterError(f"n_components must be at most {side}, the smaller of rows and features.")

    def operations(self, params: Params, rows: int, features: int) -> float:
        side = float(min(rows, features))
        return 2.0 * rows * features * side + 9.0 * side**3

    def answer_shapes(self, params: Params, rows: int, features: int) -> dict[str, ArraySpec]:
        side = min(rows, features)
        return {"gram": ArraySpec((side, side))}

    def fit(
        self, X: Float, y: Float | None, params: Params, seed: int, *, backend: Backend, progress: Progress
    ) -> dict[str, NDArray[Any]]:
        with np.errstate(over="ignore", invalid="ignore"):
            one_pass = backend.name == "numpy" and len(X) >= X.shape[1]
            G = _summed_gram(X, progress) if one_pass else gram(X, column_means(X), backend, progress)
        if not np.isfinite(G).all():
            raise DataError("The numbers are too large: scale the columns to below 1e100.")
        return {"gram": G}

    def check(
        self, X: Float, y: Float | None, params: Params, seed: int, answer: Answer, *, rng: np.random.Generator
    ) -> Check:
        refused = refused_unread(self, params, X, answer)
        if refused is not None:
            return refused
        G = answer["gram"]
        with np.errstate(all="ignore"):
            if len(G) > 4 * PROBES:
                found = freivalds(X, G, rng)
                if found.verdict == "accepted":
                    return found
            mean = column_means(X)
            scale = side_scale(X, mean)
            if not (np.isfinite(scale).all() and np.isfinite(mean).all()):
                return Check("inconclusive", METHOD, "The numbers in the data are too large.", fault="job")
            return compare(X, mean, scale, G)

    def present(self, X: Float, y: Float | None, params: Params, answer: Answer) -> dict[str, Any]:
        kept = int(params["n_components"])
        mean = column_means(X)
        G = np.asarray(answer["gram"], dtype=np.float64)
        values, vectors = np.linalg.eigh((G + G.T) / 2)
        values = values[::-1].clip(0.0)
        basis = vectors[:, ::-1][:, :kept].T
        if len(X) < X.shape[1]:
            basis = _from_rows(X, mean, basis)
        largest = np.argmax(np.abs(basis), axis=1)
        components = basis * np.where(basis[np.arange(kept), largest] < 0, -1.0, 1.0)[:, None]
        total = float(values.sum())
        moved = made((len(X), kept), X)
        for rows in row_slices(X, into=moved):
            moved[rows] = (X[rows] - mean) @ components.T
        return {
            "n_components": kept,
            "components": components,
            "explained_variance": values[:kept] / (len(X) - 1),
            "explained_variance_ratio": values[:kept] / total if total > 0 else np.zeros(kept),
            "mean": mean,
            "transformed_data": moved,
        }


def column_means(X: Float) -> Float:
    total = np.zeros(X.shape[1])
    for rows in row_slices(X):
        total += np.ones(rows.stop - rows.start) @ X[rows]
    return total / len(X)


def gram(X: Float, mean: Float, backend: Backend = NUMPY, progress: Progress | None = None) -> Float:
    """XcᵀXc (d × d), or XcXcᵀ (n × n) where n < d. Blocks in the backend's dtype, their sum in float64.

    In float32 the sides are first scaled to norms near 1, by powers of two, so that no product over- or underflows.
    """
    rows, features = X.shape
    unit = np.ones(min(rows, features))
    if backend.dtype == "float32":
        unit = 2.0 ** np.round(np.log2(side_scale(X, mean)))
    if rows < features:
        return _row_gram(X, mean, unit, backend)
    centre, divisor = backend.asarray(mean), backend.asarray(unit)
    total = backend.asarray(np.zeros((features, features)))
    for part in row_slices(X, 32 << 20):
        centred = backend.astype((backend.asarray(X[part]) - centre) / divisor, backend.dtype)
        total = total + _product(centred, backend)
        if progress is not None:
            progress(part.stop / rows, f"{part.stop} of {rows} rows")
    return backend.to_numpy(total) * unit * unit[:, None]


def _summed_gram(X: Float, progress: Progress) -> Float:
    """XcᵀXc (d × d) on the CPU in one pass: the product of X as it is, or less a shift, moved to the means at the end.

    A block times itself is half a product of matrices (BLAS's SYRK), and so many rows that adding it up costs little.
    """
    rows, features = X.shape
    total, sums = np.zeros((features, features)), np.zeros(features)
    for part, block in find_shift(X).blocks(X, max(BLOCK_BYTES_NUMPY, ROWS_A_COLUMN * 8 * features**2)):
        sums += np.ones(len(block)) @ block
        total += block.T @ block
        progress(part.stop / rows, f"{part.stop} of {rows} rows")
    return np.asarray(total - np.outer(sums, sums / rows))


def _product(centred: Any, backend: Backend) -> Any:
    """CᵀC (d, d) in float64 of C (n, d), in float32 from few rows at once.

    Columns that are nearly constant add the same small term row after row, and float32 rounds each sum of a large
    number and that term the same way: the error grows with the rows instead of their root.
    """
    xp = backend.xp
    rows, features = centred.shape
    if backend.dtype == "float64":
        return xp.matmul(centred.T, centred)
    few = max(FEW_ROWS, features)
    whole = rows - rows % few
    parts = xp.reshape(centred[:whole], (-1, few, features))
    products = backend.astype(xp.matmul(xp.permute_dims(parts, (0, 2, 1)), parts), "float64")
    rest = centred[whole:]
    return xp.sum(products, axis=0) + backend.astype(xp.matmul(rest.T, rest), "float64")


def _row_gram(X: Float, mean: Float, unit: Float, backend: Backend) -> Float:
    """XcXcᵀ by blocks of columns."""
    total = backend.asarray(np.zeros((len(X), len(X))))
    size = max(1, (32 << 20) // (8 * len(X)))
    for start in range(0, X.shape[1], size):
        columns = slice(start, start + size)
        centred = backend.astype(backend.asarray((X[:, columns] - mean[columns]) / unit[:, None]), backend.dtype)
        total = total + _product(centred.T, backend)
    return backend.to_numpy(total) * unit * unit[:, None]


def side_scale(X: Float, mean: Float) -> Float:
    """The norms of the centred columns (of the centred rows where n < d), floored by the rounding of the means."""
    rows, features = X.shape
    if rows < features:
        norms = np.concatenate([np.linalg.norm(X[part] - mean, axis=1) for part in row_slices(X)])
        return _floored(norms, np.full(rows, 1e-9 * float(np.linalg.norm(mean))))
    squares = np.zeros(features)
    for part in row_slices(X):
        centred = X[part] - mean
        squares += np.einsum("ij,ij->j", centred, centred)
    return _floored(np.sqrt(squares), rounding(mean, rows))


def rounding(mean: Float, rows: int) -> Float:
    """Norms below these are of the rounding of the means."""
    return np.asarray(1e-9 * rows**0.5 * np.abs(mean))


def _floored(norms: Float, floor: Float) -> Float:
    scale = np.maximum(norms, floor)
    return np.where(scale > 0, scale, 1.0)


def freivalds(X: Float, G: Float, rng: np.random.Generator) -> Check:
    """Gaussian Freivalds. With Ω = D⁻¹N(0,1), D the norms, est = ‖D⁻¹(XcᵀXcΩ − GΩ)‖_F/√s; a true scaled error of x
    times the tolerance passes with a chance of at most (e/x²)^(s/2). Never rejects."""
    normal = rng.standard_normal((len(G), PROBES))
    if len(X) < X.shape[1]:
        mean = column_means(X)
        scale = side_scale(X, mean)
        probes = normal / scale[:, None]
        inner = np.zeros((X.shape[1], PROBES))
        for part in row_slices(X):
            inner += (X[part] - mean).T @ probes[part]
        difference = np.concatenate([(X[part] - mean) @ inner for part in row_slices(X)]) - G @ probes
    else:
        difference, scale = _probed(X, G, normal)
    measured = float(np.linalg.norm(difference / scale[:, None])) / float(np.sqrt(PROBES * len(G)))
    if not measured <= TOLERANCE:
        return Check("inconclusive", METHOD, "The probes do not settle it.", measured, TOLERANCE)
    chance = (np.e / 100.0) ** (PROBES / 2)
    return Check("accepted", METHOD, "The Gram matrix agrees with the data.", measured, TOLERANCE, _bound(10), chance)


def _probed(X: Float, G: Float, normal: Float) -> tuple[Float, Float]:
    """(XcᵀXc − G)Ω (d × s) and the norms D (d,), in one pass.

    Ω must be there before the pass, and D is known after it. So Ω = D'⁻¹N, D' the norms that the diagonal of G
    claims: ‖D⁻¹E D'⁻¹‖_F · max(D'/D) is at least ‖D⁻¹E D⁻¹‖_F, whatever was claimed, and that factor is applied.
    """
    rows, shift = len(X), find_shift(X)
    claimed = _floored(np.sqrt(np.diag(G).clip(0.0)), rounding(shift.near, rows))
    probes = normal / claimed[:, None]
    level = (shift.near - shift.row) @ probes
    total, squares, around = np.zeros(len(G)), np.zeros(len(G)), np.zeros(normal.shape[1])
    product = np.zeros_like(probes)
    for _, block in shift.blocks(X):
        squares += np.einsum("ij,ij->j", block, block)
        projected = block @ probes
        projected -= level
        product += block.T @ projected
        around += projected.sum(axis=0)
        total += np.ones(len(block)) @ block
    offset = total / rows
    norms = np.sqrt((squares - rows * offset**2).clip(0.0))
    scale = _floored(norms, rounding(shift.row + offset, rows))
    excess = float(np.maximum(claimed / scale, 1.0).max())
    return (product - offset[:, None] * around - G @ probes) * excess, scale


def compare(X: Float, mean: Float, scale: Float, G: Float) -> Check:
    """The exact tier: the Gram matrix computed again in float64, which is the catalogue's own run."""
    method = "Gram matrix computed again: the scaled difference, Frobenius, over the square root of its side"
    own = gram(X, mean)
    if not np.isfinite(own).all():
        return Check("inconclusive", method, "The numbers in the data are too large.", fault="job")
    measured = float(np.linalg.norm((own - G) / scale / scale[:, None])) / float(np.sqrt(len(G)))
    if not measured <= TOLERANCE:
        reason = "The Gram matrix is not that of the centred data."
        return Check("rejected", method, reason, measured, TOLERANCE, fault="worker")
    return Check("accepted", method, "The Gram matrix agrees with the data.", measured, TOLERANCE, _bound(1))


def _bound(factor: int) -> str:
    return (
        f"In units of the columns' norms, the Gram matrix is within {factor * TOLERANCE:.0e} times the square root of "
        "its side of the exact one (a column whose spread is below a billionth of its mean counts with that much); the "
        "components are the exact eigenvectors of that matrix."
    )


def _from_rows(X: Float, mean: Float, basis: Float) -> Float:
    """Unit components (k × d) from eigenvectors of XcXcᵀ (k × n); directions without variance are completed."""
    found = np.zeros((len(basis), X.shape[1]))
    for part in row_slices(X):
        found += basis[:, part] @ (X[part] - mean)
    norms = np.linalg.norm(found, axis=1)
    real = norms > 1e-7 * max(float(norms[0]), 1e-300)
    found = found / np.where(real, norms, 1.0)[:, None]
    for row in np.flatnonzero(~real):
        for column in range(X.shape[1]):
            unit = np.zeros(X.shape[1])
            unit[column] = 1.0
            unit -= found[:row].T @ (found[:row] @ unit)
            if np.linalg.norm(unit) > 0.1:
                break
        found[row] = unit / np.linalg.norm(unit)
    return found


MODEL = PCA()
