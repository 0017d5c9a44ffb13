import pytest
import torch

from firstlight import AutogradCubic, Sine, SineEnsemble


def in_double(make):
    torch.set_default_dtype(torch.double)
    try:
        return make()
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("batch_size", [None, 20])
def test_each_member_goes_the_way_of_a_cubic_alone(batch_size, quick_trainer):
    settings = {"precision": "64-true", "max_epochs": 2}
    data = {"num_points": 50, "batch_size": batch_size, "repeats": 20}
    ensemble = in_double(lambda: SineEnsemble(num_members=3, lr=1e-4))
    starts = ensemble.coefficients.detach().clone()
    together = quick_trainer(**settings)
    together.fit(ensemble, Sine(**data))
    losses = []
    for start, end in zip(starts, ensemble.coefficients, strict=True):
        alone, trainer = in_double(lambda: AutogradCubic(lr=1e-4)), quick_trainer(**settings)
        alone.coefficients.data = start.clone()
        trainer.fit(alone, Sine(**data))
        torch.testing.assert_close(alone.coefficients, end, rtol=1e-10, atol=1e-12)
        losses.append([trainer.callback_metrics[name].double() for name in ("loss/train", "loss/val")])
    means = torch.tensor(losses).mean(dim=0)
    logged = torch.stack([together.callback_metrics[name] for name in ("loss/train", "loss/val")])
    torch.testing.assert_close(logged.double(), means, rtol=1e-6, atol=0)


def test_predictions_are_told_by_their_mean_and_their_spread():
    model = SineEnsemble(num_members=2)
    model.coefficients.data = torch.tensor([[1.0, 0, 0, 1], [3.0, 0, 0, 1]])
    x = torch.tensor([[0.0], [2.0]])
    told = model.predict_step((x, x), 0)
    assert told["mean"].tolist() == [2, 10]
    assert told["std"].tolist() == [1, 1]
