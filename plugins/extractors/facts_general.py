"""General rules of facts: what people say of themselves in plain first-person sentences, in English and Spanish.

They come after the particular rules of `facts_rules` and are less sure; a stretch that a particular rule has read is not read again.
"""

_I = r"\b(?:i|l)"
_AM = r"\b(?:i\s?['’]?\s?m|i am|i was)"
_HAVE = r"\b(?:i\s?['’]\s?ve(?: got)?|i have(?: got)?|i had|i own|i drive|i ride|i got|i bought|i adopted|i rescued)"
_ADV = r"(?:\s+(?:also|really|just|absolutely|truly|actually|mostly|mainly|currently|now|still|recently|finally|always|usually|often|sometimes|definitely|especially|even|do|only|all|very|so|kind of|too))*"
_END = r"(?=\s*(?:[.,;:!?\n()]|\b(?:and|but|because|so|when|since|though|although|while)\b|$))"
_THING = rf"(?P<value>[^.,;:!?\n()]{{2,70}}?){_END}"
_DO = (
    r"play|read|listen to|watch|collect|write|paint|draw|dance|sing|swim|run|hike|cook|bake|travel|volunteer|walk|work ?out|exercise|garden|fish|"
    r"hunt|knit|sew|surf|ski|skate|speak|eat|drink|smoke|ride|drive|study|teach|coach|train|make|build|sell|shop|spend|take|go|grow|produce|"
    r"practi[cs]e|meditate|lift|race|camp|craft|blog|game|do|live|sleep|wear|buy|visit|help|use|raise|love|know|sleepwalk|design|perform"
)
_DID = (
    r"won|met|broke|graduated|started|helped|wrote|lost|quit|left|retired|divorced|married|served|founded|published|traveled|travelled|"
    r"studied|majored|learned|turned|grew up|moved|became|went|took|made|built|joined|used to"
)
_NOT = r"(?:do not|don\s?['’]?\s?t|does not|can\s?['’]?\s?t|can not|cannot|never|did not|didn\s?['’]?\s?t|have never)"
_KIN = (
    r"(?P<kin>sister|brother|mom|mum|mother|dad|father|wife|husband|son|daughter|girlfriend|boyfriend|partner|cousin|aunt|uncle|grandma|"
    r"grandmother|grandpa|grandfather|best friend|boss|roommate|parents|family|kids|children|dogs?|cats?|pets?|sisters|brothers|friends|"
    r"husband|hair|eyes|job|hobby|hobbies|dream|car|house|school)"
)
_KIN_ES = (
    r"(?P<kin>hermanas?|hermanos?|madre|mamá|padre|papá|padres|mujer|esposa|marido|hijos?|hijas?|novia|novio|pareja|familia|abuela|abuelo|"
    r"perros?|perra|gatos?|gata|jefa|jefe|trabajo|afición|sueño|coche|casa|pelo)"
)
_COSA = (
    r"(?P<value>[^.,;:!?¿¡\n()]{2,70}?)(?=\s*(?:[.,;:!?¿¡\n()]|\b(?:y|pero|porque|aunque|cuando|así que|mientras)\b|$))"
)

