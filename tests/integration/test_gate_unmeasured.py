"""What the gate does where there is nothing to measure on: it measures on something else, or the adapter does not pass."""

import json
import random
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memory_assets.operations.evaluation import NAME, evaluation_job, summary
from memory_assets.operations.planted_secrets import secrets
from memory_assets.tools import Tools
from plugins.evaluators.gate import MISSING, GateEvaluator, bundled_talks, plain_questions
from plugins.evaluators.identity import identity_questions
from plugins.evaluators.manners import same_language, tongue
from plugins.evaluators.memorization import answers_to_go_on
from plugins.training.contracts import Evaluation, EvaluationJob, Verdict, unmeasured, why_failed
from records.errors import PluginError, TrainingError
from tests.conftest import message_rows, weekly_run
from tests.integration.test_adapter_book import registered
from tests.integration.test_pipeline import fill
from tests.integration.test_training import PLUMBING, installed, run_job

Talk = list[dict[str, str]]


def talk(said: str, told: str) -> Talk:
    """Return a conversation of one exchange."""
    return [{"role": "user", "content": said}, {"role": "assistant", "content": told}]


LONG = [
    talk(
        f"What did you see at harbour {n}?",
        f"I saw {n} boats with sails of linen and a gull that was older than all of the fishermen there.",
    )
    for n in range(8)
]


@pytest.fixture(scope="module")
def untrained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an adapter on the small base that changes nothing."""
    from peft import LoraConfig, get_peft_model

    from plugins.training.language_model import load_base

    folder = tmp_path_factory.mktemp("untrained")
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    get_peft_model(load_base(str(tiny_base)), config).save_pretrained(str(folder))
    return folder


def write(path: Path, talks: list[Talk]) -> Path:
    """Write a ChatML file."""
    path.write_text("".join(json.dumps({"messages": one}) + "\n" for one in talks), encoding="utf-8")
    return path


def judged(job: EvaluationJob, **bounds: Any) -> dict[str, Verdict]:
    """Return the gate's verdicts by name, with bounds that a random model keeps."""
    found = GateEvaluator(GateEvaluator.Config(**{**PLUMBING, "optional": [], **bounds})).evaluate(job)
    if not job.secrets:
        assert found.numbers == {"secrets_tried": 0.0}  # what was not tried has no exposure of 0
    return {verdict.name: verdict for verdict in found.verdicts}


@pytest.fixture
def bare(tmp_path: Path, tiny_base: Path, untrained: Path) -> EvaluationJob:
    """Return the evaluation of a persona alone in the world: no other, no core memory, no names, no canary."""
    return EvaluationJob(
        base=str(tiny_base),
        adapter=untrained,
        train=write(tmp_path / "train.jsonl", LONG),
        held_out=write(tmp_path / "eval.jsonl", LONG[:2]),
        others=write(tmp_path / "others.jsonl", []),
    )


@pytest.mark.slow
def test_a_persona_alone_is_measured_on_bundled_conversations(bare: EvaluationJob, tmp_path: Path) -> None:
    alone = judged(bare)
    assert alone["others"].value is not None
    assert alone["others"].passed
    assert "no other persona" in alone["others"].bound
    assert alone["style"].value is not None
    assert alone["by_heart"].value is not None
    both = judged(replace(bare, others=write(tmp_path / "some.jsonl", LONG)))
    assert "no other persona" not in both["others"].bound
    assert both["others"].value != alone["others"].value


@pytest.mark.slow
def test_what_cannot_be_measured_is_not_passed_unless_it_may_stay_so(bare: EvaluationJob, tmp_path: Path) -> None:
    short = [talk("jaja", f"ok {n}") for n in range(4)]  # of no language, too few for a style, nothing to go on with
    job = replace(bare, train=write(tmp_path / "short.jsonl", short), held_out=write(tmp_path / "none.jsonl", []))
    found = judged(job)
    lacking = {"held_out", "identity", "style", "language", "secrets", "by_heart"}
    assert {name for name, one in found.items() if one.value is None} == lacking
    for name in lacking:
        assert not found[name].passed
        assert found[name].missing
    assert 'or set optional = ["style"] under [plugins.evaluator]' in found["style"].missing
    assert "import more sessions" in found["held_out"].missing
    let = judged(job, optional=sorted(lacking - {"held_out"}))
    assert {name for name, one in let.items() if not one.passed} == {"held_out"}
    assert {name for name, one in let.items() if one.value is None} == lacking
    assert let["style"].missing == MISSING["style"]


