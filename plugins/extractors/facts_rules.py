"""Facts read by rules, in English and Spanish: first persons, and people close to them."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import polars as pl

from plugins.contracts import FactExtractor, Spent
from plugins.extractors.facts_general import GENERAL
from records.ids import content_id
from records.memory import Facts
from transforms.order import with_position

NAME = r"(?P<value>[A-ZÁÉÍÓÚÑ][\wáéíóúñ'’-]+(?:\s(?:de\s(?:la\s)?)?[A-ZÁÉÍÓÚÑ][\wáéíóúñ'’-]+){0,2})"
PLACE = r"(?P<value>[A-ZÁÉÍÓÚÑ][\wáéíóúñ'’-]+(?:\s(?:de\s)?[A-ZÁÉÍÓÚÑ][\wáéíóúñ'’-]+){0,2})"
THING = r"(?P<value>[^.,;:!?¿¡\n()]{2,60}?)(?=\s+(?:and|but|because|so|when|since|y|pero|porque|aunque|cuando|que\sme)\b|[.,;:!?\n()]|$)"
REST = r"(?P<value>[^.;!?\n]{3,90})"
KIN_EN = (
    r"(?P<kin>sister|brother|mom|mum|mother|dad|father|wife|husband|son|daughter|girlfriend|boyfriend|partner|cousin|aunt|"
    r"uncle|grandma|grandmother|grandpa|grandfather|niece|nephew|best friend|friend|boss|roommate|neighbou?r)"
)
KIN_ES = (
    r"(?P<kin>hermana|hermano|madre|mamá|padre|papá|mujer|esposa|marido|hijo|hija|novia|novio|pareja|prima|primo|tía|tío|"
    r"abuela|abuelo|sobrina|sobrino|mejor amiga|mejor amigo|amiga|amigo|jefa|jefe|compañera de piso|compañero de piso|vecina|vecino)"
)
PET_EN = r"(?P<kin>dog|cat|puppy|kitten|parrot|hamster|rabbit|horse)"
PET_ES = r"(?P<kin>perro|perra|perrita|perrito|gato|gata|gatito|gatita|loro|hámster|conejo|caballo)"
JOB_EN = (
    r"(?P<value>(?:[a-z]+(?:-[a-z]+)?\s){0,2}(?:nurse|doctor|teacher|engineer|developer|programmer|designer|student|lawyer|chef|cook|"
    r"writer|artist|musician|baker|waiter|waitress|accountant|architect|electrician|plumber|driver|pilot|vet|dentist|scientist|"
    r"researcher|journalist|photographer|barista|librarian|mechanic|firefighter|police officer|manager|freelancer|carpenter|"
    r"farmer|sailor|fisherman|translator|therapist|psychologist|pharmacist|tailor|historian|curator|gardener|social worker))"
)
JOB_ES = (
    r"(?P<value>(?:enfermer[oa]|médic[oa]|doctora?|profesora?|profe|maestr[oa]|ingenier[oa]|programadora?|diseñadora?|estudiante|"
    r"abogad[oa]|cociner[oa]|escritora?|artista|músic[oa]|panader[oa]|camarer[oa]|contable|arquitect[oa]|electricista|fontaner[oa]|"
    r"conductora?|piloto|veterinari[oa]|dentista|científic[oa]|periodista|fotógraf[oa]|bibliotecari[oa]|mecánic[oa]|bomber[oa]|"
    r"policía|carpinter[oa]|pescadora?|traductora?|psicólog[oa]|farmacéutic[oa]|jardiner[oa]|ilustradora?)(?:\sde\s[a-záéíóúñ]+)?)"
)

# category, key, stated (False: denied), confidence, pattern. `{kin}` in a key is the relation named in the text.
RULES: tuple[tuple[str, str, bool, float, str], ...] = (
    ("identity", "name", True, 0.95, rf"(?i:my name is|me llamo|mi nombre es|call me|llámame)\s+{NAME}"),
    ("identity", "name", True, 0.7, rf"(?i:^(?:hi|hello|hey|hola|buenas)[,!.]?\s+(?:i'm|i am|soy))\s+{NAME}"),
    ("identity", "pronouns", True, 0.9, r"(?i)my pronouns are\s+(?P<value>\w+/\w+)"),
    ("age", "age", True, 0.95, r"(?i)\bI(?:'m|’m| am)\s+(?P<value>\d{1,2})(?:\s+years old|\s*yo\b|(?=[.,!]|$))"),
    ("age", "age", True, 0.95, r"(?i)\b(?:tengo|he cumplido|cumplo|cumplí)\s+(?P<value>\d{1,2})\s+años"),
    ("age", "birthday", True, 0.9, r"(?i)\bmy birthday is\s+(?:on\s+)?(?P<value>(?:the\s)?[\w ]{3,20}?)(?=[.,!?]|$)"),
    ("age", "birthday", True, 0.9, r"(?i)\bmi cumple(?:años)?\s+(?:es|cae)\s+(?:el\s+)?(?P<value>\d{1,2} de \w+)"),
    (
        "home",
        "city",
        True,
        0.9,
        rf"(?i:(?:\bI(?:'ve|’ve| have)?\s|^)(?:just |recently |finally |also )*(?:moved|relocated) (?:back )?to)\s+{PLACE}",
    ),
    (
        "home",
        "city",
        True,
        0.9,
        rf"(?i:\bI (?:currently |now |still )?live in|\bI(?:'m|’m| am) living in|\bI(?:'m|’m| am) based in)\s+{PLACE}",
    ),
    (
        "home",
        "city",
        True,
        0.9,
        rf"(?i:\b(?:me (?:he )?mud[éa]d?o?|me mudé|me he mudado|nos mudamos|me acabo de mudar) a)\s+{PLACE}",
    ),
    ("home", "city", True, 0.9, rf"(?i:\b(?:ahora |ya )?(?:vivo|estoy viviendo|resido) en)\s+{PLACE}"),
    (
        "home",
        "city",
        False,
        0.9,
        rf"(?i:\bI (?:don't|do not|no longer) live in|\bya no vivo en)\s+{PLACE}(?:\s+anymore)?",
    ),
    ("home", "lives_with", True, 0.8, r"(?i)\b(?:I live with|vivo con)\s+" + THING),
    (
        "origin",
        "origin",
        True,
        0.9,
        rf"(?i:\bI(?:'m|’m| am) (?:originally )?from|\bI grew up in|\bI was born in)\s+{PLACE}",
    ),
    ("origin", "origin", True, 0.9, rf"(?i:\b(?:soy|vengo) de|\bnací en|\bme crié en)\s+{PLACE}"),
    ("work", "job", True, 0.85, rf"(?i)\b(?:I(?:'m|’m| am) (?:now )?an?|I work as an?)\s+{JOB_EN}\b"),
    (
        "work",
        "job",
        True,
        0.85,
        rf"(?i)\b(?:(?<!no )soy|trabajo (?:de|como)|ahora soy|curro de)\s+(?:una?\s+)?{JOB_ES}\b",
    ),
    ("work", "employer", True, 0.8, rf"(?i:\bI (?:now |just started to )?work (?:at|for))\s+(?:the |a |an )?{THING}"),
    ("work", "employer", True, 0.8, rf"(?i:\b(?:trabajo|curro) (?:en|para))\s+(?:el |la |un |una )?{THING}"),
    (
        "work",
        "new_job",
        True,
        0.75,
        r"(?i)\bI (?:just )?(?:got|started|found) (?P<value>a (?:new )?(?:job|internship|position)[^.,!?]{0,40})",
    ),
    (
        "work",
        "new_job",
        True,
        0.75,
        r"(?i)\b(?:he (?:conseguido|encontrado|empezado)|empecé|empiezo|conseguí) (?P<value>(?:un |el )?(?:nuevo )?(?:trabajo|curro|empleo)[^.,!?]{0,40})",
    ),
    (
        "work",
        "lost_job",
        True,
        0.85,
        r"(?i)(?P<value>\bI (?:got|was) (?:fired|laid off)|\bI (?:just )?quit my job|\bme (?:han despedido|despidieron|echaron del trabajo)|\bhe dejado (?:el|mi) (?:trabajo|curro))",
    ),
    ("work", "studies", True, 0.8, r"(?i)\b(?:I study|I'm studying|I am studying|estudio|estoy estudiando)\s+" + THING),
    (
        "like",
        "likes",
        True,
        0.8,
        r"(?i)\bI (?:really |absolutely |just )?(?:love|adore|enjoy|like)\s+(?!it\b|that\b|this\b|you\b|to think|how\b|when\b|the way)"
        + THING,
    ),
    (
        "like",
        "likes",
        True,
        0.8,
        r"(?i)(?<!no )\bme (?:encantan?|gustan?|flipan?|chiflan?|apasionan?)\s+(?:mucho\s+)?(?!que\b|esto\b|eso\b|cómo\b)"
        + THING,
    ),
    ("like", "favourite", True, 0.9, r"(?i)\bmy favou?rite (?P<kin>[a-z]+(?: [a-z]+)?) (?:is|are)\s+" + THING),
    (
        "like",
        "favourite",
        True,
        0.9,
        r"(?i)\bmi (?P<kin>[a-záéíóúñ]+) (?:favorit[oa]|preferid[oa]) (?:es|son)\s+" + THING,
    ),
    (
        "dislike",
        "dislikes",
        True,
        0.85,
        r"(?i)\bI (?:really |absolutely )?(?:hate|can't stand|cannot stand|don't like|do not like|dislike)\s+(?!it\b|that\b|this\b|you\b|when\b|how\b)"
        + THING,
    ),
    (
        "dislike",
        "dislikes",
        True,
        0.85,
        r"(?i)\b(?:odio|detesto|no soporto|no aguanto|no me gustan?)\s+(?!que\b|esto\b|eso\b)" + THING,
    ),
    (
        "health",
        "allergy",
        True,
        0.95,
        r"(?i)\b(?:I(?:'m|’m| am) allergic to|soy alérgic[oa] a(?:l)?|tengo alergia a(?:l)?)\s+(?:la |las |los |el )?"
        + THING,
    ),
    (
        "health",
        "condition",
        True,
        0.85,
        r"(?i)\b(?:I have|I've got|I was diagnosed with|tengo|me han diagnosticado|me diagnosticaron)\s+(?:an? |una? )?(?P<value>(?:chronic |type \d )?(?:diabetes|asthma|migraines?|insomnia|anxiety|depression|adhd|arthritis|epilepsy|asma|migrañas?|insomnio|ansiedad|depresión|tdah|artritis|epilepsia))",
    ),
    (
        "health",
        "diet",
        True,
        0.85,
        r"(?i)\b(?:I(?:'m|’m| am)|I became|I've gone|soy|me he hecho|me hice)\s+(?:a |an )?(?P<value>vegan[oa]?|vegetarian[oa]?|celiac|celíac[oa]|coeliac|lactose intolerant|intolerante a la lactosa)\b",
    ),
    (
        "health",
        "injury",
        True,
        0.8,
        r"(?i)\b(?:I (?:broke|sprained|tore|hurt)|me (?:he )?(?:rompí|roto|torcí|torcido|lesioné|lesionado))\s+(?P<value>(?:my|mi|el|la)\s+\w+)",
    ),
    (
        "plan",
        "plan",
        True,
        0.75,
        r"(?i)\bI(?:'m|’m| am) (?:going|planning|hoping) to\s+(?!be (?:honest|fair)|say|tell you|ask)" + REST,
    ),
    (
        "plan",
        "plan",
        True,
        0.75,
        r"(?i)\b(?:voy a|vamos a|quiero|pienso|planeo)\s+(?=(?:ir|viajar|mudarme|empezar|estudiar|comprar|correr|aprender|dejar|presentarme|casarme|adoptar|montar|visitar|apuntarme|hacer)\b)"
        + REST,
    ),
    (
        "plan",
        "appointment",
        True,
        0.8,
        r"(?i)\b(?:I have|I've got|tengo)\s+(?P<value>(?:an? |una? |el |la )(?:exam|interview|appointment|flight|concert|marathon|race|surgery|biopsy|examen|entrevista|cita|vuelo|concierto|maratón|carrera|operación)\b[^.;!?\n]{0,50})",
    ),
    (
        "possession",
        "has",
        True,
        0.75,
        r"(?i)\bI (?:just |finally )?(?:bought|got myself)\s+(?P<value>(?:an? |my first )[^.,;!?\n]{3,40})",
    ),
    (
        "possession",
        "has",
        True,
        0.75,
        r"(?i)\b(?:me (?:he )?(?:compré|comprado)|acabo de comprarme)\s+(?P<value>(?:una? |mi primer[a]? )[^.,;!?\n]{3,40})",
    ),
    (
        "routine",
        "routine",
        True,
        0.75,
        r"(?i)\b(?P<value>(?:every (?:morning|day|night|evening|weekend|monday|tuesday|wednesday|thursday|friday|saturday|sunday))\s+I\s+[^.,;!?\n]{3,50})",
    ),
    (
        "routine",
        "routine",
        True,
        0.75,
        r"(?i)\b(?P<value>(?:todos los (?:días|lunes|martes|miércoles|jueves|viernes|sábados|domingos|fines de semana)|todas las (?:mañanas|noches|tardes)|cada (?:mañana|noche|lunes|domingo|sábado))\s+[^.,;!?\n]{3,50})",
    ),
    (
        "pet",
        "{kin}.name",
        True,
        0.9,
        rf"(?i:\bmy|\bour)\s+(?i:{PET_EN})(?i:'s name is| is called| is named|,)?\s+{NAME}",
    ),
    ("pet", "{kin}.name", True, 0.9, rf"(?i:\bmi|\bnuestr[oa])\s+(?i:{PET_ES})(?i:,| se llama)?\s+{NAME}"),
    (
        "pet",
        "{kin}.name",
        True,
        0.9,
        rf"(?i)\b(?:I (?:have|adopted|got)|we adopted) (?:an? )?(?:\w+ )?{PET_EN} (?:named|called)\s+(?-i:{NAME})",
    ),
    (
        "pet",
        "{kin}.name",
        True,
        0.9,
        rf"(?i)\b(?:tengo|adopté|he adoptado|hemos adoptado)\s+una?\s+{PET_ES}(?: \w+)? (?:que se llama|llamad[oa])\s+(?-i:{NAME})",
    ),
    ("family", "{kin}.name", True, 0.9, rf"(?i:\bmy)\s+(?i:{KIN_EN})(?i:'s name is| is called| is named|,)?\s+{NAME}"),
    ("family", "{kin}.name", True, 0.9, rf"(?i:\bmi)\s+(?i:{KIN_ES})(?i:,| se llama)?\s+{NAME}"),
    (
        "family",
        "{kin}.job",
        True,
        0.85,
        rf"(?i:\bmy\s+{KIN_EN})(?:,?\s+[A-ZÁÉÍÓÚÑ]\w+,?)?\s+(?i:is|works as|became)\s+(?:an?\s+)?(?i:{JOB_EN})\b",
    ),
    (
        "family",
        "{kin}.job",
        True,
        0.85,
        rf"(?i:\bmi\s+{KIN_ES})(?:,?\s+[A-ZÁÉÍÓÚÑ]\w+,?)?\s+(?i:es|trabaja de|trabaja como)\s+(?:una?\s+)?(?i:{JOB_ES})\b",
    ),
    (
        "family",
        "{kin}.home",
        True,
        0.8,
        rf"(?i:\bmy\s+{KIN_EN})(?:,?\s+[A-ZÁÉÍÓÚÑ]\w+,?)?\s+(?i:lives in|moved to)\s+{PLACE}",
    ),
    (
        "family",
        "{kin}.home",
        True,
        0.8,
        rf"(?i:\bmi\s+{KIN_ES})(?:,?\s+[A-ZÁÉÍÓÚÑ]\w+,?)?\s+(?i:vive en|se ha mudado a|se mudó a)\s+{PLACE}",
    ),
    ("family", "{kin}.died", True, 0.9, rf"(?i)\bmy\s+{KIN_EN}\s+(?P<value>died|passed away)"),
    ("family", "{kin}.died", True, 0.9, rf"(?i)\b(?P<value>murió|falleció|ha muerto)\s+mi\s+{KIN_ES}"),
    ("family", "status", True, 0.85, r"(?i)\bI(?:'m|’m| am)\s+(?P<value>married|divorced|single|engaged|pregnant)\b"),
    (
        "family",
        "status",
        True,
        0.85,
        r"(?i)\b(?:estoy|soy)\s+(?P<value>casad[oa]|divorciad[oa]|solter[oa]|prometid[oa]|embarazada)\b",
    ),
)
# What every rule needs to start from: a cheap filter that spares the fifty patterns most of the messages.
HINT = (
    r"(?i)\b(?:I|l|my|our|me|we|mi|mis|nuestr[oa]|soy|vivo|tengo|trabajo|curro|estudio|estoy|voy|vamos|vengo|nac[ií]|odio|detesto|no|"
    r"adopt[ée]|hemos|he|quiero|pienso|planeo|cumpl[oíi]|todos|todas|cada|every|moved|llámame|call|ahora|ya|empec[ée]|empiezo|consegu[ií]|acabo|murió|falleció|nos|resido|ha)\b"
)
CORRECTION = re.compile(
    r"(?i)\b(?:no,? I meant|actually|I mean|correction|quería decir|quise decir|en realidad|perdón,? es)\b"
)
HYPOTHETICAL = re.compile(r"(?i)\b(?:if|wish|would|imagine|si|ojalá|imagina|como si)\s*$")
DENIED = re.compile(r"(?i)\b(?:ya no|no longer|don't|do not|never|nunca|no)\s*$")
PRONOUN = re.compile(
    r"(?i)^(?:him|her|them|us|me|you|who|what|where|everything|nothing|so|to be|being|lo que|todo|nada)\b"
)
TRAILING = re.compile(r"(?i)[\s,]+(?:too|now|today|anymore|again|so much|a lot|también|ahora|hoy|mucho|ya)$")


@lru_cache(maxsize=1)
def compiled() -> tuple[tuple[str, str, bool, float, re.Pattern[str]], ...]:
    """Return the rules with their patterns compiled, which takes 50 ms: not at import."""
    particular = [(*rule[:4], re.compile(rule[4], re.MULTILINE)) for rule in RULES]
    general = [(*rule[:4], re.compile(rule[4], re.MULTILINE | re.IGNORECASE)) for rule in GENERAL]
    return (*particular, *general)


KIN_IN_ENGLISH = {
    "hermana": "sister", "hermano": "brother", "madre": "mother", "mamá": "mother", "mom": "mother", "mum": "mother", "padre": "father",
    "papá": "father", "dad": "father", "mujer": "wife", "esposa": "wife", "marido": "husband", "hijo": "son", "hija": "daughter",
    "novia": "girlfriend", "novio": "boyfriend", "pareja": "partner", "prima": "cousin", "primo": "cousin", "tía": "aunt", "tío": "uncle",
    "abuela": "grandmother", "grandma": "grandmother", "abuelo": "grandfather", "grandpa": "grandfather", "sobrina": "niece",
    "sobrino": "nephew", "mejor amiga": "best friend", "mejor amigo": "best friend", "amiga": "friend", "amigo": "friend", "jefa": "boss",
    "jefe": "boss", "compañera de piso": "roommate", "compañero de piso": "roommate", "vecina": "neighbour", "vecino": "neighbour",
    "neighbor": "neighbour", "perro": "dog", "perra": "dog", "perrita": "dog", "perrito": "dog", "gato": "cat", "gata": "cat",
    "gatito": "cat", "gatita": "cat", "loro": "parrot", "hámster": "hamster", "conejo": "rabbit", "caballo": "horse", "puppy": "dog",
    "kitten": "cat", "padres": "parents", "familia": "family", "trabajo": "job", "casa": "house", "coche": "car", "sueño": "dream",
}  # fmt: skip
"""So that what is said of a person once in Spanish and once in English has one key."""


class RuleFacts(FactExtractor):
    """Some hundred rules, the particular ones first; what a rule matches is quoted verbatim.

    Agents' own lines are read, too: they belong to the speaker. A sentence that asks states nothing.
    """

    name = "rules"
    version = "3"

    def extract(self, messages: pl.DataFrame) -> pl.DataFrame:
        """Return Facts; cost is linear in the messages that say something in the first person."""
        self.spent = Spent()
        candidates = with_position(messages).filter(pl.col("text").str.contains(HINT) & (pl.col("role") != "system"))
        rows: dict[str, dict[str, Any]] = {}
        for message in candidates.iter_rows(named=True):
            for fact in self._of(message):
                rows.setdefault(fact["fact_id"], fact)
        return Facts.shaped(pl.DataFrame(list(rows.values()), schema=Facts.polars_schema(), orient="row"))

    def _of(self, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        text = message["text"]
        taken: list[tuple[int, int]] = []
        known: set[tuple[str, str]] = set()
        for place, (category, key, stated, confidence, pattern) in enumerate(compiled()):
            for match in pattern.finditer(text):
                span = match.span("value")
                if place >= len(RULES) and any(low < span[1] and span[0] < high for low, high in taken):
                    continue
                value = TRAILING.sub("", match["value"].strip(" '\"’,")).removesuffix("'s").removesuffix("’s")
                if (len(value) < 2 and not value.isdigit()) or (key in ("likes", "dislikes") and PRONOUN.match(value)):
                    continue
                before = text[max(0, match.start() - 12) : match.start()]
                if HYPOTHETICAL.search(before) or _asks(text, match.end()):
                    continue
                # "ya no trabajo en …" denies what the rule states; rules of denial bring their own word.
                denied = stated and key != "dislikes" and bool(DENIED.search(before))
                kin = match.groupdict().get("kin")
                relation = KIN_IN_ENGLISH.get(kin.lower(), kin.lower()) if kin else ""
                full = key.format(kin=relation) if "{kin}" in key else (f"{key}.{relation}" if kin else key)
                if (full, value.lower()) in known:
                    continue
                known.add((full, value.lower()))
                taken.append(span)
                corrects = bool(CORRECTION.search(text[: match.start()]))
                yield fact_row(
                    message,
                    self.fingerprint,
                    category=category,
                    key=full,
                    value=value,
                    stated=stated and not denied,
                    confidence=min(1.0, confidence + 0.05) if corrects else confidence,
                    quote=match[0].strip(),
                    subject=relation if kin and "{kin}" in key else None,
                    modality="plan" if category == "plan" else "correction" if corrects else "statement",
                )


def _asks(text: str, place: int) -> bool:
    """Return whether the sentence that ``place`` stands in is a question."""
    end = re.search(r"[.!?\n]", text[max(0, place - 1) :])
    return end is not None and end[0] == "?"


def fact_row(
    message: dict[str, Any],
    maker: str,
    *,
    category: str,
    key: str,
    value: str,
    stated: bool,
    confidence: float,
    quote: str,
    subject: str | None = None,
    modality: str = "statement",
) -> dict[str, Any]:
    """Return a row of Facts read from one message.

    A relation of somebody else than the user ("sister") is named with the speaker: two have two sisters.
    """
    speaker = message["speaker_id"]
    own = message["role"] == "user" and speaker == message["user_id"]
    about = (subject if own else f"{speaker}: {subject}") if subject else speaker
    return {
        "fact_id": content_id("f", message["message_id"], about, category, key, value, stated, maker),
        "agent_id": message["agent_id"],
        "user_id": message["user_id"],
        "user_key": message["user_key"],
        "subject": about,
        "category": category,
        "key": key,
        "value": value,
        "polarity": stated,
        "modality": modality,
        "confidence": round(confidence, 4),
        "quote": quote,
        "first_mentioned": message["occurred_at"],
        "position": message["position"],
        "week": message["week"],
        "source_message_ids": [message["message_id"]],
        "extracted_by": maker,
    }
