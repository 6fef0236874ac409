"""The nouns: English forms, German gender and inflection, and the semantic tags that guide selection."""

from __future__ import annotations

from dataclasses import dataclass

from seqexp.corpora.grammar.constituents import Case, Combination, Gender


@dataclass(frozen=True, slots=True)
class Noun:
    """A noun in both languages; mass nouns have no plural (`plural` is empty)."""

    english: str
    english_plural: str
    gender: Gender
    nominative: str
    genitive: str
    plural: str
    tags: frozenset[str]
    head: str = ""  # of a compound: the English head noun
    combinations: tuple[Combination, ...] = ()

    @property
    def is_weak(self) -> bool:
        """Weak masculines (der Junge, den Jungen) end in -n in every case but the nominative singular."""
        return self.gender == "m" and not self.genitive.endswith("s")

    def singular(self, case: Case) -> str:
        """Return the German singular form."""
        if case == "genitive" or (case != "nominative" and self.is_weak):
            return self.genitive
        return self.nominative

    def german(self, case: Case, plural: bool) -> str:
        """Return the German form; the dative plural adds -n unless the plural ends in -n or -s."""
        if not plural:
            return self.singular(case)
        if case == "dative" and self.plural[-1] not in "ns":
            return self.plural + "n"
        return self.plural


# Columns: English singular and plural, gender, German nominative, genitive and plural ("-": no plural), tags.
#   person, animal, food, drink ...  what the noun denotes, for the selectional restrictions of verbs and adjectives
#   mass                             used without plural and indefinite article
#   public                           not something one owns, so no possessive before it
#   kin                              "my brother" rather than "a brother"
#   inside, top, beside, below       a place for "in", "on", "behind/next to/in front of", "under"
#   enclosed                         an origin for "out of"
#   goal, passage, crossing          a destination for "to", "through", "over"
#   part / whole                     "the roof (part) of the house (whole)"
_NOUNS = """
man men m Mann Mannes Männer person
woman women f Frau Frau Frauen person
child children n Kind Kindes Kinder person
girl girls n Mädchen Mädchens Mädchen person
boy boys m Junge Jungen Jungen person
student students m Student Studenten Studenten person
teacher teachers m Lehrer Lehrers Lehrer person professional
doctor doctors m Arzt Arztes Ärzte person professional
neighbour neighbours m Nachbar Nachbarn Nachbarn person
farmer farmers m Bauer Bauern Bauern person professional
baker bakers m Bäcker Bäckers Bäcker person professional
pilot pilots m Pilot Piloten Piloten person professional
king kings m König Königs Könige person public
queen queens f Königin Königin Königinnen person public
mother - f Mutter Mutter - person kin
father - m Vater Vaters - person kin
brother brothers m Bruder Bruders Brüder person kin
sister sisters f Schwester Schwester Schwestern person kin
aunt aunts f Tante Tante Tanten person kin
uncle uncles m Onkel Onkels Onkel person kin
friend friends m Freund Freundes Freunde person kin
guest guests m Gast Gastes Gäste person
dog dogs m Hund Hundes Hunde animal pet
cat cats f Katze Katze Katzen animal pet
horse horses n Pferd Pferdes Pferde animal farm_animal
bird birds m Vogel Vogels Vögel animal
cow cows f Kuh Kuh Kühe animal farm_animal
bear bears m Bär Bären Bären animal predator
lion lions m Löwe Löwen Löwen animal predator
rabbit rabbits n Kaninchen Kaninchens Kaninchen animal pet
apple apples m Apfel Apfels Äpfel food fruit
orange oranges f Orange Orange Orangen food fruit
cherry cherries f Kirsche Kirsche Kirschen food fruit
tomato tomatoes f Tomate Tomate Tomaten food vegetable
carrot carrots f Karotte Karotte Karotten food vegetable
potato potatoes f Kartoffel Kartoffel Kartoffeln food vegetable cooked
egg eggs n Ei Eis Eier food cooked
sausage sausages f Wurst Wurst Würste food
cake cakes m Kuchen Kuchens Kuchen food baked dessert
soup soups f Suppe Suppe Suppen food cooked served_hot
salad salads m Salat Salats Salate food
bread - n Brot Brotes - food baked mass side_dish
cheese - m Käse Käses - food mass side_dish
water - n Wasser Wassers - drink mass cold_drink
milk - f Milch Milch - drink mass cold_drink served_hot
juice - m Saft Saftes - drink mass cold_drink dessert
tea - m Tee Tees - drink mass hot_drink served_hot
coffee - m Kaffee Kaffees - drink mass hot_drink served_hot
wine - m Wein Weins - drink mass cold_drink
beer - n Bier Biers - drink mass cold_drink
hat hats m Hut Hutes Hüte clothes
coat coats m Mantel Mantels Mäntel clothes lengthy
shirt shirts n Hemd Hemdes Hemden clothes
dress dresses n Kleid Kleides Kleider clothes lengthy
shoe shoes m Schuh Schuhs Schuhe clothes
book books n Buch Buches Bücher object document
letter letters m Brief Briefes Briefe object document lengthy
newspaper newspapers f Zeitung Zeitung Zeitungen object document
key keys m Schlüssel Schlüssels Schlüssel object
bag bags f Tasche Tasche Taschen object container
box boxes f Kiste Kiste Kisten object container
bottle bottles f Flasche Flasche Flaschen object container vessel
cup cups f Tasse Tasse Tassen object vessel dishes
glass glasses n Glas Glases Gläser object vessel dishes
knife knives n Messer Messers Messer object dishes
ball balls m Ball Balles Bälle object toy
picture pictures n Bild Bildes Bilder object artwork
gift gifts n Geschenk Geschenks Geschenke object
flower flowers f Blume Blume Blumen object plant
lamp lamps f Lampe Lampe Lampen device
clock clocks f Uhr Uhr Uhren device
computer computers m Computer Computers Computer device
machine machines f Maschine Maschine Maschinen device
table tables m Tisch Tisches Tische furniture top beside below
chair chairs m Stuhl Stuhls Stühle furniture top beside
bed beds n Bett Bettes Betten furniture top beside below
car cars n Auto Autos Autos vehicle enclosed beside
bicycle bicycles n Fahrrad Fahrrads Fahrräder vehicle beside
boat boats n Boot Bootes Boote vehicle
bus buses m Bus Busses Busse vehicle enclosed transport beside
train trains m Zug Zuges Züge vehicle public transport
door doors f Tür Tür Türen opening part
window windows n Fenster Fensters Fenster opening part
roof roofs n Dach Daches Dächer part top
house houses n Haus Hauses Häuser building home inside enclosed beside whole
school schools f Schule Schule Schulen building public inside enclosed beside whole goal
church churches f Kirche Kirche Kirchen building public inside enclosed beside whole goal
museum museums n Museum Museums Museen building public inside enclosed beside whole goal
hotel hotels n Hotel Hotels Hotels building public inside enclosed beside whole goal
castle castles n Schloss Schlosses Schlösser building home inside enclosed beside whole goal
shop shops m Laden Ladens Läden building inside enclosed beside whole goal
station stations m Bahnhof Bahnhofs Bahnhöfe building public beside goal
tower towers m Turm Turmes Türme building public beside part goal tall
bridge bridges f Brücke Brücke Brücken building public top below crossing lengthy goal
kitchen kitchens f Küche Küche Küchen room inside enclosed
room rooms n Zimmer Zimmers Zimmer room inside enclosed
office offices n Büro Büros Büros room inside enclosed
cellar cellars m Keller Kellers Keller room inside enclosed
garden gardens m Garten Gartens Gärten outdoors inside passage part
park parks m Park Parks Parks outdoors public inside passage
forest forests m Wald Waldes Wälder outdoors public inside passage
city cities f Stadt Stadt Städte outdoors public settlement inside passage
village villages n Dorf Dorfes Dörfer outdoors public settlement inside passage
street streets f Straße Straße Straßen outdoors public top crossing lengthy
lake lakes m See Sees Seen outdoors public goal
mountain mountains m Berg Berges Berge outdoors public top tall
tree trees m Baum Baumes Bäume plant beside below
price prices m Preis Preises Preise attribute
colour colours f Farbe Farbe Farben attribute
"""

