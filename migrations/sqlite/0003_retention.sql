CREATE TABLE horizons (
    -- What `chatfold retention` cut from the log. Events of the family that CometChat dates earlier are gone, but for those
    -- that still decide a value of a table. Folded from the events `chatfold.retention`.
    app_id TEXT NOT NULL,
    family TEXT NOT NULL,                              -- presence, ignored
    before INTEGER NOT NULL,                           -- the horizon
    PRIMARY KEY (app_id, family)
) STRICT, WITHOUT ROWID;

CREATE VIEW v_horizons AS
    -- Up to when `chatfold retention` cut events of a family from the log.
    SELECT
        app_id,
        family,
        strftime('%Y-%m-%dT%H:%M:%fZ', before / 1000.0, 'unixepoch') AS before
    FROM horizons;

CREATE TABLE cut_facts (
    -- Events of the family `ignored` that were cut: a late copy of one is a duplicate.
    app_id TEXT NOT NULL,
    digest BLOB NOT NULL,                              -- first 16 bytes of the fingerprint
    seq    INTEGER NOT NULL,                           -- the log position that the event had
    PRIMARY KEY (app_id, digest)
) STRICT, WITHOUT ROWID;
