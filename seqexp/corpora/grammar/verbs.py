"""The verbs: conjugation in both languages, valency frames and selectional restrictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from seqexp.corpora.grammar.constituents import Case, Person

# A modal verb fills the same slot as a tense.
Tense = Literal["present", "past", "perfect", "future", "can", "must", "should", "want", "could", "had to", "wanted"]
Frame = Literal["transitive", "ditransitive", "intransitive", "position", "placement", "motion", "clausal", "copula"]

# Tenses that need a form of another verb in German, and the forms of that verb.
_FINITE_AUXILIARIES: dict[str, dict[Person, str]] = {
    "haben": {"1sg": "habe", "3sg": "hat", "1pl": "haben", "3pl": "haben"},
    "sein": {"1sg": "bin", "3sg": "ist", "1pl": "sind", "3pl": "sind"},
    "future": {"1sg": "werde", "3sg": "wird", "1pl": "werden", "3pl": "werden"},
    "can": {"1sg": "kann", "3sg": "kann", "1pl": "können", "3pl": "können"},
    "must": {"1sg": "muss", "3sg": "muss", "1pl": "müssen", "3pl": "müssen"},
    "want": {"1sg": "will", "3sg": "will", "1pl": "wollen", "3pl": "wollen"},
    "should": {"1sg": "sollte", "3sg": "sollte", "1pl": "sollten", "3pl": "sollten"},
    "could": {"1sg": "konnte", "3sg": "konnte", "1pl": "konnten", "3pl": "konnten"},
    "had to": {"1sg": "musste", "3sg": "musste", "1pl": "mussten", "3pl": "mussten"},
    "wanted": {"1sg": "wollte", "3sg": "wollte", "1pl": "wollten", "3pl": "wollten"},
    "passive present": {"1sg": "werde", "3sg": "wird", "1pl": "werden", "3pl": "werden"},
    "passive past": {"1sg": "wurde", "3sg": "wurde", "1pl": "wurden", "3pl": "wurden"},
}
_BE_PRESENT: dict[Person, str] = {"1sg": "am", "3sg": "is", "1pl": "are", "3pl": "are"}


@dataclass(frozen=True, slots=True)
class VerbComplex:
    """The German verb forms of a clause: finite verb, separable prefix, participle or infinitive."""

    finite: str
    prefix: str = ""
    nonfinite: str = ""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb in both languages; `particle` and `prefix` are empty for most."""

    base: str
    third: str
    past: str
    participle: str
    particle: str
    prefix: str
    infinitive: str
    german_third: str
    german_past: str
    german_participle: str
    auxiliary: str
    preposition: str
    object_case: Case
    frame: Frame
    objects: tuple[str, ...]
    subjects: tuple[str, ...]

    @property
    def lemma(self) -> str:
        """The English dictionary form, which identifies the verb."""
        return f"{self.base} {self.particle}" if self.particle else self.base

    @property
    def object_may_be_pronoun(self) -> bool:
        """A pronoun would have to precede an adverbial particle ("turn it on"), which no clause here does."""
        return self.particle in ("", "for", "at", "to", "of")

    def english_group(self, tense: Tense, person: Person, do_support: bool, passive: bool = False) -> tuple[str, str]:
        """Return the auxiliary (may be empty) and the rest of the English verb group, without the particle."""
        if passive or (self.base == "be" and tense in ("present", "past")):
            be = _BE_PRESENT[person] if tense == "present" else "was" if person.endswith("sg") else "were"
            if person == "1sg" and tense == "past":
                be = "was"
            return be, self.participle if passive else ""
        if tense == "perfect":
            return ("has" if person == "3sg" else "have"), self.participle
        if tense in ("can", "must", "should", "could"):
            return tense, self.base
        if tense == "future":
            return "will", self.base
        return self._finite_group(tense, person, do_support)

    def _finite_group(self, tense: Tense, person: Person, do_support: bool) -> tuple[str, str]:
        is_past = tense in ("past", "wanted", "had to")
        if tense in ("want", "wanted"):
            base, third, past, tail = "want", "wants", "wanted", f" to {self.base}"
        elif tense == "had to":
            base, third, past, tail = "have", "has", "had", f" to {self.base}"
        else:
            base, third, past, tail = self.base, self.third, self.past, ""
        if do_support:
            auxiliary = "did" if is_past else "does" if person == "3sg" else "do"
            return auxiliary, base + tail
        finite = past if is_past else third if person == "3sg" else base
        return "", finite + tail

    def german_complex(self, tense: Tense, person: Person, passive: bool = False) -> VerbComplex:
        """Return the German verb forms; English simple past is Präteritum, present perfect is Perfekt."""
        if passive:
            return VerbComplex(_FINITE_AUXILIARIES[f"passive {tense}"][person], nonfinite=self.german_participle)
        if tense == "perfect":
            return VerbComplex(_FINITE_AUXILIARIES[self.auxiliary][person], nonfinite=self.german_participle)
        if tense == "present":
            return VerbComplex(self._present(person), self.prefix)
        if tense == "past":
            return VerbComplex(self._past(person), self.prefix)
        return VerbComplex(_FINITE_AUXILIARIES[tense][person], nonfinite=self.prefix + self.infinitive)

    def _present(self, person: Person) -> str:
        if self.infinitive in ("sein", "haben"):
            return _FINITE_AUXILIARIES[self.infinitive][person]
        if person == "3sg":
            return self.german_third
        if person != "1sg":
            return self.infinitive
        # Preterite-presents (ich weiß, er weiß) have the same form in the first and the third person.
        is_preterite_present = not self.german_third.endswith("t")
        return self.german_third if is_preterite_present else self.infinitive.removesuffix("n").removesuffix("e") + "e"

    def _past(self, person: Person) -> str:
        if person in ("1sg", "3sg"):
            return self.german_past
        return self.german_past + ("n" if self.german_past.endswith("e") else "en")


