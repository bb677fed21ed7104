"""Deployment into a plain folder, from where a server loads it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from plugins.training.contracts import Deployer, Deployment
from records.names import file_name

Fill = Callable[[Deployment, Path], None]
"""Writes what a server needs into a folder."""


class FolderDeployer(Deployer):
    """Copies the adapter beside the one before and switches a symbolic link ``<persona>/<layer>/current``."""

    name = "folder"

    def deploy(self, it: Deployment) -> str:
        """Return the link, relative to the deployments' folder's parent; a reader sees the old adapter or the new one, never a half."""
        return self.placed(it, self.fill)

    def withdraw(self, it: Deployment) -> None:
        """Remove the copy, and the link if it leads to it."""
        home = self.shelf(it)
        link = home / "current"
        if link.is_symlink() and os.readlink(link) == it.adapter_id:
            link.unlink()
        shutil.rmtree(home / it.adapter_id, ignore_errors=True)

    def shelf(self, it: Deployment) -> Path:
        """Return the folder in which the versions of one persona's layer lie."""
        return it.home / file_name(it.persona_id) / file_name(it.layer)

    def fill(self, it: Deployment, folder: Path) -> None:
        """Write what a server needs into a new folder."""
        shutil.copytree(it.adapter, folder, dirs_exist_ok=True)

    def placed(self, it: Deployment, fill: Fill) -> str:
        """Let ``fill`` write a version that is not there yet, and switch the link to it; return the link."""
        home = self.shelf(it)
        version = home / it.adapter_id
        if not version.exists():
            aside = home / f".{it.adapter_id}.{uuid4().hex[:6]}"
            aside.mkdir(parents=True)
            try:
                fill(it, aside)
                os.replace(aside, version)
            finally:
                shutil.rmtree(aside, ignore_errors=True)
        link, new = home / "current", home / f".current.{uuid4().hex[:6]}"
        new.symlink_to(version.name)
        os.replace(new, link)
        return str(link.relative_to(it.home.parent))
