"""What a training reads: the events of its datasets, how elements weigh, how features are scaled."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from mlpf.dataset.loader import Loader
from mlpf.dataset.sample import Sample, select_split
from mlpf.dataset.targets import has_target
from mlpf.errors import DatasetError
from mlpf.io.shards import ShardedDataset
from mlpf.samples.element_weights import ElementWeights, measure_element_weights
from mlpf.samples.scaling import ScalingConfig
from mlpf.samples.scaling_file import ScalingFile, read_scaling_file
from mlpf.samples.statistics import measure_features
from mlpf.training.config import TrainingConfig

SCALING_EVENTS = 20_000  # 1e7 elements without pileup: moments to a thousandth of a standard deviation


class TrainingData(NamedTuple):
    """Datasets of a training and their events; the lists are parallel.

    Attributes:
        datasets: the datasets.
        training: events to learn from.
        validation: events that select the best epoch.
    """

    datasets: list[ShardedDataset]
    training: list[Sample]
    validation: list[Sample]

    def __str__(self) -> str:
        return ", ".join(str(dataset.path) for dataset in self.datasets)


def open_data(config: TrainingConfig, report: Callable[[str], None]) -> TrainingData:
    """The datasets that ``training.dataset`` names; each is reported with its numbers of events.

    Raises:
        DatasetError: none is named, one is damaged, or no event of a split has a target.
    """
    if not config.datasets:
        raise DatasetError("no dataset to train on; pass --data DATASET or set training.dataset")
    datasets = [ShardedDataset(folder) for folder in config.datasets]
    data = TrainingData(datasets, *([select_split(dataset, split, config.split) for dataset in datasets] for split in ("train", "validation")))
    for split, samples in (("train", data.training), ("validation", data.validation)):
        if not any(has_target(sample) for sample in samples):
            raise DatasetError(
                f"{data}: {sum(map(len, samples))} of {sum(map(len, datasets))} events fall to {split}, none with a target; "
                f"use more events, of an ntuple with truth, or raise training.split.{split}"
            )
    for dataset, training, validation in zip(*data, strict=True):
        num_test = len(dataset) - len(training) - len(validation)
        report(f"{dataset.path}: {len(training)} events for training, {len(validation)} for validation, {num_test} for tests")
    return data


def make_loaders(
    data: TrainingData, config: TrainingConfig, element_weights: ElementWeights | None, report: Callable[[str], None], edges: bool = False
) -> tuple[Loader, Loader]:
    """Loaders of training and validation batches, with the edges of the datasets if asked for.

    Proportions are those of the training; validation sees every event once. Elements weigh alike in both, so that their losses can be compared.
    """
    proportions = [share for share in config.datasets.values() if share is not None] or None
    loader = partial(Loader, pool_elements=config.pool_elements, num_workers=config.num_workers, element_weights=element_weights, edges=edges)
    training = loader(data.training, config.max_elements, seed=config.seed, proportions=proportions)
    if proportions is not None:
        counts = ", ".join(f"{training.plan.num_events(i)} of {dataset.path.name}" for i, dataset in enumerate(data.datasets))
        report(f"an epoch: {counts}")
    return training, loader(data.validation, config.max_elements, shuffle=False)


def weigh_elements(data: TrainingData, config: TrainingConfig, report: Callable[[str], None]) -> ElementWeights | None:
    """Weights of elements from the training events, if the training has any."""
    if config.element_weights is None:
        return None
    weights = measure_element_weights(data.datasets, "train", config.split, config.element_weights)
    report(f"weights of elements: {', '.join(f'{row[0]} {row[4]}' for row in weights.describe())}")
    return weights


def feature_scaling(data: TrainingData, config: TrainingConfig, scaling: ScalingConfig) -> ScalingFile:
    """Statistics of the features, those of ``training.scaling`` or else of training events, and the parameters of their use.

    Raises:
        DatasetError: the file is not one of `mlpf scale`.
    """
    if config.scaling is not None:
        return replace(read_scaling_file(config.scaling), scaling=scaling)
    statistics = measure_features(data.datasets, "train", config.split, max_events=SCALING_EVENTS)
    return ScalingFile.of_datasets(statistics, data.datasets, "train", config.split, scaling)