# Columns: English forms and particle | German infinitive (prefix+stem), third person, past, participle, "ist" when the
# perfect takes sein, preposition:case or :dative for the object | tags of objects [/ tags of subjects].
# No verb but "cost" has an English past like its present (put, cut, read), so the tense is always visible.
_VERBS: dict[Frame, str] = {
    "transitive": """
see sees saw seen | sehen sieht sah gesehen | person animal building vehicle outdoors attribute tree / person animal
find finds found found | finden findet fand gefunden | object clothes animal / person animal
love loves loved loved | lieben liebt liebte geliebt | person animal outdoors artwork dessert colour
have has had had | haben hat hatte gehabt | pet farm_animal car bicycle boat device clothes furniture object
buy buys bought bought | kaufen kauft kaufte gekauft | tree food drink clothes object furniture device car bicycle boat
sell sells sold sold | verkaufen verkauft verkaufte verkauft | food clothes object furniture device vehicle home shop
need needs needed needed | brauchen braucht brauchte gebraucht | clothes object furniture device professional
order orders ordered ordered | bestellen bestellt bestellte bestellt | food drink
eat eats ate eaten | essen isst aß gegessen | food
drink drinks drank drunk | trinken trinkt trank getrunken | drink
cook cooks cooked cooked | kochen kocht kochte gekocht | cooked hot_drink
lose loses lost lost | verlieren verliert verlor verloren | object clothes
forget forgets forgot forgotten | vergessen vergisst vergaß vergessen | object clothes attribute
look looks looked looked for | suchen sucht suchte gesucht | person pet object clothes
look looks looked looked at | an+sehen sieht sah angesehen | building artwork animal furniture clothes attribute roof
visit visits visited visited | besuchen besucht besuchte besucht | person building settlement
help helps helped helped | helfen hilft half geholfen :dative | person
thank thanks thanked thanked | danken dankt dankte gedankt :dative | person
follow follows followed followed | folgen folgt folgte gefolgt ist :dative | person animal vehicle / person animal
wait waits waited waited for | warten wartet wartete gewartet auf:accusative | person transport
think thinks thought thought of | denken denkt dachte gedacht an:accusative | person animal settlement attribute
talk talks talked talked to | sprechen spricht sprach gesprochen mit:dative | person
write writes wrote written | schreiben schreibt schrieb geschrieben | letter book
build builds built built | bauen baut baute gebaut | building boat furniture
wash washes washed washed | waschen wäscht wusch gewaschen | clothes car dishes farm_animal fruit
clean cleans cleaned cleaned | putzen putzt putzte geputzt | opening room shoe dishes
repair repairs repaired repaired | reparieren repariert reparierte repariert | device vehicle part furniture
steal steals stole stolen | stehlen stiehlt stahl gestohlen | object vehicle device clothes
open opens opened opened | auf+machen macht machte aufgemacht | opening container shop
close closes closed closed | zu+machen macht machte zugemacht | opening container shop
call calls called called | an+rufen ruft rief angerufen | person
invite invites invited invited | ein+laden lädt lud eingeladen | person
pick picks picked picked up | ab+holen holt holte abgeholt | person letter gift
turn turns turned turned on | ein+schalten schaltet schaltete eingeschaltet | lamp computer machine
turn turns turned turned off | aus+schalten schaltet schaltete ausgeschaltet | lamp computer machine
throw throws threw thrown away | weg+werfen wirft warf weggeworfen | object clothes food
bring brings brought brought along | mit+bringen bringt brachte mitgebracht | object food drink pet
""",
    "ditransitive": """
give gives gave given | geben gibt gab gegeben | object food drink clothes pet
show shows showed shown | zeigen zeigt zeigte gezeigt | object clothes building vehicle animal artwork
send sends sent sent | schicken schickt schickte geschickt | object clothes
bring brings brought brought | bringen bringt brachte gebracht | object food drink dishes
""",
    "intransitive": """
sleep sleeps slept slept | schlafen schläft schlief geschlafen | / person animal
work works worked worked | arbeiten arbeitet arbeitete gearbeitet |
dance dances danced danced | tanzen tanzt tanzte getanzt |
play plays played played | spielen spielt spielte gespielt | / person pet
get gets got got up | auf+stehen steht stand aufgestanden ist |
fall falls fell fallen asleep | ein+schlafen schläft schlief eingeschlafen ist | / person animal
arrive arrives arrived arrived | an+kommen kommt kam angekommen ist | / person transport
leave leaves left left | ab+fahren fährt fuhr abgefahren ist | / transport
come comes came come back | zurück+kommen kommt kam zurückgekommen ist | / person animal
""",
    "position": """
sit sits sat sat | sitzen sitzt saß gesessen | / person animal
lie lies lay lain | liegen liegt lag gelegen | / animal object clothes
live lives lived lived | wohnen wohnt wohnte gewohnt |
""",
    "placement": """
place places placed placed | stellen stellt stellte gestellt | vessel dishes device
throw throws threw thrown | werfen wirft warf geworfen | toy document clothes
""",
    "motion": """
go goes went gone | gehen geht ging gegangen ist | to into out_of through over / person animal
run runs ran run | laufen läuft lief gelaufen ist | to into out_of through over / person animal
come comes came come | kommen kommt kam gekommen ist | to into out_of / person animal
drive drives drove driven | fahren fährt fuhr gefahren ist | to through over / person vehicle
""",
    "clausal": """
say says said said | sagen sagt sagte gesagt |
believe believes believed believed | glauben glaubt glaubte geglaubt |
know knows knew known | wissen weiß wusste gewusst |
""",
    "copula": """
be is was been | sein ist war gewesen ist | / person animal building vehicle clothes room food furniture outdoors
cost costs cost cost | kosten kostet kostete gekostet | / clothes furniture device object
""",
}


