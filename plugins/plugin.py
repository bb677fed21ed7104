"""What every plugin is: a class with a name, a version and a configuration, whose fingerprint says what it computes."""

from __future__ import annotations

import json
from abc import ABC
from collections.abc import Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict


class PluginConfig(BaseModel):
    """Base of a plugin's configuration: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


class LLM(Protocol):
    """A language model behind an OpenAI-compatible server, as resources offer it to plugins."""

    def complete_json(self, system: str, user: str, schema: Mapping[str, Any]) -> Any:
        """Return the answer as an object of the JSON schema."""


class Remembers(Protocol):
    """What was computed before, under a fingerprint and the hash of an input, as the installation offers it to plugins."""

    def get(self, fingerprint: str, inputs: Sequence[str]) -> dict[str, bytes]:
        """Return input hash to value for those that are known."""

    def put(self, fingerprint: str, values: dict[str, bytes]) -> None:
        """Keep values."""


class Plugin(ABC):  # noqa: B024 - the base classes of the kinds have the abstract methods
    """Base of all plugins.

    Attributes:
        kind: One of `KINDS`, set by the base class of the kind.
        name: How settings name it.
        version: Part of the fingerprint: raise it when the output changes.
    """

    kind: ClassVar[str] = ""
    name: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    Config: ClassVar[type[PluginConfig]] = PluginConfig
    code: ClassVar[str] = ""
    """Hash of the file of a one-file plugin: nobody raises the version of a script that is being written."""
    prompt: ClassVar[str] = ""
    """What it asks a language model; another prompt is another fingerprint."""

    @property
    def given(self) -> str:
        """Return what is done to its input before it gets it, as far as that decides the output."""
        return ""

    @property
    def asks_llm(self) -> bool:
        """Return whether it asks a language model: then the model decides the output, too."""
        return bool(self.prompt)

    def __init__(self, config: PluginConfig | None = None, *, llm: LLM | None = None) -> None:
        self.config: Any = config or self.Config()
        self.llm = llm
        self.memo: Remembers | None = None

    def files(self) -> Sequence[Path]:
        """Return the model or data files whose content decides the output."""
        return ()

    @cached_property
    def fingerprint(self) -> str:
        """Return ``<name>/<version>/<8 hex>``: what was computed under another one is computed again."""
        digest = blake2b(digest_size=4)
        digest.update(json.dumps(self.config.model_dump(mode="json"), sort_keys=True).encode())
        digest.update(self.prompt.encode())
        digest.update(self.code.encode())
        digest.update(self.given.encode())
        for path in self.files():
            with path.open("rb") as handle:
                while chunk := handle.read(1 << 20):
                    digest.update(chunk)
        return f"{self.name}/{self.version}/{digest.hexdigest()}"
