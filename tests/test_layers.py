"""The rules of the house (architecture.md §2) as assertions over the source text, each with a planted violation it must find.

A rule is a function from the root of a tree to the violations it sees there, as "path: what is wrong".
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WINGS = [
    "errors", "crypto", "tables", "binning", "matching", "mart", "learn", "protocol", "net", "scale", "jobs", "plan", "report", "samples",
    "estimator", "handover", "cli", "__main__",
]  # fmt: skip
RANKS = {wing: rank for rank, wing in enumerate(WINGS)} | {"params": 0, "exports": 0, "_core": 0}
SYSTEM_MODULES = {"socket", "asyncio", "grpc", "threading", "multiprocessing", "time"}
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
LINE_CAP = 400
VECTOR_KERNELS = {"csrc/paillier/pair_ifma.cpp"}  # one formula over registers after the other: nothing to cut at
# Above crypto/ a scheme is named where a person chooses a key file, and where its costs are predicted.
NAMES_A_SCHEME = {"__init__.py", "cli/tools.py", "plan/work.py", "plan/wire.py"}

Rule = Callable[[Path], Iterator[str]]


# --- reading the sources -----------------------------------------------------------------------------------------


def python_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Every file of the package with its path inside the package, such as crypto/keys.py."""
    for path in sorted((root / "vflfast").rglob("*.py")):
        yield path.relative_to(root / "vflfast").as_posix(), path


def native_files(root: Path) -> Iterator[tuple[str, str]]:
    """Path inside csrc/ and text without comments of every C++ file."""
    for path in sorted((root / "csrc").rglob("*")):
        if path.suffix in {".h", ".hpp", ".cpp", ".cc", ".inc"}:
            yield path.relative_to(root / "csrc").as_posix(), without_comments(path.read_text())


def without_comments(text: str) -> str:
    # Strings are matched too, so that "//" inside one is no comment; they are kept.
    pattern = r'//[^\n]*|/\*.*?\*/|("(?:\\.|[^"\\\n])*")'
    return re.sub(pattern, lambda match: match.group(1) or " ", text, flags=re.DOTALL)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(name: str, path: Path) -> Iterator[str]:
    """Every dotted name that a file imports, inside functions and for type checkers too; module.name for `from module import name`."""
    package = ["vflfast", *name.split("/")[:-1]]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called(node).endswith(("import_module", "__import__")):
            yield from (f"{argument.value}." for argument in node.args[:1] if isinstance(argument, ast.Constant))


def called(node: ast.Call) -> str:
    """The dotted name of what is called, or an empty string."""
    try:
        return ast.unparse(node.func)
    except ValueError:
        return ""


def is_module(imported: str, module: str) -> bool:
    return imported == module or imported.startswith(module + ".")


def native_rule(pattern: str, allowed: set[str], what: str) -> Rule:
    """A rule: only the `allowed` files or folders of csrc/ may match `pattern`."""

    def rule(root: Path) -> Iterator[str]:
        for name, text in native_files(root):
            if not {name, name.split("/")[0]} & allowed and (match := re.search(pattern, text)):
                yield f"csrc/{name}: {what} ({match.group().strip()})"

    return rule


def import_rule(modules: set[str], applies: Callable[[str], bool], what: str) -> Rule:
    """A rule: the files of the package that it applies to import none of `modules`."""

    def rule(root: Path) -> Iterator[str]:
        for name, path in python_files(root):
            for imported in imports(name, path) if applies(name) else ():
                if any(is_module(imported, module) for module in modules):
                    yield f"{name}: {what} ({imported})"

    return rule


# --- the rules ---------------------------------------------------------------------------------------------------


def wing_order(root: Path) -> Iterator[str]:
    for name, path in python_files(root):
        wing = name.split("/")[0].removesuffix(".py")
        if wing == "__init__":  # the package's front door: may name anything, lazily
            continue
        if wing not in RANKS:
            yield f"{name}: '{wing}' has no place in the order of wings"
            continue
        for imported in imports(name, path):
            other = imported.split(".")[1:2]
            if imported.split(".")[0] != "vflfast" or other in ([wing], ["__version__"]):
                continue
            if not other or RANKS.get(other[0], len(WINGS)) > RANKS[wing]:
                yield f"{name}: reaches back to {imported}"


