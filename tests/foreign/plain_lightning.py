"""Modules as people write them for plain Lightning, each in a style of its own: nothing here knows of firstlight."""

from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, OneCycleLR, ReduceLROnPlateau, StepLR
from torch.utils.data import DataLoader, Dataset, TensorDataset, random_split
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

__all__ = [
    "GAN",
    "AutoEncoder",
    "ConvNet",
    "Digits",
    "Forms",
    "LanguageModel",
    "LateLayers",
    "Lazy",
    "Pairs",
    "SelfServing",
    "SeveralLosses",
    "Text",
]


def drawings(count, seed):
    """Return images of 8 x 8 with a bright line in one of four rows or columns, and which."""
    random = torch.Generator().manual_seed(seed)
    kinds = torch.randint(4, (count,), generator=random)
    images = 0.3 * torch.rand(count, 1, 8, 8, generator=random)
    for image, kind in zip(images, kinds.tolist(), strict=True):
        image[0, 2 * kind] += 0.7
    return images, kinds


class Drawings(Dataset):
    """Drawings that are changed at random as they are read."""

    def __init__(self, count, seed):
        self.images, self.kinds = drawings(count, seed)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = self.images[index]
        return (image.flip(-1) if torch.rand(()) < 0.5 else image), self.kinds[index]


class Digits(LightningDataModule):
    """An image data set with ``prepare_data``, ``random_split`` and plain loaders."""

    def __init__(self, data_dir: str = "drawn", batch_size: int = 8, num_workers: int = 0):
        super().__init__()
        self.save_hyperparameters()
        self.data_dir, self.batch_size, self.num_workers = Path(data_dir), batch_size, num_workers

    def prepare_data(self):
        self.data_dir.mkdir(exist_ok=True)

    def setup(self, stage=None):
        if stage in ("fit", "validate", None):
            parts = [42, 14]
            whole = Drawings(sum(parts), 0)
            self.train_set, self.val_set = random_split(whole, parts, generator=torch.Generator().manual_seed(42))
        if stage in ("test", "predict", None):
            self.test_set = TensorDataset(*drawings(11, 1))

    def train_dataloader(self):
        return DataLoader(self.train_set, self.batch_size, shuffle=True, num_workers=self.num_workers)

    def val_dataloader(self):
        return DataLoader(self.val_set, batch_size=self.batch_size)

    def test_dataloader(self):
        return DataLoader(self.test_set, batch_size=self.batch_size)

    def predict_dataloader(self):
        return DataLoader(self.test_set, batch_size=self.batch_size)


class Text(LightningDataModule):
    """Sequences of tokens, in batches that are dicts."""

    def __init__(self, length: int = 6):
        super().__init__()
        self.save_hyperparameters()
        starts = torch.arange(40)[:, None]
        tokens = (starts + torch.arange(length + 1) * (1 + starts % 3)) % 11
        self.rows = [{"input_ids": row[:-1], "labels": row[1:]} for row in tokens]

    def train_dataloader(self):
        return DataLoader(self.rows[:26], batch_size=4, shuffle=True, drop_last=True)

    def val_dataloader(self):
        return DataLoader(self.rows[26:33], batch_size=4)

    def test_dataloader(self):
        return DataLoader(self.rows[33:], batch_size=4)

    predict_dataloader = test_dataloader


class Pairs(LightningDataModule):
    """Two loaders in each stage: of different lengths to train on, in a dict; in lists for the others."""

    def __init__(self, batch_size: int = 5):
        super().__init__()
        self.save_hyperparameters()
        self.sets = [TensorDataset(*drawings(count, seed)) for seed, count in enumerate((30, 18, 12, 9))]

    def train_dataloader(self):
        size = self.hparams.batch_size
        return {name: DataLoader(self.sets[number], size, shuffle=True) for number, name in enumerate("ab")}

    def val_dataloader(self):
        return [DataLoader(each, batch_size=4) for each in self.sets[2:]]

    test_dataloader = predict_dataloader = val_dataloader


