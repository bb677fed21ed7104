"""Who is who in a Discord channel: people, the agent, other bots, and the many who speak through one webhook."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from plugins.contracts import SourceOptions
from plugins.sources.fields import flag, identity, mapping, string
from plugins.sources.people import LISTED, is_agent, named_agent, nobody_is
from records.names import same_name


@dataclass
class Author:
    """One id of Discord, with the names it wrote under.

    Attributes:
        names: Account names, or those a webhook was given, in the order they were first used.
        nicknames: Names shown in the channel.
        is_bot: What Discord says; webhooks are bots to it.
        discriminator: The four digits after the name; "0000" for people and webhooks, never for a bot's account.
    """

    key: str
    names: list[str] = field(default_factory=list)
    nicknames: list[str] = field(default_factory=list)
    is_bot: bool = False
    discriminator: str | None = None
    _last: str | None = None
    _changes: int = 0

    def add(self, author: Mapping[str, Any]) -> None:
        """Take in the author of one more message."""
        name, nickname = string(author.get("name")), string(author.get("nickname"))
        if name is not None:
            self._changes += self._last is not None and name != self._last
            self._last = name
            if name not in self.names:
                self.names.append(name)
        if nickname is not None and nickname not in self.nicknames:
            self.nicknames.append(nickname)
        self.is_bot |= flag(author.get("isBot"))
        digits = identity(author.get("discriminator"))
        self.discriminator = digits.zfill(4) if digits is not None else self.discriminator

    @property
    def is_webhook(self) -> bool:
        """Whether several may speak under this id: bridges to other networks, PluralKit, Tupperbox.

        A bot's account keeps its digits, a webhook has none; where an export does not have them, names that come back tell.
        """
        if not self.is_bot:
            return False
        if self.discriminator is not None:
            return self.discriminator == "0000"
        return self._changes > len(self.names) - 1


class Cast:
    """The speakers of one channel.

    The agent is whom ``--agent`` names: a bot before a name of a webhook before a person. Without ``--agent`` it is the only bot.
    Other bots are agents of their own: what they say is an answer of theirs, never one of the agent. Each name of a webhook is a
    speaker; unless it is the agent, it counts as a person.
    """

    def __init__(self, messages: Iterable[Mapping[str, Any]], options: SourceOptions, file: str) -> None:
        self.options = options
        self.authors: dict[str, Author] = {}
        for message in messages:
            author = mapping(message.get("author"))
            key = identity(author.get("id")) or string(author.get("name"))
            if key is not None:
                self.authors.setdefault(key, Author(key)).add(author)
        self._agents = self._named()
        self.notes: list[str] = []
        self.agent = options.agent or ""
        if options.agent is None and self.authors:
            self.agent = self._only_bot(file)
        people = {key for key in self._keys() if not self._is_bot(key) and key not in self._agents}
        self.user_key = self._user(people)
        self.is_group = len(people) > 1
        self.user = options.user or (next(iter(people)) if len(people) == 1 else None)
        if self.authors and not self._agents:
            self._nobody(file)

    def speaker(self, author: Mapping[str, Any]) -> tuple[str, str, str | None] | None:
        """Return speaker_id, role and shown name of an author, None where there is none."""
        key = identity(author.get("id")) or string(author.get("name"))
        if key is None:
            return None
        name = string(author.get("name"))
        known = self.authors.get(key)
        if known is None:
            return None
        if known.is_webhook:
            key = f"{key}/{name}"
        shown = (name if known.is_webhook else None) or string(author.get("nickname")) or name
        if key in self._agents:
            return self.agent, "agent", shown
        if self._is_bot(key):
            return key, "agent", shown
        return (self.options.user if key == self.user_key and self.options.user else key), "user", shown

    def name_of(self, user: str) -> str | None:
        """Return the name that an id goes by in the channel."""
        known = self.authors.get(user)
        return None if known is None else next(iter([*known.nicknames[-1:], *known.names[-1:]]), None)

    def _keys(self) -> list[str]:
        """Return the speakers: an id each, and each name of a webhook."""
        return [
            key
            for author in self.authors.values()
            for key in ([f"{author.key}/{name}" for name in author.names] if author.is_webhook else [author.key])
        ]

    def _is_bot(self, key: str) -> bool:
        known = self.authors.get(key)
        return known is not None and known.is_bot and not known.is_webhook

    def _named(self) -> set[str]:
        """Return the speakers that ``--agent`` names."""
        if self.options.agent is None:
            return set()
        bots = [author for author in self.authors.values() if self._is_bot(author.key)]
        webhooks = [author for author in self.authors.values() if author.is_webhook]
        people = [author for author in self.authors.values() if not author.is_bot]

        def called(names: Iterable[str]) -> bool:
            return any(is_agent(name, self.options) for name in names)

        found = (
            {a.key for a in bots if called([*a.names, *a.nicknames, a.key])}
            or {f"{a.key}/{name}" for a in webhooks for name in a.names if called([name])}
            or {a.key for a in people if called([*a.names, a.key])}
            or {a.key for a in people if called(a.nicknames)}
        )
        return found

    def _only_bot(self, file: str) -> str:
        """Return the name of the only bot, which is the agent then.

        Raises:
            SourceError: there is none, or there are several.
        """
        bots = {author.key: author.names for author in self.authors.values() if self._is_bot(author.key)}
        if not bots:
            bots = {
                f"{author.key}/{name}": [name]
                for author in self.authors.values()
                if author.is_webhook and len(author.names) == 1
                for name in author.names
            }
        named = {key: names[0] for key, names in bots.items() if names}
        if len(named) != 1:
            return named_agent(self.options, named.values() or self._shown(), file)
        [(key, name)] = named.items()
        self._agents = {key}
        self.notes.append(f"{file}: its only bot, {name}, is taken as the agent; name another with --agent")
        return name

    def _nobody(self, file: str) -> None:
        """Note that the agent that was named says nothing here."""
        bots = sorted(
            {name for author in self.authors.values() if self._is_bot(author.key) for name in author.names[:1]}
        )
        if bots:
            more = f" and {len(bots) - LISTED} more" if len(bots) > LISTED else ""
            others = f"{', '.join(bots[:LISTED])}{more}"
            self.notes.append(
                f"{file}: nobody in it is called {self.options.agent}; its bots are kept as other agents: {others}"
            )
        elif note := nobody_is(self.options, self._shown(), file):
            self.notes.append(note)

    def _user(self, people: set[str]) -> str | None:
        """Return the speaker that ``--user`` means: the one called so, else the only person."""
        if self.options.user is None:
            return None
        for key in sorted(people):
            known = self.authors.get(key)
            names = [key.partition("/")[2]] if known is None else [*known.names, *known.nicknames, key]
            if any(same_name(name, self.options.user) for name in names):
                return key
        return next(iter(people)) if len(people) == 1 else None

    def _shown(self) -> list[str]:
        return [name for author in self.authors.values() for name in (author.names or author.nicknames or [author.key])]
