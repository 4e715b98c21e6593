import subprocess
import sys

import numpy as np
import pytest
import torch

from mlpf.dataset.batch import Batch, Edges
from mlpf.errors import ModelError
from mlpf.nn.message_passing import EDGE_FEATURES, MessagePassingConfig, MessagePassingModel, dataset_graph, neighbor_graph
from mlpf.nn.message_passing_layer import EqualDegreeAggregation, MessagePassingLayer
from mlpf.nn.preprocess import FeaturePreprocessor
from mlpf.schema import FEATURE_INDEX, EdgeKind
from mlpf.testing import assert_batching_independent, assert_permutation_equivariant, random_features

K = 5
POSITION = slice(FEATURE_INDEX["eta"], FEATURE_INDEX["cos_phi"] + 1)


def elements_of(*counts, padding=3, seed=0):
    """Preprocessed events of some sizes, the longest with some padding, and which rows are real."""
    longest = max(counts) + padding
    features = torch.from_numpy(random_features(len(counts) * longest, seed)).view(len(counts), longest, -1)
    features[..., FEATURE_INDEX["eta_ecal"]] = features[..., FEATURE_INDEX["phi_ecal"]] = 0.0  # every element is where it is
    real = torch.arange(longest) < torch.tensor(counts).unsqueeze(1)
    return FeaturePreprocessor(4)(features, real), real


def edges_into(graph, row):
    """Sender, features, weight of the edges that end in a row and count."""
    own = (graph.index[1] == row) & (graph.weight[:, 0] > 0)
    return dict(zip(graph.index[0][own].tolist(), zip(graph.features[own].numpy(), graph.weight[own, 0].tolist(), strict=True), strict=True))


def described(a, b):
    """Features of the edge from element b to a, from their raw features, in double precision."""
    a, b = np.float64(a), np.float64(b)
    delta_eta, phi = b[2] - a[2], np.arctan2([a[3], b[3]], [a[4], b[4]])
    delta_phi = phi[1] - phi[0]
    delta_r = np.hypot(delta_eta, 2 * np.sin(delta_phi / 2))
    lengths = np.arcsinh(np.array([delta_eta, np.sin(delta_phi), delta_r]) / 0.1)
    return [*lengths, np.log((b[1] + 0.01) / (a[1] + 0.01)), lengths[2]]


def test_neighbors_features_and_weights_equal_a_loop_over_all_pairs():
    elements, real = elements_of(30, 3, 0, 1)
    graph = neighbor_graph(elements, real, K)
    assert graph.index[1].tolist() == np.repeat(np.arange(real.numel()), K).tolist()  # what EqualDegreeAggregation relies on
    assert (graph.kind == EdgeKind.NEAREST).all()
    clean = elements.clean.numpy()
    for event, count in enumerate(real.sum(dim=1).tolist()):
        first = event * real.shape[1]
        for i in range(count):
            phi = np.arctan2(clean[event, :count, 3], clean[event, :count, 4]).astype(np.float64)
            distance = np.hypot(clean[event, :count, 2] - clean[event, i, 2], 2 * np.sin((phi - phi[i]) / 2))
            nearest = np.argsort(distance)[:K]
            weight = 1 - (distance / distance[nearest[-1]]) ** 2 if count >= K else np.ones(count)
            found = edges_into(graph, first + i)
            assert set(found) == {first + j for j in nearest if weight[j] > 0}
            for j, (features, own) in found.items():
                assert own == pytest.approx(weight[j - first], abs=1e-4)
                np.testing.assert_allclose(features, described(clean[event, i], clean[event, j - first]), atol=2e-4)
    assert not graph.weight.view(*real.shape, K)[~real].any()


def test_neighbors_are_found_across_the_seam_in_phi_and_edges_do_not_jump_there():
    elements, real = elements_of(12, padding=0)
    angle = torch.full((12,), 1.5)
    outputs = []
    for phi in (np.pi - 0.01, -np.pi + 0.01):
        angle[0], angle[1] = -np.pi + 0.02, phi
        position = torch.stack([torch.zeros(12), angle.sin(), angle.cos()], dim=-1)[None]
        graph = neighbor_graph(elements._replace(position=position), real, K)
        features, weight = edges_into(graph, 0)[1]
        assert weight > 0.999
        assert np.sinh(features[1]) * 0.1 == pytest.approx(np.sin(phi - angle[0].item()), abs=1e-4)
        outputs.append(np.sinh(features[2]) * 0.1)
    assert outputs == pytest.approx([0.03, 0.01], abs=1e-4)


