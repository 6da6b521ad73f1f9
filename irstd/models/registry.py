"""The table of networks."""

from typing import Any

from irstd.errors import ModelError
from irstd.models import (
    acm,
    agpcnet,
    alcnet,
    dnanet,
    ispanet,
    lpnet,
    mpcnet,
    mtunet,
    pqgnet,
    rdian,
    sgmp_unet,
)
from irstd.models.network import Network
from irstd.models.spec import NetworkSpec

NETWORKS: dict[str, NetworkSpec] = {
    "ispanet": ispanet.SPEC,
    "pqgnet": pqgnet.SPEC,
    "mpcnet": mpcnet.SPEC,
    "lpnet": lpnet.SPEC,
    "sgmp_unet": sgmp_unet.SPEC,
    "acm": acm.SPEC,
    "acm_full": acm.SPEC_FULL,
    "alcnet": alcnet.SPEC,
    "alcnet_bilocal": alcnet.SPEC_BILOCAL,
    "alcnet_fpn": alcnet.SPEC_FPN,
    "dnanet": dnanet.SPEC,
    "agpcnet": agpcnet.SPEC,
    "rdian": rdian.SPEC,
    "mtunet": mtunet.SPEC,
}
"""All networks: the five papers', those they compare with, and published variants."""


def network_spec(name: str) -> NetworkSpec:
    """Facts of a network.

    Raises:
        ModelError: no network has that name; the message lists the names there are.
    """
    if name not in NETWORKS:
        raise ModelError(f"unknown network {name!r}; choose one of: {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name]


def build_network(name: str, **arguments: Any) -> Network:
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
        file = spec.variant_of or name
        raise ModelError(
            f"{name}: {error}; see the constructor in irstd/models/{file}.py"
        ) from error
