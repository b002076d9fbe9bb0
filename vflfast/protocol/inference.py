"""Standard errors of both parties' weights, variance inflation and correlations, after the last round (learn/inference.py).

1. host → guest: columns φ(u″) of its final half, as in a round; guest → host: [[w·σ′(u)]], one ciphertext a row.
2. Of the two the party with fewer columns, the guest if they are equal, sends every column encrypted row by row, [[z]] and then
   [[w·σ′(u)·z]]; the other sums these with its own columns by the coded product.
3. data party → arbiter: sums and products of its own columns over the rows, in the clear, and those weighted by w·σ′(u), encrypted for
   the arbiter to read; from the one that received columns, the encrypted products of both parties' columns too.
4. arbiter → data party: standard errors, variance inflation and the strongest correlation of its own columns, nothing of the other's.

What each learns. A data party: about three numbers a column. It is *not* given the sums of w·σ′(u) over products of its own columns:
these are linear equations in the rows' σ′, d(d + 1)/2 of them, and a pair of classes that one customer has shows that customer's σ′, and
with it the other half of its score (tests/attacks/test_inference_rows.py). The arbiter: second moments of unnamed columns, d(d + 1)/2 of
either kind. It knows no value of any column and no row of them; that it does not work together with a data party is assumed throughout.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..crypto.arrays import CipherArray
from ..crypto.coded import CodedMatrix
from ..crypto.scheme import Public
from ..errors import BoundError, InputError, ProtocolError
from ..learn import residual
from ..learn.checks import Ints
from ..learn.inference import Exact, Inference, Moments, correlations, inflation, standard_errors, strongest
from ..learn.logistic import column_sums, gram
from ..params import MAX_COLUMN_VALUE, MAX_COUNT
from . import columns as halves
from . import messages as ms
from .block import Block
from .forward import ONE_HOST, Arrival, parse_vector, pieces
from .leakage import LeakLedger
from .link import Link
from .settings import Settings

# ciphertexts, how many numbers, their bound, whose, of which message
Read = Callable[[npt.NDArray[np.uint64], int, int, str, str], list[int]]

MOST_COLUMNS = 200  # of a party: the products of d columns are d(d + 1)/2 encrypted sums over all rows
EXACT_BITS = 53  # of float64
SPARE_BITS = 9  # of a scheme's largest number, so that thousands of small logarithms are found in minutes
SLACK = 1e-9  # of a correlation above 1 by rounding

log = logging.getLogger("vflfast")
UNTRUSTED = (
    "inference: a half of the model varies too much for σ′ to be made of a few columns; the standard errors are too small or too large. "
    "A larger alpha keeps it smaller"
)


def check_columns(columns: Mapping[str, int], settings: Settings) -> None:
    """Refuse, before anything is encrypted, parties for which there are no standard errors; InputError names the limit."""
    if not settings.inference:
        return
    sizes = {party: count for party, count in columns.items() if party != "arbiter"}
    if len(sizes) != ONE_HOST:
        raise InputError("inference", f"is for one guest and one host so far; not {len(sizes)} data parties. Set inference = false")
    for party, count in sizes.items():
        if count > MOST_COLUMNS:
            raise InputError(
                "inference", f"takes up to {MOST_COLUMNS} columns of a party, {party} has {count}; their products are as many encrypted "
                "sums. Leave columns out, or set inference = false"
            )  # fmt: skip


def check_bounds(public: Public, block: Block) -> None:
    """Refuse, before the first round, columns whose weighted sums the arbiter could not read in minutes; InputError says what would do."""
    if not block.settings.inference:
        return
    try:
        public.check_bound(own_bound(block.settings, block.matrix.n_rows, block.matrix.largest) << SPARE_BITS)
    except BoundError:
        raise InputError(
            "inference", f"the columns reach {block.matrix.largest}: with this scheme their weighted sums would take hours to read. Bin "
            "them into few classes, take the default scheme, or set inference = false"
        ) from None  # fmt: skip


async def at_data_party(
    link: Link, public: Public, block: Block, columns: Mapping[str, int], ledger: LeakLedger
) -> Inference | None:
    """Return what the arbiter computes of this party's columns, where the settings say so; `columns` of every party.

    Raises
    ------
    ProtocolError
        Ciphertexts or numbers of others that are not what is due.
    """
    if not block.settings.inference:
        return None
    other = next(party for party in link.peers if party != "arbiter")
    matrix, curvature = block.matrix, await _curvature(link, other, public, block)
    link.stage("inference: own columns")
    weighted = public.sums_to_holder(_own_sums(matrix, curvature, own_bound(block.settings, matrix.n_rows, matrix.largest)))
    products = gram(matrix).astype(np.int64)[np.triu_indices(matrix.n_columns)]
    sums, squares = (np.ascontiguousarray(values.astype(np.int64)[:, None]).view(np.uint64) for values in (column_sums(matrix), products))
    features = matrix.column_features.astype(np.uint64)[:, None]
    await link.send("arbiter", ms.ColumnMoments(block.alpha, features, sums, squares, weighted.limbs))
    if sends(columns, link.name, other):
        await _send_columns(link, other, public, matrix, curvature)
    else:
        await _send_products(link, other, public, block, curvature, columns[other])
    told = _checked(await link.receive("arbiter", ms.StandardErrors), matrix.n_columns, columns[other], link.name)
    ledger.add("standard errors, variance inflation, correlations", 3 * matrix.n_columns + (link.name == "guest"), matrix.n_rows)
    return told


async def at_arbiter(link: Link, read: Read, columns: Mapping[str, int], quotas: Mapping[str, ms.Quota], settings: Settings) -> None:
    """Read the sums and tell each party what is due to its columns, where the settings say so; `read` as the arbiter does.

    Raises
    ------
    ProtocolError
        Sums that no rows have, or another number of ciphertexts.
    """
    if not settings.inference:
        return
    first, second = link.peers
    own = {party: await _read_own(link, read, party, columns[party], quotas[party], settings) for party in link.peers}
    receiver = second if sends(columns, first, second) else first
    across = await _read_products(link, read, receiver, columns, quotas, settings)
    alphas = {party: own[party].alpha for party in link.peers}
    if alphas[first] != alphas[second]:
        raise ProtocolError(second, "ColumnMoments", f"its penalty is {alphas[second]!r}, that of {first} {alphas[first]!r}")
    link.stage("inference: solve")
    joined = [_joined(*blocks) for blocks in zip(own[first].blocks, own[second].blocks, across, strict=True)]
    moments = Moments(joined[0], joined[1], step(settings))
    try:
        told = _each(moments, alphas[first], [own[party].features for party in link.peers])
    except InputError as error:
        raise ProtocolError(receiver, "CrossMoments", str(error)) from error
    for party, one in zip(link.peers, told, strict=True):
        intercept = np.nan if one.intercept_error is None else one.intercept_error
        partners = one.partners.astype(np.uint64)[:, None]
        await link.send(party, ms.StandardErrors(intercept, one.errors, one.inflation, one.correlation, partners))


def plain(blocks: Sequence[Block]) -> list[Inference]:
    """Return what the parties are told, computed in the clear, the guest first: the twin of the encrypted computation."""
    guest, host = blocks
    settings = guest.settings
    weights = halves.plain_curvature(guest.predictor, host.predictor, settings.predictor_bound)
    if guest.row_weights is not None:
        weights = weights * guest.row_weights
    values = [np.stack([_values(block.matrix, j) for j in range(block.matrix.n_columns)]) for block in blocks]
    rows = np.vstack([np.ones((1, weights.size), dtype=np.int64), *values])
    moments = Moments(_products(rows, rows), _products(rows * weights, rows), step(settings))
    return _each(moments, guest.alpha, [block.matrix.column_features for block in blocks])


def sends(columns: Mapping[str, int], party: str, other: str) -> bool:
    """Return whether of two parties the first sends its columns: the one with fewer, else the guest."""
    return (columns[party], party != "guest") < (columns[other], other != "guest")


def step(settings: Settings) -> float:
    """Return the unit of the weighted sums, of a row that counts as 1."""
    return 1.0 / (settings.weight_unit << residual.CURVATURE_BITS)


def row_bound(settings: Settings) -> int:
    """Return the bound of a row's w·σ′(u), rounding included."""
    return settings.max_weight << residual.CURVATURE_BITS


