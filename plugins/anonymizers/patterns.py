"""What has a shape: contacts, numbers, dates, addresses, organisations, places, in English and Spanish.

Numbers are checked where they can be (card: ISO/IEC 7812-1, IBAN: ISO 13616, DNI and NIE: their letter, IPv4: its range); a number that
fails its check still counts where the text says what it is ("my card …"): people mistype.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from language.lexicon import load
from plugins.anonymizers.findings import Finding

PLACES = Path(__file__).with_name("places.json")

CAPITAL = r"[A-ZÁÉÍÓÚÑÜÄÖØÅÆŠŽČĆŁŚÝ]"
NAME = rf"{CAPITAL}[\w'’.\-]*"
NAMES = rf"{NAME}(?:[ ](?:{NAME}|de|del|la|las|los|y|and|of|&))*"
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?|"
    r"enero|febrero|marzo|abril|mayo|junio|julio|agosto|sep?tiembre|octubre|noviembre|diciembre)(?![^\W\d_])"
)
DAY = (
    r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday|lunes|martes|miércoles|jueves|viernes|sábado|domingo)"
)
CONTEXT = {
    "card": re.compile(r"(?i)\b(?:card|credit|debit|visa|mastercard|amex|tarjeta|crédito|débito)\b"),
    "phone": re.compile(
        r"(?i)\b(?:phone|tel|telephone|mobile|cell|call|ring|text me|number|fax|desk|office|whatsapp|messages? to|answering|tfno|tlfn?o?|teléfono|móvil|llám\w*|número|contacto)\b|☎"
    ),
    "iban": re.compile(r"(?i)\b(?:iban|account|cuenta|transfer\w*)\b"),
}

# One class, one pattern; ``(?P<v>…)`` is the part that is found, where words around it only lead to it.
PATTERNS: tuple[tuple[str, str], ...] = (
    ("secret", r"\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[baprs]|AKIA|ASIA|AIza|eyJ)[-_A-Za-z0-9.]{16,}"),
    ("secret", r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"),
    (
        "secret",
        r"(?i)\b(?:password|passwd|passcode|pass|pin|api[ _-]?key|token|secret|contraseña|clave|contrasenya)(?:\s+(?:is|es|era|was|para\s+\w+\s+es|for\s+\w+\s+is))?\s*[:=]?\s+"
        r"(?P<v>(?=\S*\d)[^\s,;]{4,}|(?<=[:=] )[^\s,;]{4,})",
    ),
    ("secret", r"(?<![^\s:])(?=\S*[A-Za-z])(?=\S*\d)(?=\S*[!#$%&*]\w)[^\s/@]{6,}(?=[\s,.]|$)"),
    (
        "email",
        r"(?i)[\w.+\-]+\s?(?:@|\(at\)|\[at\]|\sarroba\s)\s?[\w\-]+(?:\s?(?:\.|\(dot\)|\[dot\]|\spunto\s)\s?[A-Za-z]{2,})+",
    ),
    ("url", r"(?i)\b(?:https?://|www\.)[^\s<>\"')\]]+"),
    (
        "url",
        r"(?i)(?<![@\w.])(?:[a-z0-9][a-z0-9\-]*\.)+(?:com|org|net|edu|gov|info|io|app|dev|es|mx|ar|cl|co|uk|de|fr|it|eu|ai|tv|me)\b(?:/[^\s<>\"')\]]*)?",
    ),
    ("ip", r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]\d)"),
    ("ip", r"(?i)(?<![\w:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}(?![\w:])"),
    ("id", r"(?i)(?<![\w])(?:\d{8}[- ]?[A-HJ-NP-TV-Z]|[XYZ][- ]?\d{7}[- ]?[A-Z])(?!\w)"),
    ("id", r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"),
    (
        "id",
        r"(?i)\b(?:ssn|social security|dni|nie|nif|cif|curp|rfc|rut|cuil|cuit|passport|pasaporte|driver'?s licen[cs]e|driving licen[cs]e|permiso de conducir|carn[eé] de conducir|licencia|"
        r"nhc|nuhsa|cipa?|nass|historia(?: clínica)?|id|episodio|n[º°o]?\.?\s?col(?:egiad[oa])?\.?|colegiad[oa])"
        r"(?:\s+(?:number|no\.?|número|num\.?|n[º°o]\.?))?(?:\s+(?:is|es))?\s*(?:[:#=]|n[º°o]\.?)?\s*:?\s*(?P<v>(?=[\w /.\-]*\d)[A-Z0-9][\w/\-]{3,20}(?:[ \-]\d{2,8}){0,3})",
    ),
    ("plate", r"(?<!\w)\d{4}[ -]?[BCDFGHJKLMNPRSTVWXYZ]{3}(?!\w)"),
    (
        "plate",
        r"(?i)\b(?:license plate|number plate|plate|matrícula)(?:\s+(?:number|is|es|número))*\s*:?\s*(?P<v>(?=[A-Z\-]*\d)[A-Z0-9\-]{4,9})",
    ),
    ("handle", r"(?<![\w@.])@[A-Za-z0-9_.]{2,}"),
    (
        "birth",
        rf"(?i)\b(?:born|birthday(?:\s+is)?|date of birth|dob|nac[ií]|nacid[oa]|nacimiento|cumpleaños(?:\s+es)?)\b[^\d\n]{{0,25}}?(?P<v>\d{{1,2}}(?:st|nd|rd|th)?[ /.\-]*(?:de |of )?(?:{MONTH}|\d{{1,2}})(?:[ /.,\-]*(?:de |of |del )?\d{{2,4}})?|{MONTH} \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?)",
    ),
    (
        "date",
        r"(?<![\d/.\-])(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)?\d{2})(?![\d/\-])",
    ),
    (
        "date",
        rf"(?i)\b(?:{DAY},?\s+(?:the |el )?)?\d{{1,2}}(?:st|nd|rd|th|º)?(?:\s+of|\s+de)?\s+{MONTH}\b(?:[,.]?\s+(?:del? |of )?(?:19|20)\d{{2}})?",
    ),
    ("date", rf"(?i)\b{MONTH}\s+(?:\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}})?|(?:del? )?(?:19|20)\d{{2}}\b)"),
    ("date", r"(?<![\d.,/\-])(?:19|20)\d{2}(?![\d/\-]|[.,]\d)"),
    ("date", rf"(?i)\b{DAY}\b"),
    (
        "age",
        r"(?i)\b(?P<v>\d{1,3}(?:[ -](?:year|yr|month|week|day)s?(?:[ -]old)?|\s?y/?o\b|\s+(?:años?|meses|mes|semanas|días)(?:\s+(?:y\s+\w+\s+\w+|de\s+edad|de\s+vida))?))(?=\s+(?:old|of age|male|female|man|woman|boy|girl|de edad)|[^\w]|$)",
    ),
    (
        "age",
        r"(?i)\b(?:aged?|at the age of|age of|turn(?:s|ed|ing)?(?: just)?|just turned|i'?ll turn|he was|she was|i am|i'?m|edad:?|cumpl\w+)\s+(?P<v>\d{1,3})(?!\d|[.,:/]\d|\s?(?:%|km|kg|cm|euros|dollars|minutes|hours|minutos|horas))",
    ),
    (
        "age",
        r"(?i)\b(?P<v>(?:un|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|once|doce)\s+(?:años|meses|semanas|días)\s+de\s+(?:edad|vida))",
    ),
    ("title", rf"\b(?P<v>(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sir|Madam|Sr|Sra|Srta|Dra|Dña|Don|Doña|D)\b\.?ª?)(?=\s+{CAPITAL})"),
    (
        "person",
        rf"\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Sr|Sra|Srta|Dra|Dña|Don|Doña|D)\b\.?ª?\s+(?P<v>{NAME}(?:\s+(?:de |del |de la )?{NAME}){{0,3}})",
    ),
    (
        "person",
        rf"(?:[Mm]y name is|[Nn]ame(?:'s)? is|[Ii] am called|[Cc]all me|[Mm]e llamo|[Mm]i nombre es|[Ss]e llama(?:n|ba)?|[Ll]lámame|[Ll]lamad[oa]|called|named|[Ss]igned,?|[Rr]egards,?|"
        rf"Nombre:|Apellidos:|Médico:|Remitido por:?|Fdo\.?:?)\s+(?:Dra?\.\s+)?(?P<v>{NAME}(?:\s+(?:de |del |de la )?{NAME}){{0,3}})",
    ),
    (
        "address",
        r"(?i)(?<!\w)(?:calle|c/|c\.|avenida|avda?\.?|av\.|plaza|pza\.?|paseo|pº|carretera|ctra\.?|camino|ronda|travesía|glorieta|ampliación|continuación|prolongación|privada|callejón|circuito|andador|calzada|cerrada|retorno|diagonal|pasaje|viaducto|boulevard|urb(?:anización)?\.?|via|vía)\s+(?:de\s+|del\s+|la\s+|el\s+|los\s+|las\s+)*"
        r"[^\W\d_][^,.;\n]{2,40}?,?\s*(?:n[ºo°]\.?\s*)?\d{1,4}(?:\s*,?\s*\d{1,2}\s?[ºª°]?\s?-?[A-Z]?)?\b",
    ),
    (
        "address",
        r"(?i)\b\d{1,5}[A-Z]?,?\s+(?:[\w'’.\-]+\s){0,4}?(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|square|sq|terrace|way|highway|hwy|parkway|pkwy|close|crescent|grove|gate)\b\.?"
        r"(?:,?\s+(?:apt|suite|ste|unit|flat)\.?\s*#?\s*\w+)?",
    ),
    (
        "address",
        r"(?i)\b(?:unit|psc|cmr)\s+\d{3,5},?\s+box\s+\d{2,5}\b|\b(?:apo|fpo|dpo)\s+[a-z]{2}\s+\d{5}\b|\bp\.?\s?o\.?\s?box\s+\d+|\b(?:apt|suite|studio|flat|piso|puerta|apartamento)\.?\s+\d{1,4}\s?[a-zº]?\b",
    ),
    (
        "address",
        r"(?i)\b(?:zip(?:\s+code)?|postcode|postal code|c\.?p\.?|código postal)(?:\s+(?:is|es))?\s*:?\s*(?P<v>[A-Z]?\d[\dA-Z \-]{2,8}\d|[A-Z]\d[A-Z]\s?\d[A-Z]\d)\b",
    ),
    (
        "address",
        r"\b[A-Z]{1,2}\d{1,2}[A-Z]?\s\d[A-Z]{2}\b|\b[A-Z]\d[A-Z]\s\d[A-Z]\d\b|\b[A-Z]{2}\s\d{5}(?:-\d{4})?\b|\b\d{5}\s+(?=[A-ZÁÉÍÓÚ][a-záéíóú]{3,})",
    ),
    (
        "organisation",
        rf"\b(?:{NAME}[, ]+(?:(?:and|&|y)\s+)?){{1,5}}(?:Inc|LLC|Ltd|Limited|Corp|Corporation|Company|Co|Group|PLC|plc|GmbH|AG|Associates|Partners|Holdings|Bank|Sons|Industries|Systems|Technologies|"
        r"Labs|Laboratories|Solutions|Services|Foundation|University|College|Institute|Hospital|Orchestra|Airlines|Insurance|Media|Studios|Union|Movers)\b\.?",
    ),
    ("organisation", rf"\b{NAME}(?:\s{NAME})*,?\s(?:S\.A\.?U?\.?|S\.L\.?U?\.?|S\.A|S\.L|SA|SL|SLU)(?!\w)"),
    (
        "organisation",
        rf"\b{CAPITAL}[a-z]+, {CAPITAL}[a-z]+ and {CAPITAL}[a-z]+\b|\b{CAPITAL}[a-zà-ÿ]{{2,}}-{CAPITAL}[a-zà-ÿ]{{2,}}\b",
    ),
    (
        "organisation",
        rf"\b(?:Hospital|Clínica|Centro de Salud|Centro Médico|Consultorio|Residencia|Instituto|Facultad|Universidad|Fundación|Colegio|Escuela|Ayuntamiento|Ministerio|Complejo Hospitalario|Servicio|"
        rf"University|College|Institute|Ministry|Bank) (?:of |de |del |d['’]|la |las |los |el |{CAPITAL})[\w'’.\-]*(?:\s(?:de|del|la|las|los|el|y|i|of|{CAPITAL}[\w'’.\-]*))*",
    ),
    (
        "organisation",
        rf"(?:[Ww]ork(?:s|ed|ing)? (?:at|for)|[Ee]mployed (?:at|by)|[Ee]mployee of|CEO of|founder of|[Mm]anager (?:at|of)|[Ss]upport(?:ing)?|[Ii]nvest(?:ing|ed)? in|acquired by|[Aa]ccording to the|[Tt]rabaj\w+ (?:en|para)|[Cc]ompany (?:called|named)?|[Ee]mpresa)\s+(?P<v>{CAPITAL}[\w&'’.\-]*(?:\s{CAPITAL}[\w&'’.\-]*)*)",
    ),
    (
        "organisation",
        rf"\b(?P<v>{CAPITAL}[\w&'’\-]*(?:\s{CAPITAL}[\w&'’\-]*)*)(?=\s+(?:is (?:a|an|the) (?:\w+[\s-]){{0,4}}?(?:company|agency|firm|startup|brainchild|bank|school|orchestra|provider)|website|employees|headquarters|shares|(?:later )?became))",
    ),
    (
        "place",
        rf"(?:\b(?:[Bb]orn|[Ll]iv(?:e|es|ed|ing)|[Rr]aised|[Bb]ased|[Aa]rrived|[Ll]ocated|[Mm]oved|[Mm]oving|[Ff]lew|[Ff]ly(?:ing)?|[Tt]ravel\w*|[Vv]isit\w*|[Ff]rom|originally|went|grew up|office|drove|back|here|"
        rf"[Nn]atural|[Rr]esidente|procedente|[Vv]iv\w+|[Mm]ud\w+|[Vv]iaj\w+|[Nn]ac\w+)\s+(?:here\s+)?(?:from|to|in|at|into|near|outside|over|de|en|a|desde|hacia)?\s*)(?P<v>{CAPITAL}[\w'’.\-]+(?:\s(?:(?:de|del|la|do|da|of|upon)\s)?{CAPITAL}[\w'’.\-]*){{0,3}})",
    ),
    (
        "place",
        r"(?i)\b(?:liv(?:e|ed|es|ing)|born|grew up|growing up|raised|mov(?:e|ed|ing)|vivo|viv[íe]|vivimos|vivía|cri[éeó]|crecí|nac[íi]|nació|mud[éa]|mudamos|mudado)\b"
        r"(?:\s+(?:here|back|there|out|over|down|up))?\s+(?:from|in|to|en|a|de)\s+(?P<v>(?!the\b|a\b|an\b|my\b|our\b|his\b|her\b|their\b|this\b|that\b|el\b|la\b|un\b|una\b|mi\b|su\b|otr[oa]\b|different\b|another\b|town\b|fear\b)"
        r"[^\W\d_]{4,}(?:\s(?:de la|del|de|de los)\s[^\W\d_]{3,})?)",
    ),
    (
        "place",
        r"(?i)\b(?:localidad(?:/\s?provincia)?|provincia|ciudad|city|state|país|country|town)\s?:\s*(?P<v>[^\n.:,]{2,40})",
    ),
    ("sex", r"(?i)\b(?:sex|sexo|gender)\s*:\s*(?P<v>[HMVF]\b|\w+)"),
    ("sex", r"(?i)\b(?:varón|mujer|hombre|niñ[oa]|male|female)\b"),
    ("sex", r"(?i)\bpaciente\s+(?P<v>masculin[oa]|femenin[oa])\b"),
    (
        "relative",
        r"(?i)\b(?:su|sus|del|con el|con su|la|el|un|una)\s+(?P<v>padres?|madre|hij[oa]s?|herman[oa]s?|abuel[oa]s?|tí[oa]s?|prim[oa]s?|espos[oa]|marido|cónyuge|sobrin[oa]s?)\b",
    ),
    # Digits last: what is left of them is a card, an account or a telephone number, by length, check and words around.
    ("digits", r"(?<![\w.,/\-])[+(]?\d(?:[ .\-/()]{0,2}\d){5,18}(?:\s?(?:x|ext\.?)\s?\d{1,5})?(?![\w/])"),
    ("iban", r"\b[A-Z]{2}\d{2}[ ]?(?:[A-Z0-9]{4}[ ]?){2,7}[A-Z0-9]{0,4}\b"),
)


@lru_cache(maxsize=1)
def _compiled() -> tuple[tuple[str, re.Pattern[str]], ...]:
    places = load(PLACES)

    def words(text: str) -> str:
        return "|".join(re.escape(word) for word in sorted(text.split(";"), key=lambda w: (-len(w), w)))

    feminine = re.sub(r"o(?=;|$)", "[oa]", places["demonyms_es"])
    spanish = "|".join(sorted(feminine.split(";"), key=lambda w: (-len(w), w)))
    listed = (
        ("place", rf"(?<!\w)(?:{words(places['countries'])}|{words(places['regions'])})(?!\w)"),
        ("nationality", rf"(?i)(?<!\w)(?:{words(places['demonyms_en'])})s?(?!\w)"),
        ("nationality", rf"(?i)(?<!\w)(?:{spanish})(?:e?s)?(?!\w)"),
    )
    return tuple((kind, re.compile(pattern)) for kind, pattern in (*PATTERNS, *listed))


def find(texts: Sequence[str], kinds: frozenset[str]) -> list[list[Finding]]:
    """Return per text what has the shape of one of the kinds; cost is linear in the characters."""
    chosen = [
        (kind, pattern)
        for kind, pattern in _compiled()
        if kind in kinds or (kind == "digits" and kinds & {"card", "phone"})
    ]
    return [[item for kind, pattern in chosen for item in _of(kind, pattern, text, kinds)] for text in texts]


def _of(kind: str, pattern: re.Pattern[str], text: str, kinds: frozenset[str]) -> list[Finding]:
    found = []
    valued = "v" in pattern.groupindex
    for match in pattern.finditer(text):
        start, end = match.span("v") if valued else match.span()
        while end > start and text[end - 1] in " .,;:-":
            end -= 1
        if start == end:
            continue
        own = kind
        if kind == "digits":
            told = _number(text, start, end)
            if told is None or told not in kinds:
                continue
            own = told
        elif kind == "iban" and not (iban(text[start:end]) or CONTEXT["iban"].search(_before(text, start))):
            continue
        found.append(Finding(start, end, own))
    return found


def _before(text: str, start: int, reach: int = 60) -> str:
    return text[max(0, start - reach) : start]


def _number(text: str, start: int, end: int) -> str | None:
    """Return card or phone for a run of digits, None for what is neither: a price, a year, a quantity."""
    written = text[start:end]
    digits = re.sub(r"\D", "", written.split("x")[0])
    if len(digits) >= 12 and (luhn(digits) or CONTEXT["card"].search(_before(text, start))):
        return "card"
    if re.fullmatch(
        r"(?:19|20)\d{2}[ \-/]+(?:19|20)\d{2}|\d{4}-\d{2}-\d{2}.*|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}", written
    ):
        return None
    if not 6 <= len(digits) <= 17:
        return None
    near = _before(text, start, 40) + " " + text[end : end + 12]
    if CONTEXT["phone"].search(near) or written[0] in "+(":
        return "phone"
    grouped = len(re.findall(r"[ .\-]", written)) >= 2 and not re.search(r"\d{4}-\d{2}-\d{2}", written)
    return "phone" if len(digits) >= 9 or (len(digits) >= 7 and grouped) else None


def luhn(digits: str) -> bool:
    """Return whether the digits pass the checksum of payment cards (ISO/IEC 7812-1)."""
    if not 13 <= len(digits) <= 19:
        return False
    doubled = [int(d) * 2 if place % 2 else int(d) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def iban(text: str) -> bool:
    """Return whether an account number passes the check of ISO 13616."""
    plain = re.sub(r"\s", "", text).upper()
    if not re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", plain):
        return False
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1
