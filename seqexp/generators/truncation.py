"""Which words may be drawn: distributions cut down to their likely part.

Each takes log-probabilities, float32 [R, V], and gives the same with -inf for words that are left out; what stays need
not sum to 1. A distribution that was cut already is looked at as if it did.

Shapes: R rows, V vocabulary.
"""

from torch import Tensor

NEVER = float("-inf")


def top_k(log_probs: Tensor, k: int) -> Tensor:
    """The k likeliest words (Fan et al. 2018, arXiv 1805.04833)."""
    values, words = log_probs.topk(min(k, log_probs.shape[1]), dim=1)
    return log_probs.new_full(log_probs.shape, NEVER).scatter_(1, words, values)


def top_p(log_probs: Tensor, p: float) -> Tensor:
    """The fewest words, likeliest first, whose probabilities add up to p (nucleus, Holtzman et al. 2020, arXiv
    1904.09751)."""
    values, words = log_probs.sort(dim=1, descending=True, stable=True)
    return _until(log_probs, values.softmax(dim=1), words, p)


def min_p(log_probs: Tensor, p: float) -> Tensor:
    """Words at least p times as likely as the likeliest (Nguyen et al. 2024, arXiv 2407.01082)."""
    least = log_probs.exp().amax(dim=1, keepdim=True) * p
    return log_probs.masked_fill(log_probs.exp() < least, NEVER)


def typical(log_probs: Tensor, p: float) -> Tensor:
    """The fewest words whose probabilities add up to p, first those whose information is nearest to the entropy
    (Meister et al. 2023, arXiv 2202.00666)."""
    normalized = log_probs.log_softmax(dim=1)
    probabilities = normalized.exp()
    entropy = -(probabilities * normalized.masked_fill(probabilities.eq(0), 0)).sum(dim=1, keepdim=True)
    words = (-normalized - entropy).abs().sort(dim=1, stable=True).indices
    return _until(log_probs, probabilities.gather(1, words), words, p)


def _until(log_probs: Tensor, probabilities: Tensor, words: Tensor, p: float) -> Tensor:
    """The first of `words`, as far as needed for `probabilities`, in the same order, to add up to p; at least one."""
    before = probabilities.cumsum(dim=1) - probabilities
    before[:, 0] = 0
    kept = before.lt(p)
    return log_probs.masked_fill(~kept.new_zeros(kept.shape).scatter_(1, words, kept), NEVER)