def no_circles(root: Path) -> Iterator[str]:
    files = {dotted(name): (name, path) for name, path in python_files(root)}
    graph = {}
    for module, (name, path) in files.items():
        found = imports(name, path)  # deferred ones too: a circle that is only put off is one
        graph[module] = {target if target in files else target.rpartition(".")[0] for target in found} & files.keys() - {module, "vflfast"}
    while ends := {module for module, targets in graph.items() if not targets} | (graph.keys() - set().union(*graph.values())):
        graph = {module: targets - ends for module, targets in graph.items() if module not in ends}
    yield from (f"{files[module][0]}: on a circle of imports, or between two" for module in graph)


def dotted(name: str) -> str:
    return ".".join(["vflfast", *name.removesuffix(".py").split("/")]).removesuffix(".__init__")


def one_importer_of_the_backends(root: Path) -> Iterator[str]:
    for name, path in python_files(root):
        for imported in imports(name, path):
            is_backend = is_module(imported, "vflfast._core") or is_module(imported, "vflfast.crypto.fallback")
            if name != "crypto/backend.py" and (is_backend or is_module(imported, "_core")):
                yield f"{name}: only crypto/backend.py imports {imported}"


def nothing_unsafe(root: Path) -> Iterator[str]:
    unsafe_call = re.compile(r"(eval|exec|.*\byaml\.(unsafe_|full_)?load(_all)?|.*\b(read|to)_pickle)")
    for name, path in python_files(root):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and unsafe_call.fullmatch(called(node)):
                yield f"{name}: calls {called(node)}"
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                yield f"{name}: allow_pickle"
        yield from (f"{name}: imports {found}" for found in imports(name, path) if found.split(".")[0] in UNSAFE_MODULES)


def system_randomness_in_crypto(root: Path) -> Iterator[str]:
    for name, path in python_files(root):
        if name.startswith("crypto/"):
            names = {ast.unparse(node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute)} | set(imports(name, path))
            yield from (f"{name}: {found}" for found in sorted(names) if re.match(r"(random|np\.random|numpy\.random)\b", found))


def print_only_in_cli(root: Path) -> Iterator[str]:
    for name, path in python_files(root):
        if not name.startswith("cli/") and any(isinstance(node, ast.Call) and called(node) == "print" for node in ast.walk(tree_of(path))):
            yield f"{name}: prints"


def no_machine_flags(root: Path) -> Iterator[str]:
    setup = root / "setup.py"
    if setup.exists() and (match := re.search(r"-m(arch|tune|avx|bmi|cpu)\S*", setup.read_text())):
        yield f"setup.py: {match.group()}"


IFMA_FILES = {"paillier/pair_ifma.cpp", "paillier/ifma_products.h"}
IFMA_INCLUDES = {"immintrin.h", "cstdint", "cstddef", "paillier/pair.h", "paillier/ifma_products.h"}


def ifma_stays_local(root: Path) -> Iterator[str]:
    """A template compiled with AVX-512 could be the copy that the linker keeps for every machine (crypto-core.md §2)."""
    for name, text in native_files(root):
        if match := re.search(r"#\s*pragma\s+(GCC\s+target|clang\s+attribute)[^\n]*", text):
            yield f"csrc/{name}: target for a whole file ({match.group()})"
        for header in re.findall(r'#\s*include\s*[<"](.*?)[>"]', text):
            private = header.endswith("ifma_products.h") and name != "paillier/pair_ifma.cpp"
            if private or (name in IFMA_FILES and header not in IFMA_INCLUDES):
                yield f"csrc/{name}: includes {header}"


def short_files(root: Path) -> Iterator[str]:
    for folder, pattern in (("vflfast", "*.py"), ("tests", "*.py"), ("bench", "*.py"), ("docs", "*.py"), ("csrc", "*.*")):
        for path in sorted((root / folder).rglob(pattern)):
            name, size = path.relative_to(root).as_posix(), path.read_text().count("\n")
            if size > LINE_CAP and name not in VECTOR_KERNELS:
                yield f"{name}: {size} lines, cap {LINE_CAP}"


