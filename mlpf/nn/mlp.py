"""Dense layers applied to every element alone."""

from torch import Tensor, nn


class MLP(nn.Module):
    """Two dense layers with a SiLU (arXiv:1702.03118) between them.

    Shapes:
        x: (..., in_dim) -> (..., out_dim)
    """

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden = nn.Linear(in_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, out_dim)
        self.activation = nn.SiLU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """``(..., in_dim) -> (..., out_dim)``."""
        return self.output(self.dropout(self.activation(self.hidden(x))))

    def start_at_zero(self) -> "MLP":
        """Set the last layer to zero: the output is 0 until training moves it."""
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        return self
