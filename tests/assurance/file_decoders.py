"""Decoders of files and texts: keys, models, rules, the mart's catalogue, settings, TOML, tables.

What carries a checksum is decoded as it comes and with its checksum put right, as whoever edits a file on purpose would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from assurance.decoding import PLACE, SESSION, SETTINGS, Decoder, P, Q, as_json, each, from_json, put
from support.jobs import sections, write_job
from support.tables import table

from vflfast.binning.binner import Binner
from vflfast.binning.saved_rules import rules_from_dict
from vflfast.crypto import backend as be
from vflfast.crypto import calibration
from vflfast.crypto.arrays import WireArray
from vflfast.crypto.elgamal.public import PublicKey as ElGamalPublic
from vflfast.crypto.paillier import keyfile, keys
from vflfast.crypto.paillier.public import PublicKey
from vflfast.crypto.schemes import generate_keypair
from vflfast.jobs import jobfile, model
from vflfast.learn.scoring import Norm
from vflfast.mart import store as mart_store
from vflfast.net import config
from vflfast.protocol.arbiter import ArbiterModel
from vflfast.protocol.session import key_context
from vflfast.protocol.settings import Settings, differences
from vflfast.tables import id_forms, plain_csv, seal, selection, toml
from vflfast.tables.table import open_table

CONTEXT = key_context(SESSION)
MACHINE = calibration._machine(256, "paillier")


def private_key_file(data: bytes) -> None:
    keyfile.load_private_key(put(data), test_sizes=True)


def public_key_file(data: bytes) -> None:
    keyfile.load_public_key(put(data), context=CONTEXT, test_sizes=True)


def key_files() -> tuple[bytes, bytes]:
    paths = PLACE / "private", PLACE / "public"
    keyfile.save_private_key(paths[0], P, Q, test_sizes=True, overwrite=True)
    keyfile.save_public_key(paths[1], P * Q, proof=keys.prove_square_free(P, Q, CONTEXT), test_sizes=True, overwrite=True)
    return paths[0].read_bytes(), paths[1].read_bytes()


@cache
def keys_of_arrays() -> tuple[PublicKey, ElGamalPublic]:
    return PublicKey(P * Q, test_sizes=True), generate_keypair(scheme="elgamal").public


def right(data: bytes) -> tuple[bytes, bytes]:
    """Bytes as they are, and with their checksum put right."""
    return data, data[:-32] + hashlib.sha256(data[:-32]).digest()


def encrypted_array(data: bytes) -> None:
    paillier, elgamal = keys_of_arrays()
    each(right(data), lambda one: WireArray.from_bytes(one, elgamal if elgamal.fingerprint.encode() in data else paillier))


def encrypted_arrays() -> list[bytes]:
    return [public.encrypt(values).to_bytes() for public in keys_of_arrays() for values in ([1.5, 2.0], [[1], [2]])]


def public_key_bytes(data: bytes) -> None:
    each(right(data), ElGamalPublic.from_bytes if b"elgamal" in data else lambda one: PublicKey.from_bytes(one, test_sizes=True))


def resealed(data: bytes) -> Iterator[Any]:
    """What a JSON file holds, as it is and with its digest put right."""
    saved = from_json(data)
    yield saved
    if isinstance(saved, dict):
        try:
            yield seal.sealed({name: value for name, value in saved.items() if name != "digest"})
        except RecursionError:  # deeper than the encoder goes
            return


def party_model(data: bytes) -> None:
    each(resealed(data), lambda saved: model.SavedParty.from_dict(saved).to_dict())


def arbiter_model(data: bytes) -> None:
    each(resealed(data), lambda saved: model.arbiter_to_dict(model.arbiter_from_dict(saved)))


def model_file(data: bytes) -> None:
    model.read_json(put(data))


@cache
def binner() -> Binner:
    some = table({"d": "date"}, x=[1.0, 2.0, 3.0], job=["a", "b", "b"], d=[0.5, 0.25, float("nan")], flat=[1.0, 1.0, 1.0])
    return Binner.fit(some, overrides={"d": "levels"})


def models() -> tuple[bytes, bytes]:
    fitted = binner()
    norm = Norm.fit(np.array([0.1, 0.2, 0.4]))
    weights = np.arange(len(fitted.column_names), dtype=np.float64)
    reading = {"id_column": "id", "kinds": fitted.kinds}
    party = model.SavedParty("guest", SESSION.hex(), fitted, weights, 0.5, norm, reading, {"losses": [0.5]})
    return as_json(party.to_dict()), as_json(model.arbiter_to_dict(ArbiterModel((1.0, 1.0), 0.5, 3, 0.25, SESSION.hex(), SETTINGS)))


def rules(data: bytes) -> None:
    rules_from_dict(from_json(data))


def norm(data: bytes) -> None:
    Norm.from_dict(from_json(data))


def catalogue(data: bytes) -> None:
    folder = PLACE / "mart"
    folder.mkdir(exist_ok=True)
    (folder / "a.parquet").write_bytes(b"PAR1")

    def opened(saved: Any) -> None:
        (folder / mart_store.CATALOGUE).write_bytes(as_json(saved))
        mart_store.open_store(folder).to_dict()

    (folder / mart_store.CATALOGUE).write_bytes(data)
    each(resealed(data), opened)


def catalogue_example() -> bytes:
    feature = mart_store.Feature("credit", "a.parquet", "amount", "numeric", 1)
    store = mart_store.Store(PLACE, "text", {"credit": 3}, (feature,), {"a.parquet": (4, "0" * 64)}, 1)
    return as_json(mart_store._catalogue(store))


def settings(data: bytes) -> None:
    saved = from_json(data)
    differences(SETTINGS.to_json(), data.decode("utf-8", "replace"))
    if isinstance(saved, dict):
        Settings.from_mapping(saved).to_json()


def rates(data: bytes) -> None:
    """Measured rates from the cache: what is not plausible counts as none."""
    saved = from_json(data)
    if isinstance(saved, dict) and isinstance(saved.get("rates"), dict):
        saved = {"machine": MACHINE, "rates": saved["rates"]}
    found = calibration._read(put(as_json(saved)), MACHINE, calibration.Rates)
    if found:
        found.block_costs()


def rates_example() -> bytes:
    known = (be.current().name, 256, be.threads(), be.current().lanes)
    return as_json({"machine": {}, "rates": calibration.asdict(calibration.Rates(*known, *[1.5] * 13))})


# --- TOML --------------------------------------------------------------------------------------------------------


def job(data: bytes) -> None:
    jobfile.read_job(put(data, "job.toml"))


def party_file(data: bytes) -> None:
    sections_of = toml.read_toml(put(data, "fed.toml"))
    each(("guest", "host1", "arbiter"), lambda role: (
        jobfile.part_from_mapping(sections_of, role, PLACE), config.net_config(sections_of, PLACE, role)))  # fmt: skip


def specification(data: bytes) -> None:
    selection.read_selection(put(data, "select.toml"))


def job_example() -> bytes:
    return write_job(PLACE, sections(PLACE, 2)).read_bytes()


PARTY = b"""[guest]
address = "127.0.0.1:7001"
file = "guest.csv"
id_column = "customer"
observation_date = 2026-01-01
class_weight = {0 = 1, 1 = 5}
[[hosts]]
address = "127.0.0.1:7002"
mart = "store"
classes = ["credit"]
[arbiter]
address = "[::1]:7003"
organisation = "notary"
[ids]
method = "ecdh"
[network]
plaintext = true
peer_timeout = 5.5
certificates = "certs"
[settings]
max_iter = 2
scoring = "combined"
powers = [1.0, 1.0]
"""

SPECIFICATION = b"""query = "SELECT id, x FROM people"
observation_date = 2026-01-01
memory_limit = "1GB"
[sources.people]
file = "people.csv"
types = {id = "VARCHAR"}
[sources.orders]
file = "orders.csv"
date_column = "day"
[label]
source = "orders"
where = "kind = 'card'"
window_days = 30
[kinds]
x = "numeric"
"""


def specification_example() -> bytes:
    for name in ("people.csv", "orders.csv"):
        put(b"id,x,day\n1,2,2026-01-02\n", name)
    return SPECIFICATION


# --- tables ------------------------------------------------------------------------------------------------------


def csv_table(data: bytes) -> None:
    opened = open_table(put(data, "table.csv"), id_column="id", id_format="phone", label_column="y", observation_date="2026-01-01")
    for name in opened.feature_names:
        opened.column(name)


def csv_columns(data: bytes) -> None:
    found = plain_csv.plain_columns(data.decode("utf-8", "replace"), 3)
    for cells in found or []:
        plain_csv.plain_numbers(cells)
        plain_csv.plain_texts(cells)


def phones(data: bytes) -> None:
    texts = data.decode("utf-8", "surrogateescape").split("\n")
    id_forms.normalise(np.array(texts, dtype=object), "phone")


CSV = b"id,y,x,job,day\n13800000001,1,0.5,smith,2025-01-02\n13800000002,0,,baker,\n"

DECODERS = {
    "private key files": Decoder(private_key_file, lambda: [key_files()[0]], "json"),
    "public key files": Decoder(public_key_file, lambda: [key_files()[1]], "json"),
    "encrypted arrays": Decoder(encrypted_array, encrypted_arrays),
    "public keys as bytes": Decoder(public_key_bytes, lambda: [public.to_bytes() for public in keys_of_arrays()]),
    "parties' models": Decoder(party_model, lambda: [models()[0]], "json"),
    "arbiter's models": Decoder(arbiter_model, lambda: [models()[1]], "json"),
    "JSON files": Decoder(model_file, lambda: [b'{"a": [1, 2.5, null]}']),
    "saved rules": Decoder(rules, lambda: [as_json(binner().to_dict())], "json"),
    "saved norms": Decoder(norm, lambda: [as_json(Norm.fit(np.array([0.1, 0.4]), name).to_dict()) for name in ("minmax", "rank")], "json"),
    "mart's catalogue": Decoder(catalogue, lambda: [catalogue_example()], "json"),
    "settings": Decoder(settings, lambda: [SETTINGS.to_json().encode()], "json"),
    "measured rates": Decoder(rates, lambda: [rates_example()], "json"),
    "job files": Decoder(job, lambda: [job_example()], "toml"),
    "party files": Decoder(party_file, lambda: [PARTY], "toml"),
    "specifications": Decoder(specification, lambda: [specification_example()], "toml"),
    "CSV tables": Decoder(csv_table, lambda: [CSV]),
    "plain CSV": Decoder(csv_columns, lambda: [b"1,2,x\n,2.5,\n"]),
    "ids": Decoder(phones, lambda: [b"13800000001\n13800000002"]),
}  # fmt: skip
