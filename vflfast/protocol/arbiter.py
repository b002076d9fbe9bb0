"""The arbiter: holds the private key, opens masked numbers within its quota, collects votes, combines scores."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..crypto.scheme import Private, Public
from ..crypto.schemes import scheme
from ..errors import CheckError, InputError, ProtocolError
from ..learn.scoring import calibrate, classify, combine, powers_from_auc
from ..params import MAX_COLUMN_VALUE, MAX_COUNT
from . import inference, woe
from . import messages as ms
from .forward import Refill
from .gradient import opened_bound, opened_values
from .joint import MASKED_BOUND, ScoreScale, total
from .link import Link
from .noise import SECRET_BYTES, Noise
from .resume import Checkpoint, Journal, NoJournal, settings_digest
from .scores import SCORE_BOUND, UNIT, agreed_line, normalised
from .session import Opening, announce_key, say_hello, say_hello_to_score
from .settings import Settings
from .transcripts import compare, confirm_all

Floats = npt.NDArray[np.float64]
T = TypeVar("T")

MAX_SHARE_NUMBER = 1e300  # of a share's normalisation, so that the normalised scores stay finite


@dataclass(frozen=True)
class ArbiterInputs:
    """What the arbiter brings: its name, and a private key if it has one (a fresh one per session otherwise)."""

    organisation: str
    private: Private | None = None


@dataclass(frozen=True)
class ArbiterModel:
    """What the arbiter keeps for scoring: the parties' powers, guest first, and τ on the scale of the scores that it sees."""

    powers: tuple[float, ...]
    threshold: float
    n_iter: int
    flagged_share: float
    session: str
    settings: Settings


def readable_threshold(model: ArbiterModel, scale: ScoreScale | None) -> float:
    """Return τ for whoever may know the data parties' secret scale: a probability where labels come from the joint score, else F."""
    return model.threshold if scale is None else scale.probability(model.threshold)


async def train(link: Link, inputs: ArbiterInputs, settings: Settings, journal: Journal | None = None) -> ArbiterModel:
    """Serve a training run: open gradients, count votes, settle τ. With a journal, go on from its last common round."""
    journal, digest = journal or NoJournal(), settings_digest(settings)
    private, opening = await _open_session(link, inputs, settings, journal, digest)
    await woe.at_arbiter(link, partial(_answer, link, private), settings)
    inference.check_columns(opening.columns, settings)
    sums, quotas = await _receive_quotas(link, private.public, opening, settings)
    noise = _noise_secret(opening, settings)
    blinds = sum(private.encryptions_to_open(one.n_ciphertexts) for one in sums.values()) + len(sums)  # a round's openings and votes
    private.public.expect(blinds * settings.last_round)
    link.idle = Refill(private.public, blinds)
    stop = opening.checkpoint is not None and opening.checkpoint.stopped
    while not stop:
        link.round += 1
        for party in link.peers:
            added = sums[party].noise.draw(noise, opening.run, link.round, party, sums[party].n_values)
            await _open_gradient(link, party, private, sums[party], added)
        stop = await _count_votes(link, private, settings)
        journal.commit(Checkpoint(opening.run, digest, link.round, stop, {"noise": noise.hex()} if noise else {}))
        for party in link.peers:
            await link.send(party, ms.Verdict(int(stop), link.round))
    await inference.at_arbiter(link, partial(_read_sums, link, private), opening.columns, quotas, settings)
    if settings.scoring == "joint":
        combined, powers = await _receive_parts(link, private), (1.0,) * len(link.peers)
    else:
        shares, halves = await _receive_shares(link, private, settings)
        powers = _powers(settings, shares)
        combined = combine(halves, list(powers))
    threshold = await _settle_threshold(link, combined, settings)
    labels = await _send_labels(link, combined, threshold, settings)
    await confirm_all(link)
    return ArbiterModel(powers, threshold, link.round, float((labels > 0).mean()), opening.run.hex(), settings)


async def score(link: Link, inputs: ArbiterInputs, model: ArbiterModel, settings: Settings) -> Floats:
    """Serve a scoring run; return the combined scores in the secret order; InputError for a model of other parties."""
    private = _private_key(link, inputs, settings)
    await say_hello_to_score(link, settings, inputs.organisation, 0, model.session)
    await announce_key(link, private)
    if model.settings.scoring != settings.scoring:
        raise InputError(
            "scoring", f"is {settings.scoring!r}; the model was trained for labels by {model.settings.scoring!r}: "
            f"set scoring = {model.settings.scoring!r}"
        )  # fmt: skip
    if len(model.powers) != len(link.peers):
        raise InputError("model", f"has {len(model.powers)} parties, this session {len(link.peers)}")
    if settings.scoring == "joint":
        combined = await _receive_parts(link, private)
    else:
        combined = combine((await _receive_shares(link, private, settings))[1], list(model.powers))
    if settings.output == ("probability" if settings.scoring == "joint" else "scores"):
        await link.send("guest", ms.CombinedScores(combined))
    await _send_labels(link, combined, model.threshold, settings)
    if settings.scoring == "combined" and settings.scores_jointly:
        await link.send("guest", ms.CombinedScores(await _receive_parts(link, private)))
    await confirm_all(link)
    return combined