def small(**settings):
    torch.manual_seed(0)
    model = MessagePassingModel(MessagePassingConfig(width=16, message_dim=8, num_layers=2, num_neighbors=K, **settings))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model.eval()


def test_the_output_is_continuous_where_a_neighbor_is_exchanged_for_another():
    model = small()
    features = torch.from_numpy(random_features(K + 1))[None]
    features[..., 0] = 4.0  # clusters, which are where they are
    features[0, :, POSITION] = torch.tensor([[0.1 * i, 0.0, 1.0] for i in range(K + 1)])
    outputs = []
    for shift in (-1e-5, 1e-5):  # the two last of them: which one is the fifth neighbour of the first?
        features[0, K, POSITION] = torch.tensor([0.0, np.sin(0.4 + shift), np.cos(0.4 + shift)])
        features[0, K - 1, FEATURE_INDEX["eta"]] = 2 * np.sin(0.2)
        with torch.no_grad():
            outputs.append(model(features, torch.ones(1, K + 1)).momentum[0, 0])
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-4, rtol=0)


def test_messages_equal_a_loop_over_edges():
    torch.manual_seed(0)
    num_rows, num_edges = 9, 40
    layer = MessagePassingLayer(6, 3, 4, degree=None)
    state, edge, weight = torch.randn(num_rows, 6), torch.randn(num_edges, 3), torch.rand(num_edges, 1)
    index = torch.randint(0, num_rows - 1, (2, num_edges))  # the last row has no edge
    with torch.no_grad():
        found = layer(state, index, edge, weight)
        for i in range(num_rows):
            messages = []
            for e in range(num_edges):
                j, receiver = index[:, e].tolist()
                if receiver == i:
                    hidden = layer.from_receiver(state[i]) + layer.from_sender(state[j]) + layer.from_edge(edge[e])
                    messages.append(weight[e] * hidden * torch.sigmoid(hidden))
            received = torch.stack(messages) if messages else torch.zeros(1, 4)
            expected = layer.to_state(torch.cat([state[i], received.mean(dim=0), received.max(dim=0).values]))
            torch.testing.assert_close(found[i], expected, atol=1e-5, rtol=1e-5)


def test_equal_degrees_are_aggregated_as_any_others():
    """A view against PyG's scatter; the maxima are negative, so that a 0 mixed in would show."""
    torch.manual_seed(0)
    scattering, viewing = (MessagePassingLayer(6, 3, 4, degree) for degree in (None, K))
    viewing.load_state_dict(scattering.state_dict())
    for layer in (scattering, viewing):
        layer.from_receiver.bias.data -= 5.0
    index = torch.stack([torch.randint(0, 7, (7 * K,)), torch.arange(7).repeat_interleave(K)])
    inputs = torch.randn(7, 6), index, torch.randn(7 * K, 3), torch.rand(7 * K, 1)
    torch.testing.assert_close(viewing(*inputs), scattering(*inputs))


def test_gradients_of_a_view_are_those_of_a_scatter():
    x = torch.randn(4 * K, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(EqualDegreeAggregation(K), x)


def random_edges(counts, longest, seed=0):
    """Pairs of elements of the same event, each once."""
    rng = np.random.default_rng(seed)
    pairs = [
        (event * longest + i, event * longest + j)
        for event, count in enumerate(counts)
        for i in range(count)
        for j in range(i + 1, count)
        if rng.random() < 0.2
    ]
    index = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).T
    return Edges(index, torch.from_numpy(rng.normal(0.0, 0.1, index.shape[1]).astype(np.float32)), torch.from_numpy(rng.integers(1, 8, index.shape[1])))


