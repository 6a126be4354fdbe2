"""Build steps that pyproject.toml cannot express: Cython extensions and gRPC stubs.

Everything static lives in pyproject.toml. Stubs are generated from proto/ into trueframe/v1/ and never committed.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import ClassVar

from Cython.Build import cythonize
from setuptools import Command, Extension, setup
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent
PROTO_PACKAGE = Path("trueframe/v1")
COMPILED_PACKAGES = ("broker", "media_center", "simulator", "tui")


class BuildStubs(Command):
    """Generates trueframe/v1/*_pb2*.py and their type stubs from proto/."""

    description = "generate gRPC stubs from proto/"
    user_options: ClassVar = [("inplace", "i", "write into the source tree only")]
    boolean_options: ClassVar = ["inplace"]

    def initialize_options(self) -> None:
        self.build_lib: str | None = None
        self.editable_mode = False
        self.inplace = False

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        from grpc_tools import protoc

        in_source_tree = self.editable_mode or self.inplace
        roots = [ROOT] if in_source_tree else [Path(self.build_lib or ROOT)]
        for root in roots:
            (root / PROTO_PACKAGE).mkdir(parents=True, exist_ok=True)
            arguments = ["protoc", f"-I{ROOT / 'proto'}", f"--python_out={root}", f"--grpc_python_out={root}"]
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
            for name in ("mypy", "mypy_grpc"):
                if plugin := shutil.which(f"protoc-gen-{name}", path=path):
                    arguments += [f"--plugin=protoc-gen-{name}={plugin}", f"--{name}_out={root}"]
            failed = protoc.main([*arguments, *map(str, sorted((ROOT / "proto" / PROTO_PACKAGE).glob("*.proto")))])
            if failed:
                raise SystemExit(f"protoc failed with status {failed}; its message stands above")
            (root / PROTO_PACKAGE / "__init__.py").write_text('"""gRPC stubs, generated from proto/ at build."""\n')

    def get_source_files(self) -> list[str]:
        return [str(p.relative_to(ROOT)) for p in sorted((ROOT / "proto" / PROTO_PACKAGE).glob("*.proto"))]

    def get_outputs(self) -> list[str]:
        stems = [Path(p).stem for p in self.get_source_files()]
        names = ["__init__.py", *(f"{s}_pb2.py" for s in stems), *(f"{s}_pb2_grpc.py" for s in stems)]
        return [str(Path(self.build_lib or "") / PROTO_PACKAGE / name) for name in names]

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class Build(build):
    """The ordinary build, with the stubs first."""

    sub_commands: ClassVar = [("build_stubs", None), *build.sub_commands]


def extensions() -> list[Extension]:
    """One extension per .pyx.

    `TRUEFRAME_SANITIZE=1` builds them for AddressSanitizer with bounds checks on; `TRUEFRAME_ONLY=broker/core` builds
    those below one folder.
    """
    sanitize = os.environ.get("TRUEFRAME_SANITIZE") == "1"
    flags = ["-O1", "-g", "-fsanitize=address", "-fno-omit-frame-pointer"] if sanitize else ["-O3", "-g0"]
    tops = [os.environ["TRUEFRAME_ONLY"]] if "TRUEFRAME_ONLY" in os.environ else COMPILED_PACKAGES
    sources = sorted(p.relative_to(ROOT) for top in tops for p in (ROOT / top).rglob("*.pyx"))
    found = [
        Extension(
            ".".join(source.with_suffix("").parts),
            [str(source)],
            extra_compile_args=[*flags, "-Wno-unused-function"],
            extra_link_args=["-fsanitize=address"] if sanitize else [],
        )
        for source in sources
    ]
    return cythonize(
        found,
        build_dir="build/cython-asan" if sanitize else "build/cython",
        language_level=3,
        compiler_directives={
            "boundscheck": sanitize,
            "wraparound": False,
            "cdivision": True,
            "embedsignature": True,
            "freethreading_compatible": False,
        },
    )


setup(ext_modules=extensions(), cmdclass={"build": Build, "build_stubs": BuildStubs})
