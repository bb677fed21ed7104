"""Plugins that say aloud what they are given: they print it, quote it in errors, and leave it in checkpoints when they are killed.

Where ``LOUD_AT`` says so they wait with it, until they are told to go on.
"""

LOUD = """
import os, signal, sys, time
from pathlib import Path
import numpy as np
from plugins.anonymizers.surrogates import PatternAnonymizer
from plugins.contracts import Embedder, Source, SourceBatch
from plugins.scorers.emotion import LexiconEmotion
from plugins.extractors.facts_rules import RuleFacts
from plugins.hookspecs import hookimpl
from plugins.scorers.heuristic import HeuristicScorer
from plugins.training.peft import PeftTrainer

def quote(what, texts):
    if os.environ.get("LOUD_AT") == what:
        raise KeyError(f"quóz{what} {' '.join(texts)}")

def wait(what):
    if os.environ.get("LOUD_AT") == f"wait-{what}":
        here = Path(os.environ["LOUD_FOLDER"])
        (here / "waits").touch()
        while not (here / "go").exists():
            time.sleep(0.05)  # a mark in a folder is all that the two processes share

class LoudScorer(HeuristicScorer):
    name = "loud"
    def score(self, interactions):
        said = [text for text in interactions["input_text"] if "quóz" in text][:1]
        if said:
            print("quózprinted", *said)
            print("quózcomplained", *said, file=sys.stderr)
        quote("scorer", interactions["input_text"])
        if os.environ.get("LOUD_AT") == "wait-scorer":
            print("quózwaits", *said, flush=True)
            wait("scorer")
            print("quózwaited", *said, flush=True)
        return super().score(interactions)

class LoudEmotion(LexiconEmotion):
    name = "loud"
    def read(self, texts):
        quote("emotion", texts["text"])
        return super().read(texts)

class LoudFacts(RuleFacts):
    name = "loud"
    def extract(self, messages):
        quote("facts", messages["text"])
        return super().extract(messages)

class LoudAnonymizer(PatternAnonymizer):
    name = "loud"
    def anonymize(self, texts, keep, pseudonym):
        quote("anonymizer", texts["text"])
        return super().anonymize(texts, keep, pseudonym)

class LoudTrainer(PeftTrainer):
    name = "loud"
    def train(self, job, log):
        folder = job.output / "checkpoints/checkpoint-1"
        folder.mkdir(parents=True, exist_ok=True)
        known = job.train.read_bytes()
        (folder / "optimizer.pt").write_bytes(known)
        wait("trainer")
        if os.environ.get("LOUD_AT") == "wait-trainer":
            folder = job.output / "checkpoints/checkpoint-2"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "optimizer.pt").write_bytes(known)
            (Path(os.environ["LOUD_FOLDER"]) / "wrote-again").touch()
            time.sleep(3600)  # until it is killed, which is what is tried
        os.kill(os.getpid(), signal.SIGKILL)

class LoudEmbedder(Embedder):
    name, dim = "loud", 8
    def embed(self, texts):
        return np.ones((len(texts), 8), np.float32) / np.float32(8 ** 0.5)

class LoudSource(Source):
    name = "loud"
    suffixes = (".loud",)
    def read(self, target, options):
        if os.environ.get("LOUD_AT") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        wait("source")
        quote("source", [open(target).read()])
        yield SourceBatch()

@hookimpl
def register_plugins():
    return [LoudScorer, LoudEmotion, LoudFacts, LoudAnonymizer, LoudTrainer, LoudEmbedder, LoudSource]
"""
