"""The figures that must hold, and what of the tests measures them.

A measure is either recorded by tests through the fixture `figure`, or counted: the passed tests whose names match `pattern`, or the
different texts of the pattern's group.
"""

from __future__ import annotations

from dataclasses import dataclass

PROPERTY_EXAMPLES = (200, 10_000)  # of a Hypothesis property, per change and per release
CAMPAIGNS, FUZZERS = 4, 2  # tests that take the fixture `campaign_seconds`, and those that take `fuzz_seconds`


@dataclass(frozen=True)
class Measure:
    """One number of a row: at least the bar, or `at_most`; None where there is no bar."""

    what: str
    quick: float | None = 1
    release: float | None = 1
    pattern: str = ""
    fold: str = "sum"
    at_most: bool = False


@dataclass(frozen=True)
class Row:
    """A row of the table; `note` says where its figure is when no test here measures it."""

    number: str
    text: str
    bar: str
    measures: tuple[Measure, ...] = ()
    note: str = "not measured"


def worst(what: str, bar: float, release: float | None = None) -> Measure:
    return Measure(what, bar, bar if release is None else release, fold="max", at_most=True)


def none(what: str) -> Measure:
    return Measure(what, 0, 0, at_most=True)


ROWS = (
    Row("A1", "known answers on each backend", "100 %", (
        Measure("answers", 20, 20, r"test_vectors\.py::test_(?:iso|milagro|subgroup)|test_transcript\.py::test_"),)),
    Row("A2", "differential cases: every backend = Python integers, boundary sizes and limbs", "10^5 / 10^7, 0 mismatch", (
        Measure("cases", 10**5, 10**7),)),
    Row("A3", "exhaustive toy moduli, all m and r", "5 / 20", (
        Measure("moduli", 5, 20, r"test_toy\.py::test_every_plaintext_under_every_randomness\[(?:[a-z]\w*-)?(\d+-\d+)"),)),
    Row("A5", "Hypothesis properties × examples", "25 × 200 / 25 × 10,000", (
        Measure("properties", 25, 25), Measure("properties in full", None, 25))),
    Row("A6", "topology (inline, processes) × backend × threads: same weight hash", "all", (
        Measure("settings on each backend", 32, 32, r"test_twin\.py::test_encrypted_weights_are_the_twins"),
        Measure("process runs", 2, 2, r"test_launch\.py::test_processes_give_the_weights"))),
    Row("A7", "encrypted training against the plaintext twin, every weight, every round", "0 differing bits", (
        Measure("settings", 32, 32, r"test_twin\.py::test_encrypted_weights_are_the_twins"),)),
    Row("A9", "processors: kernels of BLAS, dispatch of numpy, targets of numba, variants of the C library", "one hash", (
        Measure("machines", 9, 9), Measure("machines at the patent's width", None, 8), Measure("runs that went on elsewhere", 3, 3),
        Measure("versions of numpy", None, 2), Measure("factors of the control", None, None))),
    Row("B1", "kill: roles × steps × before/after the durable write, then restart", "all end with the fault-free hash", (
        Measure("simulated points", 9, 9, r"test_simulator\.py::test_a_crash_(?:around|at)"),
        Measure("killed processes", None, 4, r"test_launch\.py::test_a_killed_party"), Measure("killed at the end", 3, 15))),
    Row("B2", "two roles killed in one round", "50 / 1,000, all", (
        Measure("cases", 50, 1000),)),
    Row("B3", "simulator seeds: dropped, duplicated, reordered, corrupted, delayed messages and crashes",
        "1,000 / 100,000: 0 wrong, 0 hang, ≥ 95 % finish", (
        Measure("seeds", 1000, 100_000, r"test_simulator\.py::test_all_faults_together"),)),
    Row("B4", "one flipped bit, truncation at each length", "detected, all", (
        Measure("sweeps", 6, 6, r"test_messages\.py::test_every_(?:truncat|flipped)|test_journal\.py::test_any_(?:flipped|trunc)"
                                r"|test_link\.py::test_every_corrupted"),)),
    Row("B6", "disk full or I/O error at the k-th write, every k", "clean error, then the fault-free hash", (
        Measure("failures", 21, 21, r"test_journal\.py::test_a_full_disk_at_any_call"),
        Measure("failures in whole runs", None, 150))),
    Row("B7", "allocation failure at the k-th call in the core", "0 crash, 0 leak", (
        Measure("failed allocations", 500, 500), none("allocations kept"))),
    Row("B8", "peer paused, slow, half-open", "finishes or typed timeout", (
        Measure("cases", 11, 16, r"test_runner\.py::test_a_(?:silent|peer_that_is_slow|process_that_was_paused|lost_connection)"
                               r"|test_party_faults\.py::test_a_(?:stopped|half_open|line)|test_net_faults\.py::test_a_process_stopped"),)),
    Row("B9", "wall clock jumps by a day", "the same weights; deadlines are monotonic", (
        Measure("cases", 2, 2, r"test_party_faults\.py::test_a_clock"),)),
    Row("B10", "rows shuffled, missing, duplicated, off by one between parties", "refused before round 1, all", (
        Measure("cases", 9, 9, r"test_session\.py::test_rows_that_do_not_agree|test_party_faults\.py::test_rows_that_differ"),)),
    Row("B11", "200 rounds", "memory growth < 1 %, file descriptors constant", (
        Measure("rounds", 100, 200, fold="max"), Measure("percent of memory more", None, 1, fold="max", at_most=True),
        Measure("percent of memory more, a process", None, 1, fold="max", at_most=True))),
    Row("B13", "kill the launcher, or anybody, then resume", "200, all end with the fault-free hash, nobody left", (
        Measure("launchers killed", 1, 2), Measure("random kills of launch", None, 200))),
    Row("C1", "catalogued bad inputs", "≥ 300 cases, each a typed error that names the argument", (
        Measure("cases", 300, 300, r"test_refusals\.py::|test_tampering\.py::|test_codec\.py::test_\w*refuses\w*\["
                                   r"|test_coded\.py::test_bad_matrices|test_keyfile\.py::test_\w*refused\w*\[|test_settings\.py::test_\w+\["),)),
    Row("C2", "malformed keys refused / honest keys accepted", "≥ 60 of 60 / 200 of 200", (
        Measure("malformed keys refused", 60, 60,
                r"test_keys\.py::test_(?:malformed_(?:modulus|primes)|forged_proofs|damaged_proofs)|test_bad_keys\.py::test_a_(?:malformed|proof)"),
        Measure("honest keys accepted", 200, 400))),
    Row("C3", "fuzz each decoder under coverage guidance, the core under sanitizers", "60 s / 10^8 executions", (
        Measure("decoders", 26, 26), Measure("executions", 10**4, 10**8), Measure("calls of the core", 10**3, 10**3),
        Measure("calls of the core under sanitizers", None, 10**5), Measure("minutes in all", 1, 60),
        Measure("planted faults found", 5, 5, r"test_fuzz\.py::test_(?:a_planted_fault|an_error_that_cannot)"))),
    Row("C4", "header claiming up to 2^63 bytes", "refused, < 1 MiB allocated", (
        Measure("claims", 10, 10, r"test_messages\.py::test_a_(?:header_that_claims|length_beyond|shape_beyond)"
                                  r"|test_frames\.py::test_a_claim|test_service\.py::test_a_claim|test_net_abuse\.py::test_a_claim"),)),
    Row("C5", "TLS: none, wrong CA, expired, not yet valid, wrong role, self-signed, TLS 1.2", "all refused", (
        Measure("cases", 7, 7, r"test_service\.py::test_refused_and_the_good"),
        Measure("at the server, by name and fingerprint", 5, 5, r"test_identity\.py::test_(?:a_server_refuses|only_accepted)"),
        Measure("at the caller", 5, 5, r"test_identity\.py::test_(?:a_caller_refuses|a_server_(?:that_changes|of_another))"))),
    Row("C6", "replayed, cross-session, cross-round, cross-role, wrong-key messages", "all refused", (
        Measure("sweeps", 10, 10, r"test_link\.py::test_(?:every_(?:repeated|message_of_another)|a_message_of|a_host_cannot|what_is_meant)"
                                  r"|test_bad_keys\.py::test_a_proof|test_party_faults\.py::test_messages_that"
                                  r"|test_net_abuse\.py::test_(?:what_a_host|ciphertexts_of)"),)),
    Row("C8", "slot overflow forced past the planner", "10^4, all caught", (
        Measure("overflows", 10**4, 10**4),)),
    Row("D1", "strip attack on [[g]]", "0 of 1,000 rows; control recovers all", (
        none("rows opened"), Measure("rows", 1000, 1000), Measure("rows opened by the control", 1000, 1000))),
    Row("D2", "arbiter's relation finder over aggregates", "0; control finds all", (
        none("relations found"), Measure("relations found by the control", 5, 5))),
    Row("D3", "masks: uniformity, no repeats across fork, restart, threads", "10^5", (
        Measure("masks", 10**5, 10**5), none("repeated"))),
    Row("D5", "timing of decryption, fixed against random key and ciphertext (Welch t)", "\\|t\\| < 4.5 at 10^5", (
        worst("largest \\|t\\|", 4.5), worst("largest \\|t\\| of points", 4.5),
        Measure("measurements, most of one", 2000, 10**5, fold="max"),
        Measure("least \\|t\\| of a control", 4.5, 4.5, fold="min"), Measure("repeated", None, None),
        Measure("places that depend on the key", None, 0, at_most=True), Measure("places of the control", None, 1))),
    Row("D7", "planted canaries (id, label, feature, weight) in logs, errors, wire", "0", (
        Measure("searches", 20, 20, r"test_(?:canaries|party_faults|net_canaries)\.py::test_nothing_planted"),)),
    Row("D8", "fault injected in one CRT branch", "all refused, no plaintext returned", (
        Measure("faults", 12, 12, r"test_paillier\.py::test_a_(?:fault_in_one_branch|plaintext_that_is_wrong)"),)),
    Row("D10", "attacks on single rows: rare levels, ids, nested, knapsack, wide, rare labels, retraining, batches, packing, WOE, "
        "packed quota, rescoring, hmac", "refused or within the guard's limit; every control succeeds", (
        Measure("attacks", 20, 20, r"test_(?:single_rows|rare_rows|wide_tables|retraining|scoring_again)\.py::test_\w+"
                                   r"|test_quota\.py::test_(?:what_remains|the_control)|test_enumeration\.py::test_\w+"),)),
    Row("D11", "opening noise: reading a row that is alone in a column, against what is computed", "± 2 % at 4,000 draws", (
        worst("off by, percent", 2.5),)),
    Row("D12", "ElGamal: RFC 9496 vectors; random 32-byte strings judged as the reference does; lies caught by the proof", "all", (
        Measure("strings", 20_000, 10**6), none("strings judged otherwise"),
        Measure("vectors", 20, 20, r"test_curve\.py::test_(?:multiples_of_the_generator|uniform_bytes|encodings_that_are_none)"),
        Measure("lies", 14, 14, r"test_elgamal\.py::test_a_lie_about_any_point|test_elgamal_runs\.py::test_(?:a_lying|an_answer)"))),
    Row("E1", "share of round time spent on all protections", "≤ 10 %", (
        Measure("percent of a round", None, 10, fold="max", at_most=True), Measure("percent of the work of all parties", None, None))),
)  # fmt: skip
