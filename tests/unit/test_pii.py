"""Personal data: what is found, what is put in its place, and that the second look leaves nothing."""

import hmac
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.anonymizers import name_model as pii_model
from plugins.anonymizers.findings import Finding, merged, scores
from plugins.anonymizers.names import fold, gazetteer, meant
from plugins.anonymizers.patterns import iban, luhn
from plugins.anonymizers.surrogates import DetectorAnonymizer, PatternAnonymizer, Surrogates
from plugins.extractors.facts_rules import RuleFacts
from resources.memo import Memo
from tests.conftest import message_rows
from tests.unit.test_judgement import raw_of
from transforms.anonymization import told_by


def pseudonym(kind: str, value: str) -> str:
    """Return a pseudonym as Keys do, with a fixed key."""
    return f"{kind}_{hmac.new(b'test', f'{kind}:{value}'.encode(), 'sha256').hexdigest()[:12]}"


def clean(text: str, people: list[str] | None = None, keep: tuple[str, ...] = (), **config: object) -> str:
    """Return a text anonymized by the default anonymizer."""
    anonymizer = DetectorAnonymizer(DetectorAnonymizer.Config.model_validate(config))
    texts = pl.DataFrame(
        {"id": ["1"], "text": [text], "people": [people or []]}, schema_overrides={"people": pl.List(pl.String)}
    )
    made = anonymizer.anonymize(texts, list(keep), pseudonym)
    assert anonymizer.residual(made.join(texts.select("id", "people"), on="id"), list(keep))["residual"].item() == 0
    return str(made["text"].item())


@pytest.mark.parametrize(
    ("text", "secret", "kind"),
    [
        ("my dni is 12345678Z ok", "12345678Z", "id"),
        ("mi NIE es X1234567L, creo", "X1234567L", "id"),
        ("the SSN was 078-05-1120", "078-05-1120", "id"),
        ("mi pasaporte es PAB123456", "PAB123456", "id"),
        ("send it to ES91 2100 0418 4502 0005 1332 please", "ES91 2100 0418 4502 0005 1332", "iban"),
        ("my card 4539 1488 0343 6467 was lost", "4539 1488 0343 6467", "card"),
        ("write to ana (at) example (dot) com", "ana (at) example (dot) com", "email"),
        ("llámame al 612 345 678", "612 345 678", "phone"),
        ("call +44 20 7946 0958 tonight", "+44 20 7946 0958", "phone"),
        ("see www.ana-blog.es/me for it", "www.ana-blog.es/me", "url"),
        ("it runs on 192.168.1.20 now", "192.168.1.20", "ip"),
        ("follow me, @ana_plays", "@ana_plays", "handle"),
        ("matrícula 4821 KLM", "4821 KLM", "plate"),
        ("the password is hunter2!x", "hunter2!x", "secret"),
        ("token sk-abcdefghijklmnop1234 leaked", "sk-abcdefghijklmnop1234", "secret"),
        ("vivo en la calle Mayor, 12, 3ºB", "calle Mayor, 12", "address"),
        ("we live at 12 Baker Street", "12 Baker Street", "address"),
        ("I was born on 4 May 1990", "4 May 1990", "birth"),
        ("nací el 4 de mayo de 1990", "4 de mayo de 1990", "birth"),
        ("I work at Initech Solutions", "Initech Solutions", "organisation"),
        ("me mudé a huelva de pequeño", "huelva", "place"),
    ],
)
def test_every_kind_is_found_and_leaves_the_text(text: str, secret: str, kind: str) -> None:
    found = DetectorAnonymizer().detect([text])[0]
    assert any(item.kind == kind and secret in text[item.start : item.end] for item in found), found
    assert secret not in clean(text)


@pytest.mark.parametrize("name", ["Gabriela", "gabriela", "GABRIELA", "Gabriella", "Gabirela", "Gabriel"])
def test_people_at_hand_are_replaced_however_they_are_written_by_one_surrogate(name: str) -> None:
    plain = clean("Well, Gabriela said so", ["Gabriela"]).split()[1]
    made = clean(f"Well, {name} said so", ["Gabriela"]).split()[1]
    assert made.lower() == plain.lower()


@pytest.mark.parametrize(
    ("kind", "name", "language", "pools"),
    [
        ("person", "Guillermo", "es", ["male"]),
        ("person", "jennifer", "en", ["female"]),
        ("person", "Íñigo", "es", ["male"]),
        ("place", "Málaga", "es", ["towns"]),
        ("place", "leeds", "en", ["towns"]),
    ],
)
def test_a_surrogate_is_of_the_language_and_gender_of_the_name(
    kind: str, name: str, language: str, pools: list[str]
) -> None:
    names = gazetteer()
    fitting = {fold(one) for pool in pools for one in getattr(names, pool)[language]}
    made = {
        Surrogates(lambda kind, value, key=key: pseudonym(kind, f"{key}{value}")).of(kind, name) for key in range(40)
    }
    assert len(made) > 5
    assert {fold(one) for one in made} <= fitting


