"""What can be told of a text without knowing what it is about, in English and German: small talk, what leans on
something said before, and where a question of its own begins.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Literal

Kind = Literal["small_talk", "bare", "leaning", "question"]
"""`small_talk`: a greeting, thanks, a confirmation. `bare`: it says nothing without what was said before, as in "and
for last month?". `leaning`: it may be about something new, but is worded as if it went on. `question`: all the rest.
"""

LONGEST_SMALL_TALK, LONGEST_LEANING, LONGEST_SCRAP, LONGEST_NAME = 8, 12, 5, 3
"""Words."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)?")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SMALL_TALK = _words(
    """
    hello hi hey hiya howdy greetings morning afternoon evening bye goodbye cya thanks thank thx ty cheers appreciated
    yes yeah yep yup no nope nah ok okay okey k sure right correct exactly agreed fine great perfect cool nice awesome
    wonderful excellent good understood please sorry welcome super
    hallo moin servus guten tag tach abend grüezi grüß gruss grüße tschüss tschüß tschau ciao wiedersehen danke
    dankeschön dank merci ja jo jep nein nö genau richtig stimmt passt klar gern gerne bitte einverstanden verstanden
    toll prima gut schön entschuldigung bonjour salut hola gracias
    """
)
"""Words that by themselves are small talk."""
BESIDE_SMALL_TALK = _words(
    """
    there you u very much so a lot everyone everybody all team again for your the help that this it it's that's its is
    was i i'm im am go ahead do got sounds works helps helped me and to day night later see then how are doing up meet
    guys folks my friend mate dear of kind once more
    zusammen sehr vielen dir ihnen euch für die deine ihre hilfe das ist war so mach machen auf alle alles team leute
    morgen gott mal nochmal wie geht's gehts geht es und dann ich auch schon
    """
)
"""Words that change nothing about that."""
FUNCTION = _words(
    """
    a an the this that these those it its it's that's he she him her his hers they them their one ones i me my mine you
    your yours we us our who whom whose what what's which when where why how and or but so then also too as well else
    if of in on at to for from by with without about into over under than not no nor only just even still yet please
    is are was were am be been being do does did done can could will would shall should may might must have has had
    there here now today tomorrow yesterday tonight day days week weeks month months year years last next previous
    other another same first second third more less most least much many few some any all both each every again later
    before after between until since instead rather really exactly maybe mean means explain detail details repeat
    continue go on say said tell give show me know long often come take takes
    january february march april june july august september october november december monday tuesday wednesday
    thursday friday saturday sunday
    der die das den dem des ein eine einen einem einer eines es er sie ihn ihm ihr ihnen ich mir mich mein meine meinen
    meinem meiner du dir dich dein deine wir uns unser unsere wer wen wem was welche welcher welches welchen wann wo
    wohin woher warum wieso weshalb wie wieviel und oder aber dann denn also auch noch mal nochmal nur schon doch nicht
    kein keine mit ohne für von vom bei beim zu zum zur in im an am auf aus nach vor über unter seit bis um ob wenn dass
    ist sind war waren bin sein hat habe haben hatte kann können kannst könnte könnten darf soll sollte will wird werden
    würde muss davon dafür dazu damit daran darüber dies diese dieser dieses diesen jener andere anderen anderer anderes
    letzte letzten letzter nächste nächsten nächster heute morgen gestern tag tage woche wochen monat monate jahr jahre
    mehr weniger viel viele alle alles beide genau genauer bedeutet heißt dauert dauern erkläre erklär zeig sag gib
    bitte lange oft hier dort jetzt später vorher nachher sieht aus
    januar februar märz mai juni juli oktober dezember montag dienstag mittwoch donnerstag freitag samstag sonntag
    """
)
"""Words that say nothing of a subject: a text of them alone is about what was said before."""
ANAPHORS = _words(
    """
    it its it's that that's this these those they them their he she him her his one ones same there so
    es das dies diese dieser dieses diesen er sie ihn ihm davon dafür dazu damit daran darüber dort denselben dasselbe
    """
)
"""Words that stand for something said before."""
_CONNECTIVE = r"and|but|or|also|then|so|plus|und|aber|oder|auch|dann|außerdem|sowie|danach"
_GOES_ON = re.compile(rf"(?:{_CONNECTIVE}|what about|how about|was ist mit|wie ist es mit|wie sieht es mit)\b")
_LEAD = re.compile(rf"\W*(?:(?:{_CONNECTIVE}|as well as|please|bitte|finally|zuletzt|next)\b[\s,]*)*")
_GREETED = re.compile(r"\W*(?:(?:hello|hi|hey|hallo|moin|servus|ok|okay|thanks|danke|yes|no|ja|nein|sorry)\b\W*)*")
_OPENER = re.compile(
    r"(?:what|what's|whats|where|where's|when (?!i\b|my\b|we\b|the\b|it\b)|why|who|who's|whom|whose|which|how|how's"
    r"|is|are|was|were|am|do|does|did|can|could|will|would|shall|should|may|don't|doesn't|isn't|aren't|can't"
    r"|(?:have|has|had) (?:you|i|we|they|the|my|your|any)"
    r"|(?:i|we) (?:(?:also|still|just|really) )?(?:want|need|wish|would like|would love)|(?:i|we)['’]d like"
    r"|tell|show|send|give|cancel|refund|find|book|check|explain|list|track|reset|change|update|help|translate|calculate"
    r"|compute|add|convert|order|return|exchange|delete|close|open|remind|schedule|set|move|write|summari[sz]e|compare"
    r"|recommend|get|buy|pay|make|deploy|roll|let me know"
    r"|wo|wann|warum|wieso|weshalb|wer|wem|wen|welche[rsnm]?|wie|wohin|woher|wieviel"
    r"|ist|sind|bin|hast|hat|habe|haben|kann|können|kannst|könnte|könnten|könntet|darf|dürfen|muss|soll|sollte|wird|werden"
    r"|würde|gibt es|geht|kommt"
    r"|(?:ich|wir) (?:(?:auch|noch|außerdem) )?(?:will|wollen|möchten?|brauchen?|hätten?|würden?)"
    r"|(?:möchte|brauche|will|hätte) ich"
    r"|zeige?|sage?|gib|schicke?|storniere|buche|finde|erkläre?|ändere|lösche|hilf|berechne|rechne|übersetze"
    r")\b"
)
_SEAM = re.compile(
    r"(?<=[.?!;])\s+|\s*\n+\s*|,?\s+(?=(?:and|und|as well as|sowie|plus|also|außerdem)\b)", re.IGNORECASE
)


