"""Certificates: what is made, and what a party refuses to start with."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from support.jobs import refused, succeeded
from support.network import authority

from vflfast.errors import InputError
from vflfast.net.certs import days_left, issue, make_authority, read_credentials, write_certificates
from vflfast.net.roles import check_role, dns_name, role_of_name


def test_every_role_gets_a_certificate_of_the_same_authority(tmp_path: Path) -> None:
    write_certificates(tmp_path, ["guest", "host1"])
    before = (tmp_path / "ca.pem").read_bytes()
    write_certificates(tmp_path, ["arbiter"])
    assert (tmp_path / "ca.pem").read_bytes() == before
    for role in ("guest", "host1", "arbiter"):
        made = read_credentials(tmp_path, role)
        assert 364 < days_left(made) <= 365
        assert (tmp_path / f"{role}.key").stat().st_mode & 0o077 == 0
        assert "PRIVATE" not in repr(made)
        ssl.create_default_context(cadata=made.ca.decode()).load_cert_chain(tmp_path / f"{role}.pem", tmp_path / f"{role}.key")
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    write_certificates(tmp_path, ["guest"])
    before = (tmp_path / "guest.key").read_bytes()
    with pytest.raises(InputError, match="has a certificate"):
        write_certificates(tmp_path, ["host1", "guest"])
    assert (tmp_path / "guest.key").read_bytes() == before
    assert not (tmp_path / "host1.pem").exists()


@pytest.mark.parametrize(("name", "role"), [
    ("guest.vflfast", "guest"), ("host12.vflfast", "host12"), ("guest", None), ("mallory.vflfast", None), ("host0.vflfast", None),
    ("guest.vflfast.example", None), ("xguest.vflfast", None), ("*.vflfast", None), ("", None),
])  # fmt: skip
def test_the_role_is_the_name(name: str, role: str | None) -> None:
    assert role_of_name(name) == role
    if role:
        assert dns_name(role) == name


@pytest.mark.parametrize("role", ["host", "mallory", "", None, 3, "guest\n", "host100"])
def test_no_role(role: object) -> None:
    with pytest.raises(InputError, match="role"):
        check_role(role)


@pytest.mark.parametrize("case", ["missing", "open key", "other key", "other authority", "other role", "expired", "not yet", "no pem"])
def test_a_party_refuses_to_start(case: str, tmp_path: Path) -> None:
    write_certificates(tmp_path, ["guest"])
    read_credentials(tmp_path, "guest")
    long_ago, later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=d) for d in (-30, 30))
    from vflfast.net.certs import read_authority

    own = read_authority(tmp_path)
    made = {
        "other authority": issue(authority(), "guest"),
        "other role": issue(own, "arbiter"),
        "expired": issue(own, "guest", days=1, begin=long_ago),
        "not yet": issue(own, "guest", begin=later),
    }.get(case)
    if made:
        (tmp_path / "guest.pem").write_bytes(made.certificate)
        (tmp_path / "guest.key").write_bytes(made.key)
    elif case == "missing":
        (tmp_path / "guest.pem").unlink()
    elif case == "open key":
        (tmp_path / "guest.key").chmod(0o644)
    elif case == "other key":
        (tmp_path / "guest.key").write_bytes(issue(own, "guest").key)
    else:
        (tmp_path / "guest.pem").write_text("hello")
    expected = {
        "missing": "cannot be read", "open key": "0600", "other key": "key beside it", "other authority": "was not signed",
        "other role": "not a certificate of guest", "expired": "not now", "not yet": "not now", "no pem": "no PEM",
    }  # fmt: skip
    with pytest.raises(InputError, match=expected[case]) as caught:
        read_credentials(tmp_path, "guest")
    assert "PRIVATE" not in str(caught.value)


def test_half_an_authority_is_refused(tmp_path: Path) -> None:
    write_certificates(tmp_path, ["guest"])
    (tmp_path / "ca.key").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        write_certificates(tmp_path, ["host1"])


@pytest.mark.parametrize("days", [0, -1, 1e9, float("nan")])
def test_days(days: float) -> None:
    with pytest.raises(InputError, match="days"):
        issue(make_authority(), "guest", days=days)


def test_the_command(tmp_path: Path) -> None:
    out = succeeded("certs", "--out", tmp_path / "c", "--roles", "guest, host1,host2,arbiter").stdout
    assert len(out.split()) == 10
    read_credentials(tmp_path / "c", "host2")
    assert "role" in refused("certs", "--out", tmp_path / "c", "--roles", "guest;rm")