# Linking form of the first part of a compound: the stem, alone or with -n, -s, -er, or shortened.
_LINKING_FORMS = dict(
    line.split()
    for line in """
apple Apfel
orange Orangen
cherry Kirsch
tomato Tomaten
carrot Karotten
potato Kartoffel
cheese Käse
egg Eier
wine Wein
beer Bier
water Wasser
milk Milch
tea Tee
coffee Kaffee
kitchen Küchen
garden Garten
office Büro
cellar Keller
house Haus
hotel Hotel
school Schul
church Kirchen
museum Museums
castle Schloss
city Stadt
car Auto
picture Bilder
winter Winter
summer Sommer
birthday Geburtstags
Christmas Weihnachts
""".strip().splitlines()
)

# Head noun of a compound, then the first parts with which it makes sense.
_COMPOUNDS = """
juice apple orange cherry tomato carrot
cake apple orange cherry carrot birthday Christmas
soup tomato carrot potato cheese
salad tomato carrot potato cheese egg
table kitchen garden office hotel
chair kitchen garden office
lamp kitchen garden office cellar
door kitchen garden office cellar house hotel church
window kitchen office cellar hotel church
clock kitchen office church school
garden hotel school museum castle kitchen winter
book school picture Christmas
bag school winter summer
bus school city
park city castle
tree apple orange cherry Christmas
cup tea coffee milk
glass wine beer water
bottle wine beer water milk
coat winter summer
shoe winter summer garden
dress winter summer birthday
gift birthday Christmas
key house hotel office cellar car church
museum city
"""


_GENDERS: dict[str, Gender] = {"m": "m", "f": "f", "n": "n"}


def _noun(line: str) -> Noun:
    english, english_plural, gender, nominative, genitive, plural, *tags = line.split()
    return Noun(
        english,
        english_plural.strip("-"),
        _GENDERS[gender],
        nominative,
        genitive,
        plural.strip("-"),
        frozenset(tags),
        english,
    )


def compound(modifier: str, head: Noun) -> Noun:
    """Join two nouns: "kitchen table" is "Küchentisch", inflected and selected like its head."""
    link = _LINKING_FORMS[modifier]
    return Noun(
        f"{modifier} {head.english}",
        head.english_plural and f"{modifier} {head.english_plural}",
        head.gender,
        link + head.nominative.lower(),
        link + head.genitive.lower(),
        head.plural and link + head.plural.lower(),
        head.tags,
        head.english,
        (("compound", modifier, head.english),),
    )


NOUNS = {noun.english: noun for noun in map(_noun, _NOUNS.strip().splitlines())}
COMPOUNDS = {
    head: tuple(compound(modifier, NOUNS[head]) for modifier in modifiers)
    for head, *modifiers in map(str.split, _COMPOUNDS.strip().splitlines())
}
# None ends in -s: their genitive is then always formed with -s and no apostrophe.
NAMES = ("Anna", "Peter", "Maria", "Paul", "Clara", "David", "Julia", "Martin")


def nouns_tagged(*tags: str) -> tuple[Noun, ...]:
    """Return the nouns that carry any of the tags, in the order of the lexicon."""
    return tuple(noun for noun in NOUNS.values() if not noun.tags.isdisjoint(tags))