async def _open_session(
    link: Link, inputs: ArbiterInputs, settings: Settings, journal: Journal, digest: bytes
) -> tuple[Private, Opening]:
    private = _private_key(link, inputs, settings)
    opening = await say_hello(link, settings, inputs.organisation, 0, journal, digest)
    await announce_key(link, private)
    return private, opening


def _private_key(link: Link, inputs: ArbiterInputs, settings: Settings) -> Private:
    link.stage("key")
    private = inputs.private or scheme(settings.scheme).generate(settings.bits_of_key, test_sizes=settings.test_key)
    if private.public.key_bits != settings.bits_of_key:
        raise InputError("key_bits", f"the key has {private.public.key_bits} bits, {settings.bits_of_key} are agreed")
    return private


@dataclass(frozen=True)
class Sums:
    """What a party has opened each round: how many numbers of which bound, in how many ciphertexts, under which noise."""

    n_values: int
    bound: int
    n_ciphertexts: int
    noise: Noise


async def _receive_quotas(
    link: Link, public: Public, opening: Opening, settings: Settings
) -> tuple[dict[str, Sums], dict[str, ms.Quota]]:
    """Return what each party has opened, computed from agreed numbers, and these: rows, and the largest value in a party's columns."""
    sums, quotas, n_rows = {}, {}, None
    for party in link.peers:
        message = await link.receive(party, ms.Quota)
        if not 1 <= message.n_rows <= MAX_COUNT or not 1 <= message.largest <= MAX_COLUMN_VALUE:
            raise ProtocolError(party, "Quota", f"says {message.n_rows} rows and values up to {message.largest}; no table has these")
        if n_rows not in (None, message.n_rows):
            raise ProtocolError(party, "Quota", f"says {message.n_rows} rows; {link.peers[0]} says {n_rows}")
        quotas[party], n_rows, n_values = message, message.n_rows, opened_values(settings, party, opening.columns[party])
        with _fault_of(party, "Quota"):
            bound = opened_bound(settings, party, n_rows, message.largest, len(link.peers))
            sums[party] = Sums(n_values, bound, public.opening_size(n_values, bound), Noise.agreed(settings, n_rows, len(link.peers)))
    return sums, quotas


def _noise_secret(opening: Opening, settings: Settings) -> bytes:
    """Return what the noise of this run is drawn from, the same after a crash; nothing without noise."""
    if not settings.opening_noise:
        return b""
    return secrets.token_bytes(SECRET_BYTES) if opening.checkpoint is None else bytes.fromhex(opening.checkpoint.state["noise"])


async def _open_gradient(link: Link, party: str, private: Private, sums: Sums, noise: Sequence[int]) -> None:
    """Open one party's gradient: exactly as many ciphertexts as its sums take [0106], with the noise of the round."""
    message = await link.receive(party, ms.MaskedGradient)
    request = _checked(link, private.public.parse_request, message.ciphertexts, sums.n_ciphertexts, party, "MaskedGradient")
    with _fault_of(party, "MaskedGradient"):
        plaintexts = private.answer(request, noise, sums.bound)
    await link.send(party, ms.OpenedGradient(plaintexts))


def _answer(link: Link, private: Private, limbs: npt.NDArray[np.uint64], due: int, party: str, step: str) -> npt.NDArray[np.uint64]:
    """Open a request of exactly `due` ciphertexts; what the arbiter returns tells it nothing."""
    request = _checked(link, private.public.parse_request, limbs, due, party, step)
    with _fault_of(party, step):
        return private.answer(request)


def _read_sums(
    link: Link, private: Private, limbs: npt.NDArray[np.uint64], n_values: int, bound: int, party: str, step: str
) -> list[int]:
    """Read sums that their sender does not know, exactly so many."""
    with _fault_of(party, step):
        due = private.public.sums_to_holder_size(n_values, bound)
    vector = _checked(link, private.public.parse_to_holder, limbs, due, party, step)
    with _fault_of(party, step):
        return private.read_sums(vector, n_values, bound)


def _checked(
    link: Link, parse: Callable[[npt.NDArray[np.uint64]], T], limbs: npt.NDArray[np.uint64], due: int, party: str, step: str
) -> T:
    """Return exactly `due` ciphertexts that are to be opened, or read, as `parse` validates them."""
    link.stage("check ciphertexts")
    if len(limbs) != due:
        raise ProtocolError(party, step, f"sent {len(limbs)} ciphertexts, {due} are due")
    with _fault_of(party, step):
        request = parse(limbs)
    link.stage("decrypt")
    return request


@contextmanager
def _fault_of(party: str, step: str) -> Iterator[None]:
    """Whatever is wrong with ciphertexts is their sender's fault."""
    try:
        yield
    except (CheckError, InputError) as error:
        raise ProtocolError(party, step, str(error)) from error


