"""Context for a reply: persona state, facts, memories and recent messages within a token budget, rendered by a template."""

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from records.errors import MemoryAssetsError
from records.weeks import week_of
from serving.recall.recaller import Memory

CHARACTERS_PER_TOKEN = 3.2
"""Estimate for English and Spanish with current tokenizers: 3.2 to 4.2 were usual; the low end keeps within the budget."""

SHARE_OF_ONE = 0.25
"""Part of the budget that one message may take; of a longer one only a part is shown."""

MOST_ROUNDS = 100_000
"""Rounds of loops over ranges in one rendering of a template."""

SHORTEST_PART = 200
"""Characters of a message that are shown at least."""

TEMPLATE = Path(__file__).parent / "context.jinja"

WORDS = {
    "en": {
        "mood": "Mood",
        "affinity": "closeness",
        "facts": "What I know",
        "memories": "What I remember",
        "recent": "Just now",
        "turn": "turn",
        "no": "not",
    },
    "es": {
        "mood": "Ánimo",
        "affinity": "cercanía",
        "facts": "Lo que sé",
        "memories": "Lo que recuerdo",
        "recent": "Hace un momento",
        "turn": "turno",
        "no": "no",
    },
}

TokenCounter = Callable[[str], int]


@dataclass
class Context:
    """A rendered block, what it holds, and what it costs."""

    text: str
    tokens: int
    memories: list[Memory] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def estimated_tokens(text: str) -> int:
    """Return the estimated number of tokens."""
    return int(len(text) / CHARACTERS_PER_TOKEN) + 1


def age_of(moment: datetime, now: datetime, language: str) -> str:
    """Return how long ago something was, in words."""
    seconds = max(0.0, (now - moment).total_seconds())
    units = (("d", 86_400), ("h", 3_600), ("min", 60))
    for unit, length in units:
        if seconds >= length:
            amount = f"{int(seconds // length)} {unit}"
            break
    else:
        amount = "1 min"
    return f"hace {amount}" if language == "es" else f"{amount} ago"


def ago(memory: Memory, now: datetime, language: str, talk: "Conversation") -> str:
    """Return "23 turns ago" within the conversation that goes on, else how long ago in time."""
    same = talk.session is not None and memory.session_id == talk.session
    # Turns that no source numbered begin anew with each week.
    if same and talk.turn is not None and talk.turn > memory.turn and talk.week in (None, week_of(memory.occurred_at)):
        turns = talk.turn - memory.turn
        if language == "es":
            return f"hace {turns} turno{'s' if turns > 1 else ''}"
        return f"{turns} turn{'s' if turns > 1 else ''} ago"
    return age_of(memory.occurred_at, now, language)


class _Rounds(threading.local):
    """How many rounds of loops a template has asked for in this rendering."""

    asked = 0


_rounds = _Rounds()


def _bounded_range(*given: int) -> range:
    """Return a range for a template; all of one rendering have at most `MOST_ROUNDS` rounds, however they are nested."""
    found = range(*given)
    _rounds.asked += len(found)
    if _rounds.asked > MOST_ROUNDS:
        raise OverflowError
    return found


@lru_cache(maxsize=8)
def template(path: Path, changed: float) -> Any:
    """Return the compiled template; ``changed`` is its time of change.

    Raises:
        MemoryAssetsError: it is no valid template.
    """
    import jinja2
    import jinja2.sandbox

    try:
        # Sandboxed: a template may come from whoever configures a bot, and reads nothing but what it is given.
        environment = jinja2.sandbox.SandboxedEnvironment(keep_trailing_newline=False)
        environment.globals["range"] = _bounded_range
        return environment.from_string(path.read_text(encoding="utf-8"))
    except jinja2.TemplateSyntaxError as error:
        raise MemoryAssetsError(f"context_template, line {error.lineno}: {error.message}") from None


def load_template(path: Path | None) -> Any:
    """Return the template of settings, or the project's own.

    Raises:
        MemoryAssetsError: the file is not there, or no valid template.
    """
    chosen = path or TEMPLATE
    if not chosen.is_file():
        raise MemoryAssetsError(f"context_template: there is no file {chosen}")
    return template(chosen, chosen.stat().st_mtime)


@dataclass(frozen=True)
class Conversation:
    """The conversation that goes on: its id, the newest turn, and the week in which turns are counted, None where its source does."""

    session: str | None = None
    turn: int | None = None
    week: str | None = None