def own_bound(settings: Settings, n_rows: int, largest: int) -> int:
    """Return the bound of the weighted sums over one party's columns."""
    return row_bound(settings) * n_rows * largest * largest


def own_count(n_columns: int) -> int:
    """Return how many weighted sums a party has: of the constant, of its columns, and of their products."""
    return 1 + n_columns + n_columns * (n_columns + 1) // 2


# --- a data party's steps ----------------------------------------------------------------------------------------


async def _curvature(link: Link, other: str, public: Public, block: Block) -> CipherArray:
    """[[w·σ′(u)]] of all rows, at the guest and at the host."""
    settings, n_rows = block.settings, block.matrix.n_rows
    most = row_bound(settings)
    link.stage("inference: curvature")
    link.tell("inference", 0.0)
    if link.name == "guest":
        made = await halves.return_curvature(
            link, other, public, block.predictor, settings.predictor_bound, block.row_weights, most
        )
        if not made.trusted:
            log.warning(UNTRUSTED)
        curvature: CipherArray = made.residual
        return curvature
    await halves.send_columns(link, public, block.predictor, settings.predictor_bound, bits=residual.CURVATURE_PHI_BITS)
    arrival = Arrival(public, "guest", ms.Curvature, most)
    return CipherArray.concatenate([await arrival.receive(link, piece.stop - piece.start) for piece in pieces(n_rows)])


