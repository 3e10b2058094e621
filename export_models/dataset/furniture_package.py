"""Debian's package ``sweethome3d-furniture``: about 800 third-party 3D models of furniture."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PACKAGE = "sweethome3d-furniture"
INSTALLED = Path("/usr/share/sweethome3d/furniture")
"""Folder of the ``.sh3f`` archives after ``apt-get install``."""


def furniture_folder(scratch: Path) -> Path:
    """Return the folder with the ``.sh3f`` archives. Downloads the package into ``scratch`` if it is not installed.

    Raises:
        FileNotFoundError: the package is not installed, and ``apt-get`` or ``dpkg-deb`` is missing.
        subprocess.CalledProcessError: the download or the extraction failed.
    """
    if INSTALLED.is_dir():
        return INSTALLED
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise FileNotFoundError(
            f"The folder {INSTALLED} does not exist, and apt-get and dpkg-deb, which could download it, are not both "
            f"available. Install Debian's package {PACKAGE}."
        )
    subprocess.run([apt, "download", PACKAGE], cwd=scratch, check=True, timeout=600)
    subprocess.run([dpkg, "-x", str(next(scratch.glob("*.deb"))), str(scratch)], check=True, timeout=300)
    return scratch / INSTALLED.relative_to("/")
