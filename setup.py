"""Build of the one native extension, `vflfast._core`. It is optional: without it the package computes on gmpy2.

Switches, all from the environment:

VFLFAST_REQUIRE_NATIVE=1  a failing build is an error instead of a warning
VFLFAST_NO_NATIVE=1       do not build the extension
VFLFAST_NO_GMP=1          do not look for GMP
VFL_VERIFY=1              check the proved ranges and the assertions at run time
SOURCE_DATE_EPOCH=seconds the time of every file in the source distribution: two builds then give the same bytes
VFLFAST_SANITIZE=KINDS    build under sanitizers: address,undefined or thread
"""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup
from setuptools.command.sdist import sdist

try:
    from setuptools.errors import BaseError, CCompilerError
except ImportError:  # setuptools with an older vendored distutils
    from distutils.errors import CCompilerError
    from distutils.errors import DistutilsError as BaseError

# What pair_portable.cpp needs of GMP: full 64-bit limbs, the basecase and the side-channel silent products.
GMP_PROBE = """
#include <gmp.h>
static_assert(sizeof(mp_limb_t) == 8 && GMP_NAIL_BITS == 0, "GMP with 64-bit limbs");
int main() {
    mp_limb_t a[1] = {3}, r[2] = {0, 0}, scratch[64];
    if (mpn_sec_mul_itch(1, 1) > 64) return 1;
    mpn_sec_mul(r, a, 1, a, 1, scratch);
    return static_cast<int>(mpn_addmul_1(r, a, 1, 2));
}
"""


def is_set(switch: str) -> bool:
    """Whether the environment sets `switch` to anything but 0 and the empty string."""
    return os.environ.get(switch, "") not in ("", "0")


class BuildCore(build_ext):
    """Builds the extension with GMP where it is found; leaves no extension of older sources behind."""

    def build_extension(self, ext: Pybind11Extension) -> None:
        """Probe for GMP and compile, after the in-place copy of an earlier build is gone."""
        if self.editable_mode or self.inplace:
            Path(self.get_ext_filename(self.get_ext_fullname(ext.name))).unlink(missing_ok=True)
        if is_set("VFLFAST_NO_NATIVE"):
            return
        if not is_set("VFLFAST_NO_GMP") and self.has_gmp():
            ext.define_macros.append(("VFL_HAVE_GMP", "1"))
            ext.libraries.append("gmp")
        super().build_extension(ext)

    def has_gmp(self) -> bool:
        """Whether a small program that uses gmp.h compiles and links."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.cpp"
            source.write_text(GMP_PROBE)
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=["-std=c++17"])
                self.compiler.link_executable(objects, str(Path(folder) / "probe"), libraries=["gmp"], target_lang="c++")
            except (CCompilerError, BaseError, OSError):
                return False
        return True


class SameSdist(sdist):
    """The source distribution without traces of when and by whom it was built, where SOURCE_DATE_EPOCH is set."""

    def make_archive(self, base_name: str, format: str, root_dir: str | None = None, base_dir: str | None = None, **rest: object) -> str:
        """Write base_name.tar.gz with files in order of their names."""
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        if not epoch or format != "gztar" or base_dir is None:
            return super().make_archive(base_name, format, root_dir, base_dir, **rest)

        def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
            member.mtime, member.uid, member.gid, member.uname, member.gname = int(epoch), 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            return member

        path = f"{base_name}.tar.gz"
        with (
            open(path, "wb") as raw,
            gzip.GzipFile("", "wb", fileobj=raw, mtime=int(epoch)) as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            archive.add(Path(root_dir or ".") / base_dir, arcname=base_dir, filter=anonymous)  # a folder's files are added by name
        return path


def core_extension() -> Pybind11Extension:
    """The extension over every source file below csrc/."""
    verify = is_set("VFL_VERIFY")
    kinds = os.environ.get("VFLFAST_SANITIZE", "")
    watched = [f"-fsanitize={kinds}", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g"] if kinds else []
    return Pybind11Extension(
        "vflfast._core",
        sorted(str(path) for path in Path("csrc").rglob("*.cpp")),
        depends=sorted(str(path) for path in Path("csrc").rglob("*.h")),
        include_dirs=["csrc"],
        cxx_std=17,
        extra_compile_args=["-O3", "-pthread", *(["-UNDEBUG"] if verify else []), *watched],
        extra_link_args=["-pthread", *watched[:1]],
        define_macros=[("VFL_VERIFY", "1")] if verify else [],
        optional=not is_set("VFLFAST_REQUIRE_NATIVE"),
    )


with ParallelCompile("VFLFAST_BUILD_JOBS"):
    setup(ext_modules=[core_extension()], cmdclass={"build_ext": BuildCore, "sdist": SameSdist})
