"""All measurements by name."""

from tests.evidence.chain_latency import CHAIN_LATENCY
from tests.evidence.demo import DEMO_MEMORY, DEMO_START
from tests.evidence.feature_lookahead import FEATURE_LOOKAHEAD
from tests.evidence.feature_parity import FEATURE_PARITY
from tests.evidence.feature_speed import FEATURE_SPEED
from tests.evidence.regime_alignment import REGIME_ALIGNMENT
from tests.evidence.regime_disruption import REGIME_DISRUPTION
from tests.evidence.regime_sum import REGIME_SUM
from tests.evidence.risk_prove import RISK_PROVE
from tests.evidence.tick_rate import TICK_RATE

CATALOGUE = {
    measurement.name: measurement
    for measurement in (
        CHAIN_LATENCY,
        TICK_RATE,
        DEMO_START,
        DEMO_MEMORY,
        REGIME_SUM,
        REGIME_ALIGNMENT,
        REGIME_DISRUPTION,
        FEATURE_PARITY,
        FEATURE_LOOKAHEAD,
        FEATURE_SPEED,
        RISK_PROVE,
    )
}
