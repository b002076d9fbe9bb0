"""Weights of evidence of the hosts' classes, before training: labels stay encrypted for the hosts, classes unnamed for the guest.

1. guest → host: [[y]], y ∈ {0, 1}, one ciphertext a row.
2. host → guest: rows n_k of every class, and [[p_k]] = [[Σ_{i in class k} y_i]] by the coded product, packed and re-randomised;
   host → arbiter: how many ciphertexts these are, which is all that the guest may have opened.
3. guest → arbiter → guest: the packed sums under masks uniform modulo n, and their opening.
4. guest → host: WOE_k as integers (`weight_of_evidence`), nothing else.

What each learns, which the ledgers count. Guest: n_k and p_k of the hosts' classes, in the features' order but without names, edges or
rows. Host: the WOE values; with n_k, which it has, they tell about as much as p_k and the share of positives. Arbiter: numbers
uniform modulo n. A class of fewer than `MIN_WOE_CLASS` rows never takes part: the host refuses to start with one, the guest to
answer for one. Nor do so many classes that the equations come near the number of labels.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..binning.woe import LARGEST_WOE, weight_of_evidence
from ..crypto.arrays import CipherArray
from ..crypto.coded import CodedMatrix
from ..crypto.scheme import Public
from ..errors import CheckError, InputError, LeakageGuardError, ProtocolError
from ..learn.leverage import Leverage
from ..params import MAX_CLASSES, MIN_WOE_CLASS
from .block import PartyInputs
from .budget import class_claim
from .forward import parse_vector
from .leakage import LeakLedger
from .link import Link
from .messages import ClassEvidence, ClassSums, EncryptedLabels, MaskedSums, OpenedSums, SumsQuota
from .session import Opening
from .settings import Settings

Ints = npt.NDArray[np.int64]
Limbs = npt.NDArray[np.uint64]

SEED_BYTES = 32


async def at_guest(
    link: Link, hosts: tuple[str, ...], public: Public, inputs: PartyInputs, opening: Opening, settings: Settings,
    ledger: LeakLedger,
) -> None:  # fmt: skip
    """Give every host the WOE values of its classes, where the settings say so; `opening` is what Hello settled.

    Raises
    ------
    ProtocolError
        A host's classes or sums that cannot be.
    LeakageGuardError
        So many classes that a host could solve for labels.
    """
    if not settings.host_woe:
        return
    positive = _positive(inputs)
    link.stage("woe: encrypt labels")
    for host in hosts:
        encrypted = public.encrypt_encoded(positive.astype(np.int64), frac_bits=0, bound=1)
        await link.send(host, EncryptedLabels(encrypted.limbs))
    for host in hosts:
        message = await link.receive(host, ClassSums)
        rows = _checked_rows(message, opening.columns[host], len(positive), host)
        n_classes = int((rows > 0).sum())
        if settings.profile != "patent":
            inputs.budget.spend(opening.run, class_claim(opening.claims, host, n_classes))
        positives = await _open_sums(link, host, public, message, rows)
        ledger.add(f"rows and positives per class of {host}", 2 * n_classes, n_classes * len(positive))
        if (positives > rows).any() or (positives < 0).any() or (positives.sum(axis=1) != positive.sum()).any():
            raise ProtocolError(host, "ClassSums", "the positives of a feature's classes do not add up to all positives")
        await link.send(host, ClassEvidence(evidence(rows, positives).view(np.uint64)))


async def at_host(
    link: Link, public: Public, inputs: PartyInputs, settings: Settings, ledger: LeakLedger, measured: Leverage | None = None
) -> PartyInputs:
    """Return the inputs with the WOE values that the guest gives, where the settings say so; `measured`: what the classes tell of rows.

    Raises
    ------
    InputError
        The columns are not one per feature.
    LeakageGuardError
        A class of fewer than `MIN_WOE_CLASS` rows, or too many classes.
    ProtocolError
        Values that are no WOE values, or not 0 for a class without rows.
    """
    if not settings.host_woe:
        return inputs
    matrix = inputs.matrix
    rows = _classes_of(matrix)
    message = await link.receive("guest", EncryptedLabels)
    link.stage("check ciphertexts")
    labels = parse_vector(public, message.ciphertexts, matrix.n_rows, 1, "guest", "EncryptedLabels")
    link.stage("woe: class sums")
    seed = secrets.token_bytes(SEED_BYTES)
    packed = public.hand_over(_class_sums(matrix, rows, labels), matrix.n_rows, seed)
    await link.send("guest", ClassSums(rows.view(np.uint64), seed, packed.limbs))
    await link.send("arbiter", SumsQuota(len(packed)))
    values = (await link.receive("guest", ClassEvidence)).values
    if values.shape != rows.shape:
        raise ProtocolError("guest", "ClassEvidence", f"values of shape {rows.shape} are due")
    signed = values.view(np.int64)
    if signed.max() > LARGEST_WOE or signed.min() < -LARGEST_WOE or signed[rows == 0].any():
        raise ProtocolError("guest", "ClassEvidence", f"must be from -{LARGEST_WOE} to {LARGEST_WOE}, and 0 for a class without rows")
    ledger.add("WOE values of own classes", int((rows > 0).sum()), matrix.n_rows, measured)
    return _with_evidence(inputs, signed)


def indicators(matrix: CodedMatrix) -> CodedMatrix:
    """Return one 0/1 column a class: what the class sums, and any values of the classes, can tell of single rows."""
    features = np.repeat(np.arange(matrix.n_features), matrix.class_counts)
    codes = np.concatenate([np.arange(count) for count in matrix.class_counts.tolist()])
    return CodedMatrix(matrix.codes, matrix.class_counts, features, np.eye(int(matrix.class_counts.max()), dtype=np.int64)[codes])


async def at_arbiter(link: Link, decrypt: Callable[[Limbs, int, str, str], Limbs], settings: Settings) -> None:
    """Open each host's class sums for the guest, exactly as many ciphertexts as the host says."""
    if not settings.host_woe:
        return
    for host in link.peers:
        if host != "guest":
            due = (await link.receive(host, SumsQuota)).n_ciphertexts
            message = await link.receive("guest", MaskedSums)
            await link.send("guest", OpenedSums(decrypt(message.ciphertexts, due, "guest", "MaskedSums")))


