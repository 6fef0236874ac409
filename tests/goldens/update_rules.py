"""Writes update_rules.json: what each optimizer makes of two weights, from the formulas, in plain numpy.

`python -m tests.goldens.update_rules` computes them anew. Each rule is written here as in its paper, one weight at a
time and with nothing shared, so that it has no more in common with the optimizers than the formula.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).with_name("update_rules.json")
RATES = [0.0, 0.02, 0.05, 0.05, 0.03, 0.01]
"""Of the updates: as after a warm-up from 0."""
DECAY, EPS = 0.1, 1e-3
"""The epsilon is so large that it shows where it stands."""
Array = np.ndarray[Any, np.dtype[np.float64]]
Rule = Callable[[Array, int, float], Array]


def gradient(weight: Array, step: int) -> Array:
    """Some function of the weights and the update, the same for all rules."""
    return np.sin(3 * weight + step) / 2 + 0.01 * weight**3


def start(shape: tuple[int, ...]) -> Array:
    return np.cos(np.arange(np.prod(shape)).reshape(shape) + 1.0)


def adam(l2: bool, correct_eps: bool) -> Rule:
    m = v = np.array(0.0)

    def rule(w: Array, t: int, lr: float) -> Array:
        nonlocal m, v
        g = gradient(w, t) + (DECAY * w if l2 else 0)
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g * g
        if not l2:
            w = w - lr * DECAY * w
        if correct_eps:
            return w - lr * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.98**t)) + EPS)
        return w - lr * np.sqrt(1 - 0.98**t) / (1 - 0.9**t) * m / (np.sqrt(v) + EPS)

    return rule


def adamax() -> Rule:
    m = u = np.array(0.0)

    def rule(w: Array, t: int, lr: float) -> Array:
        nonlocal m, u
        g = gradient(w, t)
        m, u = 0.9 * m + 0.1 * g, np.maximum(0.98 * u, np.abs(g))
        return w - lr * DECAY * w - lr / (1 - 0.9**t) * m / (u + EPS)

    return rule


def adagrad() -> Rule:
    total = np.array(0.0)

    def rule(w: Array, t: int, lr: float) -> Array:
        nonlocal total
        g = gradient(w, t) + DECAY * w
        total = total + g * g
        return w - lr * g / (np.sqrt(total) + EPS)

    return rule


def adadelta() -> Rule:
    squares = steps = np.array(0.0)

    def rule(w: Array, t: int, lr: float) -> Array:
        nonlocal squares, steps
        g = gradient(w, t) + DECAY * w
        squares = 0.9 * squares + 0.1 * g * g
        change = np.sqrt(steps + EPS) / np.sqrt(squares + EPS) * g
        steps = 0.9 * steps + 0.1 * change**2
        return w - lr * change

    return rule


def adafactor(beta1: float | None) -> Rule:
    rows = columns = square = mean = np.array(0.0)

    def rule(w: Array, t: int, lr: float) -> Array:
        nonlocal rows, columns, square, mean
        g = gradient(w, t)
        kept, g2 = 1 - t**-0.8, g * g + 1e-30
        if g.ndim == 2:
            rows = kept * rows + (1 - kept) * g2.sum(axis=1)
            columns = kept * columns + (1 - kept) * g2.sum(axis=0)
            estimate = np.outer(rows, columns) / rows.sum()
        else:
            square = kept * square + (1 - kept) * g2
            estimate = square
        u = g / np.sqrt(estimate)
        u = u / max(1.0, np.sqrt(np.mean(u * u)) / 0.9)
        size = lr * max(1e-3, np.sqrt(np.mean(w * w)))
        change = size * u
        if beta1 is not None:
            mean = beta1 * mean + (1 - beta1) * change
            change = mean
        return w - size * DECAY * w - change

    return rule


def sgd(nesterov: bool) -> Rule:
    velocity: Array | None = None

    def rule(w: Array, t: int, lr: float) -> Array:
        nonlocal velocity
        g = gradient(w, t) + DECAY * w
        velocity = g if velocity is None else 0.9 * velocity + g
        return w - lr * (g + 0.9 * velocity if nesterov else velocity)

    return rule


def nag() -> Rule:
    steps, last = np.array(0.0), None

    def rule(w: Array, t: int, lr: float) -> Array:
        nonlocal steps, last
        g, r = gradient(w, t), lr / last if last else 1.0
        w = w * (1 - lr * DECAY) + 0.9**2 * r * steps - (1 + 0.9) * lr * g
        steps, last = 0.9 * r * steps - lr * g, lr
        return w

    return rule


def lamb(decay: float, always_adapt: bool) -> Rule:
    m = v = np.array(0.0)

    def rule(w: Array, t: int, lr: float) -> Array:
        nonlocal m, v
        g = gradient(w, t)
        m, v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g * g
        u = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.98**t)) + EPS) + decay * w
        ratio = np.linalg.norm(w) / np.linalg.norm(u) if always_adapt else 1.0
        return w - lr * ratio * u

    return rule


def lion() -> Rule:
    m = np.array(0.0)

    def rule(w: Array, t: int, lr: float) -> Array:
        nonlocal m
        g = gradient(w, t)
        w = w - lr * (np.sign(0.9 * m + 0.1 * g) + DECAY * w)
        m = 0.98 * m + 0.02 * g
        return w

    return rule


def schedule_free(weights: Iterator[Array]) -> list[tuple[Array, Array]]:
    """y and x after the last update, with x written out (equations 5 to 7 of the paper)."""
    found = []
    for y in weights:
        x, z, v, highest, total = y, y, np.array(0.0), 0.0, 0.0
        for t, lr in enumerate(RATES, 1):
            g = gradient(y, t)
            v = 0.98 * v + 0.02 * g * g
            highest = max(highest, lr)
            total += highest**2
            c = highest**2 / total if total else 0.0
            z = z - lr * (g / (np.sqrt(v / (1 - 0.98**t)) + EPS) + DECAY * y)
            x = (1 - c) * x + c * z
            y = 0.1 * z + 0.9 * x
        found.append((y, x))
    return found


RULES: dict[str, Callable[[], Rule]] = {
    "adam": lambda: adam(l2=True, correct_eps=True),
    "adamw": lambda: adam(l2=False, correct_eps=True),
    "cpu_adam": lambda: adam(l2=False, correct_eps=True),
    "adam_fairseq": lambda: adam(l2=False, correct_eps=False),
    "adamax": adamax,
    "adagrad": adagrad,
    "adadelta": adadelta,
    "adafactor": lambda: adafactor(None),
    "adafactor_with_mean": lambda: adafactor(0.9),
    "sgd": lambda: sgd(nesterov=False),
    "sgd_nesterov": lambda: sgd(nesterov=True),
    "nag": nag,
    "lamb": lambda: lamb(DECAY, always_adapt=True),
    "lamb_undecayed": lambda: lamb(0.0, always_adapt=False),
    "lion": lion,
}


def trained(make: Callable[[], Rule], weight: Array) -> list[Any]:
    rule = make()
    for step, lr in enumerate(RATES, 1):
        weight = rule(weight, step, lr)
    values: list[Any] = weight.tolist()
    return values


if __name__ == "__main__":
    shapes = ((2, 3), (4,))
    goldens = {name: [trained(make, start(shape)) for shape in shapes] for name, make in RULES.items()}
    free = schedule_free(start(shape) for shape in shapes)
    goldens["schedule_free"] = [y.tolist() for y, _ in free]
    goldens["schedule_free_evaluated"] = [x.tolist() for _, x in free]
    lines = ",\n".join(f'"{name}": {json.dumps(values)}' for name, values in goldens.items())
    PATH.write_text(f"{{\n{lines}\n}}\n")
