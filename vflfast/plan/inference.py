"""What standard errors take: bytes, exact, and the time of their products (protocol/inference.py)."""

from __future__ import annotations

from ..protocol import inference
from ..protocol.forward import pieces
from .forms import form_of
from .shape import PartyShape, RunShape
from .wire import FRAME_BYTES, columns_sent, limb_bytes
from .work import POWER, Work

STAGE = "inference: "
SMALL_POWER = 4.0  # multiplications of a ciphertext by a class's value, in products


def traffic(shape: RunShape) -> dict[str, int]:
    """Return the bytes of the messages of standard errors, none where the settings ask for none.

    Raises
    ------
    InputError
        More columns or parties than there are standard errors for.
    """
    if not shape.settings.inference:
        return {}
    inference.check_columns({party.name: party.n_columns for party in shape.parties}, shape.settings)
    guest, host = shape.parties
    form, cut = form_of(shape.settings), pieces(shape.n_rows)
    sender, receiver = _direction(shape)
    cross = [form.sums_to_holder(guest.n_columns * host.n_columns, bound) for bound in _cross_bounds(shape)]
    one, several = (sum(limb_bytes(k * (piece.stop - piece.start), form.width) for piece in cut) for k in (1, columns_sent(shape)))
    sizes = {
        f"{host.name} → {guest.name}: Predictor": several,
        f"{guest.name} → {host.name}: Curvature": one,
        f"{sender.name} → {receiver.name}: WeighedColumn": 2 * sender.n_columns * (one + 16 * len(cut)),
        f"{receiver.name} → arbiter: CrossMoments": FRAME_BYTES + sum(16 + count * form.width for count in cross),
    }
    for party in shape.parties:
        d, count = party.n_columns, form.sums_to_holder(*_own(shape, party))
        clear = 8 + 2 * (16 + 8 * d) + 16 + 8 * (d * (d + 1) // 2)
        sizes[f"{party.name} → arbiter: ColumnMoments"] = FRAME_BYTES + clear + 16 + count * form.width
        sizes[f"arbiter → {party.name}: StandardErrors"] = FRAME_BYTES + 8 + 3 * (8 + 8 * d) + 16 + 8 * d
    return sizes


def add_work(work: Work) -> None:
    """Add the steps of standard errors, where the settings ask for them."""
    shape, rates = work.shape, work.rates
    if not shape.settings.inference:
        return
    guest, host = (party.name for party in shape.parties)
    n, columns = shape.n_rows, columns_sent(shape)
    work.add(host, STAGE + "curvature", work.tables[host].cost(columns * n, work.bits // 2))
    work.carry(host, guest, columns * n)
    work.check(guest, columns * n)
    made = n * (rates.add_plain + POWER * columns * rates.multiply)
    work.add(guest, STAGE + "curvature", made + work.tables[guest].cost(n, work.bits // 2))
    work.carry(guest, host, n)
    work.check(host, n)
    for party in shape.parties:
        one = _product(work, party) + SMALL_POWER * n * rates.multiply
        work.add(party.name, STAGE + "own columns", (party.n_columns + 1) * one)
        _to_arbiter(work, party.name, *_own(shape, party))
    _across(work)


def _across(work: Work) -> None:
    """The columns of one party, twice, and their products with those of the other."""
    sender, receiver = _direction(work.shape)
    n, count = work.shape.n_rows, 2 * sender.n_columns
    for _ in range(count):
        work.add(sender.name, STAGE + "send columns", work.tables[sender.name].cost(n, work.bits // 2))
        work.carry(sender.name, receiver.name, n)
        work.check(receiver.name, n)
    work.add(receiver.name, STAGE + "products of columns", count * _product(work, receiver))
    for bound in _cross_bounds(work.shape):
        _to_arbiter(work, receiver.name, sender.n_columns * receiver.n_columns, bound)


def _product(work: Work, party: PartyShape) -> float:
    """Microseconds of one coded product with all rows."""
    return sum(work.product(party.class_counts, work.products[party.name], work.shape.n_rows, party.n_columns).values())


def _to_arbiter(work: Work, party: str, n_values: int, bound: int) -> None:
    count = work.form.sums_to_holder(n_values, bound)
    work.add(party, STAGE + "own columns", work.tables[party].cost(count, work.full))
    work.carry(party, "arbiter", count)
    work.read_sums(count, bound)


def _direction(shape: RunShape) -> tuple[PartyShape, PartyShape]:
    """The party that sends its columns, and the other."""
    guest, host = shape.parties
    columns = {party.name: party.n_columns for party in shape.parties}
    return (guest, host) if inference.sends(columns, guest.name, host.name) else (host, guest)


def _own(shape: RunShape, party: PartyShape) -> tuple[int, int]:
    """How many weighted sums a party has, and their bound."""
    return inference.own_count(party.n_columns), inference.own_bound(shape.settings, shape.n_rows, party.largest)


def _cross_bounds(shape: RunShape) -> tuple[int, int]:
    """The bounds of the products of both parties' columns, plain and weighted."""
    guest, host = shape.parties
    plain = shape.n_rows * guest.largest * host.largest
    return plain, plain * inference.row_bound(shape.settings)
