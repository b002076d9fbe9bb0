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
PASSPHRASE_VARIABLE = "VFLFAST_KEY_PASSPHRASE"  # noqa: S105 - of the environment: what opens an encrypted key file
MAX_KEY_FILE_BYTES = 1 << 16
FULL_ENTROPY_EXTRA_BITS = 64  # alpha towards the key holder has |n| + 64 bits
SHORT_ALPHA_BITS = (448, 512)  # opt-in; less is refused
CHECK_WEIGHT_BITS = 64  # rho of the check column

# --- fixed point (crypto-core §5) --------------------------------------------------------------------------------
DEFAULT_FRAC_BITS = 24
ELGAMAL_FRAC_BITS = 16  # opening costs the root of the magnitude
MAX_FRAC_BITS = 40
MAX_SCALE_BITS = 4096  # of an encrypted array, whose scale grows with every float factor; the key's size ends it before
MAX_GRADIENT_BITS = 128  # of opened sums: the logistic residual of several hosts has ten places more for each
PREDICTOR_BOUND = 16.0  # B: a party refuses to send a linear predictor above this

# --- coded features (crypto-core §6) -----------------------------------------------------------------------------
MAX_CLASSES = 256
MAX_BUCKETS = 1 << 16  # patterns are 16-bit
MAX_COLUMN_VALUE = 1 << 20
MAX_COUNT = (1 << 31) - 1  # rows, columns, ciphertexts
ROWS_PER_PASS = 1 << 18  # of a product with ciphertexts: what it holds besides its operands is bounded by them
SCRATCH_BYTES = 1 << 26  # arrays from this size on live in the scratch folder, if there is one

# --- binning (protocol §2) ---------------------------------------------------------------------------------------
BINS = 5  # equal-frequency classes [0091]
ZERO_SHARE = 0.90  # zero/non-zero rule
THREE_ZERO_SHARE = 0.05  # negative/zero/positive rule
MAX_LEVELS = 50  # most frequent levels of a category
BINNER_VERSION = 2  # of the saved edges, levels and encodings
MIN_CLASS_SIZE = 10  # training rows of a class: the sum over a class of one is that row's residual
MIN_WOE_CLASS = 50  # rows of a host's class, or the guest learns the labels of a few of the host's customers
WOE_FRAC_BITS = 10  # WOE values as integers
WOE_BOUND = 32.0  # above ln(2^32): no class of 2^31 rows goes beyond

# --- ids (protocol §2) -------------------------------------------------------------------------------------------
MIN_ID_KEY_BYTES = 16  # of the HMAC key that guest and host share
TOKEN_BYTES = 32  # HMAC-SHA256, SHA-256, SM3
SEED_BYTES = 32  # of a secret that parties share in a session
NONCE_BYTES = 16  # of a party's random bytes in a session's name
POINT_BYTES = 32  # of edwards25519
MIN_PSI_SESSION_BYTES = 16
IDS_PER_PASS = 1 << 18  # ids that are text, tokens that are sorted, in memory at a time: about 60 MB
ID_DIGEST_BYTES = 16  # of a table's ids, to find one that is there twice: two others meet with probability below 2^-70
MART_VERSION = 1
MAX_IDS = 10_000_000  # of one party's set; a larger one could ask for a whole range of numbers

# --- training (protocol §3) --------------------------------------------------------------------------------------
DEFAULT_TOL = 0.005  # [0145]
DEFAULT_N_ITER_NO_CHANGE = 15  # [0145]
DEFAULT_MAX_ITER = 50
DEFAULT_MOVING_ITER = 30  # where a run ends when nobody's predictor moves any more
MIN_ALPHA = 1e-3
MAX_GRAM_COLUMNS = 10_000  # of a block whose Gram matrix is made: 0.8 GB; beyond, conjugate gradients
LEAK_AUC = 0.95  # a feature that separates the labels better than this alone is reported
LEAK_CLASS_ROWS = 20  # of a class that is looked at by itself for that
MIN_SEPARATING_POWER = 1e-3  # AUC - 1/2 of a side that separates nothing, so that its share of the score stays positive
MAX_WEIGHT = 1 << 16  # of a training row, in units
WEIGHT_UNIT = 64  # that stands for weight 1 where weights are no whole numbers
RELAXATION = 1.5  # ω = this over the number of blocks: the preconditioned Hessian has its eigenvalues in (0, blocks]
ROWS_PER_BATCH_FACTOR = 10  # mini-batch guard: rows per batch >= this * larger column count
RARE_LABELS_RATIO = 4.0  # rare-label guard: bits of the sums over bits of the labels; all were found from 8 on, a third at 4 to 6
BUDGET_SHARE = 0.1  # of equations to customers that one peer may be told over all runs (privacy §3): what a linear reader gains is small
MAX_SCORINGS = 12  # sessions in which a host lets one customer be scored: each label tells the guest a bit of the host's half
MAX_OPENINGS_OF_A_ROUND = 2  # by attempts that go on after a crash; each may be of other columns, which nobody sees

# --- wire (protocol §7, assurance rule 8) ------------------------------------------------------------------------
WIRE_VERSION = 1
MODEL_VERSION = 2
MAX_BODY_BYTES = 1 << 34

# --- between machines (protocol §7) ------------------------------------------------------------------------------
MAX_EARLY_MESSAGES = 16  # of one peer that wait for an earlier one
JOURNAL_VERSION = 1
LEDGER_VERSION = 1
SERVICE_VERSION = 1
FRAME_BYTES = 1 << 20
ROWS_PER_MESSAGE = 4096  # at least, of a vector sent in pieces: 2 MB at 2048 bits
ROW_PACKINGS = (1, 2, 3, 4)  # rows in one ciphertext
MAX_MESSAGE_BYTES = 1 << 30  # of one message; a million rows at 4096 bits
MAX_HELD_BYTES = 1 << 28  # of one peer's messages that wait to be read, besides the one that is due
PEER_TIMEOUT = 600.0  # seconds without a word from a peer that is needed
HEARTBEAT = 2.0  # seconds between two questions to a peer
LINGER = 30.0  # seconds that a party stays after its end, for peers that have not ended
MAX_BARREN_ATTEMPTS = 5  # attempts after damaged messages without a new round
MAX_NOTICE_CHARS = 500
MAX_CLOCK_DIFFERENCE = 300.0  # seconds; certificates are read by the clock
CERTIFICATE_DAYS = 365
CA_DAYS = 3650
