"""Adjectives, adverbials and prepositions."""

from __future__ import annotations

from dataclasses import dataclass

from seqexp.corpora.grammar.constituents import Case, Constituent


@dataclass(frozen=True, slots=True)
class Adjective:
    """An adjective in both languages; degrees that are not used are empty."""

    english: str
    english_comparative: str
    english_superlative: str
    german: str
    comparative: str
    superlative: str
    tags: frozenset[str]

    @property
    def stem(self) -> str:
        """The stem to which endings attach (teuer: ein teures Haus; hoch: ein hoher Turm)."""
        return _IRREGULAR_STEMS.get(self.german, self.german)


_IRREGULAR_STEMS = {"teuer": "teur", "dunkel": "dunkl", "hoch": "hoh", "müde": "müd"}

# Columns: English | German positive, comparative, superlative stem | tags, or names, of the nouns it modifies.
_ADJECTIVES = """
old older oldest | alt älter ältest | person animal building vehicle furniture device document clothes artwork tree
young younger youngest | jung jünger jüngst | person animal
big bigger biggest | groß größer größt | animal building vehicle furniture room container vegetable outdoors part
small smaller smallest | klein kleiner kleinst | animal building vehicle furniture room container fruit part child
new newer newest | neu neuer neuest | building vehicle furniture device document clothes container part
good better best | gut besser best | food drink professional friend document
bad worse worst | schlecht schlechter schlechtest | food drink document
beautiful - - | schön schöner schönst | building clothes artwork plant outdoors horse bird colour room
expensive - - | teuer teurer teuerst | clothes vehicle device furniture artwork gift hotel food drink dishes
cheap cheaper cheapest | billig billiger billigst | clothes device furniture food drink dishes hotel
heavy heavier heaviest | schwer schwerer schwerst | furniture container device document gift knife boat door
long longer longest | lang länger längst | lengthy document knife
short shorter shortest | kurz kürzer kürzest | lengthy document knife
high higher - | hoch höher - | tall roof price bridge tree opening
cold colder coldest | kalt kälter kältest | drink soup room home lake egg potato shop
warm warmer warmest | warm wärmer wärmst | drink soup room clothes bed home shop
hot hotter - | heiß heißer - | served_hot hot_drink water cooked sausage
fresh fresher - | frisch frischer - | food cold_drink
sweet sweeter - | süß süßer - | fruit dessert wine milk tea bread
happy happier happiest | glücklich glücklicher glücklichst | person
sad sadder saddest | traurig trauriger traurigst | person
clever cleverer cleverest | klug klüger klügst | person pet
rich richer richest | reich reicher reichst | person settlement
poor poorer poorest | arm ärmer ärmst | person
strong stronger strongest | stark stärker stärkst | person farm_animal predator
tired - - | müde - - | person animal
sick - - | krank - - | person animal
hungry - - | hungrig - - | person animal
dangerous - - | gefährlich gefährlicher - | predator farm_animal dog machine street knife mountain lake
modern - - | modern moderner modernst | building device furniture room
dark darker darkest | dunkel dunkler dunkelst | room forest street colour home church
clean cleaner cleanest | sauber sauberer sauberst | clothes dishes room container
dirty dirtier dirtiest | schmutzig schmutziger schmutzigst | clothes dishes room container
empty - - | leer - - | container vessel room shop home church school transport bed
red - - | rot - - | object clothes vehicle furniture opening roof
blue - - | blau - - | object clothes vehicle furniture opening
green - - | grün - - | object clothes vehicle furniture opening tree
black - - | schwarz - - | clothes container animal furniture vehicle device
white - - | weiß - - | clothes furniture animal dishes flower house
"""


