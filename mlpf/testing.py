"""Random events and the assertions that every model inherits; the tests of this library use them, and so can those of a new model.

Each assertion raises `AssertionError` with the largest difference it saw. Torch is imported only inside the functions that need it.
"""

import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mlpf import schema
from mlpf.events import Events, offsets_from_counts
from mlpf.io.files import sha256
from mlpf.io.shards import Shard, write_manifest, write_parquet
from mlpf.random_elements import random_elements
from mlpf.random_ntuple import random_events as random_events

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mlpf.dataset.batch import Batch

ONNX_SIZES = (0, 1, 2, 7, 100, 257, 700)  # elements; traced at another


def random_features(num_elements: int, seed: int = 0) -> np.ndarray:
    """``(N, 55) float32`` raw features of one event, see `random_elements`: what a model may be fed."""
    return random_elements(np.random.default_rng(seed), num_elements)


def random_dataset(folder: str | Path, num_events: int = 20, mean_elements: float = 40.0, seed: int = 0) -> Path:
    """Write a small dataset whose targets follow from the features, so that a model can learn them.

    A track becomes a charged hadron of its own momentum; a cluster with more than 15 hits becomes a photon (ECAL), an HF particle or a neutral hadron
    (all others) of 0.8 times its momentum, any other cluster nothing.
    """
    rng = np.random.default_rng(seed)
    offsets = offsets_from_counts(rng.poisson(mean_elements, num_events))
    features = random_features(int(offsets[-1]), seed)
    element = {f"element_{name}": features[:, i] for name, i in schema.FEATURE_INDEX.items() if name not in ("sin_phi", "cos_phi")}
    sin_phi, cos_phi = features[:, schema.FEATURE_INDEX["sin_phi"]], features[:, schema.FEATURE_INDEX["cos_phi"]]
    kind = element["element_type"].astype(np.int32)
    charge = np.where(kind == schema.ElementType.TRACK, rng.choice([-1, 1], len(kind)), 0)
    class_of_kind = np.full(schema.NUM_ELEMENT_TYPES, schema.CandidateClass.NEUTRAL_HADRON)
    class_of_kind[[1, 4, 8, 9]] = (211, 22, 2, 1)  # track, ECAL, HFEM, HFHAD
    particle = (kind == schema.ElementType.TRACK) | (element["element_num_hits"] > 15)
    scale = np.where(kind == schema.ElementType.TRACK, 1.0, 0.8) * particle
    columns = {
        **element,
        "element_phi": np.arctan2(sin_phi, cos_phi),
        "element_charge": charge,
        "element_index": np.concatenate([np.arange(count) for count in np.diff(offsets)] or [np.zeros(0)]),
        "target_class": np.where(particle, class_of_kind[kind], 0),
        "target_pt": scale * element["element_pt"],
        "target_energy": scale * element["element_energy"],
        "target_eta": particle * element["element_eta"],
        "target_sin_phi": particle * sin_phi,
        "target_cos_phi": particle * cos_phi,
        "target_charge": charge,
        "target_ispu": np.zeros(len(kind)),
        **{name: np.arange(num_events) if name == "event" else np.ones(num_events) for name in ("run", "lumi", "event")},
    }
    events = Events(columns, {"element": offsets}, num_events, "random", layout=schema.DATASET)
    path = Path(folder) / "part-0.parquet"
    write_parquet(path, [events])
    write_manifest(folder, [Shard(path.name, num_events, int(offsets[-1]), sha256(path))], {"policy": "random", "sources": ["random"]})
    return Path(folder)


def assert_permutation_equivariant(model: "nn.Module", num_elements: int = 60, seed: int = 0, tolerance: float = 1e-4) -> None:
    """Permuting the elements of an event permutes the outputs, and does nothing else."""
    features = random_features(num_elements, seed)
    order = np.random.default_rng(seed).permutation(num_elements)
    _assert_same(_outputs(model, [features[order]])[0], [values[order] for values in _outputs(model, [features])[0]], tolerance, "elements permuted")


def assert_padding_invariant(model: "nn.Module", num_elements: int = 60, seed: int = 0, tolerance: float = 1e-4) -> None:
    """Padded rows change nothing, whatever values they hold."""
    features = random_features(num_elements, seed)
    alone = _outputs(model, [features])[0]
    for filler in (0.0, 7.0, np.nan, np.inf):
        _assert_same(_outputs(model, [features], num_padded=37, filler=filler)[0], alone, tolerance, f"37 padded rows of {filler}")


