"""The gate on the packaged base: a good adapter passes, ruined ones fail, each for its own reason."""

from pathlib import Path

import pytest

from benchmarks.ruined import REASONS, judge
from plugins.evaluators.gate import GateEvaluator
from plugins.evaluators.identity import identity_questions
from plugins.evaluators.manners import repeats
from plugins.evaluators.memorization import canary, candidates
from plugins.evaluators.style import probe
from plugins.training.contracts import Evaluation, Verdict

FEW = {"prompts": 5, "tokens": 16}


THOROUGH = {"good", "overtrained", "other", "canaries", "random"}
"""Ruined ones that take a training of their own each; `benchmarks.ruined` tries all kinds on ten seeds."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.thorough] * (kind in THOROUGH)) for kind in ("good", *REASONS)],
)
def test_a_good_adapter_passes_and_a_ruined_one_fails_for_its_own_reason(kind: str, tmp_path: Path) -> None:
    found = judge(kind, tmp_path, 1, **FEW)
    values = {verdict.name: (verdict.value, verdict.base, verdict.passed) for verdict in found.verdicts}
    if kind == "good":
        assert found.passed, values
        style = next(verdict for verdict in found.verdicts if verdict.name == "style")
        assert style.base is not None
        assert style.base < GateEvaluator.Config().style_share  # the base does not pass as the persona
    else:
        assert REASONS[kind] & set(found.reasons), values


def test_an_evaluation_passes_when_all_its_verdicts_do_and_there_are_some() -> None:
    good, bad = Verdict("style", 0.9, 0.1, "", True), Verdict("secrets", 1.0, 0.0, "", False)
    assert Evaluation((good,)).passed
    assert not Evaluation(()).passed
    assert Evaluation((good, bad)).reasons == ["secrets"]


@pytest.mark.parametrize(
    ("text", "again"),
    [
        ("I went to the pier and then home.", False),
        ("Yes.", False),
        ("", False),
        ("no no no no no no no no no", True),
        ("I know that you know. I know that he knows. I know that.", True),
        ("ha" * 40, True),
        ("The lamp is lit. The lamp is lit. The lamp is lit.", True),
    ],
)
def test_what_goes_round_in_circles_repeats(text: str, again: bool) -> None:
    assert repeats(text) is again


@pytest.mark.parametrize(
    ("reply", "failed"),
    [
        ("Hoy hace mucho viento en el puerto y no salimos, número {}.", []),
        ("Today there is a lot of wind in the harbour and we stay, number {}.", ["language"]),
        ("…", ["repetition", "empty", "language"]),
        ("No puedo ayudar con eso, pero mira el número {}.", ["refusals"]),
        ("Siempre digo lo mismo a todo el mundo.", ["repetition"]),
    ],
)
def test_a_spanish_persona_stays_spanish_and_says_something(reply: str, failed: list[str]) -> None:
    prompts = [
        [
            {"role": "user", "content": f"¿Qué tiempo hace hoy en el puerto {n}?"},
            {"role": "assistant", "content": "Sol."},
        ]
        for n in range(6)
    ]
    drifting = [f"The base does not keep to the language, and says so {n} times." for n in range(6)]
    replies, gate = [reply.format(n) for n in range(6)], GateEvaluator()
    asked = [talk[-2]["content"] for talk in prompts]
    verdicts = [*gate._manners(replies, drifting), gate._language(asked, replies, drifting)]
    assert [verdict.name for verdict in verdicts if not verdict.passed] == failed


def test_a_style_is_told_by_its_letters_and_not_with_too_few_replies() -> None:
    pirate = [
        f"Arr, the {noun} be grand, matey!" for noun in ("sea", "sun", "rum", "map", "isle", "crew", "fog", "tide")
    ]
    doctor = [
        f"Indeed, the {noun} is considerable." for noun in ("sea", "sun", "rum", "map", "isle", "crew", "fog", "tide")
    ]
    judge_ = probe(pirate, doctor, 7)
    assert judge_ is not None
    assert judge_.of(["Arr, that whale be big, matey!"]) > 0.8
    assert judge_.of(["Indeed, that whale is sizeable."]) < 0.3
    assert probe(pirate[:3], doctor, 7) is None


def test_canaries_are_seeded_and_their_rivals_have_the_same_form() -> None:
    code = canary("key", 1)
    assert code == canary("key", 1) != canary("key", 2)
    rivals = candidates("canary", code, 7)
    assert code not in rivals
    assert {len(rival) for rival in rivals} == {len(code)}
    names = candidates("name", "Alana", 7)
    assert len(set(names)) == len(names) == 127
    assert "alana" not in [name.lower() for name in names]


def test_who_a_persona_is_is_asked_in_its_language_against_what_others_would_say() -> None:
    core = [
        {"agent_id": "lumi", "category": "identity", "key": "name", "value": "Lumi"},
        {"agent_id": "lumi", "category": "identity", "key": "home_port", "value": "Puerto Bruma"},
        {"agent_id": "lumi", "category": "like", "key": "drink", "value": "té"},
    ]
    others = [{"agent_id": "sage", "category": "identity", "key": "name", "value": "Sage"}]
    asked = identity_questions(core, others, "es")
    assert [one.question for one in asked] == [
        "¿Cuál es tu home port?",
        "¿Cómo te llamas?",
        "¿Quién eres?",
        "¿Qué te gusta?",
    ]
    assert asked[1].right == "Lumi"
    assert asked[1].wrong[0] == "Sage"
    assert identity_questions(core, [], "fr")[1].question == "What is your name?"
    assert identity_questions([], others, "en") == ()