def words(text: str) -> list[str]:
    """In lower case, without punctuation."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def kind_of(text: str) -> Kind:
    found = words(text)
    if not found:
        return "bare"
    if _is_small_talk(found):
        return "small_talk"
    if not content(text):
        return "bare"
    return "leaning" if len(found) <= LONGEST_LEANING and _goes_on(text, found) else "question"


def _is_small_talk(found: Sequence[str]) -> bool:
    beside = [word for word in found if word not in SMALL_TALK]
    return len(beside) < len(found) <= LONGEST_SMALL_TALK and BESIDE_SMALL_TALK.issuperset(beside)


def _goes_on(text: str, found: Sequence[str]) -> bool:
    """A connective at the beginning, perhaps behind small talk; a pronoun; a name; a scrap that asks for nothing."""
    said = " ".join(itertools.dropwhile(SMALL_TALK.__contains__, found))
    scrap = len(found) <= LONGEST_SCRAP and not asks(text)
    return scrap or is_name(text) or not ANAPHORS.isdisjoint(found) or _GOES_ON.match(said) is not None


def content(text: str) -> list[str]:
    """The words that say what it is about; numbers do not."""
    return [word for word in words(text) if word not in FUNCTION and not any(map(str.isdigit, word))]


def is_name(text: str) -> bool:
    """Nothing but a few words that all begin with a capital letter."""
    found = _WORD.findall(text)
    return len(found) <= LONGEST_NAME and "?" not in text and all(word[0].isupper() for word in found)


def leans(text: str) -> bool:
    """Whether it can only be understood with what stands before it."""
    return not content(text) or not ANAPHORS.isdisjoint(words(text))


def asks(text: str) -> bool:
    """Whether it is worded as a question or a wish of its own."""
    said = _GREETED.sub("", text.lower(), count=1)
    return _OPENER.match(_LEAD.sub("", said, count=1)) is not None


def questions(text: str) -> list[str]:
    """The text cut before each question or wish of its own; what is neither stays with the one before it, or with the
    first. Joined again they are the text, but for white space and the connectives between them.
    """
    ends = [match.start() for match in _SEAM.finditer(text)]
    found, asking = [""], False
    for begin, end in zip([0, *ends], [*ends, len(text)], strict=True):
        piece = text[begin:end]
        if asking and asks(piece):
            found.append(piece)
        else:
            found[-1] += piece
            asking = asking or asks(piece)
    return [bared for piece in found if (bared := _bared(piece))]


def _bared(piece: str) -> str:
    """Without the connective at its beginning."""
    piece = piece.strip(" \t\r\n,;")
    lead = _LEAD.match(piece.lower())
    return piece[lead.end() :] if lead else piece
