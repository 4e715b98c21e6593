"""Message passing on edges with features, by PyTorch Geometric: neighbours in (eta, phi), or the edges of the dataset, its PF links for example."""

from typing import Literal, NamedTuple

import pydantic
import torch
from torch import Tensor, nn

from mlpf.dataset.batch import Batch, Edges
from mlpf.errors import ModelError
from mlpf.nn.base import Model, ModelConfig, append_padding
from mlpf.nn.heads import Heads, ModelOutput
from mlpf.nn.mlp import MLP
from mlpf.nn.neighbors import find_nearest
from mlpf.nn.preprocess import FeaturePreprocessor, Preprocessed
from mlpf.schema import FEATURE_INDEX, EdgeKind

NEAR = 0.1  # in delta R, between the size of an ECAL crystal (.0174) and of a jet (.4): distances enter linearly below, as logarithms above
MAX_ABS_DISTANCE = 100.0  # of an edge: beyond any delta R or PF link
MIN_PT = 0.01  # GeV, well below any element's: a ratio to a pt of 0 stays finite
NOT_SMALLER = 1e-6  # square of a delta R of .001, far below the resolution: elements nearer to each other than that are at one place
EDGE_FEATURES = ("delta_eta", "sin_delta_phi", "delta_r", "log_pt_ratio", "distance")
NUM_KINDS = 2 * max(EdgeKind)  # any sum of them


class MessagePassingConfig(ModelConfig):
    """Parameters of `MessagePassingModel`."""

    name: Literal["message_passing"] = "message_passing"
    """Which model."""
    graph: Literal["knn", "dataset"] = "knn"
    """Edges: ``knn``, from the nearest elements in (eta, phi), found by the model; ``dataset``, those of the dataset, which no exported model can have."""
    num_layers: int = pydantic.Field(default=3, ge=1)
    """Rounds of message passing."""
    message_dim: int = pydantic.Field(default=64, ge=1)
    """Length of a message along an edge."""
    num_neighbors: int = pydantic.Field(default=16, ge=2)
    """Nearest elements that an element listens to, itself included, in the graph ``knn``."""
    embedding_dim: int = pydantic.Field(default=8, ge=1)
    """Length of the learned vectors that stand for the type of an element and the kind of an edge."""


class Graph(NamedTuple):
    """Edges between R rows, the elements of B events.

    Attributes:
        index: ``(2, E) int64`` rows of the sender and of the receiver of each edge.
        features: ``(E, 5)`` in the order of `EDGE_FEATURES`.
        kind: ``(E,) int64`` sum of `EdgeKind`.
        weight: ``(E, 1)`` in [0, 1], of the message.
    """

    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    features: Tensor
    kind: Tensor
    weight: Tensor


