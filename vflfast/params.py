"""Every constant and limit of the system, with its source."""

from __future__ import annotations

# --- keys (crypto-core §3) ---------------------------------------------------------------------------------------
KEY_BITS = (2048, 3072, 4096)  # bits of n that are offered
DEFAULT_KEY_BITS = 2048
MIN_TEST_KEY_BITS = 128  # smallest n that the test switch of key generation makes
MIN_PRIME_GAP_BITS = 100  # |p - q| must exceed 2^(bits/2 - this)   (FIPS 186-5 A.1.3)
SMALL_FACTOR_BOUND = 1 << 20  # n has no prime factor below this
PROOF_CHALLENGES = 7  # n-th roots: soundness error 2^(-20 * 7) with the bound above (Goldberg et al. 2018)
MILLER_RABIN_ROUNDS = 64  # random bases: a composite passes with probability below 2^-128, however it was chosen
CHALLENGE_EXTRA_BITS = 128  # a hash reduced modulo n is within 2^-128 of uniform
KEY_FILE_VERSION = 1
MAX_KEY_FILE_BYTES = 1 << 16
FULL_ENTROPY_EXTRA_BITS = 64  # alpha towards the key holder has |n| + 64 bits
SHORT_ALPHA_BITS = (448, 512)  # opt-in; less is refused
CHECK_WEIGHT_BITS = 64  # rho of the check column

# --- fixed point (crypto-core §5) --------------------------------------------------------------------------------
DEFAULT_FRAC_BITS = 24
MAX_FRAC_BITS = 40
PREDICTOR_BOUND = 16.0  # B: a party refuses to send a linear predictor above this

# --- coded features (crypto-core §6) -----------------------------------------------------------------------------
MAX_CLASSES = 256
MAX_BUCKETS = 1 << 16  # patterns are 16-bit
MAX_COLUMN_VALUE = 1 << 20
MAX_COUNT = (1 << 31) - 1  # rows, columns, ciphertexts

# --- binning (protocol §2) ---------------------------------------------------------------------------------------
BINS = 5  # equal-frequency classes [0091]
ZERO_SHARE = 0.90  # zero/non-zero rule
THREE_ZERO_SHARE = 0.05  # negative/zero/positive rule
MAX_LEVELS = 50  # most frequent levels of a category
BINNER_VERSION = 1  # of the saved edges and levels

# --- ids (protocol §2) -------------------------------------------------------------------------------------------
MIN_ID_KEY_BYTES = 16  # of the HMAC key that guest and host share
TOKEN_BYTES = 32  # HMAC-SHA256, SHA-256

# --- training (protocol §3) --------------------------------------------------------------------------------------
DEFAULT_TOL = 0.005  # [0145]
DEFAULT_N_ITER_NO_CHANGE = 15  # [0145]
DEFAULT_MAX_ITER = 50
MIN_ALPHA = 1e-3
MIN_SEPARATING_POWER = 1e-3  # AUC - 1/2 of a side that separates nothing, so that its share of the score stays positive
RELAXATION = 1.5  # ω = this over the number of blocks: the preconditioned Hessian has its eigenvalues in (0, blocks]
ROWS_PER_BATCH_FACTOR = 10  # mini-batch guard: rows per batch >= this * larger column count

# --- wire (protocol §7, assurance rule 8) ------------------------------------------------------------------------
WIRE_VERSION = 1
MODEL_VERSION = 1
MAX_BODY_BYTES = 1 << 34
