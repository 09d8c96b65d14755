"""The methods of discovery: what each is, what it can be told, and how it keeps to what it is told.

The table is shown to curators as it stands here, so that nobody has to guess which method honours what.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from causalmix_core.errors import CausalMixError

DiscoveryMethod = Literal["boss", "ges", "pc", "pc_kci", "fci", "lingam"]
Setting = Literal["alpha", "penalty", "seed"]

DEFAULT_METHOD: DiscoveryMethod = "boss"


@dataclass(frozen=True)
class MethodFacts:
    """What a curator must know of a method.

    Attributes:
        label: its name on a page.
        idea: how it searches, in a sentence.
        tiers: how it keeps pool state before weights before outcomes.
        forbidden: how it keeps to a forbidden edge.
        required: how it keeps to a required edge.
        finds_hidden: whether it can say that two nodes share a cause that is not in the table.
        uses: the settings that it reads.
        most_variables: more are refused, because the search would not end in minutes; None: no limit.
        most_runs: the same for runs.
    """

    label: str
    idea: str
    tiers: str
    forbidden: str
    required: str
    finds_hidden: bool = False
    uses: tuple[Setting, ...] = ()
    most_variables: int | None = None
    most_runs: int | None = None


_BY_TIERS = "exactly: later tiers are searched given the earlier ones"
_NEVER_A_CAUSE = "exactly: the cause is never offered to the effect"
_IN_TESTS = "exactly: no test may remove the edge, and its direction is set before the others"

METHODS: dict[DiscoveryMethod, MethodFacts] = {
    "boss": MethodFacts(
        label="BOSS (score-based)",
        idea="orders the variables so that few, strong edges explain the runs",
        tiers=_BY_TIERS,
        forbidden=_NEVER_A_CAUSE,
        required="exactly: the cause is always counted in, and orders against it are not tried",
        uses=("penalty", "seed"),
    ),
    "ges": MethodFacts(
        label="GES (score-based)",
        idea="adds the edge that explains most until none helps, then removes what has become idle",
        tiers=_BY_TIERS,
        forbidden="into weights and outcomes exactly; among pool state afterwards: such an edge is turned "
        "or left out, and a note names it",
        required="into weights and outcomes exactly; among pool state afterwards: such an edge is added, "
        "and a note names it",
        uses=("penalty",),
    ),
    "pc": MethodFacts(
        label="PC (independence tests)",
        idea="removes every edge that a test of independence allows to remove",
        tiers="exactly: time sets the direction, and only what comes earlier is conditioned on",
        forbidden="one direction exactly; both directions among pool state afterwards: such an edge is left "
        "out, and a note names it",
        required=_IN_TESTS,
        uses=("alpha",),
    ),
    "pc_kci": MethodFacts(
        label="PC with kernel tests",
        idea="as PC, with a test that also sees dependence that is not linear; takes minutes",
        tiers="as PC",
        forbidden="as PC",
        required="as PC",
        uses=("alpha",),
        most_variables=10,
        most_runs=512,
    ),
    "fci": MethodFacts(
        label="FCI (hidden causes)",
        idea="as PC, but does not assume that every common cause is in the table",
        tiers="exactly: later never causes earlier; a hidden cause of both stays possible",
        forbidden="exactly, as a direct edge; where every direction is forbidden, what stays linked is drawn "
        "as a hidden common cause",
        required=_IN_TESTS,
        finds_hidden=True,
        uses=("alpha",),
    ),
    "lingam": MethodFacts(
        label="DirectLiNGAM (non-Gaussian)",
        idea="orders pool state by the shape of its noise: every edge gets a direction, but on bell-shaped "
        "noise that direction is a guess",
        tiers=_BY_TIERS,
        forbidden="as an order: the other one comes first; where such orders contradict each other, the "
        "edge is turned or left out afterwards, and a note names it",
        required="the order keeps to it; where the fit gives the edge no weight it is added, and a note "
        "names it",
    ),
}
"""Every method, the default first."""


class DiscoverySettings(BaseModel):
    """How to search; what a method does not read is ignored by it.

    Attributes:
        method: which method.
        alpha: level of each independence test, between 0 and 1 (PC, FCI).
        penalty: in units of log(n) per edge, above 0 (BOSS, GES). 0.5 is the usual BIC and adds false
            edges, 2 misses half of the true ones below 100 noisy runs; 1 does neither.
        seed: of the orders that BOSS starts from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: DiscoveryMethod = DEFAULT_METHOD
    alpha: float = 0.05
    penalty: float = 1.0
    seed: int = 0

    def check(self) -> None:
        """Refuse settings that no search can use.

        Raises:
            CausalMixError: a setting is out of range.
        """
        if not 0 < self.alpha < 1:
            raise CausalMixError(f"alpha is {self.alpha}; choose a value between 0 and 1, such as 0.05.")
        if not self.penalty > 0 or not math.isfinite(self.penalty):
            raise CausalMixError(f"penalty is {self.penalty}; choose a value above 0, such as 1.")

    @property
    def text(self) -> str:
        """Method and the settings that it reads, such as `BOSS, penalty 1, seed 0`."""
        name: dict[DiscoveryMethod, str] = {
            "boss": "BOSS",
            "ges": "GES",
            "pc": "PC, Fisher z",
            "pc_kci": "PC, KCI",
            "fci": "FCI, Fisher z",
            "lingam": "DirectLiNGAM",
        }
        values = {"alpha": f"{self.alpha:g}", "penalty": f"{self.penalty:g}", "seed": str(self.seed)}
        return ", ".join([name[self.method], *(f"{s} {values[s]}" for s in METHODS[self.method].uses)])
