"""Scenes: what a simulated camera sees, picture by picture, and the truth about it."""

from simulator.scene.lens import FilmedScene, filmed
from simulator.scene.scene import LAYOUTS, Scene

__all__ = ["LAYOUTS", "FilmedScene", "Scene", "filmed"]
