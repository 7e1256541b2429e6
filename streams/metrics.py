"""Every Prometheus name of the system, in one place; buckets stand at the service levels."""

import math

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

# What is known of a portfolio, by the worker that has the partition of its book.
_BOOK = ("portfolio", "partition")

# What is known of a group of at most 512 symbols.
_CHUNK = ("partition", "chunk")

RECORDS = Counter(
    "tradewind_stage_records_total",
    "Records that a stage took, by what became of them.",
    ("stage", "outcome"),
)
BROKER_AWAY = Gauge("tradewind_broker_away", "Sends that wait because the broker is away.")
DEAD_LETTERS = Counter(
    "tradewind_dead_letters_total", "Records that could not be used.", ("stage", "reason")
)
STEP_SECONDS = Histogram(
    "tradewind_stage_step_seconds",
    "Time to fold one batch of records.",
    ("stage",),
    buckets=_SECONDS,
)
SEND_SECONDS = Histogram(
    "tradewind_stage_send_seconds",
    "Time until the broker acknowledged a batch's outputs.",
    ("stage",),
    buckets=_SECONDS,
)
SNAPSHOT_SECONDS = Histogram(
    "tradewind_stage_snapshot_seconds",
    "Time until a state was durable in its changelog.",
    ("stage",),
    buckets=_SECONDS,
)
SNAPSHOT_BYTES = Counter(
    "tradewind_stage_snapshot_bytes_total", "Bytes of states written to changelogs.", ("stage",)
)
DELAY_SECONDS = Histogram(
    "tradewind_stage_delay_seconds",
    "Time from a record's time in Kafka until what it caused is acknowledged; a step's oldest.",
    ("stage",),
    buckets=(*_SECONDS, 60.0, 600.0),
)
LAG_RECORDS = Gauge(
    "tradewind_stage_lag_records",
    "Records of a partition that the broker has and the stage has not folded.",
    ("stage", "partition"),
)
PROGRESS_OFFSET = Gauge(
    "tradewind_stage_progress_offset",
    "Next offset that the stage would read after a restart.",
    ("stage", "partition"),
)
CHALLENGER_ERRORS = Counter(
    "tradewind_challenger_errors_total",
    "Slices of which a challenger could say nothing because of an error of its own.",
)
ROLLOUT_TRANSITIONS = Counter(
    "tradewind_rollout_transitions_total",
    "Steps of rollouts, by kind and by who wanted them.",
    ("kind", "by"),
)
ROLLOUT_RUNNING = Gauge("tradewind_rollout_running", "1 while a rollout is not over.")
ROLLOUT_SHARE = Gauge("tradewind_rollout_share", "Share that the challenger decides for.")
ROLLOUT_BARS = Gauge("tradewind_rollout_bars", "Bars of this stage whose outcome is known.")
ROLLOUT_AGREEMENT = Gauge(
    "tradewind_rollout_agreement_fraction", "Rows on which both arms wish the same side."
)
ROLLOUT_WEIGHT_DISTANCE = Gauge(
    "tradewind_rollout_weight_distance", "Mean share of the specialists' weights that differs."
)
ROLLOUT_SPLIT_ALARM = Gauge(
    "tradewind_rollout_split_alarm", "1 while the arms have not the sizes that were meant."
)
ROLLOUT_LOSS = Gauge(
    "tradewind_rollout_loss_nats", "Mean log loss of an arm in this stage.", ("arm",)
)
ROLLOUT_EARNED = Gauge(
    "tradewind_rollout_earned_fraction",
    "Sum of the bars' returns of an arm's long targets, without costs.",
    ("arm",),
)
ROLLOUT_LOSS_DIFFERENCE = Gauge(
    "tradewind_rollout_loss_difference_nats",
    "Bounds of the mean loss, challenger less champion, that hold at all bars together.",
    ("bound",),
)
ROLLOUT_EARNED_DIFFERENCE = Gauge(
    "tradewind_rollout_earned_difference_fraction",
    "Bounds of what a bar earns, challenger less champion, that hold at all bars together.",
    ("bound",),
)
ROLLOUT_CORRELATION = Gauge(
    "tradewind_rollout_target_correlation", "Correlation of both arms' targets in this stage."
)
ROLLOUT_VIOLATIONS = Gauge(
    "tradewind_rollout_violations",
    "Decisions of an arm that were approved for more than the controls allow.",
    ("arm",),
)
ROLLOUT_DECISIONS = Gauge(
    "tradewind_rollout_decisions", "Decisions of an arm in this stage.", ("arm",)
)
ROLLOUT_REFUSED = Gauge(
    "tradewind_rollout_refused_decisions", "Refused decisions of an arm in this stage.", ("arm",)
)
ROLLOUT_P95_SECONDS = Gauge(
    "tradewind_rollout_p95_seconds",
    "95th percentile of an arm's latency from the due heartbeat on, in this stage.",
    ("arm",),
)
ROLLOUT_OVERDUE_SECONDS = Gauge(
    "tradewind_rollout_overdue_seconds",
    "Time that a running stage has lasted beyond its dwell; 0 before, and while it is held.",
)
TAKEN_BACK_DECIDES = Gauge(
    "tradewind_taken_back_decides",
    "1 while models decide that learning took back, or that learned from such.",
)
MODEL_UPDATES = Counter(
    "tradewind_model_updates_total",
    "Updates of models by what became of them.",
    ("update_type", "outcome"),
)
LEARNING_FAILURES = Counter("tradewind_learning_failures_total", "Updates that ended by an error.")
LEARNING_FAILED = Gauge(
    "tradewind_learning_failed_updates", "Updates that failed since the last one that did not."
)
LEARNING_FROM_BASE = Gauge(
    "tradewind_learning_from_base_fraction",
    "Distance of the last candidate's weights from their fit; below 0.001 nothing is learned.",
)
LEARNING_MOVED = Gauge(
    "tradewind_learning_moved_fraction",
    "Distance of the last candidate's weights from those that it began with.",
)
# Before the first candidate there is no distance; 0 would be one.
LEARNING_FROM_BASE.set(math.nan)
LEARNING_MOVED.set(math.nan)
# Of the last training of each timeframe; its course in ten parts, 01 to 10.
_COURSE = ("timeframe", "tenth")
TRAINING_ENDED_SECONDS = Gauge(
    "tradewind_training_ended_timestamp_seconds",
    "When the last training ended, in seconds since 1970.",
    ("timeframe",),
)
TRAINING_EPISODES = Gauge(
    "tradewind_training_episodes", "Episodes of the last training.", ("timeframe",)
)
TRAINING_EPISODES_PER_HOUR = Gauge(
    "tradewind_training_episodes_per_hour", "Throughput of the last training.", ("timeframe",)
)
TRAINING_STEP_SECONDS = Gauge(
    "tradewind_training_step_seconds", "How long a step of the fit took.", ("timeframe", "step")
)
TRAINING_FALLBACKS = Gauge(
    "tradewind_training_fallbacks",
    "Steps of the last training that went on on the processor: the accelerator had no room.",
    ("timeframe",),
)
TRAINING_RETURN = Gauge(
    "tradewind_training_episode_return_fraction",
    "Mean return of an episode's book after costs.",
    _COURSE,
)
TRAINING_SHARPE = Gauge(
    "tradewind_training_episode_sharpe",
    "Mean over deviation of the returns of the last episodes, not annualised.",
    (*_COURSE, "episodes"),
)
TRAINING_WIN_FRACTION = Gauge(
    "tradewind_training_win_fraction", "Share of an episode's bars with a gain.", _COURSE
)
TRAINING_LENGTH_BARS = Gauge(
    "tradewind_training_episode_length_bars", "Mean length of an episode.", _COURSE
)
HEARTBEAT_SECONDS = Gauge(
    "tradewind_bars_heartbeat_timestamp_seconds",
    "Time that the last heartbeat of a partition said, in seconds since 1970.",
    ("partition",),
)
TIMEFRAME_SECONDS = Gauge("tradewind_bars_timeframe_seconds", "Length of a bar.", ("partition",))
TICK_SECONDS = Gauge(
    "tradewind_bars_tick_timestamp_seconds",
    "When the last record of ticks of a partition was sent, in seconds since 1970.",
    ("partition",),
)
SILENT_SECONDS = Gauge(
    "tradewind_bars_silent_seconds",
    "Length of the bars since the last tick of a partition in which its market was open.",
    ("partition",),
)
TICKS = Counter("tradewind_ticks_total", "Ticks by what became of them.", ("outcome",))
DECISIONS = Counter(
    "tradewind_decisions_total", "Decisions by action and verdict.", ("action", "verdict")
)
REJECTIONS = Counter(
    "tradewind_rejections_total", "Refused orders by the control that refused.", ("code",)
)
RISK_VIOLATIONS = Counter(
    "tradewind_risk_violations_total",
    "Decisions that were approved for more than the controls allow; each one is a defect.",
    ("portfolio",),
)
BARRIER_WAITING = Gauge(
    "tradewind_barrier_waiting_slices",
    "Slices that wait for other partitions of their bar, by partition of books.",
    ("partition",),
)
TRADE_RESULT = Histogram(
    "tradewind_trade_result",
    "What a trade that closed a position, or a part of it, earned after its fee, in money.",
    ("portfolio",),
    buckets=(-1e5, -1e4, -1e3, -100.0, -10.0, 0.0, 10.0, 100.0, 1e3, 1e4, 1e5),
)
EQUITY = Gauge("tradewind_portfolio_equity", "Equity in the portfolio's currency.", _BOOK)
REGIME_ROWS = Counter(
    "tradewind_regime_rows_total", "Rows of symbols that are warm, by which regimes were told."
)
REGIME_UNSURE_ROWS = Counter(
    "tradewind_regime_unsure_rows_total",
    "Rows whose regime probabilities have more than 1.5 bits of entropy.",
)
REGIME_ENTROPY_BITS = Gauge(
    "tradewind_regime_entropy_bits", "Mean entropy of the last bar's warm rows.", _CHUNK
)
CONTROLLER_REPAIRS = Counter(
    "tradewind_controller_repairs_total",
    "Rows whose probabilities or weights had to be brought onto the simplex.",
)
CONTROLLER_FALLBACKS = Counter(
    "tradewind_controller_fallbacks_total",
    "Rows on which the options gave no weights and Hedge stood in.",
)
OPTION_USAGE_FRACTION = Gauge(
    "tradewind_option_usage_fraction",
    "Share of the weight that an option had of late, over all symbols.",
    (*_CHUNK, "option"),
)
OPTION_USAGE_ENTROPY_BITS = Gauge(
    "tradewind_option_usage_entropy_bits",
    "Entropy of that usage: 0 is one option alone, 1.585 all alike.",
    _CHUNK,
)
OPTION_COLLAPSED = Gauge(
    "tradewind_option_collapsed", "1 if one option has more than 95 % of the usage.", _CHUNK
)
OPTION_COLLAPSED_SYMBOLS = Gauge(
    "tradewind_option_collapsed_symbols",
    "Symbols on which one option has more than 95 % of the usage.",
    _CHUNK,
)
ARCHIVED_ROWS = Counter("tradewind_archived_rows_total", "New rows in SQL, by table.", ("table",))
ARCHIVE_CONFLICTS = Counter(
    "tradewind_archive_conflicts_total",
    "Rows whose key is in SQL with other values, by table; the first ones stay.",
    ("table",),
)
ARCHIVE_LOST_RECORDS = Counter(
    "tradewind_archive_lost_records_total",
    "Records that the broker deleted before they were kept in SQL, by topic.",
    ("topic",),
)
EXPLANATIONS = Counter(
    "tradewind_explanations_total",
    "Decisions that were explained at once, by why, and by what is explained.",
    ("why", "explained"),
)
EXPLANATIONS_REFUSED = Counter(
    "tradewind_explanations_refused_total",
    "Explanations that were not kept because the disk is full; they are made on demand.",
)
EXPLANATIONS_OFF = Counter(
    "tradewind_explanations_off_total",
    "Explanations that do not add up within 1e-3, or whose model did not reproduce the decision.",
    ("what",),
)
AUDITED_RECORDS = Counter(
    "tradewind_audited_records_total", "Decisions that became durable in the audit trail."
)
AUDIT_HEADS = Counter("tradewind_audit_heads_total", "Signed heads of the audit trail.")
AUDIT_CONFLICTS = Counter(
    "tradewind_audit_conflicts_total", "Rows of the audit trail that SQL has otherwise than Kafka."
)
AUDIT_LAG_RECORDS = Gauge(
    "tradewind_audit_lag_records",
    "Decisions of a partition that are not in the audit trail yet.",
    ("partition",),
)
AUDIT_BATCH_RECORDS = Histogram(
    "tradewind_audit_batch_records",
    "Decisions of one transaction of the audit trail.",
    buckets=(1, 10, 100, 500, 1_000, 2_000, 4_000),
)
AUDIT_DELAY_SECONDS = Histogram(
    "tradewind_audit_delay_seconds",
    "Time from the decision's record in Kafka to its row in SQL, of a batch's oldest.",
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0),
)
AUDIT_SHELF_SECONDS = Gauge(
    "tradewind_audit_shelf_timestamp_seconds",
    "When old days of the audit trail last went to the shelf, in s since 1970; 0: nobody knows.",
)
RUN_CHECK_SECONDS = Gauge(
    "tradewind_run_check_timestamp_seconds",
    "When what the stages said was last made once more, in seconds since 1970; 0: never.",
)
RUN_CHECK_RECORDS = Gauge(
    "tradewind_run_check_records",
    "Records of that check: the same, differing, and input that could not be folded again.",
    ("outcome",),
)
PORTFOLIO_RECORDS = Counter(
    "tradewind_portfolio_records_total",
    "Records of portfolio-events beside slices, by kind and what became of them.",
    ("kind", "outcome"),
)
RISK_ALERTS = Counter(
    "tradewind_risk_alerts_total",
    "What an account was surprised by: unknown orders, over-fills, a book that differs.",
    ("portfolio", "code"),
)
ACCOUNT_STATE = Gauge("tradewind_portfolio_state", "0 ACTIVE, 1 REDUCING, 2 HALTED.", _BOOK)
VAR_FRACTION = Gauge(
    "tradewind_portfolio_var_fraction",
    "One-day VaR at 95 %, of equity.",
    (*_BOOK, "measure"),
)
DAILY_LOSS_FRACTION = Gauge(
    "tradewind_portfolio_daily_loss_fraction",
    "Loss since the day began, of the equity it began with; negative is a gain.",
    _BOOK,
)
DRAWDOWN_FRACTION = Gauge(
    "tradewind_portfolio_drawdown_fraction", "Loss since the highest equity.", _BOOK
)
LEVERAGE = Gauge(
    "tradewind_portfolio_leverage",
    "Gross exposure, open orders included, of equity.",
    _BOOK,
)
CONCENTRATION = Gauge(
    "tradewind_portfolio_concentration",
    "Largest position, open orders included, of equity.",
    _BOOK,
)
HTTP_SECONDS = Histogram(
    "tradewind_http_seconds",
    "Time from a request to its answer, by endpoint and status.",
    ("endpoint", "status"),
    buckets=_SECONDS,
)
CACHE_READS = Counter(
    "tradewind_feature_cache_reads_total",
    "Reads of features by level (process, redis) and outcome.",
    ("level", "outcome"),
)
CACHE_ERRORS = Counter(
    "tradewind_cache_errors_total",
    "Requests to Redis that it did not answer, answered wrongly, or was not asked.",
    ("what",),
)
SPILL_RECORDS = Gauge(
    "tradewind_spill_records", "Records on disk that wait for the broker or a store.", ("spill",)
)
SPILL_BYTES = Gauge("tradewind_spill_bytes", "Bytes that segments take on disk.", ("spill",))
SPILL_OLDEST_SECONDS = Gauge(
    "tradewind_spill_oldest_timestamp_seconds",
    "When the oldest waiting record was written, in seconds since 1970; 0 if none waits.",
    ("spill",),
)
SPILL_STATE = Gauge(
    "tradewind_spill_state", "0 accepts, 1 is full, 2 failed and waits for a restart.", ("spill",)
)
BREAKER_OPEN = Gauge(
    "tradewind_breaker_open", "1 while a store is not asked because it has just failed.", ("store",)
)
DISK_USED_FRACTION = Gauge(
    "tradewind_disk_used_fraction", "Share of the disk in use, of the one under the role's folder."
)