def _adjective(line: str) -> Adjective:
    english, german, tags = (column.split() for column in line.split("|"))
    positive, comparative, superlative = english
    german_positive, german_comparative, german_superlative = (form.strip("-") for form in german)
    if comparative == "-" and german_comparative:
        comparative, superlative = f"more {positive}", f"most {positive}"
    return Adjective(
        positive,
        comparative.strip("-"),
        superlative.strip("-"),
        german_positive,
        german_comparative,
        german_superlative,
        frozenset(tags),
    )


ADJECTIVES = {adjective.english: adjective for adjective in map(_adjective, _ADJECTIVES.strip().splitlines())}


@dataclass(frozen=True, slots=True)
class Preposition:
    """A preposition, the case it governs in German and the tags of the nouns that may follow."""

    english: str
    german: str
    case: Case
    tags: tuple[str, ...] = ()


# The two-way prepositions govern the dative for a place and the accusative for a direction.
PLACE_PREPOSITIONS = (
    Preposition("in", "in", "dative", ("inside",)),
    Preposition("on", "auf", "dative", ("top",)),
    Preposition("behind", "hinter", "dative", ("beside",)),
    Preposition("in front of", "vor", "dative", ("beside",)),
    Preposition("next to", "neben", "dative", ("beside",)),
    Preposition("under", "unter", "dative", ("below",)),
)
PLACEMENT_PREPOSITIONS = (
    Preposition("on", "auf", "accusative", ("furniture",)),
    Preposition("behind", "hinter", "accusative", ("furniture",)),
    Preposition("next to", "neben", "accusative", ("furniture",)),
    Preposition("under", "unter", "accusative", ("table", "bed")),
    Preposition("in front of", "vor", "accusative", ("opening",)),
)
DIRECTION_PREPOSITIONS = {
    "to": Preposition("to", "zu", "dative", ("goal",)),
    "into": Preposition("into", "in", "accusative", ("inside",)),
    "out of": Preposition("out of", "aus", "dative", ("enclosed",)),
    "through": Preposition("through", "durch", "accusative", ("passage",)),
    "over": Preposition("over", "über", "accusative", ("crossing",)),
}
WITH = Preposition("with", "mit", "dative")
WITHOUT = Preposition("without", "ohne", "accusative")
FOR = Preposition("for", "für", "accusative")
BY = Preposition("by", "von", "dative")

CONTRACTIONS = {
    ("in", "dem"): "im",
    ("in", "das"): "ins",
    ("von", "dem"): "vom",
    ("zu", "dem"): "zum",
    ("zu", "der"): "zur",
}

RESIDENCE = Preposition("in", "in", "dative", ("settlement", "home", "hotel"))

MANNERS = (
    Constituent("quickly", "schnell"),
    Constituent("slowly", "langsam"),
    Constituent("alone", "allein"),
)
# What a person is at a certain moment, so that it can be a cause or the time of something.
STATES = tuple(ADJECTIVES[english] for english in ("happy", "sad", "tired", "sick", "hungry"))

FREQUENCIES = (
    Constituent("often", "oft"),
    Constituent("always", "immer"),
    Constituent("sometimes", "manchmal"),
    Constituent("rarely", "selten"),
    Constituent("never", "nie"),
)
PERFECT_ADVERBS = (Constituent("already", "schon"), Constituent("often", "oft"), Constituent("never", "nie"))

PAST_TIMES = (
    Constituent("yesterday", "gestern"),
    Constituent("yesterday evening", "gestern Abend"),
    Constituent("last week", "letzte Woche"),
    Constituent("last year", "letztes Jahr"),
)
MOMENTS = (Constituent("today", "heute"), Constituent("now", "jetzt"))
REPEATED_TIMES = (Constituent("every day", "jeden Tag"), Constituent("in the evening", "am Abend"))
FUTURE_TIMES = (
    Constituent("tomorrow", "morgen"),
    Constituent("tomorrow evening", "morgen Abend"),
    Constituent("next week", "nächste Woche"),
    Constituent("soon", "bald"),
)
PERFECT_TIMES = (Constituent("today", "heute"), Constituent("this week", "diese Woche"))