def assert_batching_independent(model: "nn.Module", seed: int = 0, tolerance: float = 1e-4) -> None:
    """An event gives the same alone and beside others, of other sizes and with non-finite values too."""
    events = [random_features(size, seed + size) for size in (60, 1, 17, 0, 90)]
    events[2][3, :] = np.nan
    for size, together, event in zip((60, 1, 17, 0, 90), _outputs(model, events), events, strict=True):
        _assert_same(together, _outputs(model, [event])[0], tolerance, f"event of {size} elements alone and in a batch")


def assert_handles_small_events(model: "nn.Module") -> None:
    """Events without elements, with one and with two have outputs of the contract's shapes, all finite."""
    widths = (2, schema.NUM_CLASSES, len(schema.MOMENTUM_COMPONENTS), 1, 3)
    for size in (0, 1, 2):
        outputs = _outputs(model, [random_features(size)])[0]
        assert [values.shape for values in outputs] == [(size, width) for width in widths], f"{size} elements: shapes {[v.shape for v in outputs]}"
        assert all(np.isfinite(values).all() for values in outputs), f"{size} elements: outputs are not finite"


def assert_robust_to_poison(model: "nn.Module", num_elements: int = 20, seed: int = 0) -> None:
    """Any input gives finite outputs; a NaN or an infinity in a feature counts as 0."""
    clean = random_features(num_elements, seed)
    for feature, name in enumerate(schema.FEATURES):
        poisoned = [clean.copy() for _ in range(6)]
        for event, value in zip(poisoned, (0.0, np.nan, np.inf, -np.inf, 1e30, -1e30), strict=True):
            event[num_elements // 2, feature] = value
        outputs = _outputs(model, poisoned)
        for value, values in zip((0.0, np.nan, np.inf, -np.inf, 1e30, -1e30), outputs, strict=True):
            assert all(np.isfinite(v).all() for v in values), f"{name} = {value}: outputs are not finite"
            if not np.isfinite(value):
                _assert_same(values, outputs[0], 1e-4, f"{name} = {value} and 0")


def assert_overfits_one_event(model: "nn.Module", num_elements: int = 40, steps: int = 200, seed: int = 0) -> None:
    """A few hundred steps learn any labels of one event (`random_batch`)."""
    model.train()
    losses = _learn(model, random_batch(num_elements, seed), _optimizer(model), steps)
    model.eval()
    assert losses[-1] < 0.05 * losses[0], f"loss {losses[0]:.3g} -> {losses[-1]:.3g} after {steps} steps on one event of {num_elements} elements"


def assert_restart_equals_uninterrupted(build: Callable[[], "nn.Module"], num_elements: int = 40, steps: int = 3, seed: int = 0) -> None:
    """A training that is saved and goes on with a model built anew has the losses of one that was never interrupted, to the last bit.

    What is saved: the state of model, optimiser and random numbers. ``build`` gives a model with other random weights each time.
    """
    import torch

    batch = random_batch(num_elements, seed)
    uninterrupted, fresh = build().train(), build().train()
    optimizer = _optimizer(uninterrupted)
    _learn(uninterrupted, batch, optimizer, steps)
    saved = io.BytesIO()
    torch.save([uninterrupted.state_dict(), optimizer.state_dict(), torch.get_rng_state()], saved)
    expected = _learn(uninterrupted, batch, optimizer, steps)
    saved.seek(0)
    state, optimizer_state, random_state = torch.load(saved, weights_only=True)
    fresh.load_state_dict(state)
    optimizer = _optimizer(fresh)
    optimizer.load_state_dict(optimizer_state)
    torch.set_rng_state(random_state)
    found = _learn(fresh, batch, optimizer, steps)
    assert found == expected, f"losses {expected} without interruption, {found} after a restart"


def assert_onnx_parity(model: "nn.Module", tolerance: float = 2e-5, sizes: Sequence[int] = ONNX_SIZES) -> None:
    """The model can be exported once, and its ONNX form gives the same numbers at all sizes, in padded batches, with non-finite and absurd values too.

    Differences are absolute up to 1 and relative above.
    """
    import onnxruntime
    import torch

    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    example = (torch.from_numpy(np.stack([random_features(40, seed) for seed in (0, 1)])), torch.ones(2, 40))
    model.eval()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        program = torch.onnx.export(
            model, example, dynamo=True, opset_version=20, dynamic_shapes=(axes, axes), input_names=list(schema.ONNX_INPUTS), verbose=False
        )
        assert program is not None
        program.save(Path(folder) / "model.onnx")
        session = onnxruntime.InferenceSession(Path(folder) / "model.onnx", providers=["CPUExecutionProvider"])
    for num_events, num_elements in [(batch, size) for batch in (1, 2) for size in sizes]:
        features = random_features(num_events * num_elements, seed=num_elements).reshape(num_events, num_elements, schema.NUM_FEATURES)
        features[:, 1:2, 7:9] = np.nan, 1e30
        mask = np.ones((num_events, num_elements), dtype=np.float32)
        mask[1:, num_elements // 2 :] = 0.0
        with torch.no_grad():
            expected = [values.numpy() for values in model(torch.from_numpy(features), torch.from_numpy(mask))]
        found = session.run(None, dict(zip(schema.ONNX_INPUTS, (features, mask), strict=True)))
        real = mask > 0.5
        scale = [np.maximum(1.0, np.abs(values[real])) for values in expected]
        relative = [[values[real] / unit for values, unit in zip(side, scale, strict=True)] for side in (found, expected)]
        _assert_same(relative[0], relative[1], tolerance, f"ONNX Runtime and torch, {num_events} events of {num_elements} elements")


def random_batch(num_elements: int, seed: int = 0) -> "Batch":
    """One event with labels that follow from nothing: a class, a charge and momenta drawn at random for each of its elements."""
    import torch

    from mlpf.dataset.batch import Batch, Targets

    rng = np.random.default_rng(seed)
    features = random_features(num_elements, seed)
    features[:, 0] = schema.ElementType.HCAL  # nothing is known beforehand of its direction and charge
    pt, energy = features[:, schema.FEATURE_INDEX["pt"]], features[:, schema.FEATURE_INDEX["energy"]]
    class_position = rng.integers(0, schema.NUM_CLASSES - 1, num_elements)
    has_momentum = (class_position > 0) & (pt > 0)
    momentum = features[:, [1, 2, 3, 4, 5]] * np.array([0, 1, 1, 1, 0], dtype=np.float32) + rng.normal(0.0, 0.3, (num_elements, 5)).astype(np.float32)
    unit = np.where(has_momentum, pt * np.cosh(momentum[:, 1]) / np.where(has_momentum, energy, 1.0), 1.0)
    momentum[:, 4] = momentum[:, 0] + np.log(unit) + np.abs(momentum[:, 4])  # the energy of a particle is at least its momentum
    targets = Targets(
        class_position=torch.from_numpy(class_position)[None],
        momentum=torch.from_numpy(momentum)[None],
        has_momentum=torch.from_numpy(has_momentum)[None],
        pileup=torch.from_numpy(rng.integers(0, 2, num_elements).astype(np.float32))[None],
        charge=torch.from_numpy(rng.integers(0, 3, num_elements))[None],
        jet=torch.zeros(1, num_elements, dtype=torch.int64),
        jet_scale=torch.ones(1, num_elements),
    )
    return Batch(torch.from_numpy(features)[None], torch.ones(1, num_elements), torch.ones(1, num_elements), targets, torch.ones(1, 3, dtype=torch.int64))


def _optimizer(model: "nn.Module") -> "torch.optim.Optimizer":
    import torch

    return torch.optim.Adam(model.parameters(), lr=3e-3)


def _learn(model: "nn.Module", batch: "Batch", optimizer: "torch.optim.Optimizer", steps: int) -> list[float]:
    """Losses before each of some steps on one batch."""
    from mlpf.loss.particle_flow import LossConfig, ParticleFlowLoss

    loss = ParticleFlowLoss(LossConfig())
    losses = []
    for _ in range(steps):
        total = loss(model(batch.features, batch.mask), batch)["total"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    return losses


def _outputs(model: "nn.Module", events: Sequence[np.ndarray], num_padded: int = 0, filler: float = 0.0) -> list[list[np.ndarray]]:
    """Outputs of a model on some events as one batch: per event the five outputs of its own elements."""
    import torch

    longest = max(len(event) for event in events) + num_padded
    features = np.full((len(events), longest, schema.NUM_FEATURES), filler, dtype=np.float32)
    mask = np.zeros((len(events), longest), dtype=np.float32)
    for i, event in enumerate(events):
        features[i, : len(event)] = event
        mask[i, : len(event)] = 1.0
    model.eval()
    with torch.no_grad():
        output = model(torch.from_numpy(features), torch.from_numpy(mask))
    return [[values[i, : len(event)].numpy() for values in output] for i, event in enumerate(events)]


def _assert_same(found: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: float, what: str) -> None:
    for name, a, b in zip(("binary", "pid", "momentum", "pileup", "charge"), found, expected, strict=True):
        difference = float(np.max(np.abs(a - b), initial=0.0)) if np.isfinite(a).all() and np.isfinite(b).all() else np.inf
        assert difference <= tolerance, f"{what}: {name} differs by up to {difference:.3g}"
