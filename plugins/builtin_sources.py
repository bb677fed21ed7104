"""The sources that come with the project. They load when something is imported: a bot that recalls reads no export."""

from plugins.contracts import Plugin
from plugins.hookspecs import hookimpl
from plugins.sources.assistants.character_ai import CharacterAI
from plugins.sources.assistants.chatgpt import ChatGPT
from plugins.sources.assistants.claude import Claude
from plugins.sources.assistants.risuai import RisuAI
from plugins.sources.assistants.sillytavern import SillyTavern
from plugins.sources.conversations.conversations import ChatML, ShareGPT
from plugins.sources.mail.mail import Mail
from plugins.sources.memory_systems.hindsight import Hindsight
from plugins.sources.memory_systems.letta import Letta
from plugins.sources.memory_systems.luminora import Luminora
from plugins.sources.memory_systems.mem0 import Mem0
from plugins.sources.memory_systems.zep import Zep
from plugins.sources.messengers.discord import Discord
from plugins.sources.messengers.meta import Meta
from plugins.sources.messengers.slack import Slack
from plugins.sources.messengers.telegram import Telegram
from plugins.sources.phones.imessage import IMessage
from plugins.sources.phones.signal_app import Signal
from plugins.sources.research import LoCoMo, MemoryBank
from plugins.sources.tables.database import Database
from plugins.sources.tables.parquet import Parquet
from plugins.sources.tables.tabular import Csv, JsonLines
from plugins.sources.whatsapp.whatsapp import WhatsApp


@hookimpl
def register_plugins() -> list[type[Plugin]]:
    """Return every built-in source."""
    return [
        JsonLines,
        Csv,
        Parquet,
        ChatML,
        ShareGPT,
        WhatsApp,
        Discord,
        Telegram,
        Meta,
        Slack,
        IMessage,
        Signal,
        Mail,
        ChatGPT,
        Claude,
        CharacterAI,
        SillyTavern,
        RisuAI,
        LoCoMo,
        MemoryBank,
        Mem0,
        Zep,
        Hindsight,
        Letta,
        Luminora,
        Database,
    ]