class MessagePassingModel(Model):
    """A stack of `mlpf.nn.message_passing_layer.MessagePassingLayer` with residual connections; every element ends with one prediction.

    Edges have features: differences of eta and phi, distance, ratio of transverse momenta, the distance of a PF link, and why there is an edge. Both graphs
    share all parameters, so weights learned on one can start a training on the other.

    With the graph ``dataset``, training and evaluation need datasets with edges:

        postprocess: {caloparticle: {edges: [links, knn], edge_neighbors: 8}}   # mlpf postprocess -p FILE ...
        model: {name: message_passing, graph: dataset}                          # mlpf train -p FILE ...

    Shapes:
        features: (B, N, 55) float32, raw, anything; mask: (B, N) float32, 1 = real element; edges between the B N rows -> `ModelOutput`
    """

    def __init__(self, config: MessagePassingConfig) -> None:
        super().__init__()
        from mlpf.nn.message_passing_layer import MessagePassingLayer  # PyTorch Geometric imports for 5 s

        self.needs_edges = config.graph == "dataset"
        self.num_neighbors = config.num_neighbors
        self.preprocess = FeaturePreprocessor(config.embedding_dim)
        self.encode = MLP(self.preprocess.output_dim + 3, 2 * config.width, config.width, config.dropout)
        self.embed_kind = nn.Embedding(NUM_KINDS, config.embedding_dim)
        self.layers = nn.ModuleList(
            MessagePassingLayer(
                config.width,
                len(EDGE_FEATURES) + config.embedding_dim,
                config.message_dim,
                None if self.needs_edges else config.num_neighbors,
                config.dropout,
            )
            for _ in range(config.num_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(config.num_layers))
        self.last_norm = nn.LayerNorm(config.width)
        self.heads = Heads(config.width, config.dropout)

    def predict(self, batch: Batch) -> ModelOutput:
        """See `Model`."""
        output: ModelOutput = self(batch.features, batch.mask, batch.edges if self.needs_edges else None)
        return output

    def forward(self, features: Tensor, mask: Tensor, edges: Edges | None = None) -> ModelOutput:
        """See the class.

        Raises:
            ModelError: the graph is that of the dataset, and there are no edges.
        """
        batch, num_elements = mask.shape
        features, real = append_padding(features, mask > 0.5, self.num_neighbors)  # -> (B, N + k, 55)
        elements = self.preprocess(features, real)  # -> (B, N + k, F)
        graph = self._graph(elements, real, edges, num_elements)  # -> E edges between R = B (N + k) rows
        edge = torch.cat([graph.features, self.embed_kind(graph.kind)], dim=-1)  # -> (E, 5 + embedding_dim)
        state = self.encode(torch.cat([elements.inputs, elements.position], dim=-1)).flatten(0, 1)  # -> (R, width)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            state = state + layer(norm(state), graph.index, edge, graph.weight)  # messages along the edges
        state = self.last_norm(state).view(batch, -1, state.shape[-1])
        output = self.heads(state, elements, real)  # -> (B, N + k, 2 | 9 | 5 | 1 | 3)
        return ModelOutput(*(values[:, :num_elements] for values in output))

    def _graph(self, elements: Preprocessed, real: Tensor, edges: Edges | None, num_elements: int) -> Graph:
        if not self.needs_edges:
            return neighbor_graph(elements, real, self.num_neighbors)
        if edges is None:
            raise ModelError("message_passing with model.graph=dataset works on edges of a dataset, and was given none")
        appended = self.num_neighbors * torch.div(edges.index, max(num_elements, 1), rounding_mode="floor")  # rows of padding before each end
        return dataset_graph(elements, edges._replace(index=edges.index + appended))


def neighbor_graph(elements: Preprocessed, real: Tensor, num_neighbors: int) -> Graph:
    """Edges from the k nearest elements of the same event, itself among them, to every element; k to each, one receiver after the other.

    The distance is delta R, but for the chord instead of the arc between azimuths: the same to 1 % up to 0.5 rad, and without a seam. The weight
    ``(d_k^2 - d^2) / d_k^2`` falls to 0 at the k-th neighbour, so which of two equally far elements that is changes nothing; where there are fewer than k all
    weights are 1, and of edges to nowhere 0.
    """
    batch, num_rows = real.shape
    index, exists = find_nearest(elements.position, real, num_neighbors)  # -> (B, N, k)
    first = num_rows * torch.arange(batch, device=index.device).view(-1, 1, 1)
    sender = (index + first).flatten()
    receiver = (torch.arange(num_rows, device=index.device).view(1, -1, 1) + first).expand_as(index).flatten()
    features, distance2 = _edge_features(elements, sender, receiver)
    distance2 = distance2.view_as(index)
    farthest = distance2.amax(dim=-1, keepdim=True)
    fading = (farthest - distance2) / (farthest + NOT_SMALLER)
    weight = torch.where(exists.all(dim=-1, keepdim=True), fading, exists.to(fading.dtype))
    kind = torch.full_like(sender, int(EdgeKind.NEAREST))
    return Graph(torch.stack([sender, receiver]), torch.cat([features, features[:, 2:3]], dim=-1), kind, weight.view(-1, 1))


def dataset_graph(elements: Preprocessed, edges: Edges) -> Graph:
    """Edges of a dataset, which lists each pair once, in both directions; all of weight 1."""
    sender, receiver = torch.cat([edges.index, edges.index.flip(0)], dim=1)
    features, _ = _edge_features(elements, sender, receiver)
    distance = _compressed(torch.nan_to_num(edges.distance).clamp(-MAX_ABS_DISTANCE, MAX_ABS_DISTANCE)).repeat(2).unsqueeze(-1)
    kind = edges.kind.clamp(0, NUM_KINDS - 1).repeat(2)
    return Graph(torch.stack([sender, receiver]), torch.cat([features, distance], dim=-1), kind, torch.ones_like(distance))


def _edge_features(elements: Preprocessed, sender: Tensor, receiver: Tensor) -> tuple[Tensor, Tensor]:
    """The first four of `EDGE_FEATURES`, ``(E, 4)``, of the sender relative to the receiver, and the squared distance ``(E,)``."""
    position = elements.position.flatten(0, 1)
    log_pt = (elements.clean[..., FEATURE_INDEX["pt"]].clamp(min=0.0) + MIN_PT).log().flatten()
    to, own = position.index_select(0, sender), position.index_select(0, receiver)
    distance2 = (to - own).square().sum(dim=-1)
    sin_delta_phi = to[:, 1] * own[:, 2] - to[:, 2] * own[:, 1]
    lengths = _compressed(torch.stack([to[:, 0] - own[:, 0], sin_delta_phi, distance2.sqrt()], dim=-1))
    log_ratio = log_pt.index_select(0, sender) - log_pt.index_select(0, receiver)
    return torch.cat([lengths, log_ratio.unsqueeze(-1)], dim=-1), distance2


def _compressed(length: Tensor) -> Tensor:
    return torch.asinh(length / NEAR)