def _own_sums(matrix: CodedMatrix, curvature: CipherArray, bound: int) -> CipherArray:
    """[[Σ w·σ′]], then of every column, then of the products of columns, upper triangle by rows."""
    columns, total = matrix.product(curvature)
    products = [matrix.product(curvature * _values(matrix, j))[0].vector[j:] for j in range(matrix.n_columns)]
    found = [total.vector, columns.vector, *products]
    return CipherArray(curvature.public, np.concatenate(found), 0, bound)


async def _send_columns(link: Link, other: str, public: Public, matrix: CodedMatrix, curvature: CipherArray) -> None:
    """Send every column, [[z]] of all rows, and then [[w·σ′·z]]."""
    public.expect(2 * matrix.n_columns * matrix.n_rows)
    number = 0
    for weigh in (False, True):
        for j in range(matrix.n_columns):
            values = _values(matrix, j)
            for piece in pieces(matrix.n_rows):
                link.stage("inference: send columns")
                if weigh:
                    sent = public.rerandomize(curvature[piece] * values[piece])
                else:
                    sent = public.encrypt_encoded(values[piece], frac_bits=0, bound=matrix.largest)
                await link.send(other, ms.WeighedColumn(number, matrix.largest, sent.limbs))
                number += 1
            link.tell("inference", (j + 1 + weigh * matrix.n_columns) / (2 * matrix.n_columns))


async def _send_products(link: Link, other: str, public: Public, block: Block, curvature: CipherArray, n_columns: int) -> None:
    """Receive the other's columns; send the arbiter their products with the own ones."""
    matrix, sums, arrival = block.matrix, [], _Columns(link, other, public, block.matrix.n_rows)
    for most in (1, row_bound(block.settings)):
        found = []
        for _ in range(n_columns):
            column = await arrival.receive(most)
            link.tell("inference", arrival.columns / (2 * n_columns))
            link.stage("inference: products of columns")
            found.append(matrix.product(column)[0].vector)
        bound = most * matrix.n_rows * arrival.largest * matrix.largest
        sums.append(public.sums_to_holder(CipherArray(public, np.concatenate(found), 0, bound)).limbs)
    await link.send("arbiter", ms.CrossMoments(*sums))


class _Columns:
    """Another party's columns as they come in: how many did, and the `largest` |z| of all of them, as it says."""

    def __init__(self, link: Link, other: str, public: Public, n_rows: int) -> None:
        self._link, self._other, self._public, self._n_rows = link, other, public, n_rows
        self._next, self.columns, self.largest = 0, 0, 0

    async def receive(self, most: int) -> CipherArray:
        """Return the next column, whose rows are `most` times as large as its values; ProtocolError."""
        parts = []
        for piece in pieces(self._n_rows):
            message = await self._link.receive(self._other, ms.WeighedColumn)
            if message.number != self._next:
                raise ProtocolError(self._other, "WeighedColumn", f"is number {message.number}, {self._next} is due")
            if not 1 <= message.largest <= MAX_COLUMN_VALUE or self.largest not in (0, message.largest):
                raise ProtocolError(self._other, "WeighedColumn", f"says that its columns reach {message.largest}")
            self._next, self.largest = self._next + 1, message.largest
            self._link.stage("check ciphertexts")
            count, bound = piece.stop - piece.start, most * message.largest
            parts.append(parse_vector(self._public, message.ciphertexts, count, bound, self._other, "WeighedColumn"))
        self.columns += 1
        return CipherArray.concatenate(parts)


def _values(matrix: CodedMatrix, column: int) -> Ints:
    """Values of a column in every row."""
    found: Ints = matrix.column_values[column][matrix.codes[matrix.column_features[column]]]
    return found


def _checked(message: ms.StandardErrors, n_columns: int, n_other: int, party: str) -> Inference:
    """Return what the arbiter says, unless it cannot be; ProtocolError."""
    arrays = message.errors, message.inflation, message.correlation
    partners = message.partners.astype(np.int64)
    sized = all(len(array) == n_columns for array in arrays) and partners.shape == (n_columns, 1)
    if not sized or (partners < 0).any() or (partners >= n_other).any():
        raise ProtocolError("arbiter", "StandardErrors", f"{n_columns} numbers of either kind are due")
    errors, inflated, correlation = arrays
    known = not np.isnan(correlation).any() and (np.abs(correlation) <= 1.0 + SLACK).all()
    if not known or (errors < 0.0).any() or (inflated < 1.0).any() or message.intercept < 0.0:
        raise ProtocolError("arbiter", "StandardErrors", "no columns have these")
    return Inference(errors, message.intercept if party == "guest" else None, inflated, correlation, partners[:, 0])


