"""Networks: one file each, and the table of them."""

from irstd.models.registry import NETWORKS, build_network, network_spec
from irstd.models.spec import NetworkSpec

__all__ = ["NETWORKS", "NetworkSpec", "build_network", "network_spec"]
