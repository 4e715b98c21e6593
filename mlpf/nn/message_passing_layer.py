"""One round of messages along edges; apart from its model because PyTorch Geometric takes 5 s to import."""

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.aggr import Aggregation

from mlpf.nn.mlp import MLP


class MessagePassingLayer(MessagePassing):
    """Messages between the ends of edges, as in EdgeConv (arXiv:1801.07829) and interaction networks (arXiv:1612.00222).

    The message of an edge from j to i with features ``e_ji`` and weight ``w_ji`` is

        m_ji = w_ji silu(A x_i + B x_j + C e_ji + b)

    Mean and maximum of the messages that reach i go through a small network together with its state.

    Args:
        width: length of an element's state.
        edge_dim: length of an edge's features.
        message_dim: length of a message.
        degree: edges that end in every row, sorted by that row; None for any number in any order.
        dropout: inside the dense layers.

    Shapes:
        state: (R, width), index: (2, E) sender and receiver, edge: (E, edge_dim), weight: (E, 1) -> (R, width)
    """

    def __init__(self, width: int, edge_dim: int, message_dim: int, degree: int | None, dropout: float = 0.0) -> None:
        super().__init__(aggr=["mean", "max"] if degree is None else EqualDegreeAggregation(degree))
        self.from_receiver = nn.Linear(width, message_dim)
        self.from_sender = nn.Linear(width, message_dim, bias=False)
        self.from_edge = nn.Linear(edge_dim, message_dim, bias=False)
        self.activation = nn.SiLU()
        self.to_state = MLP(width + 2 * message_dim, 2 * width, width, dropout)

    def forward(self, state: Tensor, index: Tensor, edge: Tensor, weight: Tensor) -> Tensor:
        """See the class."""
        num_rows = state.shape[0]
        received = self.propagate(
            index,
            size=(num_rows, num_rows),
            receiver=self.from_receiver(state),
            sender=self.from_sender(state),
            edge=self.from_edge(edge),
            weight=weight,
        )
        return self.to_state(torch.cat([state, received], dim=-1))

    def message(self, receiver_i: Tensor, sender_j: Tensor, edge: Tensor, weight: Tensor) -> Tensor:
        """``(E, message_dim)``."""
        return weight * self.activation(receiver_i + sender_j + edge)


class EqualDegreeAggregation(Aggregation):
    """Mean and maximum where equally many edges end in every row, one row after the other: a view instead of a scatter, which is slow in ONNX Runtime."""

    def __init__(self, degree: int) -> None:
        super().__init__()
        self.degree = degree

    def forward(self, x: Tensor, *_: object, **__: object) -> Tensor:
        """Messages ``(R degree, P)`` -> ``(R, 2 P)``; what else PyG passes on (the receivers) is known."""
        received = x.view(-1, self.degree, x.shape[-1])
        return torch.cat([received.mean(dim=1), received.amax(dim=1)], dim=-1)
