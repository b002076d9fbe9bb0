"""ristretto255: the vectors of RFC 9496, every backend against Python integers, small discrete logarithms."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.crypto import backend as be
from vflfast.crypto import fallback_curve as oracle
from vflfast.crypto import limbs as lm
from vflfast.crypto.coded import CodedMatrix
from vflfast.crypto.context import BaseTerm, CurveContext
from vflfast.crypto.curve import (
    CODE_LIMBS,
    GENERATOR,
    ORDER,
    ORDER_BITS,
    random_scalars,
)
from vflfast.errors import CiphertextError

# RFC 9496, A.1: the multiples 0 to 15 of the generator.
MULTIPLES = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
    "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
    "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
    "da80862773358b466ffadfe0b3293ab3d9fd53c5ea6c955358f568322daf6a57",
    "e882b131016b52c1d3337080187cf768423efccbb517bb495ab812c4160ff44e",
    "f64746d3c92b13050ed8d80236a7f0007c3b3f962f5ba793d19a601ebb1df403",
    "44f53520926ec81fbd5a387845beb7df85a96a24ece18738bdcfa6a7822a176d",
    "903293d8f2287ebe10e2374dc1a53e0bc887e592699f02d077d5263cdd55601c",
    "02622ace8f7303a31cafc63f8fc48fdc16e1c8c8d234b2f0d6685282a9076031",
    "20706fd788b2720a1ed2a5dad4952b01f413bcf0e7564de8cdc816689e2db95f",
    "bce83f8ba5dd2fa572864c24ba1810f9522bc6004afe95877ac73241cafdab42",
    "e4549ee16b9aa03099ca208c67adafcafa4c3f3e4e5303de6026e3ca8ff84460",
    "aa52e000df2e16f55fb1032fc33bc42742dad6bd5a8fc0be0167436c5948501f",
    "46376b80f409b29dc2b5f6f0c52591990896e5716f41477cd30085ab7f10301e",
    "e0c418f7c8d9c4cdd7395b93ea124f3ad99021bb681dfc3302a9d99a2e53e64e",
]
# A.3: texts, whose SHA-512 is mapped.
MAPPED = {
    "Ristretto is traditionally a short shot of espresso coffee": "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
    "made with the normal amount of ground coffee but extracted with": "f26e5b6f7d362d2d2a94c5d0e7602cb4773c95a2e5c31a64f133189fa76ed61b",
    "about half the amount of water in the same amount of time": "006ccd2a9e6867e6a2c5cea83d3302cc9de128dd2a9a57dd8ee7b9d7ffe02826",
    "by using a finer grind.": "f8f0c87cf237953c5890aec3998169005dae3eca1fbb04548c635953c817f92a",
    "This produces a concentrated shot of coffee per volume.": "ae81e7dedf20a497e10c304a765c1767a42d6e06029758d2d7e8ef7cc4c41179",
    "Just pulling a normal shot short will produce a weaker shot": "e2705652ff9f5e44d3e841bf1c251cf7dddb77d140870d1ab2ed64f1a9ce8628",
    "and is not a Ristretto as some believe.": "80bd07262511cdde4863f8a7434cef696750681cb9510eea557088f76d9e5065",
}
# A.2: what a decoder refuses, one of each kind.
REFUSED = {
    "not below p": "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "p itself": "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "negative": "0100000000000000000000000000000000000000000000000000000000000000",
    "no square": "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "negative xy": "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
    "y is 0": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}


@pytest.fixture(params=be.available())
def curve(request: pytest.FixtureRequest) -> CurveContext:
    return be.select(request.param).curve(1)


def codes_of(texts: list[str]) -> lm.Limbs:
    return np.frombuffer(bytes.fromhex("".join(texts)), dtype="<u8").reshape(-1, CODE_LIMBS).astype(np.uint64)


def generator(curve: CurveContext) -> Any:
    return curve.load(codes_of([GENERATOR.hex()]))


def integers(curve: CurveContext, vector: Any) -> list[int]:
    return lm.to_ints(curve.store(vector))


def test_multiples_of_the_generator_are_those_of_the_standard(curve: CurveContext) -> None:
    found = curve.power(curve.multiply(curve.one(16), generator(curve)), lm.from_ints(range(16), 1))
    assert curve.store(found).tobytes().hex() == "".join(MULTIPLES)
    assert curve.store(curve.load(codes_of(MULTIPLES))).tobytes().hex() == "".join(MULTIPLES)


def test_uniform_bytes_map_to_what_the_standard_says(curve: CurveContext) -> None:
    hashes = b"".join(hashlib.sha512(text.encode()).digest() for text in MAPPED)
    uniform = np.frombuffer(hashes, dtype="<u8").reshape(-1, 8).astype(np.uint64)
    assert curve.store(curve.from_uniform(uniform)).tobytes().hex() == "".join(MAPPED.values())


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_encodings_that_are_none_are_refused_by_number(curve: CurveContext, kind: str) -> None:
    with pytest.raises(CiphertextError, match="number 2 is no canonical"):
        curve.load(codes_of([*MULTIPLES[1:3], REFUSED[kind], MULTIPLES[3]]))


def test_sums_multiples_and_negatives_are_those_of_python_integers(curve: CurveContext) -> None:
    rng = random.Random(1)
    scalars = [0, 1, 2, ORDER - 1, ORDER - 2, *(rng.randrange(ORDER) for _ in range(15))]
    limbs, base = lm.from_ints(scalars, CODE_LIMBS), oracle.decode(int.from_bytes(GENERATOR, "little"))
    expected = [oracle.times(base, scalar) for scalar in scalars]  # type: ignore[arg-type]
    codes = [oracle.encode(point) for point in expected]
    repeated = curve.multiply(curve.one(len(scalars)), generator(curve))
    for found in (curve.scale(repeated, limbs), curve.power(repeated, limbs), curve.add_terms(None, 20, [term(curve, limbs)])):
        assert integers(curve, found) == codes
    vector = curve.scale(repeated, limbs)
    assert integers(curve, curve.invert(vector)) == [oracle.encode((-x, y, z, -t)) for x, y, z, t in expected]
    assert integers(curve, curve.product(vector)) == [oracle.encode(oracle.times(base, sum(scalars) % ORDER))]  # type: ignore[arg-type]
    assert curve.equal(curve.multiply(vector, curve.invert(vector)), curve.one(20)).all()
    assert not curve.equal(vector, curve.multiply(vector, generator(curve))).any()


def term(curve: CurveContext, scalars: lm.Limbs, bits: int = ORDER_BITS, negative: lm.Limbs | None = None) -> BaseTerm:
    return BaseTerm(0, curve.base(generator(curve)), scalars, bits, negative)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 33])
def test_any_number_of_rows(curve: CurveContext, count: int) -> None:
    vector = curve.add_terms(None, count, [term(curve, lm.from_ints(range(count), CODE_LIMBS), 8)])
    assert integers(curve, vector) == lm.to_ints(codes_of(MULTIPLES))[:count] + integers(curve, vector[16:])
    total = curve.power(generator(curve), lm.from_ints([count * (count - 1) // 2], 1))
    assert integers(curve, curve.product(vector)) == integers(curve, total)


def test_class_sums_are_those_of_plain_numbers() -> None:
    rng = np.random.default_rng(2)
    numbers, matrix = rng.integers(-50, 50, 90), rng.integers(-3, 4, (90, 6))
    found = {}
    for name in be.available():
        curve = be.select(name).curve(1)
        signs = np.where(numbers < 0, np.uint64(2**64 - 1), np.uint64(0))
        vector = curve.add_terms(None, 90, [term(curve, lm.from_ints(np.abs(numbers).tolist(), CODE_LIMBS), 8, signs)])
        encrypted = Plain(curve, vector)
        product, total = CodedMatrix.from_integers(matrix).product(encrypted)
        table = curve.logarithms(generator(curve), 12)
        for made, expected in ((product, matrix.T @ numbers), (total, [numbers.sum()])):
            values, known = table.find(made.vector, 1 << 20)
            assert known.all()
            assert values.tolist() == list(expected)
        found[name] = curve.store(product.vector).tobytes()
    assert len(set(found.values())) == 1


class Plain:
    """Points m·G without randomness, as a coded product takes them."""

    def __init__(self, curve: CurveContext, vector: Any) -> None:
        self.context, self.vector, self.bound = curve, vector, 1

    @property
    def public(self) -> Plain:
        return self

    def check_bound(self, bound: int) -> None:
        pass

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.vector),)

    def like(self, vector: Any, bound: int) -> Plain:
        return Plain(self.context, vector)


# --- discrete logarithms --------------------------------------------------------------------------------------------


def multiples_of(curve: CurveContext, numbers: list[int]) -> Any:
    """m·G, each by another representative than arithmetic gives."""
    signs = np.array([2**64 - 1 if m < 0 else 0 for m in numbers], dtype=np.uint64)
    magnitudes = lm.from_ints([abs(m) for m in numbers], CODE_LIMBS)
    made = curve.add_terms(None, len(numbers), [term(curve, magnitudes, 64, signs)])
    return curve.load(curve.store(made))


def test_logarithms_at_the_ends_of_tables_steps_and_bounds(curve: CurveContext) -> None:
    table, reach = curve.logarithms(generator(curve), 8), 1 << 8
    edges = [k * (2 * r + 1) + j for r in (reach, reach - 1, reach + 254, 381) for k in (0, 1, 2, 9) for j in (-r, -1, 0, 1, r)]
    numbers = sorted({sign * m for m in edges for sign in (1, -1)})
    bound = max(numbers)
    values, found = table.find(multiples_of(curve, numbers), bound)
    assert found.all()
    assert values.tolist() == numbers
    values, found = table.find(multiples_of(curve, [bound, bound + 1, -bound, -bound - 1, bound * 7]), bound)
    assert found.tolist() == [True, False, True, False, False]
    assert values[~found].tolist() == [0, 0, 0]


@pytest.mark.skipif("portable" not in be.available(), reason="too far for Python integers")
def test_logarithms_beyond_one_window_of_giant_steps() -> None:
    curve = be.select("portable").curve(1)
    table = curve.logarithms(generator(curve), 8)
    rng = random.Random(3)
    numbers = [rng.randrange(-(1 << 28), 1 << 28) for _ in range(20)] + [1 << 28, -(1 << 28)]
    values, found = table.find(multiples_of(curve, numbers), 1 << 28)
    assert found.all()
    assert values.tolist() == numbers


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(2**34), 2**34), min_size=1, max_size=9))
def test_logarithms_of_any_numbers(numbers: list[int]) -> None:
    if "portable" not in be.available():
        numbers = [m % 1000 for m in numbers]
    curve = be.current().curve(1)
    values, found = shared_table().find(multiples_of(curve, numbers), 2**34)
    assert found.all()
    assert values.tolist() == numbers


def shared_table(made: list[Any] = []) -> Any:  # noqa: B006  (kept on purpose)
    if not made:
        curve = be.current().curve(1)
        made.append(curve.logarithms(generator(curve), 18))
    return made[0]


# --- randomness -----------------------------------------------------------------------------------------------------


def test_scalars_are_uniform_below_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = lm.to_ints(random_scalars(4000))
    assert len(set(drawn)) == 4000
    assert max(drawn) < ORDER
    for k in range(8):  # eighths of the range, 6 sigma
        assert 374 < sum(m * 8 // ORDER == k for m in drawn) < 626
    edges = iter([[ORDER, ORDER - 1, 2**253 - 1, 0], [ORDER + 1, 5, 7, 9]])
    monkeypatch.setattr(lm, "random_limbs", lambda count, bits: lm.from_ints(next(edges), CODE_LIMBS))
    assert lm.to_ints(random_scalars(4)) == [ORDER - 1, 0, 5, 7]