def folders_say_what_they_are_for(root: Path) -> Iterator[str]:
    for folder in sorted({path.parent for _, path in python_files(root)}):
        start = folder / "__init__.py"
        sentence = (ast.get_docstring(tree_of(start)) or "").split("\n\n")[0] if start.exists() else ""
        if not sentence.endswith("."):
            yield f"{start.relative_to(root / 'vflfast').as_posix()}: says in no sentence what the folder is for"


def schemes_stay_below(root: Path) -> Iterator[str]:
    rooms = {path.parent.name for path in (root / "vflfast" / "crypto").glob("*/__init__.py")}
    for name, path in python_files(root):
        for imported in imports(name, path) if name not in NAMES_A_SCHEME and not name.startswith("crypto/") else ():
            if imported.startswith("vflfast.crypto.") and imported.split(".")[2] in rooms:
                yield f"{name}: names a scheme ({imported})"


RULES: dict[str, Rule] = {
    "wing order": wing_order,
    "no circles": no_circles,
    "pybind11": native_rule(r"\bpybind11\b|\bPython\.h\b", {"bindings"}, "only bindings/ includes pybind11"),
    "cpu and environment": native_rule(
        r"\b(__get_)?cpuid\w*|__cpuid\w*|\b(secure_)?getenv\b|\bx?getbv\w*|__builtin_cpu_\w+|\benviron\b|\bgetauxval\b|\bsysctl\w*",
        {"core/dispatch.cpp"},
        "only dispatch.cpp reads CPU features or the environment",
    ),
    "threads": native_rule(
        r"\bstd::(jthread|thread|async)\b|<thread>|\bpthread_create\b|#\s*pragma\s+omp",
        {"core/parallel.h"},
        "only parallel.h starts threads",
    ),
    "gmp": native_rule(r"\bgmp(xx)?\.h\b", {"paillier/pair_portable.cpp"}, "only one file includes gmp.h"),
    "no floats": native_rule(r"\b(float|double)\b|\b__m(128|256|512)d?\b|\b\d+\.\d+|<cmath>", {"bindings"}, "no floats in the core"),
    "no randomness, no sockets": native_rule(
        r"<random>|\bs?rand\s*\(|\bgetrandom\b|\bgetentropy\b|/dev/u?random|<sys/socket\.h>|<netinet/|\brdrand\w*|\brdseed\w*",
        set(),
        "the core draws no randomness and opens no socket",
    ),
    "ifma stays local": ifma_stays_local,
    "one importer of the backends": one_importer_of_the_backends,
    "protocol has no I/O": import_rule(SYSTEM_MODULES, lambda name: name.startswith("protocol/"), "protocol/ stays clear of the system"),
    "sockets start at net": import_rule({"socket", "ssl", "grpc"}, lambda name: not name.startswith("net/"), "sockets start at net/"),
    "system randomness in crypto": system_randomness_in_crypto,
    "nothing unsafe": nothing_unsafe,
    "print only in cli": print_only_in_cli,
    "no machine flags": no_machine_flags,
    "short files": short_files,
    "folders say what they are for": folders_say_what_they_are_for,
    "schemes stay below": schemes_stay_below,
}


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_the_rule(rule: str) -> None:
    assert list(RULES[rule](ROOT)) == []


# --- the controls: each rule finds each planted violation, and nothing in the innocent tree ------------------------

