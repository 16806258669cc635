-- Verdicts, frames, alerts, actions, reviews, and the sink's own offsets.
-- Every id is derived from content, so a replayed message meets its own row and changes nothing.

CREATE TABLE deepfake_detection.analysis_results (
    verdict_id          uuid             NOT NULL,
    revision            integer          NOT NULL DEFAULT 0,
    media_id            uuid             NOT NULL,
    content_id          text             NOT NULL,
    uploader_id         text             NOT NULL,
    tenant              text             NOT NULL,
    content_type        text             CHECK (content_type IN ('image', 'video', 'stream')),
    detection_level     text             NOT NULL,
    time_window         text             NOT NULL,
    outcome             text             NOT NULL
        CHECK (outcome IN ('scored', 'no_face', 'undecodable', 'unsupported', 'unreachable')),
    reason              text,
    label               text             NOT NULL CHECK (label IN ('authentic', 'manipulated', 'inconclusive')),
    is_deepfake         boolean,
    confidence_score    double precision NOT NULL CHECK (confidence_score BETWEEN 0 AND 1),
    manipulation_score  double precision CHECK (manipulation_score BETWEEN 0 AND 1),
    risk_level          text             CHECK (risk_level IN ('low', 'medium', 'high', 'critical')),
    manipulation_types  jsonb            NOT NULL,
    recommendation      text             NOT NULL CHECK (recommendation IN ('allow', 'review', 'block')),
    analysis_details    jsonb            NOT NULL,
    model_versions      jsonb            NOT NULL,
    media_sha256        text,
    processing_time_ms  double precision NOT NULL,
    reused_from         uuid,
    created_at          timestamptz      NOT NULL,
    recorded_at         timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (verdict_id, revision)
);
COMMENT ON TABLE deepfake_detection.analysis_results IS 'One row a verdict and revision.';
COMMENT ON COLUMN deepfake_detection.analysis_results.is_deepfake IS 'Null where the verdict is inconclusive.';
COMMENT ON COLUMN deepfake_detection.analysis_results.created_at IS 'Event time: when the media was uploaded.';
CREATE INDEX ON deepfake_detection.analysis_results (content_id, created_at DESC);
CREATE INDEX ON deepfake_detection.analysis_results (tenant, created_at DESC);
CREATE INDEX ON deepfake_detection.analysis_results (risk_level, created_at DESC) WHERE risk_level IS NOT NULL;
CREATE INDEX ON deepfake_detection.analysis_results (uploader_id, created_at DESC);
CREATE INDEX ON deepfake_detection.analysis_results (media_sha256) WHERE media_sha256 IS NOT NULL;
CREATE INDEX ON deepfake_detection.analysis_results (created_at DESC);

-- By month, so that old frames go by dropping a partition. The default partition takes event times far from
-- now (a backfill of old uploads), so that no producer's clock can make partitions without end.
CREATE TABLE deepfake_detection.frame_analysis (
    verdict_id       uuid             NOT NULL,
    revision         integer          NOT NULL,
    frame_number     bigint           NOT NULL,
    face             smallint         NOT NULL,
    content_id       text             NOT NULL,
    pts_ms           bigint           NOT NULL,
    key_frame        boolean          NOT NULL,
    frame_score      double precision,
    track            integer,
    box_x            real,
    box_y            real,
    box_width        real,
    box_height       real,
    detection_score  real,
    usable           boolean,
    scores           jsonb,
    created_at       timestamptz      NOT NULL,
    PRIMARY KEY (verdict_id, revision, frame_number, face, created_at)
) PARTITION BY RANGE (created_at);
COMMENT ON TABLE deepfake_detection.frame_analysis IS 'One row a face and frame; face 0 without box is a frame without a face.';
CREATE INDEX ON deepfake_detection.frame_analysis (content_id, frame_number);
CREATE INDEX ON deepfake_detection.frame_analysis (created_at);
CREATE INDEX ON deepfake_detection.frame_analysis (frame_score DESC) WHERE frame_score >= 0.5;
CREATE TABLE deepfake_detection.frame_analysis_default PARTITION OF deepfake_detection.frame_analysis DEFAULT;

