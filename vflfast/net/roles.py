"""Roles and their names in certificates: guest.vflfast, host1.vflfast, mart.vflfast, arbiter.vflfast and so on."""

from __future__ import annotations

import re

from ..errors import InputError

SUFFIX = ".vflfast"
ROLE = re.compile(r"guest|arbiter|mart|host[1-9][0-9]?")


def dns_name(role: str) -> str:
    """Return the name in a role's certificate."""
    return role + SUFFIX


def role_of_name(name: str) -> str | None:
    """Return the role whose name in certificates this is; else None."""
    role = name.removesuffix(SUFFIX)
    return role if name.endswith(SUFFIX) and ROLE.fullmatch(role) else None


def check_role(role: object) -> str:
    """Return a role's name, or raise InputError."""
    if not isinstance(role, str) or not ROLE.fullmatch(role):
        raise InputError("role", "must be guest, arbiter, mart, or host1, host2, …")
    return role
