"""Cardinal and ordinal numbers in words, weekdays, dates and clock times."""

from __future__ import annotations

from seqexp.corpora.grammar.constituents import Constituent


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


ENGLISH_SMALL = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
GERMAN_SMALL = _words(
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn "
    "siebzehn achtzehn neunzehn"
)
ENGLISH_TENS = _words("- - twenty thirty forty fifty sixty seventy eighty ninety")
GERMAN_TENS = _words("- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig")

ENGLISH_IRREGULAR_ORDINALS = {
    1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth", 20: "twentieth",
    30: "thirtieth",
}  # fmt: skip
GERMAN_IRREGULAR_ORDINALS = {1: "erste", 3: "dritte", 7: "siebte", 8: "achte"}

MONTHS = tuple(
    zip(
        _words("January February March April May June July August September October November December"),
        _words("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
        (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31),
        strict=True,
    )
)
WEEKDAYS = tuple(
    Constituent(f"on {english}", f"am {german}")
    for english, german in zip(
        _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
        _words("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"),
        strict=True,
    )
)
CLOCK_MINUTES = (
    ("a quarter past", "Viertel nach"),
    ("a quarter to", "Viertel vor"),
    ("five past", "fünf nach"),
    ("five to", "fünf vor"),
    ("ten past", "zehn nach"),
    ("ten to", "zehn vor"),
    ("twenty past", "zwanzig nach"),
    ("twenty to", "zwanzig vor"),
)


def english_cardinal(number: int) -> str:
    """Spell 0..999 in British English ("two hundred and thirty-one")."""
    if number >= 100:
        hundreds = f"{ENGLISH_SMALL[number // 100]} hundred"
        return f"{hundreds} and {english_cardinal(number % 100)}" if number % 100 else hundreds
    if number < 20:
        return ENGLISH_SMALL[number]
    tens, unit = divmod(number, 10)
    return f"{ENGLISH_TENS[tens]}-{ENGLISH_SMALL[unit]}" if unit else ENGLISH_TENS[tens]


def german_cardinal(number: int) -> str:
    """Spell 0..999 in German ("zweihunderteinunddreißig")."""
    if number >= 100:
        rest = german_cardinal(number % 100) if number % 100 else ""
        return f"{_unit_in_compound(number // 100)}hundert{rest}"
    if number < 20:
        return GERMAN_SMALL[number]
    tens, unit = divmod(number, 10)
    return f"{_unit_in_compound(unit)}und{GERMAN_TENS[tens]}" if unit else GERMAN_TENS[tens]


def _unit_in_compound(unit: int) -> str:
    return "ein" if unit == 1 else GERMAN_SMALL[unit]


def english_ordinal(number: int) -> str:
    """Spell the ordinal of 1..31 ("twenty-first")."""
    if number in ENGLISH_IRREGULAR_ORDINALS:
        return ENGLISH_IRREGULAR_ORDINALS[number]
    if number > 20:
        return f"{ENGLISH_TENS[number // 10]}-{english_ordinal(number % 10)}"
    return f"{ENGLISH_SMALL[number]}th"


def german_ordinal(number: int) -> str:
    """Spell the ordinal of 1..31, weak nominative ("einundzwanzigste")."""
    if number in GERMAN_IRREGULAR_ORDINALS:
        return GERMAN_IRREGULAR_ORDINALS[number]
    return german_cardinal(number) + ("te" if number < 20 else "ste")


def cardinal(number: int) -> Constituent:
    """Return the number in words."""
    return Constituent(english_cardinal(number), german_cardinal(number), (("number", str(number)),))


def date(day: int, month: int, year: int | None = None) -> Constituent:
    """Return a date: in words without a year ("on the third of May"), in digits with one ("on 3 May 2014")."""
    english_month, german_month, _ = MONTHS[month - 1]
    combinations = (("date", str(day), english_month),)
    if year is None:
        english = f"on the {english_ordinal(day)} of {english_month}"
        return Constituent(english, f"am {german_ordinal(day)}n {german_month}", combinations)
    return Constituent(f"on {day} {english_month} {year}", f"am {day}. {german_month} {year}", combinations)


def in_year(number: int) -> Constituent:
    """Return "in 1987"."""
    return Constituent(f"in {number}", f"im Jahr {number}")


def full_hour(hour: int) -> Constituent:
    """Return "at three o'clock" for an hour in 1..12."""
    return Constituent(f"at {ENGLISH_SMALL[hour]} o'clock", f"um {_unit_in_compound(hour)} Uhr")


def half_hour(hour: int) -> Constituent:
    """Return "at half past three", which German names after the coming hour ("halb vier")."""
    return Constituent(f"at half past {ENGLISH_SMALL[hour]}", f"um halb {GERMAN_SMALL[hour % 12 + 1]}")


def minutes_and_hour(minutes: tuple[str, str], hour: int) -> Constituent:
    """Return "at a quarter to three"; `minutes` is an entry of `CLOCK_MINUTES`."""
    english, german = minutes
    combinations = (("clock", english, str(hour)),)
    return Constituent(f"at {english} {ENGLISH_SMALL[hour]}", f"um {german} {GERMAN_SMALL[hour]}", combinations)
