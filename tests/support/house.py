"""The rules of the house (docs/architecture.md): functions from the root of a tree to the violations seen there, "path: what is wrong"."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WINGS = [
    "errors", "crypto", "tables", "learn", "binning", "matching", "mart", "protocol", "net", "scale", "jobs", "plan", "report", "samples",
    "estimator", "handover", "cli", "__main__",
]  # fmt: skip
RANKS = {wing: rank for rank, wing in enumerate(WINGS)} | {"params": 0, "exports": 0, "_core": 0}
SYSTEM_MODULES = {"socket", "asyncio", "grpc", "threading", "multiprocessing", "time"}
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
LINE_CAP = 400
VECTOR_KERNELS = {"csrc/paillier/pair_ifma.cpp"}  # one formula over registers after the other: nothing to cut at
# Above crypto/ a scheme is named where a person chooses a key file, and where its costs are predicted.
NAMES_A_SCHEME = {"__init__.py", "cli/tools.py", "plan/forms.py", "plan/points.py", "plan/work.py"}

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


IFMA_FILES = {"paillier/pair_ifma.cpp", "paillier/ifma_products.h", "curve/curve_ifma.cpp", "curve/field_ifma.h"}
IFMA_INCLUDES = {
    "immintrin.h", "cstdint", "cstddef", "paillier/pair.h", "paillier/ifma_products.h", "curve/curve.h", "curve/field_ifma.h",
    "curve/kernel.h",
}  # fmt: skip
IFMA_HEADERS = {"ifma_products.h": "paillier/pair_ifma.cpp", "field_ifma.h": "curve/curve_ifma.cpp"}  # what each may be included by


def ifma_stays_local(root: Path) -> Iterator[str]:
    """A template compiled with AVX-512 could be the copy that the linker keeps for every machine (crypto-core.md §2)."""
    for name, text in native_files(root):
        if match := re.search(r"#\s*pragma\s+(GCC\s+target|clang\s+attribute)[^\n]*", text):
            yield f"csrc/{name}: target for a whole file ({match.group()})"
        for header in re.findall(r'#\s*include\s*[<"](.*?)[>"]', text):
            private = name != IFMA_HEADERS.get(header.rpartition("/")[2], name)
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


# What the processor, BLAS or the C library may compute with other last bits; `elementary` and `linalg` of learn/ are for that.
VARYING = re.compile(
    r"(np|numpy)\.(linalg(\.\w+)*|dot|vdot|inner|outer|matmul|tensordot|einsum|exp\w*|log\w*|power|float_power|tan\w*|sin\w*|cos\w*|arc\w+"
    r"|cbrt|hypot|mean|average|std|var|median|quantile|percentile|nan(sum|mean|std|var|median|quantile|percentile)|convolve|cov|corrcoef)"
    r"|math\.(exp\w*|log\w*|pow|tan\w*|sin\w*|cos\w*|a\w*tan\w*|erf\w*|gamma|lgamma|hypot|dist|cbrt)|scipy(\.\w+)*"
)
# Figures that are only shown, and products whose partial sums are exact integers (learn/logistic.py, gram and class sums).
VARYING_ALLOWED = {
    "learn/metrics.py": None, "learn/curves.py": None, "learn/stability.py": None, "learn/uncertainty.py": None,
    "learn/logistic.py": {"gram", "_weigh_classes"}, "protocol/inference.py": {"_products"},
}  # fmt: skip


def same_bits(root: Path) -> Iterator[str]:
    for name, path in python_files(root):
        allowed = VARYING_ALLOWED.get(name, set())
        if name.split("/")[0] in {"learn", "protocol", "binning", "scale"} and allowed is not None:
            for function, node in with_functions(tree_of(path)):
                if function not in allowed and (found := varying(node)):
                    yield f"{name}: {found} may have other last bits on another processor; learn/elementary.py, learn/linalg.py have it"


def with_functions(node: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.AST]]:
    """Every node with the name of the function around it."""
    inside = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else inside
    yield inside, node
    for child in ast.iter_child_nodes(node):
        yield from with_functions(child, inside)


def varying(node: ast.AST) -> str:
    """What a node computes with bits that vary, or nothing. A mean of truths is a count over a count."""
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.MatMult):
        return "@"
    if not isinstance(node, ast.Attribute):
        return ""
    name = ast.unparse(node)
    if node.attr in {"mean", "std", "var", "dot"} and not isinstance(node.value, (ast.Compare, ast.Name)) and "scaling" not in name:
        return name
    return name if VARYING.fullmatch(name) else ""


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
    "same bits": same_bits,
}
