import math

import pytest
import torch

from seqexp.modules.activations import Activation, activation_function

AT_MINUS_1_AND_2 = {
    Activation.relu: (0.0, 2.0),
    Activation.relu_squared: (0.0, 4.0),
    Activation.gelu: (-0.158655, 1.954500),
    Activation.gelu_tanh: (-0.158808, 1.954598),
    Activation.silu: (-1 / (1 + math.e), 2 / (1 + math.exp(-2))),
    Activation.tanh: (math.tanh(-1), math.tanh(2)),
    Activation.linear: (-1.0, 2.0),
}


@pytest.mark.parametrize("activation", Activation)
def test_values(activation: Activation) -> None:
    values = activation_function(activation)(torch.tensor([-1.0, 2.0]))
    assert values.tolist() == pytest.approx(AT_MINUS_1_AND_2[activation], abs=1e-5)
