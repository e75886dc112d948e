CREATE TABLE verified (
    -- When something was last read from CometChat's API, or was tried to be read. What was read longest ago is next.
    app_id TEXT NOT NULL,
    kind   TEXT NOT NULL,                              -- group: its members and bans; user: whom the person blocks; event: what an event names
    key    TEXT NOT NULL,                              -- guid, uid or log position
    at     INTEGER NOT NULL,
    PRIMARY KEY (app_id, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE asked_ids (
    -- Message ids from first to last that CometChat was asked for. Those that no event names are of no message.
    app_id TEXT NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    PRIMARY KEY (app_id, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE reconciles (
    -- The newest reconcile of an app, and what came of it.
    app_id      TEXT NOT NULL PRIMARY KEY,
    began_at    INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    requests    INTEGER NOT NULL,
    entities    INTEGER NOT NULL,                      -- people, groups, members, bans, blocks and messages that were read
    changes     INTEGER NOT NULL,                      -- how many of these were new or others than in the tables
    unreachable INTEGER NOT NULL,                      -- what could not be read, or not whole
    error       TEXT                                   -- why the run ended early
) STRICT, WITHOUT ROWID;