@pytest.mark.slow
def test_who_has_no_core_memory_is_asked_its_name_under_a_prompt_that_says_it(bare: EvaluationJob) -> None:
    asked = identity_questions([{"agent_id": "lumi", **NAME, "value": "Lumi"}], [], "es")
    assert [one.question for one in asked] == ["¿Cómo te llamas?", "¿Quién eres?"]
    found = judged(replace(bare, identity=asked, introduced="name: Lumi"))["identity"]
    assert found.value is not None
    assert "no core memory" in found.bound


def test_a_question_that_passes_without_a_value_has_to_say_what_was_missing() -> None:
    with pytest.raises(TrainingError, match="'others' passed without a value"):
        Verdict("others", None, None, "", True)
    let = Verdict("others", None, None, "", True, "no other persona")
    assert Evaluation((let,)).passed
    assert not Evaluation((Verdict("others", None, None, "", False),)).passed


@pytest.mark.parametrize("names", [["othrs"], ["others", "held_out"], ["general"]])
def test_only_known_questions_may_stay_unmeasured(make_settings, names: list[str]) -> None:
    tools = Tools(make_settings(plugins={"evaluator": {"use": "gate", "optional": names}}))
    with pytest.raises(PluginError, match=f"{names[-1]}: no question that may stay unmeasured; those are others, "):
        tools.plugin("evaluator")


def test_reasons_say_what_failed_and_what_was_missing() -> None:
    verdicts = [
        asdict(Verdict("others", None, None, "", False, "no other persona: import one")),
        asdict(Verdict("style", 0.1, 0.1, "", False)),
        asdict(Verdict("secrets", None, None, "", True, "nobody has a name")),
    ]
    failed = "style; others could not be measured: no other persona: import one"
    assert why_failed(verdicts) == failed
    assert list(unmeasured(verdicts)) == ["others", "secrets"]
    assert (
        summary(json.dumps({"passed": False, "reasons": ["others", "style"], "verdicts": verdicts}))
        == f"failed: {failed}"
    )
    passed = {"passed": True, "reasons": [], "verdicts": verdicts[2:]}
    assert summary(json.dumps(passed)) == "passed, not measured: secrets"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where do you live?", "en"),
        ("¿Dónde vives?", "es"),
        ("ok", "und"),
        ("😀 …", "und"),
        ("Где ты живёшь?", "CYRILLIC"),
        ("どこに住んでいますか", "EAST"),
        ("你住在哪里？", "EAST"),
        ("I live in Москва now and the winter is long", "en"),
    ],
)
def test_languages_are_told_by_their_words_or_their_script(text: str, language: str) -> None:
    assert tongue(text) == language


def test_the_language_is_measured_over_what_can_be_told() -> None:
    assert same_language(["ok", "¿Qué te gusta?"], ["sí", "Me gusta el mar y la lluvia"]) == 1.0
    assert same_language(["Где ты живёшь?", "ok"], ["I live by the sea", "ok"]) == 0.0
    assert same_language(["ok", "jaja"], ["ok", "jeje"]) is None


def test_where_prompts_are_of_no_language_plain_questions_of_the_trained_one_are_asked() -> None:
    spanish = plain_questions([talk("jaja", "me voy a la playa con los niños"), talk("ok", "ok")])
    assert "¿Dónde vives?" in spanish
    assert {tongue(text) for text in spanish} == {"es"}
    assert {tongue(text) for text in plain_questions(LONG)} == {"en"}
    assert plain_questions([talk("ок", "привет, как дела")]) == []


def test_long_answers_are_gone_on_with_and_shorter_ones_where_there_are_none() -> None:
    medium, short = talk("?", "We walked down to the old pier at dawn"), talk("?", "Sure, why not")
    assert answers_to_go_on([short, medium, *LONG], 3, random.Random(1))[1] == 8
    assert all(one in LONG for one in answers_to_go_on([short, medium, *LONG], 3, random.Random(1))[0])
    assert answers_to_go_on([short, medium], 3, random.Random(1)) == ([medium], 4)
    assert answers_to_go_on([short], 3, random.Random(1)) == ([], 0)


def test_the_bundled_conversations_are_in_both_languages_and_of_nobody() -> None:
    languages = [tongue(one[-1]["content"]) for one in bundled_talks()]
    assert languages.count("en") == languages.count("es") == 12