def _verb(frame: Frame, line: str) -> Verb:
    english, german, restrictions = line.split("|")
    base, third, past, participle, *particle = english.split()
    infinitive, german_third, german_past, german_participle, *options = german.split()
    prefix, _, stem = infinitive.rpartition("+")
    governed = next((option for option in options if ":" in option), ":accusative")
    preposition, _, case = governed.partition(":")
    objects, _, subjects = restrictions.partition("/")
    return Verb(
        base, third, past, participle, "".join(particle),
        prefix, stem, german_third, german_past, german_participle,
        "sein" if "ist" in options else "haben",
        preposition,
        "dative" if case == "dative" else "accusative",
        frame,
        tuple(tag.replace("_", " ") if frame == "motion" else tag for tag in objects.split()),
        tuple(subjects.split()) or ("person",),
    )  # fmt: skip


VERBS = {
    verb.lemma: verb
    for verb in (_verb(frame, line) for frame, table in _VERBS.items() for line in table.strip().splitlines())
}
BE = VERBS["be"]
COST = VERBS["cost"]


@cache
def verbs_of(frame: Frame) -> tuple[Verb, ...]:
    """Return the verbs of a valency frame, in the order of the lexicon."""
    return tuple(verb for verb in VERBS.values() if verb.frame == frame)
