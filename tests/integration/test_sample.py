"""The bundled sample holds what people really have: it is read as the demo reads it."""

import json

import polars as pl

from plugins.contracts import SourceOptions
from resources.settings import Settings
from resources.snapshot import read_week_messages
from serving.client import MemoryClient
from tests.conftest import SAMPLE
from transforms.interactions import interactions, snapshot


def test_every_question_of_the_sample_has_its_own_answer(settings: Settings) -> None:
    client = MemoryClient(settings, embedder=False)
    description = json.loads((SAMPLE / "sample.json").read_text(encoding="utf-8"))
    taken = 0
    for file in description["files"]:
        named = file if isinstance(file, dict) else {"file": file}
        options = SourceOptions(agent=named.get("agent"), timezone=named.get("timezone", "UTC"))
        for _ in range(2):
            summary = client.import_file(str(SAMPLE / named["file"]), options)
        assert summary.new == 0
        taken += summary.known
    assert f"{taken} messages" in (SAMPLE / "README.md").read_text(encoding="utf-8")
    assert "LUMI" not in client.people.agents()  # the chat's agent is the one that the other files have
    weeks = [
        interactions(snapshot(read_week_messages(client.store, week, week), lambda kind, value: f"{kind}_{value}"))
        for week in client.store.weeks()
    ]
    pairs = pl.concat(weeks)
    told = [json.loads(line) for line in (SAMPLE / "exchanges.jsonl").read_text(encoding="utf-8").splitlines()]
    odile = pairs.filter(pl.col("user_id") == "user-odile").sort("position")
    assert odile.select("input_text", "output_text").rows() == [(r["input_text"], r["output_text"]) for r in told]
    neus = pairs.filter(pl.col("user_id") == "Neus").sort("position")
    assert neus["input_text"][1] == "Jajaja perdona, es que madrugo mucho"
    assert neus["output_text"][1].startswith("Madrugar es un delito")
    assert neus["input_text"][-1].startswith("Se lo digo mañana")
    assert "Mira qué cruasanes hoy" in neus["input_text"].to_list()
    assert not any("archivo adjunto" in text or "Se editó" in text for text in neus["input_text"])
    rejected = {row["reason"] for row in client.store.rows("rejects")}
    assert len(rejected) >= 2
