"""Build of the one native extension, `vflfast._core`. It is optional: without it the package computes on gmpy2.

Switches, all from the environment:

VFLFAST_REQUIRE_NATIVE=1  a failing build is an error instead of a warning
VFLFAST_NO_NATIVE=1       do not build the extension
VFLFAST_NO_GMP=1          do not look for GMP
VFL_VERIFY=1              check the proved ranges and the assertions at run time
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup

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


def core_extension() -> Pybind11Extension:
    """The extension over every source file of csrc/."""
    verify = is_set("VFL_VERIFY")
    return Pybind11Extension(
        "vflfast._core",
        sorted(str(path) for path in Path("csrc").glob("*.cpp")),
        depends=sorted(str(path) for path in Path("csrc").glob("*.h")),
        include_dirs=["csrc"],
        cxx_std=17,
        extra_compile_args=["-O3", "-pthread", *(["-UNDEBUG"] if verify else [])],
        extra_link_args=["-pthread"],
        define_macros=[("VFL_VERIFY", "1")] if verify else [],
        optional=not is_set("VFLFAST_REQUIRE_NATIVE"),
    )


with ParallelCompile("VFLFAST_BUILD_JOBS"):
    setup(ext_modules=[core_extension()], cmdclass={"build_ext": BuildCore})
