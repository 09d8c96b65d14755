"""Simulated worlds: runs whose true effects are known, for judging estimators by the truth.

Every world is a `World`: how pools and mixtures come about, and the true surface of each outcome. The
benchmarks draw runs from it, fit them as a curator would, and compare what comes back with the surface.
"""

from benchmarks.worlds.laws import Law, draw_law_world
from benchmarks.worlds.planted import draw_planted_world
from benchmarks.worlds.regmix_surface import draw_regmix_world, shared_tables
from benchmarks.worlds.softmax import draw_softmax_world
from benchmarks.worlds.world import World, named

__all__ = [
    "Law",
    "World",
    "draw_law_world",
    "draw_planted_world",
    "draw_regmix_world",
    "draw_softmax_world",
    "named",
    "shared_tables",
]
