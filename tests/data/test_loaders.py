import multiprocessing
import os

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from own_data import Drawn, Noisy, Points
from torch.utils.data import DataLoader, Dataset, IterableDataset

from firstlight import MLP
from firstlight.data.loaders import Loaded, Loader
from firstlight.data.order import Order
from firstlight.errors import DataError


def ready(data, stage="fit"):
    data.setup(stage)
    return data


def epoch(loader, number=0, start=0):
    loader.load_state_dict({"epoch": number, "batch": start})
    return list(loader)


def end_workers(loader):
    """End the workers now: where garbage collection ends them, it may close their queues before, and wait 5 s."""
    loader._iterator = None


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True)
    )


def test_workers_and_position_change_no_batch():
    whole = epoch(ready(Drawn()).train_dataloader(), 2)
    assert len(whole) == 7
    for workers, start in ((0, 5), (1, 0), (2, 3)):
        loader = ready(Drawn(num_workers=workers)).train_dataloader()
        assert same(epoch(loader, 2, start), whole[start:])
        assert same(epoch(loader, 2), whole)  # the same workers go on
        end_workers(loader)
    assert not same(epoch(ready(Drawn()).train_dataloader(), 3), whole)


def test_every_example_comes_once_and_processes_share_every_batch():
    data = ready(Points())
    inputs = torch.stack([x for x, _ in (data.train[i] for i in range(50))])
    for world_size in (1, 2, 3):
        orders = [Order(50, 8, shuffle=True, rank=rank, world_size=world_size) for rank in range(world_size)]
        shares = [list(Loader(DataLoader(data.train), order)) for order in orders]
        assert len({len(share) for share in shares}) == 1
        found = torch.cat([x for share in shares for x, _ in share])
        assert torch.equal(found.sort(0).values, inputs.sort(0).values)


def test_augmentation_is_for_training_only():
    plain, drawn = ready(Points()), ready(Drawn())
    assert not same(epoch(plain.train_dataloader()), epoch(drawn.train_dataloader()))
    assert same(epoch(plain.val_dataloader()), epoch(drawn.val_dataloader()))


def test_what_evaluation_draws_is_the_same_in_every_epoch():
    data = ready(Drawn())
    noisy = Noisy(10, 0)
    assert same(epoch(data.batches(noisy), 0), epoch(data.batches(noisy), 3))
    assert not same(epoch(data.batches(noisy, shuffle=True), 0), epoch(data.batches(noisy, shuffle=True), 3))


def test_workers_of_an_epoch_serve_the_next_one_too_in_training_and_in_validation():
    class Workers(Points):
        def collate(self, examples):
            return os.getpid()

    data = ready(Workers(num_workers=1))
    for loader in (data.train_dataloader(), data.val_dataloader()):
        assert len({*epoch(loader, 0), *epoch(loader, 1)}) == 1
        end_workers(loader)


def test_folds_share_training_and_validation_examples_out_as_they_are():
    folds = [ready(Drawn(fold=fold)) for fold in range(5)]
    held_out = torch.cat([x for data in folds for x, _ in data.val_dataloader()])
    data = ready(Points())
    everything = torch.cat([x for loader in (data.train_dataloader(), data.val_dataloader()) for x, _ in loader])
    assert torch.equal(held_out.sort(0).values, everything.sort(0).values)


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


class Nothing(Dataset):
    def __len__(self):
        return 0

    def __getitem__(self, index):
        raise IndexError


@pytest.mark.parametrize(("split", "what"), [(Stream(), "Stream"), (Nothing(), "empty"), (None, "NoneType")])
def test_split_that_is_no_data_set_with_a_length_is_refused_by_its_name(split, what):
    class Data(Loaded):
        def setup(self, stage):
            self.val = split

    expected = f"Data.val is {what}: expected a data set with a length and examples by index"
    with pytest.raises(DataError, match=expected):
        ready(Data()).val_dataloader()


@pytest.mark.parametrize("workers", [0, 1])
def test_error_in_the_data_is_raised_as_it_is(workers):
    class Bad(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            raise DataError(f"row {index} is bad")

    with pytest.raises(DataError, match=r"^row 0 is bad$"):
        list(Loader(DataLoader(Bad(), num_workers=workers), Order(3, 1)))


def test_workers_end_with_the_run(quick_trainer):
    others, model = multiprocessing.active_children(), MLP(num_features=4, hidden_dims=[8], num_classes=2)
    trainer = quick_trainer(max_steps=10)
    trainer.fit(model, data := Drawn(num_workers=1))
    assert isinstance(trainer.train_dataloader, Loader)
    assert data.train
    assert not {*multiprocessing.active_children()} - {*others}


def test_plain_trainer_resumes_in_mid_epoch_to_the_same_bits(quick_trainer, tmp_path):
    class Kept(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 10:
                trainer.save_checkpoint(tmp_path / "10.ckpt")

    def fit(**arguments):
        torch.manual_seed(0)
        model = MLP(num_features=4, hidden_dims=[8], num_classes=2)
        quick_trainer(max_epochs=3, callbacks=Kept()).fit(model, Drawn(), **arguments)
        return model.state_dict()

    whole = fit()
    resumed = fit(ckpt_path=tmp_path / "10.ckpt", weights_only=True)
    assert all(torch.equal(weights, whole[name]) for name, weights in resumed.items())


def test_fingerprint_is_that_of_the_examples_before_augmentation():
    found = ready(Points()).fingerprint()
    assert len(set(found.values())) == len(found) == 3
    assert ready(Drawn(num_workers=2)).fingerprint() == found
    changed = ready(Points())
    changed.train.x[49] += 1
    assert [split for split, text in changed.fingerprint().items() if text != found[split]] == ["train"]
    folds = [ready(Points(fold=fold)).fingerprint() for fold in range(5)]
    assert len({fold[split] for fold in folds for split in ("train", "val")}) == 10


def test_fingerprint_of_many_examples_looks_at_64_from_the_first_to_the_last():
    read = []

    class Many(Dataset):
        def __len__(self):
            return 10_000

        def __getitem__(self, index):
            read.append(index)
            return index

    found = Points().fingerprint_of(Many())
    assert (len(set(read)), min(read), max(read)) == (64, 0, 9999)
    assert Points().fingerprint_of(Many()) == found


@pytest.mark.parametrize("draw", [lambda: torch.rand(()), lambda: torch.Generator().seed()], ids=["global", "own"])
def test_fingerprint_of_random_examples_stays_the_same(draw):
    class Random(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return draw()

    before = torch.get_rng_state()
    assert Points().fingerprint_of(Random()) == Points().fingerprint_of(Random())
    assert torch.equal(torch.get_rng_state(), before)


def test_fingerprint_leaves_it_to_the_loader_to_refuse_an_example_or_a_split():
    class Damaged(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            raise DataError("damaged")

    for split in (Damaged(), None, []):
        assert Points().fingerprint_of(split)
