"""What the data exports of assistants have in common: files of conversations, in one, in numbered parts, or in an unpacked archive."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from plugins.contracts import Source, SourceBatch, SourceOptions
from plugins.sources.batches import in_batches
from plugins.sources.fields import mapping
from plugins.sources.normalise import reject
from plugins.sources.people import named_agent
from plugins.sources.reading import files_in, head_of
from records.errors import SourceError


class ConversationsExport(Source):
    """Reads the files of an export; what one conversation says is the subclass's business.

    Attributes:
        assistant: Who answers in it, if nobody was named.
        messages: The key of a conversation that holds its messages, and their type.
    """

    assistant: ClassVar[str]
    messages: ClassVar[tuple[str, type]]

    def sniff_folder(self, folder: Path) -> bool:
        """Return whether it is the unpacked export."""
        return bool(self.conversation_files(folder))

    def conversation_files(self, folder: Path) -> list[Path]:
        """Return the files of an unpacked export that hold conversations."""
        found = [file for file in files_in(folder, ".json") if file.name.startswith("conversations")]
        return [file for file in found if self.sniff(file, head_of(file))]

    def read(self, target: str, options: SourceOptions) -> Iterator[SourceBatch]:
        """Yield the conversations of a file or of all files of an export."""
        path = Path(target)
        files = self.conversation_files(path) if path.is_dir() else [path]
        if not files:
            raise SourceError(f"{path.name}: no conversations.json of {self.assistant} in this folder")
        agent = named_agent(options, [self.assistant], path.name)
        note, ratings = (self.left_out(files[0].parent), self.ratings(path, options)) if path.is_dir() else (None, {})
        for number, file in enumerate(files):
            try:
                items = self.conversations(file, options)
            except SourceError as error:
                if len(files) == 1:
                    raise
                yield SourceBatch(rejects=[reject(self.name, file.name, 0, str(error), "")])
                continue
            total = sum(len(mapping(item).get(self.messages[0]) or ()) for item in items if self._holds(item))
            for batch in in_batches(self._found(items, file.name, agent, ratings, options), total, [note]):
                note, batch.done = None, (number + batch.done) / len(files)
                yield batch

    @abstractmethod
    def conversations(self, file: Path, options: SourceOptions) -> list[Any]:
        """Return the conversations of a file.

        Raises:
            SourceError: it holds none.
        """

    @abstractmethod
    def conversation(
        self, talk: dict[str, Any], line: int, file: str, options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        """Yield rows, without who the agent is, and rejects of a conversation."""

    def left_out(self, folder: Path) -> str | None:
        """Return a note on what lies beside the conversations and is not read."""
        return None

    def ratings(self, folder: Path, options: SourceOptions) -> dict[str, float]:
        """Return message id to what the person thought of it, -1 to 1, where the export has it in a file of its own."""
        return {}

    def _holds(self, item: Any) -> bool:
        key, kind = self.messages
        return isinstance(mapping(item).get(key), kind)

    def _found(
        self, items: list[Any], file: str, agent: str, ratings: Mapping[str, float], options: SourceOptions
    ) -> Iterator[dict[str, Any]]:
        for line, item in enumerate(items, start=1):
            if not self._holds(item):
                yield reject(self.name, file, line, f"no conversation: it has no {self.messages[0]!r}", item)
                continue
            for found in self.conversation(item, line, file, options):
                if "reject_id" not in found:
                    found["agent_id"] = agent
                    found["speaker_id"] = agent if found["role"] == "agent" else found["user_id"]
                    if found["source_ref"] in ratings:
                        found["feedback"] = {"rating": ratings[found["source_ref"]]}
                yield found
