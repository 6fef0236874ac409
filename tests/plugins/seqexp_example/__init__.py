"""A plug-in with a component of every group, as another distribution would bring it."""

GROUPS = {
    "task": "Task",
    "model": "Model",
    "criterion": "Criterion",
    "optimizer": "Optimizer",
    "lr_scheduler": "LRScheduler",
    "precision": "Precision",
    "distributed": "Distributed",
    "generator": "Generator",
    "scorer": "Scorer",
    "tracker": "Tracker",
    "corpus": "Corpus",
    "tokenizer": "Tokenizer",
    "subword": "Subword",
}

CATALOG = {group: {"example": f"seqexp_example.components:Example{name}Config"} for group, name in GROUPS.items()}
