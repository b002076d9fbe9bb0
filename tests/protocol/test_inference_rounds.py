"""Standard errors through ciphertexts: equal to those in the clear bit for bit, near those of the rows, refused where they cannot be."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from support.runs import (
    Change,
    Parties,
    defaults,
    elgamal_settings,
    listen,
    parties,
    private_key,
    replace,
    run,
    settings,
    train,
    training_programs,
)
from support.simulator import MemoryJournal

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import InputError, ProtocolError
from vflfast.plan.inference import traffic
from vflfast.plan.shape import flat_shape
from vflfast.protocol import forward, inference, inline
from vflfast.protocol import messages as ms
from vflfast.protocol.inline import TrainingResult
from vflfast.protocol.settings import Settings

Floats = npt.NDArray[np.float64]

N_ROWS = 160
AGREED = {"inference": True, "max_iter": 4, "alpha": 0.02}


def trained(made: Parties, agreed: Settings) -> TrainingResult:
    """A run that is compared with the twin, standard errors included."""
    if agreed.scheme == "elgamal":
        return inline.train(made.guest, made.hosts, agreed.changed(simulation=True), verify=True)
    return train(made, agreed, verify=True)


def dense(made: Parties) -> list[Floats]:
    """Columns of every party, n_rows × n_columns."""
    matrices = (made.guest.matrix, *(host.matrix for host in made.hosts))
    return [np.stack([m.column_values[j][m.codes[f]] for j, f in enumerate(m.column_features)], axis=1).astype(float) for m in matrices]


def of_the_rows(made: Parties, result: TrainingResult, alpha: float, weights: Floats | None = None) -> tuple[Floats, Floats]:
    """Standard errors of all columns and their variance inflation, from the rows and by numpy."""
    blocks = dense(made)
    u = sum(block @ m.weights + m.intercept for block, m in zip(blocks, (result.guest, *result.hosts), strict=True))
    chance, columns = 1 / (1 + np.exp(-u)), np.hstack(blocks)
    curvature = chance * (1 - chance) * (1.0 if weights is None else weights)
    scale = columns.std(axis=0)
    design = np.hstack([np.ones((len(u), 1)), (columns - columns.mean(axis=0)) / scale])
    information = (design.T * curvature) @ design
    inverse = np.linalg.inv(information + alpha * len(u) * np.diag([0.0, *[1.0] * len(scale)]))
    return np.sqrt((inverse @ information @ inverse).diagonal())[1:] / scale, np.linalg.inv(np.corrcoef(columns.T)).diagonal()


@pytest.mark.parametrize("scheme", [defaults, elgamal_settings])
@pytest.mark.parametrize("columns", [(3, 4), (4, 3), (3, 3), (1, 5)])
def test_as_in_the_clear_and_as_of_the_rows(columns: tuple[int, int], scheme: Callable[..., Settings]) -> None:
    made = parties(N_ROWS, columns, seed=sum(columns))
    result = trained(made, scheme(**AGREED))
    told = [model.inference for model in (result.guest, *result.hosts)]
    errors, inflated = of_the_rows(made, result, AGREED["alpha"])
    assert all(told)
    np.testing.assert_allclose(np.concatenate([one.errors for one in told if one]), errors, rtol=0.01)
    np.testing.assert_allclose(np.concatenate([one.inflation for one in told if one]), inflated, rtol=1e-9)
    guest, host = dense(made)
    across = np.corrcoef(guest.T, host.T)[: columns[0], columns[0] :]
    for model, table in ((result.guest, across), (result.hosts[0], across.T)):
        assert model.inference is not None
        assert model.inference.partners.tolist() == np.abs(table).argmax(axis=1).tolist()
        np.testing.assert_allclose(model.inference.correlation, table[np.arange(len(table)), model.inference.partners], atol=1e-12)
    assert result.guest.inference is not None
    assert result.guest.inference.intercept_error
    assert result.hosts[0].inference is not None
    assert result.hosts[0].inference.intercept_error is None


def test_the_weights_are_those_of_a_run_without() -> None:
    made = parties(N_ROWS, (3, 4))
    assert trained(made, defaults(**AGREED)).weight_hash == trained(made, defaults(**AGREED | {"inference": False})).weight_hash


def test_weighted_rows() -> None:
    made = parties(N_ROWS, (3, 4), seed=2)
    heavy = np.where(made.labels > 0, 6, 2).astype(np.int64)
    weighted = Parties(dataclasses.replace(made.guest, row_weights=heavy), made.hosts)
    result = trained(weighted, defaults(**AGREED, max_weight=6, weight_unit=2))
    errors, _ = of_the_rows(weighted, result, AGREED["alpha"], heavy / 2)
    assert result.guest.inference is not None
    np.testing.assert_allclose(result.guest.inference.errors, errors[:3], rtol=0.01)


def test_a_penalty_that_was_searched_for() -> None:
    made = parties(N_ROWS, (3, 4), seed=3)
    held_out = np.arange(N_ROWS) % 5 == 0
    result = trained(Parties(dataclasses.replace(made.guest, held_out=held_out), made.hosts), defaults(**AGREED | {"alpha": "search"}))
    assert result.guest.alpha == result.hosts[0].alpha
    errors, _ = of_the_rows(made, result, result.guest.alpha)
    assert result.guest.inference is not None
    np.testing.assert_allclose(result.guest.inference.errors, errors[:3], rtol=0.02)


@pytest.mark.parametrize("stop_after", [1, 4])
def test_a_run_that_goes_on_ends_with_the_same(stop_after: int) -> None:
    made = parties(N_ROWS, (3, 4), seed=4)
    whole = train(made, defaults(**AGREED))
    journals: dict[str, MemoryJournal] = {name: MemoryJournal() for name in inline.party_names(1)}

    def gone(_: str, message: ms.Message, envelope: ms.Envelope) -> list[bytes] | None:
        late = isinstance(message, ms.ColumnMoments) if stop_after == AGREED["max_iter"] else envelope.round > stop_after
        if late:
            raise KeyboardInterrupt
        return None

    with pytest.raises(KeyboardInterrupt):
        run(training_programs(made, defaults(**AGREED), journals), {"guest": gone})
    results = run(training_programs(made, defaults(**AGREED), journals))
    assert results["guest"].hashes == whole.guest.hashes
    assert whole.guest.inference is not None
    assert results["guest"].inference.to_dict() == whole.guest.inference.to_dict()


def test_predicted_traffic_is_what_is_sent() -> None:
    for agreed, made in ((defaults(**AGREED), parties(N_ROWS, (3, 5))), (elgamal_settings(**AGREED), parties(N_ROWS, (5, 3)))):
        sent = trained(made, agreed).traffic.n_bytes
        shape = flat_shape(N_ROWS, (made.guest.matrix.n_columns, made.hosts[0].matrix.n_columns), agreed)
        predicted = traffic(shape)
        predicted.pop("host1 → guest: Predictor")  # as a round's: by the halves' scale
        assert predicted == {message: sent[message] for message in predicted}
    assert traffic(flat_shape(N_ROWS, (3, 5), defaults())) == {}


# --- what each learns --------------------------------------------------------------------------------------------


def test_a_data_party_is_told_three_numbers_a_column() -> None:
    results, heard = listen(training_programs(parties(N_ROWS, (3, 4)), defaults(**AGREED)))
    late = [(m, e) for m, e, _ in heard if m.phase == "inference"]
    assert {type(m) for m, e in late if e.recipient == "guest"} == {ms.StandardErrors}
    assert {type(m) for m, e in late if e.recipient == "host1"} == {ms.Curvature, ms.WeighedColumn, ms.StandardErrors}
    for name, equations in (("guest", 10), ("host1", 12)):
        entry = next(e for e in results[name].ledger.entries if e.what.startswith("standard errors"))
        assert (entry.equations, entry.unknowns) == (equations, N_ROWS)
    without, _ = listen(training_programs(parties(N_ROWS, (3, 4)), defaults(**AGREED | {"inference": False})))
    assert not any(entry.what.startswith("standard errors") for entry in without["guest"].ledger.entries)


def test_ciphertexts_are_fresh_and_never_repeated() -> None:
    """A column of zeros and ones, times a curvature, would show its ones if what leaves were not put under fresh randomness."""
    made = parties(N_ROWS, (1, 2), classes=2)
    _, heard = listen(training_programs(made, defaults(**AGREED)))
    rows = [m.ciphertexts for m, _, _ in heard if isinstance(m, ms.WeighedColumn | ms.Curvature)]
    limbs = np.concatenate(rows)
    assert len(np.unique(limbs, axis=0)) == len(limbs) == 3 * N_ROWS


# --- refusals ----------------------------------------------------------------------------------------------------


def test_settings_that_have_no_standard_errors() -> None:
    for more in ({"residual": "taylor"}, {"n_batches": 2}):
        with pytest.raises(InputError, match="another loss") as caught:
            settings(inference=True, **{"residual": "logistic"} | more)
        assert caught.value.argument == "inference"
    with pytest.raises(InputError, match="true or false"):
        defaults(inference=1)


def test_more_hosts_or_columns_than_there_are_standard_errors_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="one guest and one host so far; not 3"):
        trained(parties(N_ROWS, (2, 2, 2)), defaults(**AGREED))
    monkeypatch.setattr(inference, "MOST_COLUMNS", 3)
    with pytest.raises(InputError, match="up to 3 columns of a party, host1 has 4"):
        trained(parties(N_ROWS, (3, 4)), defaults(**AGREED))
    trained(parties(N_ROWS, (3, 3)), defaults(**AGREED))


def test_columns_whose_sums_the_scheme_cannot_read_in_time_are_refused_before_the_first_round() -> None:
    """Of 256 levels: small logarithms of such sums take seconds each; Paillier reads them."""
    wide = parties(N_ROWS, (2, 2), classes=5)
    matrix = wide.guest.matrix
    far = CodedMatrix(matrix.codes, matrix.class_counts, matrix.column_features, matrix.column_values * 60_000)
    made = Parties(dataclasses.replace(wide.guest, matrix=far), wide.hosts)
    with pytest.raises(InputError, match="reach 240000") as caught:
        trained(made, elgamal_settings(**AGREED))
    assert caught.value.argument == "inference"
    trained(made, elgamal_settings(**AGREED | {"inference": False}))
    trained(made, defaults(**AGREED))


def cut(values: Any) -> Any:
    return values[:-1]


def doubled(values: Any) -> Any:
    return np.concatenate([values, values])[: len(values) + 1]


def first(value: float) -> Callable[[Any], Any]:
    def change(values: Any) -> Any:
        changed = values.copy()
        changed.ravel()[0] = value
        return changed

    return change


def far_too_large(values: Any) -> Any:
    """Ciphertexts of sums that no rows have."""
    public = private_key().public
    numbers = np.full(len(values), public.n // 2 - 1, dtype=object)
    return public.encrypt_encoded(numbers, frac_bits=0, bound=public.n // 2 - 1).limbs


LIES = [
    ("guest", replace(ms.Curvature, ciphertexts=cut), "guest", "Curvature"),
    ("guest", replace(ms.WeighedColumn, ciphertexts=cut), "guest", "WeighedColumn"),
    ("guest", replace(ms.WeighedColumn, ciphertexts=np.zeros((60, 16), dtype=np.uint64)), "guest", "WeighedColumn"),
    ("guest", replace(ms.WeighedColumn, occurrence=3, number=1), "guest", "WeighedColumn"),
    ("guest", replace(ms.WeighedColumn, largest=0), "guest", "WeighedColumn"),
    ("guest", replace(ms.WeighedColumn, largest=1 << 40), "guest", "WeighedColumn"),
    ("guest", replace(ms.ColumnMoments, features=cut), "guest", "ColumnMoments"),
    ("guest", replace(ms.ColumnMoments, features=first(1 << 40)), "guest", "ColumnMoments"),
    ("guest", replace(ms.ColumnMoments, sums=cut), "guest", "ColumnMoments"),
    ("guest", replace(ms.ColumnMoments, products=doubled), "guest", "ColumnMoments"),
    ("guest", replace(ms.ColumnMoments, weighted=cut), "guest", "ColumnMoments"),
    ("guest", replace(ms.ColumnMoments, weighted=far_too_large), "guest", "ColumnMoments"),
    ("guest", replace(ms.ColumnMoments, alpha=float("nan")), "guest", "ColumnMoments"),
    ("host1", replace(ms.ColumnMoments, alpha=0.5), "host1", "ColumnMoments"),
    ("host1", replace(ms.ColumnMoments, products=first(0)), "host1", "ColumnMoments"),
    ("host1", replace(ms.CrossMoments, plain=cut), "host1", "CrossMoments"),
    ("host1", replace(ms.CrossMoments, weighted=far_too_large), "host1", "CrossMoments"),
    ("arbiter", replace(ms.StandardErrors, errors=cut), "arbiter", "StandardErrors"),
    ("arbiter", replace(ms.StandardErrors, errors=first(-1.0)), "arbiter", "StandardErrors"),
    ("arbiter", replace(ms.StandardErrors, inflation=first(0.5)), "arbiter", "StandardErrors"),
    ("arbiter", replace(ms.StandardErrors, correlation=first(1.5)), "arbiter", "StandardErrors"),
    ("arbiter", replace(ms.StandardErrors, correlation=first(np.nan)), "arbiter", "StandardErrors"),
    ("arbiter", replace(ms.StandardErrors, partners=first(4)), "arbiter", "StandardErrors"),
    ("arbiter", replace(ms.StandardErrors, intercept=-1.0), "arbiter", "StandardErrors"),
]


@pytest.mark.parametrize(("liar", "change", "party", "step"), LIES)
def test_what_cannot_be_is_the_senders_fault(liar: str, change: Change, party: str, step: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        run(training_programs(parties(60, (3, 4), seed=6), defaults(**AGREED | {"max_iter": 1})), {liar: change})
    assert (caught.value.party, caught.value.step) == (party, step)


def test_columns_in_several_messages_that_reach_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "ROWS_PER_MESSAGE", 60)
    made = parties(N_ROWS, (3, 4), seed=6)
    run(training_programs(made, defaults(**AGREED)))
    with pytest.raises(ProtocolError, match="reach 3"):
        run(training_programs(made, defaults(**AGREED)), {"guest": replace(ms.WeighedColumn, occurrence=2, largest=3)})


def test_a_half_that_varies_too_much_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    plain = inference.halves.residual.agreed_range
    monkeypatch.setattr(inference.halves.residual, "agreed_range", lambda half, bound=None: (plain(half, bound)[0], 8.0 if bound else 1.0))
    with caplog.at_level(logging.WARNING, logger="vflfast"):
        run(training_programs(parties(N_ROWS, (3, 4)), defaults(**AGREED)))
    assert "too small or too large" in caplog.text
