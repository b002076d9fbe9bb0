"""Settings: what all parties of a run agree on, compared before the first round."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from dataclasses import dataclass
from typing import ClassVar

from ..errors import InputError
from ..learn.penalty import MOST_ROUNDS, ROUNDS_EACH
from ..params import (
    DEFAULT_FRAC_BITS,
    DEFAULT_KEY_BITS,
    DEFAULT_MAX_ITER,
    DEFAULT_MOVING_ITER,
    DEFAULT_N_ITER_NO_CHANGE,
    DEFAULT_TOL,
    ELGAMAL_FRAC_BITS,
    KEY_BITS,
    MAX_WEIGHT,
    MIN_TEST_KEY_BITS,
    PREDICTOR_BOUND,
    ROW_PACKINGS,
)

PROFILES = ("hardened", "patent")
SOLVERS = ("block-newton", "lbfgs", "gd")
INITS = ("local", "zeros")
NORMS = ("minmax", "rank", "zscore", "none")
THRESHOLDS = ("quota", "precision", "ks")
OUTPUTS = ("labels", "scores", "probability")
SCORINGS = ("joint", "combined")
PRIVACY = {"standard": 0.2, "strict": 0.05}  # largest leverage of a row
RESIDUALS = ("taylor", "logistic")
STOPS = ("loss", "move")
SCHEMES = ("paillier", "elgamal")
CHOICES = {
    "profile": PROFILES, "scheme": SCHEMES, "residual": RESIDUALS, "solver": SOLVERS, "stop": STOPS, "init": INITS, "scoring": SCORINGS,
    "norm": NORMS, "output": OUTPUTS, "privacy": tuple(PRIVACY),
}  # fmt: skip
ELEMENT_BITS = 256  # of ristretto255
STILL_ROUNDS = 2  # of the stop rule by moves
MAX_OPENING_NOISE = 16.0
MOST_KEPT_OUT = 0.99
MAX_WEIGHED = 2.0**56  # of a weighted predictor, so that sums of a few stay within int64


@dataclass(frozen=True, repr=False)
class Settings:
    """Agreed settings of training and scoring (protocol §3 to §5).

    `residual`, `solver`, `stop`, `max_iter` and `scoring` follow from the profile where they are None, `frac_bits` from the scheme; they
    are then in `followed`.

    Attributes
    ----------
    profile
        ``hardened`` (default) or ``patent``.
    scheme
        ``paillier`` (default), or ``elgamal`` over ristretto255: several times as fast and an eighth of the traffic, for small numbers.
    key_bits, test_key
        Of scheme paillier: bits of n; sizes other than 2048, 3072 and 4096 need ``test_key``.
    frac_bits, predictor_bound
        Fixed point of the linear predictors, and the magnitude above which a party refuses to send one.
    residual
        ``taylor``: that of the loss expanded to second order [0133]; ``logistic``: that of the logistic loss itself (learn/residual.py,
        for several hosts learn/sines.py), with ``row_packing`` 1. ``None``: ``logistic`` in ``hardened`` where it can be.
    solver, step, momentum
        ``block-newton``; ``lbfgs``, over all parties' blocks (learn/lbfgs.py), with ``n_batches`` 1; ``gd`` with a step (``None``: 1/L) and
        momentum. ``None``: ``lbfgs`` in ``hardened`` where it can be, else ``block-newton``.
    alpha
        L2 penalty on standardised columns; ``None``: total columns / rows, at least 10⁻³; ``search``: the best of five values about that
        on a fifth of the rows held out, by the joint log loss, which the guest is told (learn/penalty.py).
    init
        ``local`` or ``zeros``.
    tol, n_iter_no_change, max_iter, stop
        The stop rule [0145]: by the ``loss``, which has stood still for ``n_iter_no_change`` rounds; or by the ``move``, when mean |Δu| has
        been at most ``tol`` over the number of data parties at each of them for two rounds. ``None``: by the ``move`` with ``lbfgs``, else
        by the ``loss``; at most 30 rounds by the ``move``, else 50.
    n_batches
        Fixed partition of the rows; 1 is full batch.
    scoring
        What labels come from: ``joint``, u′ + Σu″, of which the arbiter sees a secret affine image (joint.py); ``combined``, F of the
        parties' normalised probabilities [0154], which it sees. ``None``: ``combined`` in ``patent``, else ``joint``.
    norm, epsilon, powers
        Of scoring ``combined``: normalisation, ε, and the parties' weights (guest first;
        ``None``: by separating power in ``patent``, equal in ``hardened``).
    threshold, threshold_value
        τ as a number (a probability for ``joint``, F for ``combined``), or how to calibrate it on the training rows: ``quota`` (share
        flagged; default the base rate), ``precision``, ``ks``. The last two open the training rows' scores to the guest.
    output
        What the guest gets of customers that are scored: ``labels``; ``scores``, F too (scoring ``combined``); ``probability``, the joint
        one too, and with it the hosts' linear predictors.
    row_packing
        Rows in one ciphertext, 1 to 4: fewer bytes on a slow link, more equations for each party (packing.py).
    host_woe
        Every host's columns are the weights of evidence of its features' classes, from encrypted label sums before training.
    max_weight, weight_unit
        The guest's weights of its rows are integers from 1 to ``max_weight``; ``weight_unit`` of them are weight 1. They show all parties
        how heavy a row can be, which for "balanced" class weights is how rare the rarer label is; which rows are heavy stays the guest's.
    privacy, max_leverage
        Largest share of one row's residual that a party's columns may give it (learn/leverage.py), checked by each party before the first
        round, batch by batch: 0.2 for ``standard``, 0.05 for ``strict``, or the number given; 1: not measured.
    allow_wide
        More than a tenth as many columns, of one party, as rows: its sums then give many labels away to readers that know labels are ±1.
    opening_noise
        c: the arbiter adds noise of deviation c·√n to every opened sum over n rows, in units of 4g (noise.py); 0: none. Weights then differ
        from run to run. Needs ``row_packing`` 1.
    inference
        After the last round, standard errors of all weights, variance inflation and correlations over both parties' columns, up to 200
        each (inference.py). The arbiter then sees second moments of unnamed columns. Needs ``residual`` logistic and one host.
    test_share
        Share of the matched customers, chosen by a hash of the id, that every party keeps out of training; an evaluation scores them.
    simulation
        All parties on one machine for trial: the arbiter may be the same organisation.

    Raises
    ------
    InputError
        A value outside its range, naming the setting.
    """

    followed: ClassVar[frozenset[str]] = frozenset()

    profile: str = "hardened"
    scheme: str = "paillier"
    key_bits: int = DEFAULT_KEY_BITS
    test_key: bool = False
    frac_bits: int = None  # type: ignore[assignment]
    predictor_bound: float = PREDICTOR_BOUND
    residual: str = None  # type: ignore[assignment]  # this and its like: never None once made
    solver: str = None  # type: ignore[assignment]
    step: float | None = None
    momentum: float = 0.0
    alpha: float | str | None = None
    init: str = "local"
    tol: float = DEFAULT_TOL
    n_iter_no_change: int = DEFAULT_N_ITER_NO_CHANGE
    max_iter: int = None  # type: ignore[assignment]
    stop: str = None  # type: ignore[assignment]
    n_batches: int = 1
    scoring: str = None  # type: ignore[assignment]
    norm: str = "minmax"
    epsilon: float = 0.0
    powers: tuple[float, ...] | None = None
    threshold: float | str = "quota"
    threshold_value: float | None = None
    output: str = "labels"
    row_packing: int = 1
    host_woe: bool = False
    max_weight: int = 1
    weight_unit: int = 1
    privacy: str = "standard"
    max_leverage: float | None = None
    allow_wide: bool = False
    opening_noise: float = 0.0
    inference: bool = False
    test_share: float = 0.0
    simulation: bool = False

    def __post_init__(self) -> None:
        self._choose()
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(name, f"must be one of {', '.join(allowed)}")
        for name in ("test_key", "host_woe", "simulation", "allow_wide", "inference"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(name, "must be true or false")
        _whole("key_bits", self.key_bits, MIN_TEST_KEY_BITS)
        if self.key_bits not in KEY_BITS and not self.test_key:
            raise InputError("key_bits", f"must be one of {KEY_BITS}; other sizes are for tests (test_key)")
        self._check_scheme()
        _whole("frac_bits", self.frac_bits, 8, 40)
        _whole("n_iter_no_change", self.n_iter_no_change, 1)
        _whole("max_iter", self.max_iter, 1)
        _whole("n_batches", self.n_batches, 1)
        _whole("row_packing", self.row_packing, ROW_PACKINGS[0], ROW_PACKINGS[-1])
        _real("predictor_bound", self.predictor_bound, above=0.0, most=1024.0)
        self._check_weights()
        if self.max_leverage is not None:
            _real("max_leverage", self.max_leverage, above=0.0, most=1.0)
        _real("opening_noise", self.opening_noise, least=0.0, most=MAX_OPENING_NOISE)
        if self.opening_noise and self.row_packing > 1:
            raise InputError("opening_noise", "is for rows that have a ciphertext each: row_packing must be 1")
        _real("test_share", self.test_share, least=0.0, most=MOST_KEPT_OUT)
        _real("tol", self.tol, least=0.0)
        _real("momentum", self.momentum, least=0.0, most=0.999)
        _real("epsilon", self.epsilon, least=0.0)
        if self.step is not None:
            _real("step", self.step, above=0.0)
        if self.residual == "logistic" and self.row_packing > 1:
            raise InputError("residual", "logistic needs a factor for each row: row_packing must be 1")
        if self.inference and (self.residual != "logistic" or self.n_batches > 1):
            raise InputError("inference", 'needs residual = "logistic" and n_batches = 1: another loss has other standard errors')
        if self.solver == "lbfgs" and self.n_batches > 1:
            raise InputError("solver", "lbfgs compares gradients of the same rows: n_batches must be 1")
        if self.solver != "gd" and (self.step is not None or self.momentum):
            raise InputError("step" if self.step is not None else "momentum", "belongs to solver gd")
        self._check_alpha()
        self._check_scoring()

    def __repr__(self) -> str:
        given = [f for f in dataclasses.fields(self) if f.name not in self.followed and getattr(self, f.name) != f.default]
        return f"Settings({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in given)})"

    def _choose(self) -> None:
        """Set what follows from the profile, where nobody chose."""
        patent, followed = self.profile == "patent", []
        for name, choose in (
            ("frac_bits", lambda: ELGAMAL_FRAC_BITS if self.scheme == "elgamal" else DEFAULT_FRAC_BITS),
            ("residual", lambda: "taylor" if patent or self.row_packing != 1 else "logistic"),
            ("solver", lambda: "block-newton" if patent or self.n_batches != 1 else "lbfgs"),
            ("stop", lambda: "move" if self.solver == "lbfgs" else "loss"),
            ("max_iter", lambda: DEFAULT_MOVING_ITER if self.stop == "move" else DEFAULT_MAX_ITER),
            ("scoring", lambda: "combined" if patent else "joint"),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, choose())
                followed.append(name)
        object.__setattr__(self, "followed", frozenset(followed))

    @property
    def bits_of_key(self) -> int:
        """Bits of the arbiter's public key: of n, or of a group element."""
        return self.key_bits if self.scheme == "paillier" else ELEMENT_BITS

    @property
    def scores_jointly(self) -> bool:
        """Whether a scoring session has joint scores: for labels, or for the probability beside F."""
        return self.scoring == "joint" or self.output == "probability"

    @property
    def searches(self) -> bool:
        """Whether training begins with a search for the penalty (learn/penalty.py)."""
        return self.alpha == "search"

    @property
    def last_round(self) -> int:
        """The round that nobody goes beyond: max_iter, after a search for the penalty where there is one."""
        return self.max_iter + (MOST_ROUNDS if self.searches else 0)

    @property
    def shares_masks(self) -> bool:
        """Whether every two data parties of a training run share masks that the arbiter does not know."""
        return self.scoring == "joint" or self.solver == "lbfgs"

    @property
    def weighted(self) -> bool:
        """Whether rows may have weights other than 1."""
        return self.max_weight > 1

    @property
    def leverage_limit(self) -> float:
        """Largest leverage that a row may have."""
        return PRIVACY[self.privacy] if self.max_leverage is None else float(self.max_leverage)

    @property
    def opens_threshold(self) -> bool:
        """Whether the recipients of labels are told τ: where they choose it or see scores, and in the patent profile."""
        return self.profile == "patent" or self.output != "labels" or self.threshold != "quota"

    @property
    def still_rounds(self) -> int:
        """Rounds in a row without change after which a party votes to stop."""
        return self.n_iter_no_change if self.stop == "loss" else STILL_ROUNDS

    @property
    def least_rounds(self) -> int:
        """Fewest rounds that the stop rule can take; the first loss has nothing to be compared with."""
        searched = 2 * ROUNDS_EACH + 1 if self.searches else 0
        return searched + min(self.still_rounds + (self.stop == "loss"), self.max_iter)

    def _check_scheme(self) -> None:
        if self.scheme == "elgamal":
            for name, other in (("key_bits", DEFAULT_KEY_BITS), ("test_key", False), ("row_packing", 1)):
                if getattr(self, name) != other:
                    raise InputError(name, f"belongs to scheme paillier; with elgamal it is {other}")

    def _check_alpha(self) -> None:
        if isinstance(self.alpha, str):
            if self.alpha != "search":
                raise InputError("alpha", 'must be a number of at least 0, or "search"')
            if (self.residual, self.solver) != ("logistic", "lbfgs"):
                raise InputError("alpha", 'search needs residual = "logistic" and solver = "lbfgs"')
        elif self.alpha is not None:
            _real("alpha", self.alpha, least=0.0)

    def _check_weights(self) -> None:
        _whole("max_weight", self.max_weight, 1, MAX_WEIGHT)
        _whole("weight_unit", self.weight_unit, 1, self.max_weight)
        if self.weighted and self.predictor_bound * 2.0**self.frac_bits * self.max_weight > MAX_WEIGHED:
            raise InputError("max_weight", "times predictor_bound·2^frac_bits must not exceed 2^56")
        for name in ("n_batches", "row_packing"):
            if self.weighted and getattr(self, name) > 1:
                raise InputError(name, "must be 1 where rows have weights (max_weight)")

    def _check_scoring(self) -> None:
        if self.scoring == "joint":
            self._check_joint()
        if self.epsilon and self.norm != "minmax":
            raise InputError("epsilon", "smooths the denominator of minmax only")
        if self.norm == "none" and self.profile == "hardened":
            raise InputError("norm", "none shows the arbiter every probability; the hardened profile refuses it")
        if isinstance(self.threshold, str):
            if self.threshold not in THRESHOLDS:
                raise InputError("threshold", f"must be a number or one of {', '.join(THRESHOLDS)}")
        else:
            _real("threshold", self.threshold)
        if self.threshold == "precision" and self.threshold_value is None:
            raise InputError("threshold_value", "precision needs the precision to reach")
        if self.threshold_value is not None:
            _real("threshold_value", self.threshold_value, above=0.0, most=1.0)
        if self.powers is not None:
            if not isinstance(self.powers, tuple) or len(self.powers) < 2:
                raise InputError("powers", "must be one positive number for each data party, guest first")
            for power in self.powers:
                _real("powers", power, above=0.0)

    def _check_joint(self) -> None:
        for name in ("norm", "epsilon", "powers"):
            if getattr(self, name) != type(self).__dataclass_fields__[name].default:
                raise InputError(name, "belongs to scoring combined; labels come from the joint score here")
        if self.output == "scores":
            raise InputError("output", "scores are those of scoring combined; probability gives the joint one")
        if not isinstance(self.threshold, str):
            _real("threshold", self.threshold, above=0.0)
            if self.threshold >= 1.0:
                raise InputError("threshold", "must be below 1: the joint score is a probability")

    @property
    def given(self) -> dict[str, object]:
        """The settings that do not follow from others."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in self.followed}

    def changed(self, **changes: object) -> Settings:
        """Return settings with some of them changed; those that follow from others follow again. InputError as the class."""
        return Settings.from_mapping(self.given | changes)

    def to_json(self) -> str:
        """Return the canonical text that Hello carries."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_mapping(cls, values: dict[str, object]) -> Settings:
        """Return settings from a mapping such as a TOML table; unknown names are refused; InputError names them."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise InputError(unknown[0], f"is no setting; there are {', '.join(sorted(known))}")
        given = dict(values)
        if isinstance(given.get("powers"), list):
            given["powers"] = tuple(given["powers"])  # type: ignore[arg-type]
        return cls(**given)  # type: ignore[arg-type]

    def differences(self, other_json: str) -> list[str]:
        """Return readable differences against another party's settings, empty when they agree."""
        return differences(self.to_json(), other_json)


def differences(own_json: str, other_json: str) -> list[str]:
    """Return readable differences of another party's settings against the own ones, empty when they agree."""
    mine = json.loads(own_json)
    try:
        theirs = json.loads(other_json)
    except (ValueError, RecursionError):  # a peer's text may nest as deep as it likes
        return ["the other party's settings are not readable"]
    if not isinstance(theirs, dict):
        return ["the other party's settings are not readable"]
    names = sorted(set(mine) | set(theirs))
    return [f"{n}: {mine.get(n)!r} here, {theirs.get(n)!r} there" for n in names if mine.get(n) != theirs.get(n)]


def _whole(name: str, value: object, least: int, most: int = 1 << 31) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InputError(name, f"must be a whole number from {least} to {most}")


def _real(name: str, value: object, *, least: float = -math.inf, above: float = -math.inf, most: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise InputError(name, "must be a finite number")
    if value < least or value <= above or value > most:
        raise InputError(name, f"must be {f'above {above}' if above > -math.inf else f'at least {least}'}, at most {most}")
