"""From label maps to region nodes: slots, lesion components, parcels, rings, geometry and edges."""

from .nodes import NodeMap, build_nodes
from .slots import Slot, node_slots

__all__ = ["NodeMap", "Slot", "build_nodes", "node_slots"]
