"""Deployment into a plain folder, from where a server loads it."""

import os
import shutil
from pathlib import Path
from uuid import uuid4

from plugins.contracts import Deployer


class FolderDeployer(Deployer):
    """Copies the adapter beside the one before and switches a symbolic link ``<persona>/current``."""

    name = "folder"

    def deploy(self, adapter: Path, target: Path, persona_id: str) -> Path:
        """Return the link; a reader sees the old adapter or the new one, never a half."""
        home = target / persona_id.replace("/", "_")
        version = home / adapter.parent.name
        if not version.exists():
            aside = home / f".{adapter.parent.name}.{uuid4().hex[:6]}"
            shutil.copytree(adapter, aside)
            os.replace(aside, version)
        link, new = home / "current", home / f".current.{uuid4().hex[:6]}"
        new.symlink_to(version.name)
        os.replace(new, link)
        return link

    def withdraw(self, adapter: Path, target: Path, persona_id: str) -> None:
        """Remove the copy, and the link if it leads to it."""
        home = target / persona_id.replace("/", "_")
        link = home / "current"
        if link.is_symlink() and os.readlink(link) == adapter.parent.name:
            link.unlink()
        shutil.rmtree(home / adapter.parent.name, ignore_errors=True)
