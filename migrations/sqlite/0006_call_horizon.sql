CREATE TABLE kept_horizons AS SELECT app_id, family, before, last_id FROM horizons;
DROP VIEW v_horizons;
DROP TABLE horizons;

CREATE TABLE horizons (
    -- What `chatfold retention` cut from the log. Folded from the events `chatfold.retention`.
    -- presence, ignored: events that CometChat dates before the horizon are gone, but for those that still decide a value.
    -- message: messages sent before the horizon are gone with all events about them. People and groups stay as these told.
    -- call: calls and meetings are gone if their session id was last heard of before the horizon, likewise.
    app_id  TEXT NOT NULL,
    family  TEXT NOT NULL,                             -- presence, ignored, message, call
    before  INTEGER NOT NULL,                          -- the horizon
    last_id INTEGER NOT NULL,                          -- of message: messages with ids up to this number are gone; -1: not known
    PRIMARY KEY (app_id, family)
) STRICT, WITHOUT ROWID;

INSERT INTO horizons (app_id, family, before, last_id) SELECT app_id, family, before, last_id FROM kept_horizons;
DROP TABLE kept_horizons;

CREATE VIEW v_horizons AS
    -- Up to when `chatfold retention` cut events of a family from the log.
    SELECT
        app_id,
        family,
        strftime('%Y-%m-%dT%H:%M:%fZ', before / 1000.0, 'unixepoch') AS before
    FROM horizons;
