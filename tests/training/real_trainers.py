"""A small network trained twice by a trainer that nobody here wrote, with and without the callback: ``NAME STORE``.

Run as a process of its own: these libraries warn of much that is not ours.
"""

import sys
import tempfile

import torch
from torch import nn

from gradlaws.training.callbacks import hugging_face_callback, lightning_callback


def rows():
    """Random examples, the same at every call."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(64, 3, generator=generator), torch.randn(64, 1, generator=generator)


def body():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


def by_lightning(callbacks):
    import lightning.pytorch as pl  # noqa: PLC0415 - one of the two libraries only
    from torch.utils.data import DataLoader, TensorDataset  # noqa: PLC0415

    class Net(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.body = body()

        def forward(self, x):
            return self.body(x)

        def training_step(self, batch, _):
            x, y = batch
            return (self(x) - y).square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)

    silent = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    net = Net()
    trainer = pl.Trainer(max_epochs=2, callbacks=callbacks, accelerator="cpu", **silent)
    trainer.fit(net, DataLoader(TensorDataset(*rows()), batch_size=8))
    return net


def by_transformers(callbacks):
    import transformers  # noqa: PLC0415

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body()

        def forward(self, x, labels=None):
            y = self.body(x)
            return y if labels is None else {"loss": (y - labels).square().mean(), "logits": y}

    data = [{"x": x, "labels": y} for x, y in zip(*rows(), strict=True)]
    silent = {"report_to": [], "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True}
    net = Net()
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder, num_train_epochs=2, per_device_train_batch_size=8, use_cpu=True, learning_rate=1e-2, **silent
        )
        transformers.Trainer(net, arguments, train_dataset=data, callbacks=callbacks).train()
    return net


MAKERS = {"lightning": (by_lightning, lightning_callback), "transformers": (by_transformers, hugging_face_callback)}


def main():
    name, store = sys.argv[1:]
    train, make = MAKERS[name]
    callback = make(torch.zeros(3), every=1, store=store)
    tracked, alone = train([callback]), train([])
    assert all(torch.equal(a, b) for a, b in zip(tracked.parameters(), alone.parameters(), strict=True))
    assert not torch.equal(tracked.body[0].weight, body()[0].weight)
    print(callback.tracking.tracker.summary())


if __name__ == "__main__":
    main()