CREATE FUNCTION deepfake_detection.ensure_frame_partition(moment timestamptz) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    first  date := date_trunc('month', moment AT TIME ZONE 'UTC')::date;
    name   text := 'frame_analysis_' || to_char(first, 'YYYY_MM');
BEGIN
    IF first < date_trunc('month', now() AT TIME ZONE 'UTC') - interval '24 months'
       OR first > date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month' THEN
        RETURN;
    END IF;
    IF to_regclass('deepfake_detection.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('deepfake_detection.frame_analysis'));
    -- Another session may have made it while this one waited. to_regclass would answer from a cache.
    IF EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = 'deepfake_detection'::regnamespace) THEN
        RETURN;
    END IF;
    -- A month that was far away once may have rows in the default partition: they stay there.
    IF EXISTS (SELECT FROM deepfake_detection.frame_analysis_default
               WHERE created_at >= first::timestamp AT TIME ZONE 'UTC'
                 AND created_at < (first + interval '1 month')::timestamp AT TIME ZONE 'UTC') THEN
        RETURN;
    END IF;
    EXECUTE format(
        'CREATE TABLE deepfake_detection.%I PARTITION OF deepfake_detection.frame_analysis FOR VALUES FROM (%L) TO (%L)',
        name, first || ' 00:00:00+00', (first + interval '1 month')::date || ' 00:00:00+00');
END
$$;

CREATE TABLE deepfake_detection.alerts (
    alert_id      uuid             PRIMARY KEY,
    tenant        text             NOT NULL,
    subject       text             NOT NULL,
    content_id    text             NOT NULL,
    content_type  text             NOT NULL CHECK (content_type IN ('image', 'video', 'stream')),
    episode       integer          NOT NULL,
    transition    text             NOT NULL CHECK (transition IN ('raised', 'escalated', 'cleared')),
    risk_level    text             NOT NULL CHECK (risk_level IN ('low', 'medium', 'high', 'critical')),
    score         double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    reason        text             NOT NULL,
    verdict_id    uuid,
    details       jsonb            NOT NULL,
    created_at    timestamptz      NOT NULL,
    recorded_at   timestamptz      NOT NULL DEFAULT now()
);
CREATE INDEX ON deepfake_detection.alerts (subject, episode);
CREATE INDEX ON deepfake_detection.alerts (content_id, created_at DESC);
CREATE INDEX ON deepfake_detection.alerts (tenant, risk_level, created_at DESC);

CREATE TABLE deepfake_detection.actions (
    action_id    uuid        NOT NULL,
    state        text        NOT NULL,
    alert_id     uuid        NOT NULL,
    tenant       text        NOT NULL,
    subject      text        NOT NULL,
    kind         text        NOT NULL,
    target       text        NOT NULL,
    attempt      integer     NOT NULL,
    detail       text        NOT NULL,
    created_at   timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (action_id, state)
);
CREATE INDEX ON deepfake_detection.actions (alert_id);
CREATE INDEX ON deepfake_detection.actions (subject, created_at DESC);

CREATE TABLE deepfake_detection.reviews (
    review_id    uuid        PRIMARY KEY,
    verdict_id   uuid        NOT NULL,
    content_id   text        NOT NULL,
    tenant       text        NOT NULL,
    reviewer_id  text        NOT NULL,
    label        text        NOT NULL CHECK (label IN ('authentic', 'manipulated', 'inconclusive')),
    note         text        NOT NULL,
    created_at   timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON deepfake_detection.reviews (verdict_id);
CREATE INDEX ON deepfake_detection.reviews (content_id, created_at DESC);

-- Written in the transaction of the rows. The cluster is part of the key: offsets of one cluster say nothing
-- of another.
CREATE TABLE deepfake_detection.sink_offsets (
    cluster_id      text        NOT NULL,
    consumer_group  text        NOT NULL,
    topic           text        NOT NULL,
    partition       integer     NOT NULL,
    next_offset     bigint      NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cluster_id, consumer_group, topic, partition)
);
