"""What the package and its tests are made of: every distribution that its requirements lead to, with version and licence.

`python tests/assurance/supply.py bom` prints a bill of materials (CycloneDX 1.6), `constraints` the pinned versions.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from importlib import metadata
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PACKAGE = "vflfast"
OTHERS = {"peers"}  # extras for an environment of its own
CORE = ""  # the extra of what everybody installs

# Licences as packages write them. gmpy2's LGPL is used unchanged, as the library that users may replace; MPL is for files of theirs alone.
ALLOWED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|0BSD|Zlib|CC0|HPND|LGPL-3.0-or-later|MPL|Mozilla Public License 2.0|Unlicense"
)
FORBIDDEN = re.compile(r"(?<!L)GPL|Affero|AGPL|SSPL|Commercial|Proprietary|Non-?Commercial")


@cache
def parts(extras: frozenset[str]) -> dict[str, metadata.Distribution]:
    """Every installed distribution that the package with these extras needs, by canonical name; the package itself left out."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(PACKAGE, extra) for extra in sorted({*extras, CORE})]
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found[name] = distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another system or another Python
        for text in distribution.requires or []:
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(wanted.name), one) for one in (CORE, *wanted.extras)]
    found.pop(PACKAGE, None)
    return dict(sorted(found.items()))


def all_extras() -> frozenset[str]:
    return frozenset(metadata.metadata(PACKAGE).get_all("Provides-Extra") or []) - OTHERS


def licence(distribution: metadata.Distribution) -> str:
    """The licence as the distribution states it: expression, classifiers, or the first line of its text."""
    about = distribution.metadata
    classifiers = [c.rsplit("::", 1)[-1].strip() for c in about.get_all("Classifier") or [] if c.startswith("License")]
    first_line = next(iter((about.get("License") or "").strip().splitlines()), "")
    return about.get("License-Expression") or " AND ".join(classifiers) or first_line or title(distribution)


def title(distribution: metadata.Distribution) -> str:
    """The first words of the licence that the distribution holds, for those whose metadata only names its file."""
    names = distribution.metadata.get_all("License-File") or []
    texts = [distribution.read_text(f"licenses/{name}") or "" for name in names]
    return " AND ".join(next(iter(text.strip().splitlines()), "") for text in texts)


def problem(text: str) -> str | None:
    """What is wrong with a licence, if anything is."""
    if not text:
        return "states no licence"
    if FORBIDDEN.search(text) or not ALLOWED.search(text):
        return f"has the licence {text!r}"
    return None


def bom() -> dict[str, Any]:
    """CycloneDX: `required` is what runs, `optional` what the extras and the tests bring."""
    core = parts(frozenset())
    components = [
        {
            "type": "library", "name": one.metadata["Name"], "version": one.version, "purl": f"pkg:pypi/{name}@{one.version}",
            "scope": "required" if name in core else "optional", "licenses": [{"license": {"name": licence(one)}}],
        }
        for name, one in parts(all_extras()).items()
    ]  # fmt: skip
    subject = {"type": "library", "name": PACKAGE, "version": metadata.version(PACKAGE), "licenses": [{"license": {"id": "Apache-2.0"}}]}
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": subject}, "components": components}


def constraints() -> str:
    return "".join(f"{name}=={one.version}\n" for name, one in parts(all_extras()).items())


if __name__ == "__main__":
    print(json.dumps(bom(), indent=1) if sys.argv[1:] == ["bom"] else constraints(), end="\n" if sys.argv[1:] == ["bom"] else "")
