"""What Messenger and Instagram write into a chat in the name of somebody who said nothing: attachments, reactions, calls."""

import re

ALONE = re.compile(
    r"""(?ix)
    (?: liked\ a\ message | le\ (?:ha\ )?gust(?:ó|ado)\ un\ mensaje | indicó\ que\ le\ gusta\ un\ mensaje | a\ aimé\ un\ message
      | marcó\ con\ me\ gusta\ un\ mensaje | curtiu\ uma\ mensagem | ha\ messo\ "?mi\ piace"?\ a\ un\ messaggio
      | (?:reacted | (?:ha\ )?reaccion(?:ó|ado)(?:\ con)? | a\ réagi\ (?:avec\ )? | reagiu(?:\ com)? | ha\ reagito\ con | hat\ mit)
        \s+\S{1,16}\s+(?:to|a|ao|à|al|auf)\s+(?:your|a|tu|un|su|votre|ton|sua|uma|il\ tuo|tuo|deine|eine)
        \ (?:message|mensaje|mensagem|messaggio|nachricht)(?:\ reagiert)?
      | the\ (?:video\ |audio\ |group\ )?(?:chat|call)\ (?:has\ )?ended
      | (?:la|el)\ (?:videollamada|videochat|llamada)\ (?:finalizó|terminó|ha\ (?:finalizado|terminado))
      | (?:you\ )?missed\ (?:a|your)\ (?:video\ |audio\ |voice\ )?(?:chat|call)(?:\ (?:from|with)\ .{1,60})?
      | you\ can\ now\ message\ and\ call\ each\ other.{0,120} | you\ are\ now\ connected\ on\ messenger | say\ hi\ to\ your\ new\ .{1,80}
      | (?:ahora\ )?(?:podéis|pueden)\ (?:ahora\ )?enviar(?:os|se)\ mensajes\ y\ llamar.{0,160} | ya\ estáis\ conectad[oa]s\ en\ messenger
      | this\ poll\ is\ no\ longer\ available
      | (?:messages\ and\ calls|los\ mensajes\ y\ las\ llamadas)\ .{0,60}(?:secured|end-to-end|protegid|cifrad).{0,160}
    )
    """
)
"""The whole of a message that no name stands in."""

THING = r"""(?:attachments?|photos?|pictures?|videos?|voice\ (?:message|clip)s?|audio(?:\ clip)?s?|stickers?|gifs?|links?|live\ location
    |location|reels?|posts?|stor(?:y|ies)|files?|contact|note|clips?|profile)"""
COSA = r"""(?:archivos?(?:\ adjuntos?)?|adjuntos?|fotos?|v[ií]deos?|mensajes?\ de\ voz|audios?|stickers?|gifs?|enlaces?|publicaci(?:ón|ones)
    |reels?|historias?|ubicación|contacto|nota)"""

