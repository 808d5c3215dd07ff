"""Release of a data-dependent privacy cost, which is itself a function of private votes.

`accountants.pate` plans the release and draws nothing; here it is charged, drawn and written into the ledger as a
disclosure. The ledger's own epsilon stays the data-independent one plus the cost of this release.
"""

from __future__ import annotations

from dataclasses import dataclass

from accountants import Event, Ledger
from accountants.pate.release import CostPlan, PublishedEpsilon
from privkd.mechanisms.charging import charge_all
from privkd.mechanisms.noise import NoiseSource
from privkd.mechanisms.private_value import Private


@dataclass(frozen=True, slots=True)
class CostRelease:
    """Gaussian noise as large as the smooth sensitivity of the cost (GNSS), on an upper confidence bound of it.

    Source: Papernot et al., arXiv 1802.08908, Appendix B; its cost is computed anew (see `accountants.pate.release`).
    """

    def event(self, plan: CostPlan) -> Event:
        """Cost of the release; the same whatever the votes."""
        return plan.event()

    def release(
        self,
        plan: CostPlan,
        *,
        ledger: Ledger,
        noise: NoiseSource,
        votes: Private | None = None,
        where: str = "data-dependent-cost",
    ) -> PublishedEpsilon:
        """Charge the release, then draw it and disclose it.

        Args:
            plan: from `pate_epsilon(..., disclose="smooth-sensitivity")` and its like.
            ledger: is charged before the draw; the sentence to publish becomes one of its disclosures.
            noise: where randomness comes from.
            votes: the boxed votes that the plan was made from, whose own ledgers are charged too; None if they have none.
            where: place of the release, kept in the ledger.

        Returns:
            The epsilon to publish.

        Raises:
            BudgetExceeded: the ledger refuses; nothing was drawn. A budget that the first charge fixed to be checked by a
                Gaussian curve cannot count this release: name `plan.event()` in the first charge, or keep a ledger of
                its own for it.
        """
        charge_all(ledger, votes, self.event(plan), count=1, where=where)
        published = plan.finish(float(noise.normal((1,), std=1.0)))
        ledger.disclose(str(published))
        return published