def test_a_name_of_no_known_language_may_become_any_and_no_surrogate_is_a_name_on_the_lists() -> None:
    names = gazetteer()
    assert set(names.pool("person", "zzyx")) >= {*names.female["en"], *names.male["es"]}
    assert set(names.pool("place", "tokyo")) == {*names.towns["en"], *names.towns["es"]}
    people = {fold(one) for pool in (names.female, names.male) for part in pool.values() for one in part}
    assert not people & (names.people | names.places)


def test_names_are_found_by_what_is_said_of_them() -> None:
    assert "june" not in clean("my sister june came for dinner")
    assert "Kowalska" not in clean("Ewa Kowalska called; later Kowalska wrote")
    assert "dafne" not in clean("me llamo dafne, encantada")


def test_words_of_a_chat_stay() -> None:
    for text in (
        "Tengo sueño, quería dormir. Mírate, jajaja",
        "Mum's grave. I go on Sundays in June.",
        "131 pages left, and 2024 was a good year",
        "It costs 1500 euros or 20 %, at 10:30",
        "My sister came and my friend said no",
    ):
        assert clean(text, ["Grace"]) == text


def test_agents_and_allowed_names_stay_even_beside_others() -> None:
    assert (
        clean("Hello Lumi, Hatsune Miku sings", keep=("Lumi",), allow=["Hatsune Miku"])
        == "Hello Lumi, Hatsune Miku sings"
    )
    assert "Lumi" in clean("Maria Lumi and Hans Gruber", keep=("Lumi",))


def test_the_second_look_redacts_what_the_first_leaves() -> None:
    class Blind(PatternAnonymizer):
        def detect(self, texts, people=None, keep=(), told=None):  # type: ignore[no-untyped-def]
            return [[] for _ in texts]

    texts = pl.DataFrame(
        {"id": ["1"], "text": ["Zoraida: a@b.com or 612345678 on 2024-01-02"], "people": [["Zoraida"]]}
    )
    made = Blind().anonymize(texts, [], pseudonym)
    assert made["text"].item() == "[redacted]: [redacted] or [redacted] on 2024-01-02"
    assert made["n_replaced"].item() == 3


def test_numbers_are_checked() -> None:
    assert luhn("4539148803436467")
    assert not luhn("4539148803436468")
    assert iban("GB82 WEST 1234 5698 7654 32")
    assert not iban("GB82 WEST 1234 5698 7654 33")


@given(
    st.lists(
        st.builds(lambda a, b: Finding(min(a, b), max(a, b) + 1, "person"), st.integers(0, 40), st.integers(0, 40))
    )
)
def test_merged_findings_cover_the_same_and_do_not_overlap(items: list[Finding]) -> None:
    made = merged(items)
    assert all(one.end <= other.start for one, other in pairwise(made))
    assert {p for i in items for p in range(i.start, i.end)} == {p for i in made for p in range(i.start, i.end)}


def test_scores_count_overlaps() -> None:
    found = [[Finding(0, 4, "person"), Finding(10, 12, "phone")]]
    assert scores(found, [[(2, 6), (20, 22)]]) == {"recall": 0.5, "precision": 0.5, "f2": 0.5}


@given(st.text("abcdefgh", min_size=5, max_size=9), st.integers(1, 4))
def test_one_wrong_letter_still_means_the_name(name: str, place: int) -> None:
    wrong = name[:place] + "z" + name[place + 1 :]
    assert meant(wrong, frozenset([name])) == name
    assert meant("q" + name[1:], frozenset([name])) != name or name[0] == "q"


def test_what_users_tell_of_themselves_in_facts_is_known_in_all_their_talk() -> None:
    said = ["My sister Ylvi is a nurse", "I work at Zelkan", "I live in Tromsø", "Me llamo Hatice"]
    raw = raw_of(message_rows(2 * len(said))).sort("turn").filter(pl.col("role") == "user")
    own = told_by(RuleFacts().extract(raw.with_columns(text=pl.Series(said))))
    assert {item["value"] for item in own["told"][0]} == {"Ylvi", "Zelkan", "Tromsø", "Hatice"}
    frame = pl.DataFrame(
        {
            "id": ["1"],
            "text": ["hatice: ylvi left zelkan for tromsø, a nurse now"],
            "people": [[]],
            "told": own["told"],
        },
        schema_overrides={"people": pl.List(pl.String)},
    )
    made = PatternAnonymizer().anonymize(frame, [], pseudonym)["text"][0].lower()
    assert not any(name in made for name in ("hatice", "ylvi", "zelkan", "tromsø"))
    assert made.endswith("a nurse now")


def test_a_text_is_classified_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = ["Leave it with Oyelaran Achterberg at noon.", "then we all went home"]
    first, second = DetectorAnonymizer(), DetectorAnonymizer()
    first.memo = second.memo = Memo(tmp_path / "memo.sqlite")
    found = first.detect(said)
    assert found[0]

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the classifier was asked again")

    monkeypatch.setattr(pii_model, "find", never)
    assert second.detect([*said, said[0]]) == [*found, found[0]]
    assert b"Oyelaran" not in (tmp_path / "memo.sqlite").read_bytes()
