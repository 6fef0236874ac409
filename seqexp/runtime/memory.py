"""How the process asks the operating system for memory."""

import os


def use_large_pages() -> None:
    """Back torch's large CPU tensors with huge pages, unless the user decided otherwise.

    Training makes and frees tensors of many megabytes in every update, and most of that cost is page faults: with huge
    pages an update of a small model takes about a tenth less time. torch reads the variable when it first allocates.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
