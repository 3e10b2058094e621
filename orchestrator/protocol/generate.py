"""Make ``orchestrator.protocol.heartwood`` from the protos: ``python -m orchestrator.protocol.generate [FOLDER]``.

Needs the ``dev`` extra. The generated modules import each other by their full name in this package.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PROTOS = HERE / "proto"
THIRD_PARTY = HERE / "third_party"


def generate(target: Path) -> None:
    """Write the message, stub and type files of ``heartwood.v1`` below ``target``."""
    files = sorted(str(path.relative_to(PROTOS)) for path in PROTOS.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = [f"--{plugin}={scratch}" for plugin in ("python_out", "grpc_python_out", "mypy_out", "mypy_grpc_out")]
        includes = [f"-I{PROTOS}", f"-I{THIRD_PARTY}"]
        # grpc_tools brings google/protobuf/*.proto along.
        command = [sys.executable, "-m", "grpc_tools.protoc", *includes, *out, *files]
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        subprocess.run(command, check=True, env=environment)
        for made in sorted(Path(scratch).rglob("*.py*")):
            text = re.sub(
                r"\bfrom heartwood\.v1 import", "from orchestrator.protocol.heartwood.v1 import", made.read_text()
            )
            text = re.sub(r"\bimport heartwood\.v1\.", "import orchestrator.protocol.heartwood.v1.", text)
            text = re.sub(r"(?<![\w./\"])heartwood\.v1\.(\w+_pb2)", r"orchestrator.protocol.heartwood.v1.\1", text)
            path = target / made.relative_to(scratch)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for folder in (target / "heartwood", target / "heartwood" / "v1"):
        (folder / "__init__.py").write_text("")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