# category, key, stated, confidence, pattern (all case-insensitive)
GENERAL: tuple[tuple[str, str, bool, float, str], ...] = (
    ("like", "favourite", True, 0.75, rf"\bmy (?:all time )?fav(?:ou?rite|e)s? (?P<kin>[a-z]+(?: [a-z]+){{0,2}}?) (?:is|are|was|would be) {_THING}"),
    ("like", "favourite", True, 0.7, r"(?:^|[.!?,;] ?)(?P<value>[^.,;:!?\n()]{2,40}?) (?:is|are) my fav(?:ou?rite|e)\b"),
    ("dislike", "fears", True, 0.75, rf"{_AM}{_ADV} (?:afraid|terrified|scared|frightened) of {_THING}"),
    ("like", "likes", True, 0.7, rf"{_AM}{_ADV} (?:a )?(?:huge |big )?(?:fan of|into|fond of|obsessed with|passionate about) {_THING}"),
    ("like", "likes", True, 0.65, rf"{_I}{_ADV} (?:like|love|enjoy|adore|prefer)(?! (?:it|that|this|you|them|your|how|what|when)\b) {_THING}"),
    ("dislike", "dislikes", True, 0.65, rf"{_I}{_ADV} (?:hate|despise|dislike)(?! (?:it|that|this|you|them|your|how|what|when)\b) {_THING}"),
    ("dislike", "dislikes", True, 0.65, rf"{_I}{_ADV} {_NOT}{_ADV} (?:like|enjoy|care for)(?! (?:it|that|this|you|them|your)\b) {_THING}"),
    ("routine", "does", False, 0.65, rf"{_I}{_ADV} {_NOT}{_ADV} (?P<value>(?:{_DO}|have|own|work)\b[^.,;:!?\n()]{{0,50}}?){_END}"),
    ("origin", "origin", True, 0.75, rf"{_I}(?: was|{_ADV}) (?:born|raised|brought up|grew up|adopted){_ADV} (?:in|on|by|near|at) {_THING}"),
    ("origin", "origin", True, 0.75, rf"{_AM}{_ADV} (?:originally )?from (?!a\b|the same){_THING}"),
    ("home", "city", True, 0.7, rf"{_I}{_ADV} (?:live|moved|relocated|reside)(?: here)? (?:in|to|on|at|near|with|from) {_THING}"),
    ("home", "city", True, 0.7, rf"{_AM}{_ADV} (?:living|staying|based) (?:in|with|at|on) {_THING}"),
    ("work", "job", True, 0.65, rf"{_I}{_ADV} (?:work|worked|volunteer|intern)(?:ed)? (?P<value>(?:as|at|in|for|from|with|on|part|full)\b[^.,;:!?\n()]{{2,50}}?){_END}"),
    ("work", "studies", True, 0.65, rf"{_AM}{_ADV} (?:studying|majoring in|in college for|going to school (?:for|to be)) {_THING}"),
    ("work", "school", True, 0.65, rf"{_I}{_ADV} (?:go to|went to|attend|attended|graduated from|teach at|study at) {_THING}"),
    ("plan", "plan", True, 0.65, rf"{_I}{_ADV} (?:want|plan|hope|wish|dream|am planning|am hoping|would like|would love|['’]d like|['’]d love)(?:ing)? (?:to|of|on) {_THING}"),
    ("pet", "has", True, 0.7, rf"{_HAVE}{_ADV} (?P<value>(?:an?|one|two|three|four|five|six|\d+|some|many|my|several)(?: [a-z]+){{0,3}} (?:dogs?|cats?|pets?|puppy|puppies|kittens?|birds?|horses?|fish|hamsters?|rabbits?|parrots?|turtles?|lizards?)\b[^.,;:!?\n()]{{0,30}}?){_END}"),
    ("family", "has", True, 0.7, rf"{_HAVE}{_ADV} (?P<value>(?:an?|one|two|three|four|five|six|seven|\d+|no|many|several|older|younger)(?: [a-z]+){{0,2}} (?:sisters?|brothers?|siblings?|kids?|child|children|sons?|daughters?|wife|husband|girlfriend|boyfriend|twins?|grandchildren|family)\b[^.,;:!?\n()]{{0,30}}?){_END}"),
    ("possession", "has", True, 0.65, rf"{_HAVE}{_ADV} (?P<value>(?:an?|one|two|three|four|five|six|\d+|some|many|my own|my|lots of|a lot of|long|short|blue|green|brown|red|black)\b(?! (?:bit|question|look|feeling|good (?:day|one|time)|great (?:day|time)|nice (?:day|time)))[^.,;:!?\n()]{{2,50}}?){_END}"),
    ("family", "status", True, 0.7, rf"{_AM}{_ADV} (?P<value>(?:happily |recently )?(?:married|divorced|single|engaged|pregnant|expecting|retired|widowed)\b[^.,;:!?\n()]{{0,30}}?){_END}"),
    ("identity", "is", True, 0.6, rf"{_AM}{_ADV} (?P<value>an?\b(?! (?:bit|little|lot|good (?:day|one)))[^.,;:!?\n()]{{2,50}}?){_END}"),
    ("identity", "is", True, 0.55, rf"{_AM}{_ADV} (?P<value>(?:vegan|vegetarian|gay|lesbian|bisexual|deaf|blind|tall|short|shy|jewish|christian|muslim|catholic|allergic to [a-z ]+|in (?:the|my) [a-z ]+|on a [a-z ]+|\d+ years? old|disabled|an? [a-z]+)\b[^.,;:!?\n()]{{0,30}}?){_END}"),
    ("family", "{kin}", True, 0.65, rf"\bmy {_KIN}(?P<value> (?:is|are|was|were|has|have|had|works?|worked|lives?|lived|left|died|passed|plays?|loves?|likes?|drove|drives?|taught|teaches|owns?|spends?|makes?|wants?|thinks?|cheated|raised|did not|didn't)\b[^.,;:!?\n()]{{2,60}}?){_END}"),
    ("other", "did", True, 0.6, rf"{_I}{_ADV} (?P<value>(?:{_DID})\b[^.,;:!?\n()]{{2,60}}?){_END}"),
    ("other", "has done", True, 0.55, rf"\bi(?: have|\s?['’]\s?ve){_ADV} (?P<value>(?:been|had|lived|worked|played|visited|won|written|traveled|travelled|studied|never)\b[^.,;:!?\n()]{{2,60}}?){_END}"),
    ("routine", "does", True, 0.6, rf"{_I}{_ADV} (?P<value>(?:{_DO})\b[^.,;:!?\n()]{{2,60}}?){_END}"),
    ("identity", "can", True, 0.55, rf"{_I} can (?P<value>(?!(?:see|tell|imagine|understand|relate|not|help you)\b)[^.,;:!?\n()]{{3,50}}?){_END}"),
    ("identity", "is", True, 0.6, r"(?<!no )\bsoy (?!de\b|yo\b)(?P<value>(?:una? |muy )?[^.,;:!?¿¡\n()]{3,50}?)(?=\s*(?:[.,;:!?¿¡\n()]|\b(?:y|pero|porque)\b|$))"),
    ("dislike", "fears", True, 0.7, rf"\b(?:me dan? miedo|tengo miedo (?:a|de)|me aterran?) {_COSA}"),
    ("pet", "has", True, 0.7, r"\btengo (?P<value>(?:una?|dos|tres|cuatro|cinco|varios|varias|muchos|muchas) (?:perr|gat|mascota|pájaro|conejo|caballo|pez|peces|loro|tortuga)\w*[^.,;:!?¿¡\n()]{0,30}?)(?=\s*(?:[.,;:!?¿¡\n()]|\b(?:y|pero|que)\b|$))"),
    ("family", "has", True, 0.7, r"\btengo (?P<value>(?:una?|dos|tres|cuatro|cinco|varios|varias) (?:herman|hij|niñ|prim|sobrin|niet|novi|gemel|mellizo)\w*[^.,;:!?¿¡\n()]{0,30}?)(?=\s*(?:[.,;:!?¿¡\n()]|\b(?:y|pero|que)\b|$))"),
    ("possession", "has", True, 0.6, r"\btengo (?P<value>(?:una?|dos|tres|mi propi[oa]|muchos|muchas) (?!pregunta|duda|idea|rato|poco|momento|día|cita|examen|entrevista)[^.,;:!?¿¡\n()]{2,45}?)(?=\s*(?:[.,;:!?¿¡\n()]|\b(?:y|pero|porque|que)\b|$))"),
    ("routine", "does", True, 0.6, rf"(?<!no )\b(?:suelo|siempre|normalmente) {_COSA}"),
    ("routine", "does", True, 0.6, r"(?<!no )\b(?P<value>(?:juego|leo|escucho|colecciono|escribo|pinto|dibujo|bailo|canto|nado|corro|cocino|viajo|toco|entreno|medito|practico|cultivo)\b [^.,;:!?¿¡\n()]{2,50}?)(?=\s*(?:[.,;:!?¿¡\n()]|\b(?:y|pero|porque)\b|$))"),
    ("routine", "does", False, 0.65, r"\bno (?P<value>(?:como|bebo|fumo|tomo|conduzco|duermo|cocino|hablo)\b[^.,;:!?¿¡\n()]{0,40}?)(?=\s*(?:[.,;:!?¿¡\n()]|\b(?:y|pero|porque)\b|$))"),
    ("plan", "plan", True, 0.65, rf"\b(?:me gustaría|espero|sueño con|tengo pensado|estoy pensando en) {_COSA}"),
    ("work", "studies", True, 0.65, rf"\b(?:estudié|me gradué (?:en|de)|fui a la universidad) {_COSA}"),
    ("family", "{kin}", True, 0.65, rf"\bmis? {_KIN_ES}(?P<value> (?:es|son|era|eran|está|están|tiene|tienen|trabaja\w*|vive\w*|murió|falleció|juega|toca|quiere)\b[^.,;:!?¿¡\n()]{{2,60}}?)(?=\s*(?:[.,;:!?¿¡\n()]|\b(?:y|pero|porque)\b|$))"),
)  # fmt: skip
