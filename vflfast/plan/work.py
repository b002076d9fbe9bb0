"""The work of a run, stage by stage and party by party, in seconds on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..crypto.blocks import BlockWork, expected_work, row_segments
from ..crypto.calibration import TABLE_WINDOW, Rates
from ..crypto.paillier.base_table import BaseTable, n_entries
from ..crypto.paillier.opening import WEIGHT_DIGIT_BITS, plan_opening
from ..crypto.paillier.private import blinding_factors
from ..crypto.slots import SlotPlan
from ..learn.leverage import EXACT_COLUMNS, SKETCH
from ..params import CHECK_WEIGHT_BITS, FULL_ENTROPY_EXTRA_BITS, MAX_GRAM_COLUMNS, PROOF_CHALLENGES, ROWS_PER_PASS
from .forms import form_of
from .shape import PartyShape, RunShape
from .wire import columns_sent, gradient_opening, row_slots, score_bound

# What is no ciphertext arithmetic, in microseconds on a current core: of a run's seconds it is a few in a hundred.
# Reading is that of CSV (Parquet takes a hundredth), matching that of ecdh (hmac takes a hundredth).
POWER = 18  # multiplications of a ciphertext to the power of a factor of ten bits, and its share of an inverse
READ_CELL, BIN_CELL, MATCH_ID, PREDICT_CELL, PREDICT_ROW = 0.1, 0.03, 140.0, 0.001, 0.5
PREPARE = 0.3e6  # compiled code and BLAS are loaded at their first use
KEY_DECRYPTIONS, ROOT_DECRYPTIONS = 300, 8  # a prime search, and an n-th root, as decryptions of the same key
READ_BYTES = 200e6  # of a table's cells held at a time while it is read
BASE_MEMORY = 360e6  # the interpreter and its libraries
CG_STEPS = 60  # of a block too wide for its Gram matrix, at the default alpha
CHOLESKY_TERM = 6.0  # a term of the factorisation, in double precision on one thread, against one of the product in single
# What a step takes however few numbers it has, in microseconds: Python, and the arithmetic of a single number (inverses, gcd).
PER_MESSAGE, PER_CHECK, PER_PRODUCT, PER_GROUPING = 30.0, 600.0, 600.0, 1500.0
VECTORS_ALIVE = 6  # vectors of n ciphertexts that all parties in one process hold at the peak


@dataclass(frozen=True)
class Step:
    """One piece of work."""

    party: str
    stage: str
    seconds: float


def whole(count: int, rates: Rates) -> int:
    """Return `count` with the lanes and threads that stand still because it does not fill them."""
    side = rates.lanes * rates.threads
    return -(-count // side) * side


@dataclass
class Encryptor:
    """One party's encryptions under one key: its tables grow as those of `PublicKey` do."""

    rates: Rates
    tables: dict[int, BaseTable] = field(default_factory=dict)

    def expect(self, count: int) -> None:
        """Announce encryptions of the default size of exponents."""
        self.tables.setdefault(self.rates.key_bits // 2, BaseTable()).expected = count

    def cost(self, count: int, bits: int) -> float:
        """Microseconds of `count` encryptions with exponents of `bits` bits."""
        rates, micros = self.rates, 0.0
        table = self.tables.setdefault(bits, BaseTable())
        table.count += count
        wanted = table.wanted(bits, rates.key_bits // 2)
        if wanted > table.window:
            table.window = wanted
            micros += rates.table_entry * n_entries(bits, wanted)
        window = table.window if rates.table_entry else TABLE_WINDOW
        return micros + whole(count, rates) * rates.encrypt_bit * TABLE_WINDOW * -(-bits // window) + count * rates.store

    @property
    def n_entries(self) -> int:
        """Entries of all tables."""
        return sum(n_entries(bits, table.window) for bits, table in self.tables.items() if table.window)


@dataclass
class Work:
    """Collects the steps of a run in their order; each method adds those of one part of the protocol."""

    shape: RunShape
    rates: Rates
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bits, self.form = self.rates.key_bits, form_of(self.shape.settings)
        self.full = self.bits + FULL_ENTROPY_EXTRA_BITS
        self.guest, *self.hosts = self.shape.parties
        self.packed = self.shape.settings.row_packing
        self.groups, lanes = -(-self.shape.n_rows // self.packed), self.rates.lanes
        self.products = {p.name: expected_work(p.class_counts, p.modal_shares, self.groups, lanes) for p in self.shape.parties}
        self.tables: dict[str, Encryptor] = {}
        self.most_entries = 0
        self.new_key()

    def new_key(self) -> None:
        """Every session has its own key, and every party its own tables under it."""
        self.most_entries = max(self.most_entries, self.n_entries())
        self.tables = {name: self.encryptor() for name in ("arbiter", *(p.name for p in self.shape.parties))}

    def encryptor(self) -> Encryptor:
        """Return one party's encryptions."""
        return Encryptor(self.rates)

    @property
    def held_bytes(self) -> float:
        """Bytes of a ciphertext in memory."""
        return self.bits / 4

    def n_entries(self) -> int:
        """Entries of the tables of all parties."""
        return sum(encryptor.n_entries for encryptor in self.tables.values())

    def expect_rounds(self) -> None:
        """Tell every party's tables of the encryptions of all rounds to come, as the parties do."""
        settings = self.shape.settings
        per_round = {"guest": self.groups * len(self.hosts), **{host.name: self.groups for host in self.hosts}}
        openings = (self.form.opening(*gradient_opening(self.shape, party)) for party in self.shape.parties)
        per_round["arbiter"] = sum(blinding_factors(count) + 1 for count, *_ in openings)
        for name, count in per_round.items():
            self.tables[name].expect(count * settings.last_round)

    def add(self, party: str, stage: str, micros: float) -> None:
        """Add a step."""
        self.steps.append(Step(party, stage, micros / 1e6))

    def setup(self) -> None:
        """All before the first round."""
        shape = self.shape
        self.prepare()
        self.open_session()
        if shape.settings.host_woe:
            self.evidence()
        self.expect_rounds()
        for party in shape.parties:
            self.add(party.name, "measure rows", self.gram(party) + self.leverages(party))
            self.add(party.name, "prepare", PREPARE + self.gram(party))

    def prepare(self) -> None:
        """Tables read, matched and binned: as long as it took, where that is done."""
        shape, cells = self.shape, sum(len(p.class_counts) for p in self.shape.parties)
        micros = {
            "read tables": READ_CELL * shape.n_raw * cells,
            "match ids": MATCH_ID * shape.n_raw * len(shape.parties),
            "bin": BIN_CELL * (shape.n_rows + shape.n_test) * cells,
        }
        for stage, expected in micros.items():
            self.add("job", stage, 1e6 * shape.spent[stage] if stage in shape.spent else expected)

    def gram(self, party: PartyShape) -> float:
        """Microseconds of a party's Gram matrix and its factor; 0 where the block is too wide for them."""
        d, rates = party.n_columns, self.rates
        if d > MAX_GRAM_COLUMNS:
            return 0.0
        return rates.flop * d**2 * (self.shape.n_rows + CHOLESKY_TERM * rates.threads * d / 3)

    def leverages(self, party: PartyShape) -> float:
        """Microseconds of measuring rows: all exactly, or by random projections of a wide block."""
        d, n = party.n_columns, self.shape.n_rows
        if d <= EXACT_COLUMNS:
            return self.rates.flop * d**2 * n
        return SKETCH * n * (PREDICT_ROW + PREDICT_CELL * len(party.class_counts)) if d <= MAX_GRAM_COLUMNS else 0.0

    def newton(self, party: PartyShape) -> float:
        """Microseconds of a step of the party's weights: two triangular solutions, or two passes over the codes for every step of CG."""
        d = party.n_columns
        if d <= MAX_GRAM_COLUMNS:
            return 1e-3 * d**2
        return CG_STEPS * 2 * self.shape.n_rows * (PREDICT_ROW + PREDICT_CELL * len(party.class_counts))

    def open_session(self) -> None:
        """The arbiter's key, with its proof."""
        rates = self.rates
        self.add("arbiter", "key", KEY_DECRYPTIONS * rates.decrypt / rates.threads)
        self.add("arbiter", "key proof", PROOF_CHALLENGES * ROOT_DECRYPTIONS * rates.decrypt)
        for party in self.shape.parties:
            self.add(party.name, "key check", PROOF_CHALLENGES * ROOT_DECRYPTIONS * rates.decrypt / 2)

    def evidence(self) -> None:
        """WOE of the hosts' classes through encrypted label sums."""
        n, rates = self.shape.n_rows, self.rates
        for host in self.hosts:
            self.add("guest", "woe: encrypt labels", self.tables["guest"].cost(n, self.bits // 2))
            self.carry("guest", host.name, n)
            self.check(host.name, n)
            count, *_ = self.form.opening(host.used_classes, n)
            product = expected_work(host.class_counts, host.modal_shares, n, rates.lanes)
            sums = sum(self.product(host.class_counts, product, n, host.used_classes).values()) + self.packing(host.used_classes, n)
            self.add(host.name, "woe: class sums", sums + self.tables[host.name].cost(count, self.bits // 2))
            self.carry(host.name, "guest", count)
            self.check("guest", count)
            self.add("guest", "woe: mask and open", self.tables["guest"].cost(count, self.full))
            self.open("guest", count, n)

    def round(self) -> None:
        """One round [0101]–[0135]."""
        n = self.groups
        self.predictors(n)
        self.add("guest", "rerandomize", sum(self.tables["guest"].cost(n, self.bits // 2) for _ in self.hosts))
        for host in self.hosts:
            self.carry("guest", host.name, n)
            self.check(host.name, n)
        for party in self.shape.parties:
            self.gradient(party)
            self.add(party.name, "vote", self.tables[party.name].cost(1, self.full))
            self.read(1, 1)

    def predictors(self, n: int) -> None:
        """[[u″]] of every host to the guest, which adds them up and u′ − 2y."""
        columns = columns_sent(self.shape)
        names = [host.name for host in self.hosts]
        chain = ["guest"] * len(names) if columns == 1 else [*names[1:], "guest"]
        for place, (host, to) in enumerate(zip(names, chain, strict=True)):
            turned = 2 * POWER * columns * n * self.rates.multiply if columns > 1 and place else 0.0
            self.add(host, "encrypt", turned + self.tables[host].cost(columns * n, self.bits // 2))
            self.carry(host, to, columns * n)
            self.check(to, columns * n)
        products = self.rates.multiply * ((len(names) - 1) if columns == 1 else POWER * columns)
        self.add("guest", "residual", n * (self.rates.add_plain + products))

    def check(self, party: str, count: int) -> None:
        """Validate received ciphertexts: ranges, and one gcd of the product of all."""
        self.add(party, "check ciphertexts", count * (self.rates.load + self.rates.multiply) + PER_CHECK)

    def gradient(self, party: PartyShape) -> None:
        """The coded product, its opening, and the step."""
        for stage, micros in self.product(party.class_counts, self.products[party.name], self.groups, party.n_columns, self.packed).items():
            self.add(party.name, stage, micros)
        n_values, bound = gradient_opening(self.shape, party)
        count, *_ = self.form.opening(n_values, bound)
        self.add(party.name, "pack and mask", self.packing(n_values, bound) + self.tables[party.name].cost(count, self.full))
        self.open(party.name, count, bound)
        predict = self.shape.n_rows * (PREDICT_ROW + PREDICT_CELL * len(party.class_counts))
        self.add(party.name, "update", predict + self.newton(party))

    def product(
        self, class_counts: npt.NDArray[np.int64], work: BlockWork, n: int, n_columns: int, parts: int = 1
    ) -> dict[str, float]:  # fmt: skip
        """Microseconds of the coded product of codes with `n` ciphertexts, by stage.

        A tensor of B buckets is summed over its two halves, and each of these again: some 2·√B + 4·⁴√B products of all lanes even where
        few buckets are in use. Each of the `parts` rows that share a ciphertext has a product of its own with all ciphertexts.
        """
        rates = self.rates
        size = work.buckets / work.n_blocks
        segments = row_segments(work.n_blocks, size, min(n, ROWS_PER_PASS), rates.threads, rates.lanes)
        least = work.n_blocks * (2 * size**0.5 + 4 * size**0.25) * rates.lanes * rates.multiply
        shifts = 0 if parts == 1 else parts * (row_slots(self.shape) + 1)
        multiplications = parts * (2 * float(class_counts.mean()) + 6) + shifts
        return {
            "logarithms": parts * rates.logarithm * n,
            "bucket": parts * (rates.insert_near * work.near + rates.insert_far * work.far),
            "collapse": parts * segments * max(rates.collapse * work.used, least),
            "combine": n_columns * multiplications * rates.multiply + parts * PER_PRODUCT,
        }

    def packing(self, n_values: int, bound: int) -> float:
        """Microseconds of packing the numbers of an opening."""
        return self.pack(plan_opening(n_values, bound, self.bits))

    def pack(self, plan: SlotPlan) -> float:
        """Microseconds of packing, with the check value: a coded product with the digits of the weights, packed itself."""
        rates, digits = self.rates, CHECK_WEIGHT_BITS // WEIGHT_DIGIT_BITS
        counts = np.full(digits, 1 << WEIGHT_DIGIT_BITS)
        work = expected_work(counts, 1 / counts, plan.n_values, rates.lanes)
        check = sum(self.product(counts, work, plan.n_values, digits).values()) + PER_GROUPING
        squared = whole(plan.n_plaintexts, rates) * min(plan.slots, plan.n_slots) * (plan.slot_bits + 1)
        packed = squared + whole(1, rates) * digits * (WEIGHT_DIGIT_BITS + 1)
        return check + packed * rates.multiply

    def open(self, party: str, count: int, bound: int) -> None:
        """The arbiter's decryptions of what a party owns, there and back."""
        self.read(count, bound)
        self.carry(party, "arbiter", 2 * count)

    def read(self, count: int, bound: int) -> None:
        """Decryptions: blinded, and one more for the check."""
        hiding = count * (2 * self.rates.multiply + self.rates.add_plain + self.rates.store)
        blinding = self.tables["arbiter"].cost(blinding_factors(count), self.bits // 2)
        self.add("arbiter", "decrypt", whole(count + 1, self.rates) * self.rates.decrypt + hiding + blinding)

    def read_sums(self, count: int, bound: int) -> None:
        """Decryptions of sums that the arbiter reads and their sender does not know."""
        self.read(count, bound)

    def carry(self, sender: str, recipient: str, count: int) -> None:
        """Hash and copy ciphertexts at both ends."""
        micros = count * self.form.width * self.rates.digest + PER_MESSAGE
        self.add(sender, "serialize", micros)
        self.add(recipient, "parse", micros)

    def closing(self) -> None:
        """The threshold, and the comparison with the twin."""
        self.scores(self.shape.n_rows, "calibrate")
        if self.shape.verify:
            cells = self.shape.n_rows * sum(len(p.class_counts) for p in self.shape.parties)
            rounds = sum(step.stage == "residual" for step in self.steps)
            grams = sum(self.gram(p) for p in self.shape.parties)
            self.add("verify", "plaintext twin", rounds * cells * 3 * PREDICT_CELL + grams)

    def scores(self, n: int, stage: str) -> None:
        """Every party's packed scores of `n` rows to the arbiter."""
        bound = score_bound(self.shape)
        count = self.form.to_holder(n, bound)
        for party in self.shape.parties:
            self.add(party.name, stage, self.tables[party.name].cost(count, self.full))
            self.carry(party.name, "arbiter", count)
            self.read(count, bound)

    def evaluation(self) -> None:
        """A scoring session of the rows kept out."""
        self.new_key()
        self.open_session()
        self.scores(self.shape.n_test, "score")

    def memory(self) -> int:
        """Peak bytes: codes, patterns, vectors of ciphertexts, tables, bucket tensors, Gram matrices."""
        shape, rates, width = self.shape, self.rates, self.held_bytes
        features = sum(len(p.class_counts) for p in shape.parties)
        codes = (shape.n_rows + shape.n_test) * features + 2 * shape.n_rows * sum(work.n_blocks for work in self.products.values())
        raw = min(8 * shape.n_raw * features, READ_BYTES)
        tensors = rates.threads * rates.lanes * 1.25 * width * max(work.buckets / work.n_blocks for work in self.products.values())
        factored = [p.n_columns for p in shape.parties if p.n_columns <= MAX_GRAM_COLUMNS]
        grams = 8 * sum(d**2 for d in factored)
        vectors = (VECTORS_ALIVE * self.groups + 2 * min(self.groups, ROWS_PER_PASS)) * width
        working = codes + vectors + self.table_bytes() + tensors + grams
        return int(BASE_MEMORY + max(working, raw + codes))

    def table_bytes(self) -> float:
        """Bytes of the tables of powers."""
        return max(self.most_entries, self.n_entries()) * self.bits / 2 if self.rates.table_entry else 0.0