def _products(left: Ints, right: Ints) -> Exact:
    """left·rightᵀ, exact: in float64, where no sum of magnitudes leaves its whole numbers, in any order of the sums."""
    exact = float(np.abs(left).max()) * float(np.abs(right).max()) * left.shape[1] < 1 << EXACT_BITS
    kind = np.float64 if exact else object
    found: Exact = (left.astype(kind) @ right.astype(kind).T).astype(np.int64 if exact else object).astype(object)
    return found


# --- the arbiter's steps -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Own:
    """Of one party: its penalty, its columns' features, and sums of the constant, of columns and of products, shape (1 + d, 1 + d) each."""

    alpha: float
    features: Ints
    blocks: tuple[Exact, Exact]


async def _read_own(link: Link, read: Read, party: str, n_columns: int, quota: ms.Quota, settings: Settings) -> _Own:
    message = await link.receive(party, ms.ColumnMoments)
    n_products = n_columns * (n_columns + 1) // 2
    sized = message.features.shape == message.sums.shape == (n_columns, 1) and message.products.shape == (n_products, 1)
    if not sized or (message.features >= MAX_COUNT).any() or not np.isfinite(message.alpha):
        raise ProtocolError(party, "ColumnMoments", f"the sums of {n_columns} columns and their products are due")
    clear = [quota.n_rows, *message.sums.view(np.int64)[:, 0].tolist(), *message.products.view(np.int64)[:, 0].tolist()]
    plain_sums = _square(clear, n_columns)
    if any(quota.n_rows * plain_sums[j, j] < plain_sums[0, j] ** 2 for j in range(1, 1 + n_columns)):
        raise ProtocolError(party, "ColumnMoments", "no rows have these sums")
    bound = own_bound(settings, quota.n_rows, quota.largest)
    weighted = read(message.weighted, own_count(n_columns), bound, party, "ColumnMoments")
    return _Own(message.alpha, message.features[:, 0].astype(np.int64), (plain_sums, _square(weighted, n_columns)))


async def _read_products(
    link: Link, read: Read, receiver: str, columns: Mapping[str, int], quotas: Mapping[str, ms.Quota], settings: Settings
) -> list[Exact]:
    """Products of the first party's columns (rows) and the second's, plain and weighted."""
    message = await link.receive(receiver, ms.CrossMoments)
    first, second = link.peers
    shape = (columns[first], columns[second]) if receiver == second else (columns[second], columns[first])
    bound = quotas[first].n_rows * quotas[first].largest * quotas[second].largest
    found = []
    for limbs, most in ((message.plain, 1), (message.weighted, row_bound(settings))):
        numbers = read(limbs, shape[0] * shape[1], bound * most, receiver, "CrossMoments")
        block = np.array(numbers, dtype=object).reshape(shape)
        found.append(block if receiver == second else block.T)
    return found


def _square(numbers: list[int], n_columns: int) -> Exact:
    """The symmetric matrix of the constant and a party's columns from its sums: constant, columns, upper triangle of products."""
    block = np.zeros((1 + n_columns, 1 + n_columns), dtype=object)
    block[0] = numbers[: 1 + n_columns]
    upper = np.triu_indices(n_columns)
    block[1:, 1:][upper] = numbers[1 + n_columns :]
    block[1:, 1:].T[upper] = numbers[1 + n_columns :]
    block[1:, 0] = block[0, 1:]
    return block


def _joined(first: Exact, second: Exact, across: Exact) -> Exact:
    """The matrix of the constant and both parties' columns."""
    size = len(first)
    whole = np.zeros((size + len(second) - 1,) * 2, dtype=object)
    whole[:size, :size] = first
    whole[size:, size:] = second[1:, 1:]
    whole[0, size:] = whole[size:, 0] = second[0, 1:]
    whole[1:size, size:], whole[size:, 1:size] = across, across.T
    return whole


# --- both --------------------------------------------------------------------------------------------------------


def _each(moments: Moments, alpha: float, features: Sequence[Ints]) -> list[Inference]:
    """What is due to each party, from the sums of all and the features of each one's columns."""
    errors, intercept = standard_errors(moments, alpha, len(features[0]))
    correlated = correlations(moments.plain)
    inflated = inflation(correlated, np.concatenate([2 * own + number for number, own in enumerate(features)]))
    told, start = [], 0
    for number, one in enumerate(features):
        own = slice(start, start + len(one))
        values, partners = strongest(correlated, own)
        there = partners - np.where(partners >= own.stop, own.stop, 0)
        told.append(Inference(errors[own], None if number else intercept, inflated[own], values, there))
        start = own.stop
    return told
