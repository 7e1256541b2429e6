-- What the broker had deleted before it was kept: the holes of the tables beside this one.
CREATE TABLE tradewind.archive_gaps (
    stack text NOT NULL,
    run text NOT NULL,
    topic text NOT NULL,
    log_partition integer NOT NULL,
    first_offset bigint NOT NULL,
    n_records bigint NOT NULL CHECK (n_records > 0),
    kept_until timestamptz,
    noticed_at timestamptz NOT NULL,
    PRIMARY KEY (stack, run, topic, log_partition, first_offset)
);