INNOCENT = {
    "setup.py": "flags = ['-O3']\n",
    "csrc/bindings/rows.cpp": "#include <pybind11/pybind11.h>\ndouble seconds = 0.5;\n",
    "csrc/core/dispatch.cpp": "bool wide = __builtin_cpu_supports(\"avx512ifma\") && std::getenv(\"X\");\n",
    "csrc/core/parallel.h": "#include <thread>\nstd::thread worker;\n",
    "csrc/paillier/pair_portable.cpp": "#include <gmp.h>\n// double rounding, std::thread: only words in a comment\n",
    "csrc/paillier/pair_ifma.cpp": "#include <immintrin.h>\n/* getenv,\n float */ __m512i x;\nint brand(int a);\n",
    "vflfast/__init__.py": '"""Doc."""\n__version__ = "1"\n',
    "vflfast/errors.py": "class E(Exception): ...\n",
    "vflfast/params.py": "A = 1\n",
    "vflfast/crypto/__init__.py": '"""Doc."""\n',
    "vflfast/crypto/paillier/__init__.py": '"""Doc."""\n',
    "vflfast/crypto/paillier/keys.py": "from .. import backend\n",
    **{f"vflfast/{wing}/__init__.py": '"""Doc."""\n' for wing in ("learn", "protocol", "net", "cli")},
    "vflfast/crypto/backend.py": "from .. import _core\nfrom . import fallback\n",
    "vflfast/crypto/fallback.py": "import time\nfrom ..errors import E\n",
    "vflfast/crypto/keys.py": "import secrets\nfrom ..params import A\nfrom . import backend\nprinted = 'print(1)'\n",
    "vflfast/learn/solver.py": "import numpy as np\nfrom ..crypto.keys import printed\nrng = np.random.default_rng\n",
    "vflfast/protocol/guest.py": "from datetime import datetime\nfrom ..learn import solver\nfrom .. import __version__\n",
    "vflfast/net/service.py": "import asyncio, ssl\n",
    "vflfast/cli/run.py": "from ..protocol import guest\nprint(1)\n",
}