def test_a_pair_of_the_dataset_is_an_edge_either_way_with_features_of_its_direction():
    elements, real = elements_of(10, 4)
    edges = random_edges([10, 4], real.shape[1])
    edges.distance[0], edges.kind[1] = torch.nan, 99
    graph = dataset_graph(elements, edges)
    count, clean = edges.index.shape[1], elements.clean.flatten(0, 1).numpy()
    assert graph.index.tolist() == torch.cat([edges.index, edges.index.flip(0)], dim=1).tolist()
    assert (graph.weight == 1).all()
    for e in range(2 * count):
        distance = np.nan_to_num(edges.distance[e % count].item())
        expected = [*described(clean[graph.index[1, e]], clean[graph.index[0, e]])[:4], np.arcsinh(distance / 0.1)]
        np.testing.assert_allclose(graph.features[e], expected, atol=2e-4)
        assert graph.kind[e] == min(edges.kind[e % count].item(), 7)
    assert len(EDGE_FEATURES) == graph.features.shape[1]


class OnRandomEdges(torch.nn.Module):
    """A model of dataset edges, given edges between elements that are near in pt, whatever their order."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, features, mask):
        num_elements = mask.shape[1]
        pt = torch.where(torch.isfinite(features[..., 1]), features[..., 1], 0.0).double()
        near = (mask.unsqueeze(1) * mask.unsqueeze(2) > 0) & ((pt.unsqueeze(1) - pt.unsqueeze(2)).abs() < 0.3)
        event, i, j = torch.nonzero(near & (torch.arange(num_elements) < torch.arange(num_elements).unsqueeze(1))).T
        index = torch.stack([i, j]) + event * num_elements
        distance = (pt.flatten()[index[0]] - pt.flatten()[index[1]]).abs().float()
        return self.model.predict(Batch.without_targets(features, mask, Edges(index, distance, torch.full_like(event, 3))))


def test_a_model_of_dataset_edges_depends_neither_on_order_nor_on_what_else_is_in_the_batch():
    model = OnRandomEdges(small(graph="dataset"))
    assert_permutation_equivariant(model)
    assert_batching_independent(model)


def test_edges_matter_and_where_they_lead_to():
    model = small(graph="dataset")
    features, mask = torch.from_numpy(random_features(40)).view(2, 20, -1), torch.ones(2, 20)
    edges = random_edges([20, 20], 20)
    none = Edges(edges.index[:, :0], edges.distance[:0], edges.kind[:0])
    with torch.no_grad():
        first, without, kind = (
            model(features, mask, e).binary[..., 0].flatten() for e in (edges, none, edges._replace(kind=torch.full_like(edges.kind, int(EdgeKind.LINK))))
        )
        moved = features.clone()
        moved[0, 1] = features[1, 1]
        changed = (model(moved, mask, edges).binary[..., 0].flatten() - first).abs() > 1e-6
    reached = {1}
    for _ in range(2):  # layers
        reached |= {j for i, j in torch.cat([edges.index, edges.index.flip(0)], dim=1).T.tolist() if i in reached}
    assert set(torch.nonzero(changed).flatten().tolist()) <= reached
    assert changed.sum() > 5
    assert (first - without).abs().max() > 1e-4
    assert (first - kind).abs().max() > 1e-4


def test_without_edges_a_model_that_needs_them_says_so():
    model, features = small(graph="dataset"), torch.from_numpy(random_features(5))[None]
    assert model.needs_edges
    assert not small().needs_edges
    with pytest.raises(ModelError, match=r"model\.graph=dataset works on edges of a dataset, and was given none"):
        model.predict(Batch.without_targets(features, torch.ones(1, 5)))


def test_weights_of_one_graph_fit_the_other():
    small(graph="dataset").load_state_dict(small().state_dict())


def test_gradients_reach_all_parameters():
    model = small().train()
    output = model(torch.from_numpy(random_features(60)).view(2, 30, -1), torch.ones(2, 30))
    sum(values.square().mean() for values in output).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_bfloat16_is_near_float32():
    model = small()
    features, mask = torch.from_numpy(random_features(60)).view(2, 30, -1), torch.ones(2, 30)
    with torch.no_grad():
        exact = model(features, mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = model(features, mask)
    torch.testing.assert_close(rounded.momentum.float(), exact.momentum, atol=0.1, rtol=0.05)


def test_models_are_listed_without_importing_pytorch_geometric():
    """It takes 5 s, which a command that uses another model should not."""
    code = "import sys, mlpf.nn.model, mlpf.dataset.loader; print('torch_geometric' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
