"""Debian's package ``sweethome3d-furniture``: about 800 models of furniture by others."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PACKAGE = "sweethome3d-furniture"
INSTALLED = Path("/usr/share/sweethome3d/furniture")


def furniture_folder(scratch: Path) -> Path:
    """Return the folder with the ``.sh3f`` files; fetch the package into ``scratch`` where it is not installed.

    Raises:
        FileNotFoundError: not installed, and this system has no ``apt-get`` to fetch it with.
        subprocess.CalledProcessError: the package could not be fetched.
    """
    if INSTALLED.is_dir():
        return INSTALLED
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise FileNotFoundError(f"{INSTALLED} is missing; install Debian's package {PACKAGE}")
    subprocess.run([apt, "download", PACKAGE], cwd=scratch, check=True, timeout=600)
    subprocess.run([dpkg, "-x", str(next(scratch.glob("*.deb"))), str(scratch)], check=True, timeout=300)
    return scratch / INSTALLED.relative_to("/")