PLANTED: list[tuple[str, str, str]] = [
    ("wing order", "vflfast/crypto/keys.py", "from ..learn import solver\n"),
    ("wing order", "vflfast/crypto/keys.py", "def f():\n    import vflfast.protocol.guest\n"),
    ("wing order", "vflfast/errors.py", "from .crypto.keys import printed\n"),
    ("wing order", "vflfast/learn/solver.py", "from vflfast import cli\n"),
    ("wing order", "vflfast/learn/solver.py", "from .. import *\n"),
    ("wing order", "vflfast/learn/solver.py", "import vflfast\n"),
    ("wing order", "vflfast/attic/x.py", "x = 1\n"),
    ("no circles", "vflfast/crypto/backend.py", "from .keys import printed\n"),
    ("no circles", "vflfast/crypto/backend.py", "try:\n    from vflfast.crypto import keys\nexcept ImportError:\n    pass\n"),
    ("no circles", "vflfast/crypto/backend.py", "def f():\n    from .keys import printed\n"),
    ("no circles", "vflfast/crypto/backend.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .keys import printed\n"),
    ("no circles", "vflfast/params.py", "from . import errors\nfrom .crypto import keys\n"),
    ("pybind11", "csrc/paillier/pair.h", "#include <pybind11/numpy.h>\n"),
    ("pybind11", "csrc/paillier/pair.h", "#include <Python.h>\n"),
    ("cpu and environment", "csrc/paillier/rows.cpp", "auto x = std::getenv(\"HOME\");\n"),
    ("cpu and environment", "csrc/paillier/pair_ifma.cpp", "__get_cpuid_count(7, 0, &a, &b, &c, &d);\n"),
    ("cpu and environment", "csrc/paillier/pair_ifma.cpp", "if (__builtin_cpu_supports(\"avx512f\")) {}\n"),
    ("threads", "csrc/paillier/rows.cpp", "std::thread t(work);\n"),
    ("threads", "csrc/paillier/rows.cpp", "#pragma omp parallel\n"),
    ("gmp", "csrc/core/limbs.h", "#include <gmp.h>\n"),
    ("no floats", "csrc/core/limbs.h", "double x;\n"),
    ("no floats", "csrc/core/limbs.h", "const float* x;\n"),
    ("no floats", "csrc/core/limbs.h", "auto x = 1.5;\n"),
    ("no floats", "csrc/paillier/pair_ifma.cpp", "__m512d x;\n"),
    ("no randomness, no sockets", "csrc/paillier/rows.cpp", "#include <random>\n"),
    ("no randomness, no sockets", "csrc/bindings/rows.cpp", "int x = rand();\n"),
    ("ifma stays local", "csrc/paillier/pair_ifma.cpp", "#include <vector>\n"),
    ("ifma stays local", "csrc/paillier/ifma_products.h", '#include "core/lanes.h"\n'),
    ("ifma stays local", "csrc/paillier/pair_portable.cpp", '#include "paillier/ifma_products.h"\n'),
    ("ifma stays local", "csrc/paillier/pair_ifma.cpp", '#pragma GCC target("avx512ifma")\n'),
    ("one importer of the backends", "vflfast/crypto/keys.py", "from . import fallback\n"),
    ("one importer of the backends", "vflfast/crypto/keys.py", "from .fallback import context\n"),
    ("one importer of the backends", "vflfast/learn/solver.py", "from .. import _core\n"),
    ("one importer of the backends", "vflfast/learn/solver.py", "import vflfast._core as core\n"),
    ("one importer of the backends", "vflfast/learn/solver.py", "import importlib\nimportlib.import_module('vflfast._core')\n"),
    *(("protocol has no I/O", "vflfast/protocol/host.py", f"import {module}\n") for module in sorted(SYSTEM_MODULES)),
    ("protocol has no I/O", "vflfast/protocol/host.py", "from time import sleep\n"),
    ("protocol has no I/O", "vflfast/protocol/host.py", "def f():\n    import multiprocessing.pool\n"),
    ("sockets start at net", "vflfast/data/tables.py", "from socket import socket\n"),
    ("system randomness in crypto", "vflfast/crypto/keys.py", "import random\n"),
    ("system randomness in crypto", "vflfast/crypto/keys.py", "from numpy.random import default_rng\n"),
    ("system randomness in crypto", "vflfast/crypto/keys.py", "import numpy as np\nx = np.random.default_rng()\n"),
    *(("nothing unsafe", "vflfast/data/tables.py", f"import {module}\n") for module in sorted(UNSAFE_MODULES)),
    ("nothing unsafe", "vflfast/data/tables.py", "x = eval('1')\n"),
    ("nothing unsafe", "vflfast/data/tables.py", "import yaml\nx = yaml.load('')\n"),
    ("nothing unsafe", "vflfast/data/tables.py", "import numpy as np\nx = np.load('f', allow_pickle=True)\n"),
    ("nothing unsafe", "vflfast/data/tables.py", "import pandas as pd\nx = pd.read_pickle('f')\n"),
    ("print only in cli", "vflfast/learn/solver.py", "def f():\n    print('loss')\n"),
    ("no machine flags", "setup.py", "flags = ['-O3', '-march=native']\n"),
    ("no machine flags", "setup.py", "flags = ['-mavx512ifma']\n"),
    *(("short files", file, "x = 1\n" * 401) for file in ("vflfast/learn/solver.py", "tests/a/x.py", "bench/x.py", "csrc/core/limbs.h")),
    ("folders say what they are for", "vflfast/tables/__init__.py", "A = 1\n"),
    ("folders say what they are for", "vflfast/tables/__init__.py", '"""Tables"""\n'),
    ("schemes stay below", "vflfast/protocol/guest.py", "from ..crypto.paillier import keys\n"),
    ("schemes stay below", "vflfast/protocol/guest.py", "def f():\n    from ..crypto.paillier.keys import x\n"),
    ("schemes stay below", "vflfast/cli/run.py", "import vflfast.crypto.paillier.keys\n"),
]


def build(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize("rule", RULES)
def test_the_innocent_tree_and_the_empty_tree_pass(rule: str, tmp_path: Path) -> None:
    assert list(RULES[rule](tmp_path)) == []
    assert list(RULES[rule](build(tmp_path, INNOCENT))) == []


@pytest.mark.parametrize(("rule", "file", "text"), PLANTED, ids=[f"{rule}-{n}" for n, (rule, _, _) in enumerate(PLANTED)])
def test_the_rule_finds_a_planted_violation(rule: str, file: str, text: str, tmp_path: Path) -> None:
    found = list(RULES[rule](build(tmp_path, INNOCENT | {file: INNOCENT.get(file, "") + text})))
    assert found
    assert any(file.removeprefix("vflfast/") in violation for violation in found)



def test_every_rule_has_a_control() -> None:
    assert {rule for rule, _, _ in PLANTED} == set(RULES)
