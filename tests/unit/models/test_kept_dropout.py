from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from seqexp.config.base import OptionError
from seqexp.generators.beam import BeamSearch, BeamSearchConfig
from seqexp.models.kept_dropout import KeptDropout
from seqexp.runtime.errors import UserError
from tests.unit.generators.stub import EOS, PAD, UNK
from tests.unit.generators.toy import random_sources, toy_transformer


def dropped(patterns: object, seed: int = 1) -> Any:
    """The scores of a search, and what is on."""
    kept, model = KeptDropout.of(patterns, seed), toy_transformer()
    kept.keep(model)
    beam = BeamSearch(BeamSearchConfig(beam_size=2, max_length_a=0, max_length_b=4), eos=EOS, pad=PAD, unk=UNK)
    with torch.random.fork_rng():
        torch.manual_seed(torch.seed())  # nothing depends on it
        found = [beam.generate([model], batch) for batch in kept.seeded([random_sources()])]
    on = [name for name, module in model.named_modules() if module.training]
    return [hypothesis.score for nbests in found for nbest in nbests for hypothesis in nbest], on


def test_none_is_kept_unless_asked_for() -> None:
    for nothing in (False, []):
        scores, on = dropped(nothing)
        assert on == []
        assert scores == dropped(False)[0]


@pytest.mark.parametrize(
    ("patterns", "sides"),
    [
        (True, {"encoder", "decoder"}),
        (["encoder.*"], {"encoder"}),
        ("decoder.*", {"decoder"}),
        (["decoder.layers.0", "encoder.*"], {"encoder", "decoder"}),
    ],
)
def test_scores_follow_from_the_seed(patterns: object, sides: set[str]) -> None:
    scores, on = dropped(patterns)
    assert scores == dropped(patterns)[0]
    assert scores != dropped(patterns, seed=2)[0]
    assert scores != dropped(False)[0]
    assert {name.partition(".")[0] for name in on} == sides


def test_layers_are_not_left_out() -> None:
    """A decoder's state has one cache a layer; and other parts of a module that drops keep their mode."""
    model = toy_transformer()
    model.decoder.layers.layerdrop = 0.9
    KeptDropout.of(True, 1).keep(model)
    assert not model.decoder.layers.training
    assert model.decoder.layers[0].training


def test_each_batch_has_its_own_draws() -> None:
    """Whatever came before it, and without a trace in those of others."""
    kept, model = KeptDropout.of(True, 1), toy_transformer()
    kept.keep(model)
    batch = random_sources()
    batch = replace(batch, previous_tokens=batch.source_tokens, target_tokens=batch.source_tokens)
    scores = [model(each).logits for each in kept.seeded([batch, batch])]
    assert scores[0].equal(scores[1])
    before = torch.random.get_rng_state()
    assert len(list(kept.seeded([batch]))) == 1
    assert torch.random.get_rng_state().equal(before)


def test_modules_of_torch() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Dropout(0.0)).eval()
    KeptDropout.of(True, 1).keep(model)
    assert [module.training for module in model] == [False, True, False]


def test_mistakes() -> None:
    model = toy_transformer()
    with pytest.raises(UserError, match=r"keep_dropout=decodr.\* matches no module with dropout .* decoder\.\*"):
        KeptDropout.of(["decodr.*"], 1).keep(model)
    with pytest.raises(UserError, match=r"keep_dropout=\* matches no module with dropout of the model$"):
        KeptDropout.of(True, 1).keep(nn.Linear(2, 2).eval())
    with pytest.raises(OptionError, match="keep_dropout=3 is not valid"):
        KeptDropout.of(3, 1)
    with pytest.raises(OptionError, match="dropout_seed=-1 is not valid"):
        KeptDropout.of(True, -1)
    with pytest.raises(OptionError, match="dropout_seed=2 is not valid: it needs keep_dropout"):
        KeptDropout.of(False, 2)
