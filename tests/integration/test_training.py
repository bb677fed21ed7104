"""Datasets and adapters: only what may be learned from, resumed after a kill, registered, deployed only when better."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa

from memory_assets.code_location import build_defs
from memory_assets.tools import Tools
from model_registry.files import adapter_row, behind, note_training, sweep_trainings
from plugins.contracts import TrainJob
from plugins.registry import PluginRegistry
from plugins.training.peft import PeftTrainer
from plugins.training.progress import read_metrics
from records.errors import TrainingError
from records.training import DatasetManifest
from resources.settings import Settings
from serving.client import MemoryClient
from tests.conftest import MONDAY, message_rows, weekly_run
from tests.integration.test_pipeline import WEEKS, fill
from transforms.samples import split_of

ROOT = Path(__file__).parents[2]


PLUMBING = {
    "prompts": 2,
    "tokens": 8,
    "secrets": 1,
    "general_ratio": 1e6,
    "others_ratio": 1e6,
    "identity_share": 0,
    "style_share": 0,
    "style_gain": -1,
    "most_repeating": 1,
    "most_empty": 1,
    "own_language": 0,
    "exposure_bits": 99,
    "optional": ["language"],
}
"""Bounds a random model can keep: what is tested with them is the way, and the loss alone decides."""


def installed(
    make_settings: Callable[..., Settings],
    base: Path | None = None,
    adapters: dict[str, object] | None = None,
    dataset: dict[str, object] | None = None,
    **trainer: object,
) -> Settings:
    """Return an installation with three weeks of a persona, scored and anonymized; one session opted out."""
    chosen: dict[str, object] = {"embedder": {"use": "hashing"}}
    if base is not None:
        chosen["evaluator"] = {"use": "gate", **PLUMBING}
        chosen["trainer"] = {
            "use": "peft",
            "base": str(base),
            "max_steps": 8,
            "save_steps": 2,
            "batch_size": 1,
            "learning_rate": 0.01,
            **trainer,
        }
    settings = make_settings(
        plugins=chosen, dataset={"min_quality": 0.2, "eval_share": 0.3, **(dataset or {})}, adapters=adapters or {}
    )
    rows = []
    for number in range(12):
        rows += message_rows(
            8, start=MONDAY + timedelta(weeks=number % 3, hours=number), session=f"s{number}", user=f"user-{number}"
        )
    for number, row in enumerate(rows):
        row["text"] += f", think of {number * 7919 % 1000} and {chr(97 + number % 26) * 4}"
    fill(settings, rows)
    tools = Tools(settings)
    tools.store.set_core_memory("lumi", "identity", "name", "Lumi", is_mutable=False)
    tools.store.set_opt_out(session_id="s3")
    assert weekly_run(settings, WEEKS[0], WEEKS[-1]).success
    return settings


def run_job(
    settings: Settings,
    name: str,
    partition: object,
    selection: list[str] | None = None,
    config: dict[str, object] | None = None,
) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("persona", ["lumi"])
        instance.add_dynamic_partitions("skill", ["weather"])
        job = build_defs(settings).resolve_job_def(name)
        return job.execute_in_process(
            instance=instance,
            partition_key=partition,
            run_config=config,
            raise_on_error=False,
            asset_selection=[dg.AssetKey(key) for key in selection] if selection else None,
        )


def test_a_dataset_holds_only_what_may_be_learned_from(make_settings) -> None:
    settings = installed(make_settings)
    tools = Tools(settings)
    tools.store.set_opt_out(speaker_id="user-5")  # after the snapshot: verified again here
    assert run_job(settings, "train_personality", "lumi", ["personality_dataset"]).success
    row = tools.store.rows("datasets")[0]
    folder = settings.home / row["path"]
    lines = [
        json.loads(line) for split in ("train", "eval") for line in (folder / f"{split}.jsonl").read_text().splitlines()
    ]
    assert len(lines) == row["n_train"] + row["n_eval"] > 10
    assert lines[0]["messages"][0] == {"role": "system", "content": "name: Lumi"}
    assert lines[0]["messages"][-1]["role"] == "assistant"
    manifest = pl.read_parquet(settings.home / "lake/personality_dataset/lumi.parquet")
    raw = pl.read_parquet(f"{settings.home}/lake/raw_interactions/*.parquet")
    used = raw.filter(pl.col("message_id").is_in(manifest["source_message_ids"].explode().implode()))
    assert not set(used["session_id"]) & {"s3", "s5"}
    assert manifest.group_by("session_key").agg(pl.col("split").n_unique())["split"].max() == 1
    text = "".join(path.read_bytes().decode("latin-1") for path in folder.iterdir())
    assert "user-" not in text
    assert "Bilbao" not in text
    assert manifest.height == manifest["content_hash"].n_unique()


def test_a_name_learned_after_anonymization_keeps_samples_out_and_stops_a_training(
    make_settings, tiny_base: Path
) -> None:
    settings = installed(make_settings, tiny_base)
    tools = Tools(settings)
    assert run_job(settings, "train_personality", "lumi", ["personality_dataset"]).success
    before = tools.lake.read("personality_dataset", DatasetManifest, ["lumi"]).collect()
    names = tools.store.meta.tables["speaker_names"]
    with tools.store.writer.begin() as connection:
        connection.execute(sa.update(names).where(names.c.speaker_id == "user-1").values(display_name="Mr. Rain"))
    failed = run_job(settings, "train_personality", "lumi", ["personality_adapter"])
    assert not failed.success
    assert "hold what may be personal data: materialize the dataset again" in str(
        failed.get_step_failure_events()[0].step_failure_data.error
    )
    assert run_job(settings, "train_personality", "lumi", ["personality_dataset"]).success
    after = tools.lake.read("personality_dataset", DatasetManifest, ["lumi"]).collect()
    gone = before.filter(~pl.col("sample_id").is_in(after["sample_id"].implode()))
    assert 0 < gone.height < before.height
    assert gone["messages"].str.to_lowercase().str.contains("rain").all()


def test_the_split_of_a_session_is_for_ever() -> None:
    splits = [split_of(f"session_{n}", 0.2) for n in range(2000)]
    assert splits == [split_of(f"session_{n}", 0.2) for n in range(2000)]
    assert 0.16 < splits.count("eval") / 2000 < 0.24


def test_exporters_write_three_formats() -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yo"},
    ]
    frame = pl.DataFrame({"messages": [json.dumps(messages)]})
    lines = {
        name: json.loads(next(PluginRegistry().create("exporter", name=name).lines(frame)))
        for name in ("chatml", "sharegpt", "alpaca")
    }
    assert lines["chatml"]["messages"] == messages
    assert [turn["from"] for turn in lines["sharegpt"]["conversations"]] == ["system", "human", "gpt"]
    assert lines["alpaca"] == {"instruction": "s", "input": "hi", "output": "yo"}


@pytest.mark.slow
def test_from_dataset_to_deployed_adapter_and_on_to_the_week(make_settings, tiny_base: Path) -> None:
    settings = installed(make_settings, tiny_base)
    assert run_job(settings, "train_personality", "lumi").success
    tools = Tools(settings)
    adapter = tools.store.rows("adapters")[0]
    metrics = json.loads(adapter["metrics"])
    assert adapter["status"] == "deployed"
    assert metrics["eval_loss"] < metrics["eval_loss_base"]
    assert (settings.home / "deployed/lumi/personality/current/adapter_model.safetensors").exists()
    steps = [row["step"] for row in read_metrics(settings.home / adapter["path"] / "metrics.jsonl") if "loss" in row]
    assert steps == [float(step) for step in range(1, 9)]
    again = run_job(settings, "train_personality", "lumi")
    trained = [
        e.materialization.metadata["trained_now"].value
        for e in again.get_asset_materialization_events()
        if e.asset_key.to_user_string() == "personality_adapter"
    ]
    assert trained == [False]
    week = dg.MultiPartitionKey({"persona": "lumi", "week": WEEKS[0]})
    assert run_job(settings, "train_episodic", week).success
    layers = {row["layer"]: row for row in tools.store.rows("adapters")}
    assert layers["episodic"]["week"] == WEEKS[0]
    client = MemoryClient(settings)
    manifest = pl.read_parquet(settings.home / "lake/personality_dataset/lumi.parquet")
    found = client.trace(manifest["source_message_ids"][0][0])
    assert {adapter["adapter_id"], layers["episodic"]["adapter_id"]} <= set(found.adapters)
    behind = client.trace_adapter(layers["episodic"]["adapter_id"])
    assert behind.continues == [adapter["adapter_id"]]
    assert set(manifest["source_message_ids"].explode()) <= set(behind.messages)


@pytest.mark.thorough
def test_an_adapter_that_is_no_better_is_not_deployed(make_settings, tiny_base: Path) -> None:
    settings = installed(make_settings, tiny_base, learning_rate=0.0)
    result = run_job(settings, "train_personality", "lumi")
    assert not result.success
    assert [c.passed for c in result.get_asset_check_evaluations() if c.check_name == "gate"] == [False]
    assert not (settings.home / "deployed").exists()
    assert Tools(settings).store.rows("adapters")[0]["status"] == "candidate"


@pytest.mark.slow
def test_who_opts_out_after_the_dataset_was_made_stops_the_training(make_settings, tiny_base: Path) -> None:
    settings = installed(make_settings, tiny_base)
    assert run_job(settings, "train_personality", "lumi", ["personality_dataset"]).success
    Tools(settings).store.set_opt_out(speaker_id="user-1")
    result = run_job(settings, "train_personality", "lumi", ["personality_adapter"])
    reasons = [str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
    assert any("must not be trained on" in reason for reason in reasons)


@pytest.mark.parametrize("ends", ["tells how far it is", "has an answer", "fails"])
def test_a_training_whose_dataset_is_erased_meanwhile_leaves_nothing(
    ends: str, make_settings, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = installed(make_settings, tiny_base)
    assert run_job(settings, "train_personality", "lumi", ["personality_dataset"]).success
    [dataset] = Tools(settings).store.rows("datasets")

    def train(settings: Settings, job: TrainJob, log: Callable[[dict[str, float]], None]) -> dict[str, float]:
        shutil.rmtree(settings.home / dataset["path"])
        (job.output / "checkpoints").mkdir(parents=True)
        if ends == "tells how far it is":
            log({"step": 1.0})
            pytest.fail("it went on")
        if ends == "fails":
            raise TrainingError("killed")
        return {}

    monkeypatch.setattr("memory_assets.assets.adapters.train_apart", train)
    result = run_job(settings, "train_personality", "lumi", ["personality_adapter"])
    [said] = [str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
    assert ("killed" if ends == "fails" else "erased meanwhile") in said
    assert not list((settings.home / "adapters").iterdir())
    assert not Tools(settings).store.rows("adapters")


def test_what_a_training_wrote_after_an_erasure_is_removed_when_it_was_killed(make_settings) -> None:
    settings = make_settings()
    store, home = Tools(settings).store, settings.home
    row = {"kind": "personality", "persona_id": "lumi", "week": None, "skill": None, "n_train": 1, "n_eval": 0}
    for name in ("d_erased", "d_there"):
        store.register("datasets", {**row, "dataset_id": name, "path": f"datasets/{name}", "created_at": MONDAY})
    (home / "datasets/d_there").mkdir(parents=True)
    (home / "datasets/d_there/manifest.parquet").touch()
    program = (
        "import os, signal, sys; from pathlib import Path; from model_registry.files import note_training\n"
        "note_training(Path(sys.argv[1]), sys.argv[2:]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    folders = {name: home / "adapters" / name for name in ("killed", "going", "of_others")}
    for name, datasets in (("killed", ["d_there", "d_erased"]), ("of_others", ["d_there"])):
        subprocess.run([sys.executable, "-c", program, str(folders[name]), *datasets], cwd=ROOT, check=False)
    note_training(folders["going"], ["d_erased"])
    for folder in folders.values():
        (folder / "checkpoints").mkdir()
        (folder / "optimizer.pt").touch()
    assert sweep_trainings(store, home) == 2
    assert not folders["killed"].exists()
    assert [path.name for path in folders["going"].iterdir()] == ["begun.json"]  # whatever it writes yet is known
    assert len(list(folders["of_others"].iterdir())) == 3
    store.close()


def test_behind_an_adapter_are_the_datasets_of_those_that_it_continues(make_settings) -> None:
    store = Tools(make_settings()).store
    for name, config in (("a", {}), ("b", {"start_from": "a", "replay": ["d_r", 0.2]}), ("c", {"under": ["b"]})):
        row = adapter_row(
            name, layer="episodic", persona_id="lumi", week=None, base_model="b", dataset_id=f"d_{name}", path=f"adapters/{name}",
            config=config, metrics={}, status="candidate",
        )  # fmt: skip
        store.register("adapters", row)
    rows = {row["adapter_id"]: row for row in store.rows("adapters")}
    assert behind(store, None) == set()
    assert behind(store, rows["a"]) == {"d_a"}
    assert behind(store, rows["c"]) == {"d_a", "d_b", "d_r", "d_c"}
    store.close()


def job_in(folder: Path) -> TrainJob:
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", 12), ("eval", 3)):
        lines = [
            json.dumps(
                {
                    "messages": [
                        {"role": "user", "content": f"say {n} {name}"},
                        {"role": "assistant", "content": f"I say {n * 37}!"},
                    ]
                }
            )
            for n in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return TrainJob(folder / "train.jsonl", folder / "eval.jsonl", folder / "out")


def weights(folder: Path) -> dict[str, object]:
    from safetensors.numpy import load_file

    return load_file(str(folder / "out/adapter/adapter_model.safetensors"))


@pytest.mark.slow
def test_a_training_killed_half_way_goes_on_from_its_checkpoint_and_ends_the_same(
    tiny_base: Path, tmp_path: Path
) -> None:
    import numpy as np

    config = {"base": str(tiny_base), "max_steps": 10, "save_steps": 2, "batch_size": 1, "learning_rate": 0.01}
    whole = PeftTrainer(PeftTrainer.Config(**config))
    whole.train(job_in(tmp_path / "whole"), lambda row: None)
    job = job_in(tmp_path / "killed")
    program = (
        "import sys, os, signal; from pathlib import Path; from plugins.training.peft import PeftTrainer\n"
        "from plugins.contracts import TrainJob\n"
        f"t = PeftTrainer(PeftTrainer.Config(**{config!r}))\n"
        "def log(row):\n"
        "    if row['step'] == 7 and 'loss' in row: os.kill(os.getpid(), signal.SIGKILL)\n"
        "f = Path(sys.argv[1]); t.train(TrainJob(f / 'train.jsonl', f / 'eval.jsonl', f / 'out'), log)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "killed")],
        cwd=ROOT,
        capture_output=True,
        check=False,
        env=os.environ.copy(),
    )
    assert done.returncode == -signal.SIGKILL
    assert (job.output / "checkpoints/checkpoint-6").is_dir()
    first: list[float] = []
    start = time.perf_counter()
    metrics = PeftTrainer(PeftTrainer.Config(**config)).train(
        job, lambda row: first.append(row["step"]) if "loss" in row else None
    )
    assert time.perf_counter() > start
    assert first[0] == 7.0
    assert metrics["steps"] == 10
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert one.keys() == other.keys()
    # The tolerance: float32 rounding of a resumed optimizer, measured below 1e-6.
    assert max(float(np.abs(one[key] - other[key]).max()) for key in one) < 1e-5
    steps = [row["step"] for row in read_metrics(job.output / "metrics.jsonl") if "loss" in row]
    assert steps == [float(step) for step in range(1, 11)]


@pytest.mark.slow
def test_what_cannot_be_trained_is_one_sentence(tiny_base: Path, tmp_path: Path) -> None:
    job = job_in(tmp_path / "j")
    with pytest.raises(TrainingError, match="12 samples.*at least 50"):
        PeftTrainer(PeftTrainer.Config(base=str(tiny_base), min_samples=50)).train(job, lambda row: None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="cannot be loaded"):
        PeftTrainer(PeftTrainer.Config(base=str(tmp_path / "empty"))).train(job, lambda row: None)


@pytest.mark.thorough
@pytest.mark.parametrize("upon", ["continued", "stacked"])
def test_layers_two_and_three_lie_upon_layer_one(make_settings, tiny_base: Path, upon: str) -> None:
    settings = installed(make_settings, tiny_base, adapters={"upon": upon, "replay_share": 0.5})
    tools = Tools(settings)
    assert run_job(settings, "train_personality", "lumi").success
    first = tools.store.rows("adapters")[0]
    week = dg.MultiPartitionKey({"persona": "lumi", "week": WEEKS[0]})
    assert run_job(settings, "train_episodic", week).success
    cooking = dg.MultiPartitionKey({"persona": "lumi", "skill": "weather"})
    assert not run_job(settings, "train_skill", cooking).success  # nothing says what it is
    chosen = {"ops": {"skill_dataset": {"config": {"words": ["rain", "lluvia", "think"]}}}}
    assert run_job(settings, "train_skill", cooking, config=chosen).success
    layers = {row["layer"]: row for row in tools.store.rows("adapters")}
    for name in ("episodic", "skill"):
        row = layers[name]
        config, metrics = json.loads(row["config"]), json.loads(row["metrics"])
        assert config["start_from"] == (first["adapter_id"] if upon == "continued" else None)
        assert config["under"] == ([] if upon == "continued" else [first["adapter_id"]])
        assert config["replay"] == [first["dataset_id"], 0.5]
        assert metrics["replayed_samples"] == round(0.5 * metrics["train_samples"])
        assert row["status"] == "deployed"
        lineage = json.loads(row["lineage"])
        assert lineage["trainer"].startswith("peft/")
        assert len(lineage["manifest"]) == 32
    assert layers["skill"]["skill"] == "weather"
    served = {row["layer"] for row in tools.adapter_book.served("lumi")}
    assert served == {"personality", "episodic", "skill"}
    behind = MemoryClient(settings).trace_adapter(layers["skill"]["adapter_id"])
    assert first["dataset_id"] in behind.datasets
    # Whoever opts out is neither trained on nor replayed, even where nobody told the registry.
    tools.store.set_opt_out(speaker_id="user-1")
    late = run_job(settings, "train_episodic", dg.MultiPartitionKey({"persona": "lumi", "week": WEEKS[2]}))
    reasons = [str(event.step_failure_data.error) for event in late.all_events if event.is_step_failure]
    assert any("layer 1 was trained on messages that must not be" in reason for reason in reasons)


@pytest.mark.slow
def test_a_training_that_diverges_or_runs_on_is_stopped(tiny_base: Path, tmp_path: Path) -> None:
    config = {"base": str(tiny_base), "max_steps": 6, "save_steps": 2, "batch_size": 1}
    wild = PeftTrainer(PeftTrainer.Config(**config, learning_rate=1e30))
    with pytest.raises(TrainingError, match="is no number: lower learning_rate"):
        wild.train(job_in(tmp_path / "wild"), lambda row: None)
    assert not (tmp_path / "wild/out/adapter").exists()
    still = PeftTrainer(PeftTrainer.Config(**{**config, "max_steps": 40}, learning_rate=0.0, patience=2))
    rows: list[dict[str, float]] = []
    metrics = still.train(job_in(tmp_path / "still"), rows.append)
    assert metrics["steps"] == 6  # the first look is the best one, two more without a lower loss
    losses = [row for row in rows if "loss" in row]
    assert {"step", "loss", "learning_rate", "tokens_per_s", "eta_s", "memory_mb"} <= set(losses[-1])
    packed = PeftTrainer(PeftTrainer.Config(**config, packing=True))
    assert packed.train(job_in(tmp_path / "packed"), lambda row: None)["steps"] == 6
    if importlib.util.find_spec("tensorboard") is None:
        watched = PeftTrainer(PeftTrainer.Config(**config, tensorboard=True))
        with pytest.raises(TrainingError, match="needs `pip install tensorboard`"):
            watched.train(job_in(tmp_path / "watched"), lambda row: None)


UNSLOTH = """
import json, sys
from pathlib import Path
from plugins.training.unsloth import UnslothTrainer
from plugins.training.contracts import TrainJob
folder, base = Path(sys.argv[1]), sys.argv[2]
config = {"base": base, "max_steps": 4, "save_steps": 2, "batch_size": 1, "learning_rate": 0.01}
made = UnslothTrainer(UnslothTrainer.Config(**config)).train(
    TrainJob(folder / "train.jsonl", folder / "eval.jsonl", folder / "out"), lambda row: None
)
print(json.dumps(made))
"""


@pytest.mark.slow
def test_unsloth_trains_on_a_cpu_and_peft_loads_what_it_made(tiny_base: Path, tmp_path: Path) -> None:
    job = job_in(tmp_path / "u")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", UNSLOTH, str(tmp_path / "u"), str(tiny_base)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1500:]
    metrics = json.loads(done.stdout.strip().splitlines()[-1])
    assert metrics["steps"] == 4
    assert metrics["eval_loss"] < metrics["eval_loss_base"]
    from plugins.training.language_model import Adapted

    model = Adapted(str(tiny_base), job.output / "adapter")
    talk = [{"role": "user", "content": "say 1 train"}, {"role": "assistant", "content": "I say 37!"}]
    own = model.losses([talk])
    with model.without():
        assert own < model.losses([talk])
