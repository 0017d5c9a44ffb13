"""How many parameters a model has."""

from torch import nn
from torch.nn.parameter import is_lazy


def parameter_count(model: nn.Module) -> str:
    """Return the number of parameters as text; lazy layers have none before their first batch."""
    parameters = list(model.parameters())
    known = [parameter.numel() for parameter in parameters if not is_lazy(parameter)]
    more = " and lazy layers" if len(known) < len(parameters) else ""
    return f"{sum(known):,} parameters{more}"
