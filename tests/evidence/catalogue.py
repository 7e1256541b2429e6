"""All measurements by name."""

from tests.evidence.chain_latency import CHAIN_LATENCY

CATALOGUE = {measurement.name: measurement for measurement in (CHAIN_LATENCY,)}
