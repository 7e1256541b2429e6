"""All measurements by name."""

from tests.evidence.chain_latency import CHAIN_LATENCY
from tests.evidence.demo import DEMO_MEMORY, DEMO_START
from tests.evidence.tick_rate import TICK_RATE

CATALOGUE = {
    measurement.name: measurement
    for measurement in (CHAIN_LATENCY, TICK_RATE, DEMO_START, DEMO_MEMORY)
}
