"""A deterministic English-German corpus from a hand-written grammar; see `generate.sentence_pairs`."""