DONE = re.compile(
    rf"""(?ix)
    (?: (?:has\ |have\ )?(?:
          (?:sent|shared|forwarded)\ (?:an?|\d+|some|their|the)\ {THING} | unsent\ a\ message | waved\ (?:at|to)\ \S+(?:\ \S+)?
        | missed\ (?:your|a|the)\ (?:video\ |audio\ |voice\ )?(?:chat|call)(?:\ from\ .{{1,60}})?
        | (?:started|joined|ended|left)\ (?:an?|the)\ (?:video\ |audio\ |voice\ |group\ )?(?:chat|call)
        | (?:created|left|joined)\ the\ group | named\ the\ group\ .{{1,80}}
        | (?:added|removed)\ .{{1,120}}\ (?:to|from)\ the\ group | (?:added|removed)\ .{{1,120}}\ as\ a\ group\ admin
        | (?:changed|removed)\ the\ (?:chat|group)\ (?:theme|photo|colors?|name|background)(?:\ to\ .{{1,80}})?
        | changed\ the\ (?:theme|quick\ reaction)\ to\ .{{1,80}} | set\ the\ (?:emoji|quick\ reaction)\ to\ .{{1,20}}
        | set\ (?:the|your|his|her|their|my)\ (?:own\ )?nickname\ .{{1,120}} | cleared\ .{{0,40}}nickname(?:\ for\ .{{1,80}})?
        | (?:pinned|unpinned)\ a\ message | turned\ (?:on|off)\ (?:disappearing\ messages|vanish\ mode|member\ approval).{{0,80}}
        | created\ a\ poll(?::\ .{{1,200}})? | voted\ for\ .{{1,120}}\ in\ the\ poll.{{0,120}} | liked\ a\ message
        | reacted\ \S{{1,16}}\ to\ .{{1,60}}
        )
      | (?:ha\ |has\ |han\ )?(?:
          (?:envi(?:ó|aste|ado)|compart(?:ió|iste|ido)|mand(?:ó|aste|ado))\ (?:una?|\d+|su|unos|unas)\ {COSA}
        | (?:anul(?:ó|aste|ado)\ el\ envío\ de|elimin(?:ó|aste|ado))\ un\ mensaje
        | perd(?:ió|iste|ido)\ (?:una|tu|la)\ (?:video)?llamada(?:\ de\ .{{1,60}})?
        | (?:inici(?:ó|aste|ado)|se\ un(?:ió|ido)\ a|te\ uniste\ a)\ (?:una|la|un|el)\ (?:video)?(?:llamada|chat)
        | (?:cre(?:ó|aste|ado)|abandon(?:ó|aste|ado))\ el\ grupo | (?:salió|saliste|salido)\ del\ grupo
        | (?:añad(?:ió|iste|ido)|agreg(?:ó|aste|ado)|elimin(?:ó|aste|ado))\ a\ .{{1,120}}\ (?:al|del)\ grupo
        | cambi(?:ó|aste|ado)\ (?:el\ tema|la\ foto\ del\ grupo|el\ nombre\ del\ grupo|el\ apodo)(?:\ .{{1,80}})? | fij(?:ó|aste|ado)\ un\ mensaje
        | reaccion(?:ó|aste|ado)\ (?:con\ )?\S{{1,16}}\ a\ .{{1,60}}
        )
      | (?:a|avez|as)\ (?:envoyé|partagé)\ (?:une?|des|\d+)\ (?:pièces?\ jointes?|photos?|vidéos?|messages?\ voca(?:l|ux)|stickers?|gifs?|liens?)
      | (?:hat|hast|haben)\ (?:einen?|ein|\d+)\ (?:anhang|fotos?|videos?|sprachnachricht|sticker|gifs?|link)\ (?:gesendet|geteilt)
      | (?:enviou|compartilhou)\ (?:uma?|\d+)\ (?:anexos?|fotos?|vídeos?|mensage(?:m|ns)\ de\ voz|figurinhas?|gifs?|links?)
      | (?:ha|hai|avete)\ (?:inviato|condiviso)\ (?:una?|\d+)\ (?:allegat[oi]|foto|video|messaggi[oi]?\ vocal[ei]|sticker|gif|link)
    )
    """
)
"""What follows the name of who did it."""

WITHIN = re.compile(r"(?i)(?:has|hai|avez|te|\w+(?:aste|iste))\ ")
"""Verbs that say "you" by themselves: "Has enviado un archivo adjunto.", "Enviaste una foto."."""

YOU = ("you", "tú", "usted", "vous", "tu", "du", "sie", "você")
LONGEST = 300
"""Characters of a notice; a longer message is somebody's own words."""


def is_notice(text: str, speaker: str) -> bool:
    """Return whether a text is the app's: one that stands alone, or the speaker's name (or "You") and what was done."""
    if not text or len(text) > LONGEST:
        return False
    text = " ".join(text.split()).rstrip(".! ")
    if ALONE.fullmatch(text):
        return True
    folded = text.casefold()
    for name in (" ".join(speaker.split()), *speaker.split()[:1], *YOU):
        if folded.startswith(f"{name.casefold()} ") and DONE.fullmatch(text[len(name) + 1 :]):
            return True
    return bool(WITHIN.match(text) and DONE.fullmatch(text))