def plain_inputs(inputs: PartyInputs, labels: npt.NDArray[np.int8] | None, settings: Settings) -> PartyInputs:
    """Return a host's inputs with their WOE values from labels in the clear: the twin of `at_host`."""
    if not settings.host_woe or labels is None:
        return inputs
    rows = _classes_of(inputs.matrix)
    positives = [np.bincount(codes[labels > 0], minlength=rows.shape[1]) for codes in inputs.matrix.codes]
    return _with_evidence(inputs, evidence(rows, np.array(positives)))


def evidence(rows: Ints, positives: Ints) -> Ints:
    """Return the WOE integers of every feature's classes, shape (n_features, classes)."""
    return np.stack([weight_of_evidence(n, p)[0] for n, p in zip(rows, positives, strict=True)])


# --- the guest's steps -------------------------------------------------------------------------------------------


def _positive(inputs: PartyInputs) -> npt.NDArray[np.bool_]:
    if inputs.labels is None:
        raise InputError("labels", "the guest needs labels")
    return np.asarray(inputs.labels > 0)


def _checked_rows(message: ClassSums, n_features: int, n_rows: int, host: str) -> Ints:
    """Return the rows per class, after a look at their number, sum and size."""
    if len(message.rows) != n_features or message.rows.shape[1] > MAX_CLASSES:
        raise ProtocolError(host, "ClassSums", f"needs the rows per class of {n_features} features, at most {MAX_CLASSES} classes each")
    if message.rows.max() > n_rows or (message.rows.sum(axis=1) != n_rows).any():
        raise ProtocolError(host, "ClassSums", f"the rows of a feature's classes do not add up to {n_rows}")
    if len(message.seed) != SEED_BYTES:
        raise ProtocolError(host, "ClassSums", f"its seed must have {SEED_BYTES} bytes")
    rows = message.rows.astype(np.int64)
    if ((rows > 0) & (rows < MIN_WOE_CLASS)).any():
        raise ProtocolError(host, "ClassSums", f"has a class of fewer than {MIN_WOE_CLASS} rows")
    _guard_classes(rows)
    return rows


async def _open_sums(link: Link, host: str, public: Public, message: ClassSums, rows: Ints) -> Ints:
    """Return the positives per class, opened by the arbiter under the guest's masks."""
    link.stage("woe: mask and open")
    try:
        opening = public.opening_of(message.ciphertexts, int((rows > 0).sum()), int(rows[0].sum()), message.seed)
    except InputError as error:
        raise ProtocolError(host, "ClassSums", str(error)) from error
    await link.send("arbiter", MaskedSums(opening.request.limbs))
    opened = await link.receive("arbiter", OpenedSums)
    try:
        sums = opening.open(opened.plaintexts)
    except CheckError as error:
        raise ProtocolError("arbiter", "OpenedSums", str(error)) from error
    positives = np.zeros_like(rows)
    positives[rows > 0] = sums
    return positives


# --- the host's steps --------------------------------------------------------------------------------------------


def _classes_of(matrix: CodedMatrix) -> Ints:
    """Return the rows of every feature's classes, all of them large enough to be summed over."""
    if not np.array_equal(matrix.column_features, np.arange(matrix.n_features)):
        raise InputError("encoding", "host_woe needs one column per feature: bin with the encoding woe")
    rows = matrix.class_rows
    small = np.flatnonzero(((rows > 0) & (rows < MIN_WOE_CLASS)).any(axis=1))
    if small.size:
        raise LeakageGuardError(f"host_woe: feature {small[0]} has a class of fewer than {MIN_WOE_CLASS} rows; raise min_class_size")
    _guard_classes(rows)
    return rows


def _class_sums(matrix: CodedMatrix, rows: Ints, labels: CipherArray) -> CipherArray:
    """Return [[Σ y]] of every class that has rows, features in order."""
    features, classes = np.nonzero(rows)
    indicators = np.zeros((len(features), rows.shape[1]), dtype=np.int64)
    indicators[np.arange(len(features)), classes] = 1
    sums, _ = CodedMatrix(matrix.codes, matrix.class_counts, features, indicators).product(labels)
    return sums


# --- both --------------------------------------------------------------------------------------------------------


def _guard_classes(rows: Ints) -> None:
    n_rows, n_classes = int(rows[0].sum()), int((rows > 0).sum())
    if n_classes + len(rows) + 1 >= n_rows:  # the gradient's equations besides
        raise LeakageGuardError(f"host_woe: {n_classes} classes of {len(rows)} features for {n_rows} rows; a host could solve for labels")


def _with_evidence(inputs: PartyInputs, values: Ints) -> PartyInputs:
    matrix = inputs.matrix
    return dataclasses.replace(inputs, matrix=CodedMatrix(matrix.codes, matrix.class_counts, matrix.column_features, values))
