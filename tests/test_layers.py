"""The rules of the house (support/house.py) over the sources, each with a planted violation that it must find."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.house import ROOT, RULES, SYSTEM_MODULES, UNSAFE_MODULES


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
    *(
        ("same bits", "vflfast/learn/solver.py", f"def f(a, b):\n    return {text}\n")
        for text in ("a @ b", "np.linalg.cholesky(a)", "np.exp(a)", "np.log1p(a)", "math.log(2)", "np.dot(a, b)", "np.einsum('i,i', a, b)",
                     "np.mean(a)", "(a - b).mean()", "a[0].std()", "(a * b).dot(b)", "np.quantile(a, 0.5)", "np.logaddexp(a, b)")
    ),
    ("same bits", "vflfast/protocol/guest.py", "import math\nx = math.exp(1.0)\n"),
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
