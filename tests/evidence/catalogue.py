"""All measurements by name."""

from tests.evidence.ab_aa import AB_AA
from tests.evidence.ab_split import AB_SPLIT
from tests.evidence.alert_false_positives import ALERT_FALSE_POSITIVES
from tests.evidence.alerts_proof import ALERTS_PROOF
from tests.evidence.api_fuzz import API_FUZZ, AUTH_CASES
from tests.evidence.audit_tamper import AUDIT_TAMPER
from tests.evidence.backtest_speed import BACKTEST_SPEED
from tests.evidence.cache_hits import CACHE_HITS
from tests.evidence.chain_cpu import CHAIN_CPU
from tests.evidence.chain_latency import CHAIN_FIRST, CHAIN_LATENCY
from tests.evidence.chain_loaded import CHAIN_LATENCY_LOADED
from tests.evidence.chain_scaling import CHAIN_SCALING
from tests.evidence.chain_simulation import CHAIN_SIMULATION
from tests.evidence.chaos import (
    CHAOS_BROKER,
    CHAOS_FAILPOINTS,
    CHAOS_FAULTS,
    CHAOS_KILL9,
    CHAOS_REBALANCE,
    RECOVERY_TIME,
)
from tests.evidence.dashboards_live import DASHBOARDS_LIVE
from tests.evidence.demo import DEMO_MEMORY, DEMO_START
from tests.evidence.deploy_check import DEPLOY_CHECK
from tests.evidence.disk_per_day import DISK_PER_DAY
from tests.evidence.emit_overhead import EMIT_OVERHEAD
from tests.evidence.ewc_fisher import EWC_FISHER
from tests.evidence.feature_disk import FEATURE_DISK
from tests.evidence.feature_lookahead import FEATURE_LOOKAHEAD
from tests.evidence.feature_parity import FEATURE_PARITY
from tests.evidence.feature_speed import FEATURE_SPEED
from tests.evidence.forensics_ingest import FORENSICS_INGEST
from tests.evidence.forensics_lag import FORENSICS_LAG, FORENSICS_OVERHEAD
from tests.evidence.hop_throughput import HOP_THROUGHPUT
from tests.evidence.inference_row import INFERENCE_ROW
from tests.evidence.judge_mutants import JUDGE_MUTANTS
from tests.evidence.learning_arms import LEARNING_ARMS
from tests.evidence.learning_sweep import LEARNING_SWEEP
from tests.evidence.meta_planted import META_PLANTED
from tests.evidence.meta_walk import META_DISRUPTION, META_VS_HEDGE, META_VS_ROUTING
from tests.evidence.metrics_dangling import METRICS_DANGLING
from tests.evidence.mlflow_migrate import MLFLOW_MIGRATE
from tests.evidence.mlflow_writers import MLFLOW_WRITERS
from tests.evidence.model_rebuild import MODEL_REBUILD
from tests.evidence.poison_rollback import POISON_ROLLBACK
from tests.evidence.price_of_once import PRICE_OF_ONCE
from tests.evidence.recompute_identical import RECOMPUTE_IDENTICAL
from tests.evidence.regime_alignment import REGIME_ALIGNMENT
from tests.evidence.regime_disruption import REGIME_DISRUPTION
from tests.evidence.regime_sum import REGIME_SUM
from tests.evidence.replay_identity import REPLAY_IDENTITY
from tests.evidence.replay_speed import REPLAY_SPEED
from tests.evidence.risk_latency import RISK_LATENCY
from tests.evidence.risk_prove import RISK_PROVE
from tests.evidence.risk_race import RISK_RACE
from tests.evidence.rollback_time import ROLLBACK_TIME
from tests.evidence.rule_speed import RULE_SPEED
from tests.evidence.scaling import BACKTEST_MEMORY, SCALING
from tests.evidence.serving import FEATURES_LATENCY, PREDICT_LATENCY, RISK_HTTP
from tests.evidence.shadow_correlation import SHADOW_CORRELATION
from tests.evidence.shadow_inert import SHADOW_INERT
from tests.evidence.shap_rate import SHAP_RATE
from tests.evidence.soak import SOAK
from tests.evidence.specialist_skill import SPECIALIST_SKILL
from tests.evidence.spill_drain import SPILL_DRAIN
from tests.evidence.tick_rate import TICK_RATE
from tests.evidence.train_speedup import TRAIN_SPEEDUP
from tests.evidence.var_backtest import VAR_BACKTEST

CATALOGUE = {
    measurement.name: measurement
    for measurement in (
        CHAIN_LATENCY,
        CHAIN_LATENCY_LOADED,
        CHAIN_FIRST,
        CHAIN_CPU,
        CHAIN_SCALING,
        TICK_RATE,
        DEMO_START,
        DEMO_MEMORY,
        REGIME_SUM,
        REGIME_ALIGNMENT,
        REGIME_DISRUPTION,
        META_DISRUPTION,
        META_VS_ROUTING,
        META_VS_HEDGE,
        META_PLANTED,
        FEATURE_PARITY,
        FEATURE_LOOKAHEAD,
        FEATURE_SPEED,
        FEATURE_DISK,
        TRAIN_SPEEDUP,
        SPECIALIST_SKILL,
        HOP_THROUGHPUT,
        INFERENCE_ROW,
        RISK_LATENCY,
        RISK_RACE,
        VAR_BACKTEST,
        RISK_PROVE,
        CHAIN_SIMULATION,
        CHAOS_KILL9,
        RECOVERY_TIME,
        CHAOS_FAILPOINTS,
        CHAOS_BROKER,
        CHAOS_REBALANCE,
        CHAOS_FAULTS,
        SOAK,
        JUDGE_MUTANTS,
        EMIT_OVERHEAD,
        SPILL_DRAIN,
        RISK_HTTP,
        PREDICT_LATENCY,
        FEATURES_LATENCY,
        CACHE_HITS,
        API_FUZZ,
        AUTH_CASES,
        PRICE_OF_ONCE,
        AUDIT_TAMPER,
        FORENSICS_INGEST,
        SHAP_RATE,
        FORENSICS_LAG,
        FORENSICS_OVERHEAD,
        RECOMPUTE_IDENTICAL,
        REPLAY_IDENTITY,
        REPLAY_SPEED,
        BACKTEST_SPEED,
        RULE_SPEED,
        SCALING,
        BACKTEST_MEMORY,
        EWC_FISHER,
        LEARNING_ARMS,
        LEARNING_SWEEP,
        POISON_ROLLBACK,
        MODEL_REBUILD,
        MLFLOW_MIGRATE,
        MLFLOW_WRITERS,
        AB_AA,
        AB_SPLIT,
        SHADOW_INERT,
        SHADOW_CORRELATION,
        ROLLBACK_TIME,
        ALERTS_PROOF,
        METRICS_DANGLING,
        DASHBOARDS_LIVE,
        ALERT_FALSE_POSITIVES,
        DISK_PER_DAY,
        DEPLOY_CHECK,
    )
}