class AutoEncoder(LightningModule):
    """Layers are given as modules; ``predict_step`` returns a tensor."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, lr: float = 0.05):
        super().__init__()
        self.save_hyperparameters(ignore=["encoder", "decoder"])
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x):
        return self.decoder(self.encoder(x.flatten(1)))

    def _step(self, batch, name):
        x = batch[0].flatten(1)
        loss = F.mse_loss(self(x), x)
        self.log(name, loss, prog_bar=True)
        return loss

    def training_step(self, batch, batch_idx):
        return self._step(batch, "train_loss")

    def validation_step(self, batch, batch_idx):
        self._step(batch, "val_loss")

    def test_step(self, batch, batch_idx):
        self._step(batch, "test_loss")

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        return self.encoder(batch[0].flatten(1))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


class ConvNet(LightningModule):
    """Metrics in collections, dropout, batch norm, ``on_step=True``, a schedule over the whole run."""

    def __init__(self, channels: int = 4, dropout: float = 0.25, learning_rate: float = 0.05):
        super().__init__()
        self.save_hyperparameters()
        self.example_input_array = torch.zeros(2, 1, 8, 8)
        self.net = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
        )
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(16 * channels, 4)
        scores = MetricCollection({"acc": MulticlassAccuracy(4), "f1": MulticlassF1Score(4)})
        self.train_scores, self.val_scores = scores.clone(prefix="train/"), scores.clone(prefix="val/")
        self.test_scores = scores.clone(prefix="test/")

    def forward(self, x):
        return F.log_softmax(self.head(self.dropout(self.net(x))), dim=1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        log_probabilities = self(x)
        loss = F.nll_loss(log_probabilities, y)
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, logger=True)
        self.log_dict(self.train_scores(log_probabilities, y), on_step=False, on_epoch=True)
        return {"loss": loss, "preds": log_probabilities.argmax(1)}

    def validation_step(self, batch, batch_idx):
        x, y = batch
        log_probabilities = self(x)
        self.val_scores.update(log_probabilities, y)
        self.log("val/loss", F.nll_loss(log_probabilities, y), sync_dist=True)

    def on_validation_epoch_end(self):
        self.log_dict(self.val_scores.compute())
        self.val_scores.reset()

    def test_step(self, batch, batch_idx):
        x, y = batch
        self.log_dict(self.test_scores(self(x), y))

    def predict_step(self, batch, batch_idx):
        probabilities = self(batch[0]).exp()
        return {"class": probabilities.argmax(1), "probabilities": probabilities, "target": batch[1]}

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.learning_rate)
        schedule = OneCycleLR(optimizer, 0.1, total_steps=int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class GAN(LightningModule):
    """Two optimizers, stepped by hand, with a schedule each; no validation."""

    def __init__(self, latent_dim: int = 3, lr: float = 0.01):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(latent_dim, 8), nn.LeakyReLU(0.2), nn.Linear(8, 64), nn.Sigmoid())
        self.discriminator = nn.Sequential(nn.Linear(64, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
        self.validation_z = torch.randn(4, latent_dim)

    def forward(self, z):
        return self.generator(z)

    def training_step(self, batch, batch_idx):
        images = batch[0].flatten(1)
        first, second = self.optimizers()
        z = torch.randn(len(images), self.hparams.latent_dim).type_as(images)
        self.toggle_optimizer(first)
        loss_g = F.softplus(-self.discriminator(self(z))).mean()
        self.log("g_loss", loss_g, prog_bar=True)
        self.manual_backward(loss_g)
        self.clip_gradients(first, gradient_clip_val=0.5, gradient_clip_algorithm="norm")
        first.step()
        first.zero_grad()
        self.untoggle_optimizer(first)
        self.toggle_optimizer(second)
        fake = self(z).detach()
        loss_d = (F.softplus(-self.discriminator(images)) + F.softplus(self.discriminator(fake))).mean()
        self.log("d_loss", loss_d, prog_bar=True)
        self.manual_backward(loss_d)
        second.step()
        second.zero_grad()
        self.untoggle_optimizer(second)

    def on_train_epoch_end(self):
        for schedule in self.lr_schedulers():
            schedule.step()

    def predict_step(self, batch, batch_idx):
        return self.discriminator(batch[0].flatten(1)), batch[1]

    def configure_optimizers(self):
        optimizers = [
            torch.optim.Adam(part.parameters(), lr=self.hparams.lr, betas=(0.5, 0.999))
            for part in (self.generator, self.discriminator)
        ]
        return optimizers, [ExponentialLR(optimizer, 0.9) for optimizer in optimizers]


class LanguageModel(LightningModule):
    """A transformer with a mask of minus infinities, on batches that are dicts."""

    def __init__(self, vocab_size: int = 11, width: int = 8, length: int = 6):
        super().__init__()
        self.save_hyperparameters()
        self.embedding, self.positions = nn.Embedding(vocab_size, width), nn.Parameter(torch.randn(length, width))
        self.layer = nn.TransformerEncoderLayer(width, 2, 16, dropout=0.1, batch_first=True)
        self.head = nn.Linear(width, vocab_size)
        self.register_buffer("mask", torch.full((length, length), -torch.inf).triu(1))

    def forward(self, input_ids):
        return self.head(self.layer(self.embedding(input_ids) + self.positions, src_mask=self.mask))

    def _loss(self, batch):
        return F.cross_entropy(self(batch["input_ids"]).flatten(0, 1), batch["labels"].flatten())

    def training_step(self, batch, batch_idx):
        loss = self._loss(batch)
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        loss = self._loss(batch)
        self.log_dict({"val_loss": loss, "val_perplexity": loss.exp()}, batch_size=len(batch["labels"]))

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self._loss(batch))

    def predict_step(self, batch, batch_idx):
        return self(batch["input_ids"]).argmax(-1)

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        return [optimizer], [{"scheduler": CosineAnnealingLR(optimizer, 18), "interval": "step", "name": "rate"}]


class Linear(LightningModule):
    """What the following share: a linear classifier of drawings."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 4)

    def forward(self, x):
        return self.layer(x.flatten(1))

    def _loss(self, batch):
        x, y = batch
        return F.cross_entropy(self(x), y)

    def training_step(self, batch, batch_idx):
        return self._loss(batch)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self._loss(batch))

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self._loss(batch))

    def predict_step(self, batch, batch_idx):
        return self(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Forms(Linear):
    """Each form that ``configure_optimizers`` may have."""

    def __init__(self, form: str = "single"):
        super().__init__()
        self.save_hyperparameters()

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        step, plateau = StepLR(optimizer, 1, 0.5), ReduceLROnPlateau(optimizer, patience=0)
        return {
            "single": optimizer,
            "list": [optimizer],
            "lists": ([optimizer], [step]),
            "lists of dicts": ([optimizer], [{"scheduler": step, "interval": "step", "frequency": 4}]),
            "dict": {"optimizer": optimizer},
            "dict with a schedule": {"optimizer": optimizer, "lr_scheduler": step},
            "every other epoch": {"optimizer": optimizer, "lr_scheduler": {"scheduler": step, "frequency": 2}},
            "plateau": {"optimizer": optimizer, "lr_scheduler": plateau, "monitor": "val_loss"},
            "plateau in steps": {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss", "interval": "step", "frequency": 6},
            },
            "tuple of dicts": ({"optimizer": optimizer, "lr_scheduler": {"scheduler": step}},),
        }[self.hparams.form]


class Lazy(Linear):
    """Layers that learn their sizes from the first batch."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Sequential(nn.LazyLinear(6), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(4))


class LateLayers(Linear):
    """Layers that are made in ``configure_model``."""

    def __init__(self, width: int = 6):
        super().__init__()
        self.save_hyperparameters()
        self.layer = None

    def configure_model(self):
        if self.layer is None:
            self.layer = nn.Sequential(nn.Linear(64, self.hparams.width), nn.Tanh(), nn.Linear(self.hparams.width, 4))


class SeveralLosses(Linear):
    """A dict of batches to train on, and several loaders in the other stages."""

    def training_step(self, batch, batch_idx):
        losses = {name: self._loss(part) for name, part in batch.items()}
        self.log_dict({f"loss_{name}": loss for name, loss in losses.items()}, on_step=True, on_epoch=True)
        return sum(losses.values())

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.log("val_loss", self._loss(batch))

    def test_step(self, batch, batch_idx, dataloader_idx=0):
        self.log(f"test_loss_{dataloader_idx}", self._loss(batch), add_dataloader_idx=False)

    def predict_step(self, batch, batch_idx, dataloader_idx=0):
        return self(batch[0])


class SelfServing(Linear):
    """The loaders are the module's own, as in old examples."""

    def train_dataloader(self):
        return DataLoader(TensorDataset(*drawings(42, 0)), batch_size=8, shuffle=True)

    def val_dataloader(self):
        return DataLoader(TensorDataset(*drawings(14, 1)), batch_size=8)

    test_dataloader = predict_dataloader = val_dataloader
