"""The pages that imessage-exporter writes, read piece by piece."""

from collections import Counter

from plugins.sources.pages import PageReader
from records.names import cleaned

VOID = frozenset(
    ("br", "hr", "img", "meta", "link", "input", "source", "wbr", "area", "base", "col", "embed", "param", "track")
)
PARTS = ("timestamp", "sender", "bubble", "tapback", "reaction", "announcement", "reply_context")


class Page(PageReader):
    """Collects the messages of a page: the time, the sender (None: a notice) and the lines as the text export writes them.

    Messages inside of the replies of another one are passed over: they come again at their own time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._around: list[str] = []
        """Those of the open elements that are parts of a message."""
        self._within: Counter[str] = Counter()
        self._label: list[str] = []
        self._cell: list[str] = []
        self._texts: dict[str, list[list[str]]] = {}
        self._done: list[tuple[str, str | None, list[str]]] = []

    def taken(self) -> list[tuple[str, str | None, list[str]]]:
        """Return the messages that ended since this was asked last."""
        done, self._done = self._done, []
        return done

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element is for."""
        if tag in VOID:
            if tag == "br":
                self.handle_data("\n")
            elif tag == "img" and not any(self._within[name] for name in ("replies", "bubble", "tapback", "reaction")):
                self._texts.setdefault("bubble", []).append(["Attachment missing!"])
            return
        names = (dict(attrs).get("class") or "").split()
        part = "row" if tag == "tr" else next((name for name in names if name in ("message", "replies", *PARTS)), "")
        if part in ("message", "announcement") and not self._within["message"]:
            self._texts = {}
        if part == "row":
            self._label, self._cell = [], []
        elif part in ("bubble", "tapback", "reaction") and not self._within["replies"]:
            self._texts.setdefault(part, []).append([])
        self._open.append(part)
        self._within[part] += 1
        if part in PARTS:
            self._around.append(part)

    def handle_endtag(self, tag: str) -> None:
        """Hand over a message that ends."""
        if tag in VOID or not self._open:
            return
        ended = self._open.pop()
        self._within[ended] -= 1
        if ended in PARTS:
            self._around.pop()
        if ended == "row" and not self._within["replies"]:
            # The history of an edited message: "Edited 15 seconds later" in one cell, the text in the other.
            label = "".join(self._label).strip()
            label = f"{label}: " if label.startswith("Edited") else ""
            self._texts.setdefault("bubble", []).append([f"{label}{''.join(self._cell).strip()}"])
        if ended in ("message", "announcement") and not self._within["message"]:
            self._end(notice=ended == "announcement")

    def handle_data(self, data: str) -> None:
        """Add text to the part of the message that it stands in."""
        if self._within["replies"]:
            return
        part = self._around[-1] if self._around else None
        if self._within["row"]:
            (self._label if part == "timestamp" else self._cell).append(data)
        elif part is not None:
            self._texts.setdefault(part, [[]])[-1].append(data)

    def _end(self, *, notice: bool) -> None:
        said = {part: ["".join(pieces) for pieces in texts] for part, texts in self._texts.items()}
        time = " ".join("".join(said.get("timestamp", [])).split())
        sender = cleaned("".join(said.get("sender", []))).strip() or None
        lines = [line for text in said.get("bubble", []) for line in text.strip().split("\n")]
        reactions = [" ".join(text.split()) for key in ("tapback", "reaction") for text in said.get(key, [])]
        if any(reactions):
            lines += ["Tapbacks:", *(text for text in reactions if text)]
        if "reply_context" in said:
            lines.append("This message responded to an earlier message.")
        if time:
            self._done.append((time, None if notice else sender, lines))
        self._texts = {}
