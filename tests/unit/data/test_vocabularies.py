from typing import Any

import pytest

from seqexp.data.vocabularies import VocabularyConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_size": 4}, "max_size=4 is not valid: more than 4, or null"),
        ({"max_size": "many"}, "max_size=many is not valid"),
        ({"threshold": -1}, "threshold=-1 is not valid: a count from 0"),
        ({"threshold": 1.5}, "threshold=1.5 is not valid"),
        ({"threshold": True}, "threshold=True is not valid"),
        ({"threshold": [1, 2]}, "threshold="),
        ({"threshold": {"source": 1, "target": 2}}, "needs vocabulary.joint=false"),
        ({"joint": False, "threshold": {"source": 1}}, "a number for each of source and target"),
        ({"joint": False, "threshold": {"en": 1, "de": 2}}, "a number for each of source and target"),
        ({"joint": False, "max_size": {"source": 10, "target": 4}}, "max_size.target=4 is not valid: more than 4"),
        ({"multiple_of": 0}, "multiple_of=0"),
        ({"joint": True, "target": "x"}, "target=x"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VocabularyConfig(**options)


def test_limits_of_each_side() -> None:
    config = VocabularyConfig(joint=False, threshold={"source": 5, "target": 2}, max_size=100)
    assert config.limits("source") == {"threshold": 5, "max_size": 100, "multiple_of": 8}
    assert config.limits("target") == {"threshold": 2, "max_size": 100, "multiple_of": 8}
    assert config.groups(["en", "de"]) == {"source": ["en"], "target": ["de"]}
    assert VocabularyConfig().groups(["en", "de"]) == {"source": ["en", "de"]}
