"""The table of networks."""

from typing import Any

from torch import nn

from irstd.errors import ModelError
from irstd.models import ispanet
from irstd.models.spec import NetworkSpec

NETWORKS: dict[str, NetworkSpec] = {"ispanet": ispanet.SPEC}


def network_spec(name: str) -> NetworkSpec:
    """Facts of a network.

    Raises:
        ModelError: no network has that name; the message lists the names there are.
    """
    if name not in NETWORKS:
        raise ModelError(f"unknown network {name!r}; choose one of: {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name]


def build_network(name: str, **arguments: Any) -> nn.Module:
    """Build a network by name, in training mode, with freshly initialised weights.

    Args:
        name: model id, a key of `NETWORKS`.
        arguments: keywords of the network's constructor; defaults are the published configuration.

    Raises:
        ModelError: unknown name, or an argument the network does not take.
    """
    spec = network_spec(name)
    try:
        return spec.build(**arguments)
    except TypeError as error:
        raise ModelError(
            f"{name}: {error}; see the constructor in irstd/models/{name}.py"
        ) from error