async def _count_votes(link: Link, private: Private, settings: Settings) -> bool:
    """AND of the encrypted flags; STOP also at the last round that is agreed [0135]."""
    flags: list[bool] = []
    transcripts = {link.name: link.transcripts()}
    for party in link.peers:
        message = await link.receive(party, ms.Vote)
        transcripts[party] = message.transcripts
        request = _checked(link, private.public.parse_to_holder, message.ciphertexts, 1, party, "Vote")
        with _fault_of(party, "Vote"):
            flags += map(bool, private.read(request, 1))
    compare(link, transcripts, "Vote")
    return all(flags) or link.round >= settings.last_round


async def _receive_shares(link: Link, private: Private, settings: Settings) -> tuple[dict[str, ms.ScoreShare], list[Floats]]:
    """Return every party's share and its opened, normalised scores; all have the same number of rows."""
    shares, scores = {}, {}
    for party in link.peers:
        shares[party] = await link.receive(party, ms.ScoreShare)
        _check_line(shares[party], party, settings)
        scores[party] = _open_scores(link, private, shares[party], party, SCORE_BOUND)
        _check_inside(shares[party], scores[party], party, settings)
    _check_lengths(scores, "ScoreShare")
    return shares, [normalised(scores[party], shares[party]) for party in link.peers]


async def _receive_parts(link: Link, private: Private) -> Floats:
    """Return the joint scores: the sums of the parties' parts, whose masks cancel."""
    parts = {}
    for party in link.peers:
        parts[party] = _open_scores(link, private, await link.receive(party, ms.JointShare), party, MASKED_BOUND)
    _check_lengths(parts, "JointShare")
    try:
        return total(list(parts.values()))
    except ValueError as error:
        raise ProtocolError(link.peers[0], "JointShare", str(error)) from error


def _check_lengths(scores: dict[str, list[int]], step: str) -> None:
    for party, own in scores.items():
        if len(own) != len(next(iter(scores.values()))):
            raise ProtocolError(party, step, "the parties sent different numbers of scores")


def _check_line(share: ms.ScoreShare, party: str, settings: Settings) -> None:
    """Refuse a normalisation that cannot be, and one that is not the agreed one where its sender normalises by itself."""
    numbers = (share.center, share.scale, share.low, share.high, share.power)
    if not np.isfinite(numbers).all() or max(map(abs, numbers)) > MAX_SHARE_NUMBER or share.scale < 1 or share.power < 0:
        raise ProtocolError(party, "ScoreShare", "its normalisation must be finite, its scale at least 1 and its power not negative")
    agreed = agreed_line(settings.profile, settings.norm)
    if agreed is not None and numbers[:4] != tuple(x * UNIT for x in agreed):
        raise ProtocolError(party, "ScoreShare", f"normalises its scores itself: center, scale, low, high must be {agreed}, times {UNIT:g}")


def _check_inside(share: ms.ScoreShare, scores: list[int], party: str, settings: Settings) -> None:
    """Refuse normalised scores that are outside of what their sender clips them to."""
    if agreed_line(settings.profile, settings.norm) is not None and not all(share.low <= score <= share.high for score in scores):
        raise ProtocolError(party, "ScoreShare", "a normalised score lies outside the agreed line")


def _open_scores(link: Link, private: Private, share: ms.ScoreShare | ms.JointShare, party: str, bound: int) -> list[int]:
    step = type(share).__name__
    request = _checked(link, private.public.parse_to_holder, share.ciphertexts, len(share.ciphertexts), party, step)
    with _fault_of(party, step):
        return private.read_packed(request, share.n_rows, bound)


def _powers(settings: Settings, shares: dict[str, ms.ScoreShare]) -> tuple[float, ...]:
    """α, β, …: given, by AUC in the patent profile, else equal."""
    if settings.powers is not None:
        if len(settings.powers) != len(shares):
            raise InputError("powers", f"{len(settings.powers)} numbers for {len(shares)} data parties")
        return settings.powers
    if settings.profile == "patent":
        return tuple(powers_from_auc([share.power for share in shares.values()]))
    return (1.0,) * len(shares)


async def _settle_threshold(link: Link, combined: Floats, settings: Settings) -> float:
    given = not isinstance(settings.threshold, str)
    if given and settings.scoring == "combined":
        return float(settings.threshold)
    if not given and settings.threshold != "quota":
        await link.send("guest", ms.CombinedScores(combined))
    choice = await link.receive("guest", ms.ThresholdChoice)
    if not np.isfinite(choice.value):
        raise ProtocolError("guest", "ThresholdChoice", "must be finite")
    if settings.threshold == "quota":
        try:
            return calibrate(combined, by="quota", value=choice.value)
        except InputError as error:
            raise ProtocolError("guest", "ThresholdChoice", str(error)) from error
    return choice.value


async def _send_labels(link: Link, combined: Floats, threshold: float, settings: Settings) -> npt.NDArray[np.int8]:
    """Labels to the recipients: the guest, and every host in the patent profile [0152]; τ only where the settings open it."""
    labels = classify(combined, threshold)
    message = ms.ScoreLabels((labels > 0).astype(np.uint8).tobytes(), threshold if settings.opens_threshold else math.nan)
    for party in link.peers if settings.profile == "patent" else ("guest",):
        await link.send(party, message)
    return labels