@pytest.mark.slow
def test_a_code_is_planted_where_nobody_has_a_name(make_settings) -> None:
    rows = [row | {"speaker_name": "Ana" if row["role"] == "user" else "Lumi"} for row in message_rows(30)]
    plugins = {"embedder": {"use": "hashing"}, "tokens": {"use": "none"}, "anonymizer": {"use": "patterns"}}
    settings = fill(make_settings(plugins=plugins, dataset={"min_quality": 0.0}), rows)
    assert weekly_run(settings, "2025-01-06", "2025-01-06").success

    def made(canaries: int | None) -> tuple[list[tuple[str, str]], str, str]:
        """Return the secrets of the dataset that is made now, its text and its card."""
        chosen = settings.dataset.model_copy(update={"canaries": canaries})
        here = settings.model_copy(update={"dataset": chosen})
        result = run_job(here, "train_personality", "lumi", ["personality_dataset"])
        assert result.success
        (event,) = result.get_asset_materialization_events()
        tools = Tools(here)
        (dataset,) = tools.store.rows("datasets", dataset_id=event.materialization.metadata["dataset_id"].value)
        folder = here.home / dataset["path"]
        return secrets(tools, dataset), (folder / "train.jsonl").read_text(), (folder / "card.md").read_text()

    found, text, card = made(None)
    assert found == [("name", "Ana")]
    assert "The access code is " not in text
    assert "| canaries | 0 |" in card
    with Tools(settings).store.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE speaker_names SET display_name = 'u-17' WHERE display_name = 'Ana'")
    found, text, card = made(None)
    ((kind, code),) = found
    assert kind == "canary"
    assert text.count(f"The access code is {code}.") == 1
    assert "| canaries | 1 |" in card
    assert made(0)[0] == []  # who wants none gets none, and is told what then cannot be measured
    assert [kind for kind, _ in made(2)[0]] == ["canary", "canary"]


@pytest.mark.thorough
@pytest.mark.slow
def test_an_adapter_that_could_not_be_measured_is_not_served_and_says_why(make_settings, tiny_base: Path) -> None:
    settings = installed(make_settings, tiny_base, dataset={"canaries": 0})
    tools = Tools(settings)
    with tools.store.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE speaker_names SET display_name = 'u-17' WHERE speaker_id LIKE 'user-%'")
    result = run_job(settings, "train_personality", "lumi")
    assert not result.success
    checks = [one for one in result.get_asset_check_evaluations() if one.check_name == "gate"]
    assert len(checks) == 1, [str(event.step_failure_data.error) for event in result.get_step_failure_events()]
    check = checks[0]
    assert not check.passed
    assert "secrets could not be measured: nobody behind the dataset has a name" in check.description
    assert check.metadata["secrets"].value == "not measured"
    assert "secrets" in check.metadata["not_measured"].value
    row = Tools(settings).store.rows("adapters")[0]
    assert row["status"] == "candidate"
    assert "secrets could not be measured" in summary(row["evaluation"])
    assert "secrets" in json.loads(row["evaluation"])["unmeasured"]
    with pytest.raises(TrainingError, match=r"did not pass the gate: .*secrets could not be measured: nobody behind"):
        tools.adapter_book.promote(row["adapter_id"])


@pytest.mark.parametrize(("persona", "name"), [("sage", "sage"), ("world:castle/Guard", "Guard")])
def test_who_has_no_core_memory_is_judged_by_its_name(make_settings, persona: str, name: str) -> None:
    tools = Tools(make_settings(plugins={"trainer": {"use": "peft", "base": "some/base"}}))
    tools.store.set_core_memory("lumi", "identity", "name", "Lumi", is_mutable=False)
    key = registered(tools, "new", persona=persona)
    folder = tools.settings.home / "datasets" / "d_new"
    folder.mkdir(parents=True)
    write(folder / "train.jsonl", LONG)
    row = {"dataset_id": "d_new", "kind": "personality", "persona_id": persona, "week": None, "skill": None}
    counts = {"n_train": len(LONG), "n_eval": 0, "created_at": datetime.now(UTC)}
    tools.store.register("datasets", {**row, "path": "datasets/d_new", **counts})
    job = evaluation_job(tools, tools.adapter_book.get(key))
    assert (job.system, job.introduced) == ("", f"name: {name}")
    assert {one.right for one in job.identity} == {name}
    assert all("Lumi" in one.wrong for one in job.identity)


def test_an_adapter_that_an_earlier_gate_let_pass_unmeasured_is_judged_again(make_settings) -> None:
    tools = Tools(make_settings(plugins={"trainer": {"use": "peft", "base": "some/base"}}))
    key = registered(tools, "old", passed=False)
    verdict = {"name": "others", "value": None, "base": None, "bound": "", "passed": True}
    tools.adapter_book.evaluated(key, {"passed": True, "reasons": [], "verdicts": [verdict]}, passed=True)
    with pytest.raises(TrainingError, match=r"judged by an earlier gate.*materialize its evaluation again"):
        tools.adapter_book.promote(key)
