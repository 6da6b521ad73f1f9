"""Networks: one file each, and the table of them."""

from irstd.models.network import Network
from irstd.models.published import load_backbone, load_published
from irstd.models.registry import NETWORKS, build_network, network_spec
from irstd.models.spec import NetworkSpec, SizeRule

__all__ = [
    "NETWORKS",
    "Network",
    "NetworkSpec",
    "SizeRule",
    "build_network",
    "load_backbone",
    "load_published",
    "network_spec",
]
