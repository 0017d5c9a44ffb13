import pytest
import torch
import torch.nn.functional as F

from firstlight import MLPEnsemble


@pytest.fixture
def ensemble():
    """Return three small perceptrons, as they predict."""
    torch.manual_seed(0)
    return MLPEnsemble(num_members=3, num_features=4, hidden_dims=[5], num_classes=2, label_smoothing=0.1).eval()


@pytest.fixture
def batch():
    """Return inputs that members disagree on, and their classes."""
    generator = torch.Generator().manual_seed(0)
    return 10 * torch.randn(6, 1, 2, 2, generator=generator), torch.tensor([0, 1, 1, 0, 1, 0])


def test_ensemble_predicts_the_mean_of_its_members_probabilities(ensemble, batch):
    x, _ = batch
    each = torch.stack([member(x).softmax(dim=1) for member in ensemble.members])
    assert each.std(dim=0).min() > 0.01  # no two members alike
    torch.testing.assert_close(ensemble(x).exp(), each.mean(dim=0))
    torch.testing.assert_close(ensemble.predict_step(batch, 0)["probability"], each.mean(dim=0).amax(dim=1))


def test_each_member_has_its_own_gradient_divided_by_their_number(ensemble, batch):
    x, y = batch
    ensemble.training_step(batch, 0).backward()
    for member in ensemble.members:
        alone = torch.autograd.grad(F.cross_entropy(member(x), y, label_smoothing=0.1), list(member.parameters()))
        for parameter, gradient in zip(member.parameters(), alone, strict=True):
            torch.testing.assert_close(parameter.grad, gradient / 3)


def test_training_scores_are_means_over_the_members(ensemble, batch):
    x, y = batch
    loss = ensemble.training_step(batch, 0)
    accuracies = [(member(x).argmax(dim=1) == y).float().mean().item() for member in ensemble.members]
    assert len(set(accuracies)) > 1
    torch.testing.assert_close(ensemble.train_scores["accuracy"].compute(), torch.tensor(sum(accuracies) / 3))
    torch.testing.assert_close(ensemble.train_scores["loss"].compute(), loss.detach())


def test_mean_of_probabilities_has_the_precision_of_the_inputs(ensemble, batch):
    with torch.autocast("cpu", torch.bfloat16):
        assert ensemble.members[0](batch[0]).dtype == torch.bfloat16
        probabilities = ensemble(batch[0]).exp()
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(6))
