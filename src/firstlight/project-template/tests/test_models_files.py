import torch

from my_research.models import SmallMLP


def test_logits_are_those_of_the_formula() -> None:
    model = SmallMLP(num_features=6, hidden_dim=4, num_classes=2)
    W1, b1, W2, b2 = model.parameters()  # nn.Linear keeps its weights transposed
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(model(x), (x.flatten(1) @ W1.T + b1).relu() @ W2.T + b2)