def render(
    facts: pl.DataFrame,
    memories: Sequence[Memory],
    recent: pl.DataFrame,
    *,
    budget: int,
    language: str,
    layout: Any,
    conversation: Conversation | None = None,
    mood: str = "",
    affinity: str = "",
    now: datetime | None = None,
    notes: list[str] | None = None,
    count: TokenCounter = estimated_tokens,
    asked: str = "",
) -> Context:
    """Return the block; the newest messages come first in the budget, then memories and facts in turn, the best first.

    Nothing stands twice: neither a message that is among the recent ones, nor a fact whose message is shown. Of a text that is longer
    than its share of the budget the part that says most of ``asked`` is shown. Whatever somebody is called or says stands on one line,
    so that nobody can write lines of the block.
    """
    now, words, talk = now or datetime.now(UTC), WORDS.get(language, WORDS["en"]), conversation or Conversation()
    shown = set(recent["message_id"]) if recent.height else set()
    share, cut = max(SHORTEST_PART, int(budget * SHARE_OF_ONE * CHARACTERS_PER_TOKEN)), 0

    def said(whole: str) -> str:
        nonlocal cut
        line = one_line(whole)
        cut += len(line) > share
        return best_part(line, asked, share)

    mood, affinity = one_line(mood), one_line(affinity)
    lines = [{"speaker": one_line(row["speaker_name"]), "text": said(row["text"])} for row in recent.to_dicts()]
    fresh = [memory for memory in memories if not shown.issuperset(memory.source_ids)]
    told = {source for memory in fresh for source in memory.source_ids if memory.kind == "message"} | shown
    known = [row for row in facts.to_dicts() if not told.issuperset(row["source_message_ids"])]
    parts: dict[str, list[Any]] = {"recent": [], "memories": [], "facts": []}
    used: list[Memory] = []

    def text() -> str:
        return rendered(layout, t=words, mood=mood, affinity=affinity, **parts)

    frame = count(text() or " ")
    left = budget - frame

    def take(part: str, item: Any, words_of_it: str, *, first: bool = False) -> bool:
        nonlocal left
        cost = count(words_of_it) + (0 if parts[part] else count(words[part]) + 2)
        if cost > left:
            return False
        left -= cost
        parts[part].insert(0, item) if first else parts[part].append(item)
        return True

    for line in reversed(lines):
        if not take("recent", line, f"{line['speaker']}: {line['text']}", first=True):
            break
    queue: list[tuple[str, Any]] = []
    for place in range(max(len(fresh), len(known))):
        queue += [("memories", fresh[place])] if place < len(fresh) else []
        queue += [("facts", known[place])] if place < len(known) else []
    for part, item in queue:
        if part == "facts":
            key, value = one_line(item["key"].replace("_", " ")), best_part(one_line(item["value"]), asked, share)
            entry = {"key": key, "value": value, "denied": not item["polarity"]}
            take("facts", entry, f"- {entry['key']}: {words['no']} {entry['value']}")
            continue
        made = {
            "turn": item.turn,
            "ago": ago(item, now, language, talk),
            "speaker": one_line(item.speaker or ""),
            "text": said(item.text),
            "emotion": one_line(item.emotion or ""),
        }
        written = (
            f"- ({words['turn']} {made['turn']}, {made['ago']}) {made['speaker']}: {made['text']} [{made['emotion']}]"
        )
        if take("memories", made, written):
            used.append(item)
    block = text()
    while count(block) > budget and any(parts.values()):
        # The template of a user may write more than the lines that were counted.
        longest = next(part for part in ("facts", "memories", "recent") if parts[part])
        parts[longest].pop(0 if longest == "recent" else -1)
        block = text()
    told_of = list(notes or [])
    if cut:
        told_of.append(f"{cut} long message{'s are' if cut > 1 else ' is'} shown in part")
    return Context(block, count(block) if block else 0, used, told_of)


def rendered(layout: Any, **given: Any) -> str:
    """Return what a template makes of what it is given, without blank lines around it.

    Raises:
        MemoryAssetsError: it cannot be rendered; the message says why in one sentence, and nothing of what it was given.
    """
    import jinja2

    _rounds.asked = 0
    try:
        text: str = layout.render(**given)
    except jinja2.UndefinedError as error:
        raise MemoryAssetsError(f"context_template: {error.message}") from None
    except OverflowError:
        raise MemoryAssetsError(f"context_template: its loops have more than {MOST_ROUNDS} rounds") from None
    except Exception as error:  # noqa: BLE001  (whatever a template of somebody else may raise)
        raise MemoryAssetsError(f"context_template cannot be rendered: {type(error).__name__}") from None
    return text.strip()


def one_line(text: str) -> str:
    """Return a text on one line; every kind of line break is a space, and what is invisible is gone."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def best_part(text: str, asked: str, longest: int) -> str:
    """Return a text of at most about ``longest`` characters: of a longer one the part with the most words of what was asked.

    Cost: linear in the text.
    """
    if len(text) <= longest:
        return text
    wanted = {word for word in asked.casefold().split() if len(word) > 2}
    words = text.split(" ")
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    hits = [word.casefold().strip(".,;:!?¡¿()\"'") in wanted for word in words]
    first = score = most = 0
    found = (0, 0)
    for last, hit in enumerate(hits):
        score += hit
        while ends[last] - (ends[first - 1] if first else 0) > longest and first < last:
            score -= hits[first]
            first += 1
        if score > most:
            most, found = score, (first, last)
    # The words that were asked for stand in the middle of what is shown.
    opening = next((place for place in range(found[0], found[1] + 1) if hits[place]), 0)
    middle = (ends[opening] + ends[found[1]]) // 2 if most else 0
    start = next((end for end in [0, *ends] if end >= middle - longest // 2), 0)
    part = text[start : start + longest].rsplit(" ", 1)[0] or text[start : start + longest]
    return f"{'… ' if start else ''}{part}{' …' if start + len(part) < len(text) else ''}"
