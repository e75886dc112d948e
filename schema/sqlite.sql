-- The tables after all migrations. Generated: see tests/generated.rs.

CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL) STRICT;
CREATE TABLE events (
    -- The log: one row a fact, never rewritten but for deliveries, last_received_at, outcome and reason. A rebuild may
    -- write what a newer chatfold understands of it: has_secret, and when it happened, where the body tells that.
    seq              INTEGER PRIMARY KEY,              -- log position of its first delivery: rises, may skip, is never given twice
    app_id           TEXT NOT NULL,
    region           TEXT,
    webhook_id       TEXT,                             -- the webhook that told it first
    trigger          TEXT NOT NULL,
    received_at      INTEGER NOT NULL,                 -- first delivery
    occurred_at      INTEGER NOT NULL,                 -- when it happened, as far as can be known
    occurred_from    TEXT NOT NULL CHECK (occurred_from = 'told' OR occurred_from = 'arrival' OR occurred_from = 'feed'),
    arrived_at       INTEGER,                          -- arrival facts: received_at by the vendor's clock
    floor_at         INTEGER,                          -- feed facts: newest time in the body, 0: none, -1: the feed had shown none at all
    fingerprint      BLOB NOT NULL,                    -- SHA-256 of what the body says
    deliveries       INTEGER NOT NULL DEFAULT 1,       -- how often it was delivered
    last_received_at INTEGER NOT NULL,
    outcome          TEXT NOT NULL CHECK (outcome = 'applied' OR outcome = 'ignored' OR outcome = 'anomaly' OR outcome = 'rejected'),
    reason           TEXT,                             -- why not applied, or which fields were not understood
    has_secret       INTEGER NOT NULL CHECK (has_secret IN (0, 1)),
    body             TEXT NOT NULL                     -- the bytes received, secrets included
) STRICT;
CREATE INDEX events_by_app ON events (app_id, seq);
CREATE INDEX events_by_fingerprint ON events (app_id, iif(occurred_from = 'told', occurred_at, 0), substr(fingerprint, 1, 8));
CREATE INDEX events_by_trigger ON events (app_id, trigger, seq);
CREATE INDEX events_not_applied ON events (app_id, outcome, seq) WHERE outcome <> 'applied';
CREATE TABLE event_refs (
    -- Which events speak about an entity: (kind, key) such as ('group', guid), ('membership', guid/uid), ('message', id).
    app_id TEXT NOT NULL,
    kind   TEXT NOT NULL,
    key    TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (app_id, kind, key, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE apps (
    -- CometChat apps heard of. Nothing ever crosses from one to another.
    app_id        TEXT NOT NULL PRIMARY KEY,
    region        TEXT,                                -- of the newest event that tells one and when it happened
    region_at     INTEGER NOT NULL,                    -- when that was; 0: no event told both
    first_seen_at INTEGER NOT NULL,
    last_event_at INTEGER NOT NULL,
    events_count  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE users (
    -- People, as the snapshots inside deliveries describe them.
    app_id         TEXT NOT NULL,
    uid            TEXT NOT NULL,
    name           TEXT,
    avatar         TEXT,
    link           TEXT,
    role           TEXT,
    status_message TEXT,
    tags           TEXT,                               -- JSON array
    metadata       TEXT,                               -- JSON
    last_active_at INTEGER,                            -- newest heard; only grows
    registers      BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX users_key ON users (app_id, uid);
CREATE TABLE groups (
    -- Groups, deleted ones too.
    app_id                 TEXT NOT NULL,
    guid                   TEXT NOT NULL,
    name                   TEXT,
    type                   TEXT,                       -- public, private, password
    description            TEXT,
    icon                   TEXT,
    tags                   TEXT,                       -- JSON array
    metadata               TEXT,                       -- JSON
    owner_uid              TEXT,                       -- as told, else as the newest snapshot says
    created_at             INTEGER,
    updated_at             INTEGER,
    updated_by             TEXT,
    reported_members_count INTEGER,                    -- what CometChat last said
    members_count          INTEGER NOT NULL DEFAULT 0, -- present members in `memberships`
    members_known_since    INTEGER,                    -- creation or first complete roster; null: only what events told
    history_since          INTEGER,                    -- earliest fact or roster about its memberships
    deleted_at             INTEGER,                    -- CometChat tells no time of this
    deleted_at_from        TEXT CHECK (deleted_at_from = 'told' OR deleted_at_from = 'arrival' OR deleted_at_from = 'feed'),
    lifecycle              TEXT NOT NULL DEFAULT '{}',            -- JSON: creations and deletions heard of
    tally                  TEXT NOT NULL DEFAULT '{}',            -- JSON: what drift is found with
    drift_expected         INTEGER,                    -- members, as CometChat says, where that differs from our count
    drift_counted          INTEGER,                    -- our count at that time
    drift_since            INTEGER,                    -- when the counts began to differ; null: no drift
    registers              BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX groups_key ON groups (app_id, guid);
CREATE INDEX groups_by_name ON groups (app_id, name, guid);
CREATE INDEX groups_by_created ON groups (app_id, created_at, guid);
CREATE INDEX groups_by_owner ON groups (app_id, owner_uid, guid);
CREATE INDEX groups_drifted ON groups (app_id, guid) WHERE drift_since IS NOT NULL;
CREATE TABLE memberships (
    -- Who is, or was, in a group: the outcome of that person's rows in `membership_changes`.
    app_id          TEXT NOT NULL,
    guid            TEXT NOT NULL,
    uid             TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state = 'joined' OR state = 'left' OR state = 'kicked' OR state = 'banned' OR state = 'unbanned' OR state = 'absent'),
    scope           TEXT,                              -- admin, moderator, participant; null unless joined
    joined_at       INTEGER,
    joined_at_from  TEXT CHECK (joined_at_from = 'told' OR joined_at_from = 'arrival' OR joined_at_from = 'feed'),
    changed_at      INTEGER NOT NULL,                  -- of the last fact that changed state or scope
    changed_at_from TEXT NOT NULL CHECK (changed_at_from = 'told' OR changed_at_from = 'arrival' OR changed_at_from = 'feed'),
    changed_by      TEXT,
    current         INTEGER NOT NULL CHECK (current IN (0, 1)), -- joined
    PRIMARY KEY (app_id, guid, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_by_user ON memberships (app_id, uid, guid, scope, current) WHERE current;
CREATE INDEX memberships_by_state ON memberships (app_id, guid, state, uid, scope);
CREATE INDEX memberships_by_user_state ON memberships (app_id, uid, guid, state, scope);
CREATE TABLE membership_changes (
    -- The history of a group: every fact about one person's place in it.
    app_id        TEXT NOT NULL,
    guid          TEXT NOT NULL,
    uid           TEXT NOT NULL,
    at            INTEGER NOT NULL,                    -- order time; 0: older than anything dated
    digest        BLOB NOT NULL,                       -- fingerprint of the fact
    seq           INTEGER NOT NULL,
    at_from       TEXT NOT NULL CHECK (at_from = 'told' OR at_from = 'arrival' OR at_from = 'feed'),
    occurred_at   INTEGER NOT NULL,
    arrived_at    INTEGER,                             -- arrival facts: when it arrived, by the vendor's clock
    trigger       TEXT NOT NULL,
    by_uid        TEXT,
    state         TEXT,                                -- joined, left, kicked, banned, unbanned; null: scope or ownership only
    scope         TEXT,
    old_scope     TEXT,
    joined_at     INTEGER,                             -- where the fact itself tells it
    group_created_at INTEGER,                          -- of the group that the fact names
    PRIMARY KEY (app_id, guid, uid, at, digest, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_changes_by_group ON membership_changes (app_id, guid, at, seq, uid);
CREATE TABLE rosters (
    -- Complete member lists, one row a list. `membership_changes` has, at that log position, whom a list names. Who is
    -- not named was in the group if the base lists them.
    app_id   TEXT NOT NULL,
    guid     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    seq      INTEGER NOT NULL,                         -- of the first fact that told it
    created  INTEGER NOT NULL CHECK (created IN (0, 1)), -- 1: the group's creation, with its creator alone
    base     INTEGER,                                  -- time of the earlier list that it is told against; null: it names everybody
    entries  INTEGER NOT NULL,                         -- how many people a list that was read names
    replaces INTEGER,                                  -- it stands for the lists since that time, which only confirmed
    PRIMARY KEY (app_id, guid, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE conversations (
    -- One row a conversation: a group's, or that of two people. The key is conversation_id and low_length together, here
    -- and in every table that has both: the ids of different conversations may be spelled alike. That of `group_7` with
    -- `zoe` and that of the group `7_user_zoe` are both `group_7_user_zoe`.
    app_id            TEXT NOT NULL,
    conversation_id   TEXT NOT NULL,                   -- CometChat's
    low_length        INTEGER NOT NULL DEFAULT 0,      -- how many bytes of the id are low_uid; 0: a group's
    type              TEXT NOT NULL CHECK (type IN ('user', 'group')),
    guid              TEXT,                            -- of a group's conversation
    low_uid           TEXT,                            -- of a 1:1: the two people, in ascending order
    high_uid          TEXT,
    messages_count    INTEGER NOT NULL DEFAULT 0,      -- chat that is not deleted and not blocked
    last_message_id   TEXT,                            -- the newest of them; a custom message may say that it is none
    last_message_at   INTEGER,
    active_at         INTEGER,                         -- where lists place it: last_message_at, else the time of the newest chat; null: lists leave it out
    PRIMARY KEY (app_id, conversation_id, low_length)
) STRICT, WITHOUT ROWID;
CREATE INDEX conversations_by_activity ON conversations (app_id, active_at, conversation_id, low_length) WHERE active_at IS NOT NULL;
CREATE INDEX conversations_by_low ON conversations (app_id, low_uid, active_at, conversation_id, low_length) WHERE low_uid IS NOT NULL;
CREATE INDEX conversations_by_high ON conversations (app_id, high_uid, active_at, conversation_id, low_length) WHERE high_uid IS NOT NULL;
CREATE TABLE app_numbers (
    -- A number for each app, in the order of the log: `message_search` tells apps apart by it.
    app_id TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE messages (
    -- Messages, deleted and blocked ones too; a row with few values is a message only heard of through something else.
    app_id              TEXT NOT NULL,
    message_id          TEXT NOT NULL,
    message_no          INTEGER NOT NULL,              -- the id as a number, else 9223372036854775807
    conversation_id     TEXT,
    low_length          INTEGER NOT NULL DEFAULT 0,    -- with conversation_id: the key of `conversations`
    sender_uid          TEXT,
    receiver_type       TEXT,                          -- user, group
    receiver_id         TEXT,                          -- uid or guid
    category            TEXT,
    type                TEXT,
    tags                TEXT,                          -- JSON array
    muid                TEXT,
    parent_id           TEXT,
    quoted_id           TEXT,
    sent_at             INTEGER,
    edited_at           INTEGER,                       -- of the last edit, as `message_edits` has it
    edited_by           TEXT,
    deleted_at          INTEGER,
    deleted_at_from     TEXT CHECK (deleted_at_from = 'told' OR deleted_at_from = 'arrival' OR deleted_at_from = 'feed'),
    deleted_by          TEXT,
    deleted             INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    pinned_at           INTEGER,
    pinned_at_from      TEXT CHECK (pinned_at_from = 'told' OR pinned_at_from = 'arrival' OR pinned_at_from = 'feed'),
    pinned_by           TEXT,
    delivered_to_all_at INTEGER,
    read_by_all_at      INTEGER,
    mentions            TEXT,                          -- JSON array of uids
    first_text          TEXT,                          -- SHA-256 (base64) of the text before all edits
    blocked             INTEGER NOT NULL CHECK (blocked IN (0, 1)), -- disapproved by moderation
    chat                INTEGER NOT NULL CHECK (chat IN (0, 1)),    -- category known; no action, no call, no step
    listed              INTEGER NOT NULL CHECK (listed IN (0, 1)),  -- chat, not deleted, not blocked, sent time known
    step                INTEGER NOT NULL DEFAULT 0 CHECK (step IN (0, 1)),               -- an agent's use of a tool
    may_be_last         INTEGER NOT NULL DEFAULT 1 CHECK (may_be_last IN (0, 1)),        -- 0: a custom message with updateConversation false
    uncounted           INTEGER NOT NULL DEFAULT 0 CHECK (uncounted BETWEEN 0 AND 7),    -- why unread leaves it out, added up: 1 thread reply, 2 custom message that does not ask to be counted, 4 no chat
    -- Large values stand last: what is read without them does not walk their pages.
    text                TEXT,
    data                TEXT,                          -- JSON object, secrets removed
    metadata            TEXT,                          -- JSON, secrets removed
    attachments         TEXT,                          -- JSON array
    registers           BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_key ON messages (app_id, message_id);
CREATE INDEX messages_by_time ON messages (app_id, sent_at, message_no, message_id) WHERE chat;
CREATE INDEX messages_by_conversation ON messages (app_id, conversation_id, low_length, sent_at, message_no, message_id, listed, may_be_last) WHERE chat;
CREATE INDEX messages_by_sender ON messages (app_id, sender_uid, sent_at, message_no, message_id) WHERE chat;
CREATE INDEX messages_by_parent ON messages (app_id, parent_id, sent_at, message_no, message_id) WHERE chat AND parent_id IS NOT NULL;
CREATE INDEX messages_steps_by_time ON messages (app_id, sent_at, message_no, message_id) WHERE step;
CREATE INDEX messages_steps_by_conversation ON messages (app_id, conversation_id, low_length, sent_at, message_no, message_id) WHERE step;
CREATE INDEX messages_steps_by_sender ON messages (app_id, sender_uid, sent_at, message_no, message_id) WHERE step;
CREATE INDEX messages_steps_by_parent ON messages (app_id, parent_id, sent_at, message_no, message_id) WHERE step AND parent_id IS NOT NULL;
CREATE INDEX messages_unread ON messages (app_id, conversation_id, low_length, uncounted, message_no, message_id, sender_uid, listed) WHERE listed;
CREATE INDEX messages_by_author ON messages (app_id, conversation_id, low_length, sender_uid, sent_at) WHERE listed;
CREATE INDEX messages_threads ON messages (app_id, parent_id, sender_uid, sent_at) WHERE listed AND parent_id IS NOT NULL;
CREATE VIRTUAL TABLE message_search USING fts5(text, content='', tokenize='unicode61');
CREATE TABLE message_edits (
    -- What a message said after each edit. The text first sent is no edit.
    app_id     TEXT NOT NULL,
    message_id TEXT NOT NULL,
    edited_at  INTEGER NOT NULL,
    rank       INTEGER NOT NULL,                       -- edits of one time: their order is that of rank, fact_at, seq
    fact_at    INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    digest     BLOB NOT NULL,                          -- SHA-256 of the text
    text       TEXT,                                   -- null once the message is deleted
    edited_by  TEXT,
    PRIMARY KEY (app_id, message_id, edited_at, rank, fact_at, seq, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE message_additions (
    -- What was told as an edit and left the text as it was: a machine added a link preview, a transcript or a vote. A row
    -- moves to message_edits when another text turns out to lie before it.
    app_id     TEXT NOT NULL,
    message_id TEXT NOT NULL,
    edited_at  INTEGER NOT NULL,
    rank       INTEGER NOT NULL,
    fact_at    INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    digest     BLOB NOT NULL,
    text       TEXT,
    edited_by  TEXT,
    PRIMARY KEY (app_id, message_id, edited_at, rank, fact_at, seq, digest)
) STRICT, WITHOUT ROWID;
CREATE TABLE message_tags (
    -- Which messages carry a tag: an index over messages.tags.
    app_id     TEXT NOT NULL,
    tag        TEXT NOT NULL,
    message_no INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    PRIMARY KEY (app_id, tag, message_no, message_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE mentions (
    -- Who is mentioned in which message: an index over messages.mentions.
    app_id     TEXT NOT NULL,
    uid        TEXT NOT NULL,
    message_no INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    PRIMARY KEY (app_id, uid, message_no, message_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE reactions (
    -- A person's reaction to a message; present = 0 once it was taken back. One row a spelling: an emoji with and without
    -- the variation selector U+FE0F is one reaction, and one person counts once in it.
    app_id     TEXT NOT NULL,
    message_id TEXT NOT NULL,
    emoji      TEXT NOT NULL,                          -- the reaction without U+FE0F
    uid        TEXT NOT NULL,
    reaction   TEXT NOT NULL,                          -- as told
    present    INTEGER NOT NULL CHECK (present IN (0, 1)),
    reacted_at INTEGER,                                -- earliest told of those present, else the earliest arrival
    reacted_at_from TEXT CHECK (reacted_at_from = 'told' OR reacted_at_from = 'arrival' OR reacted_at_from = 'feed'),
    first_at   INTEGER,                                -- earliest told, present or not: an emoji is shown as first told
    facts      TEXT NOT NULL,                          -- JSON: ids added and ended
    PRIMARY KEY (app_id, message_id, emoji, uid, reaction)
) STRICT, WITHOUT ROWID;
CREATE INDEX reactions_by_time ON reactions (app_id, reacted_at, present) WHERE present;
CREATE INDEX reactions_present ON reactions (app_id, message_id, emoji, uid) WHERE present;
CREATE TABLE receipts (
    -- Earliest delivery and read times of one message and reader. Where none was told they are those of the arrival, which
    -- `..._from` says.
    app_id            TEXT NOT NULL,
    message_id        TEXT NOT NULL,
    uid               TEXT NOT NULL,
    delivered_at      INTEGER,
    delivered_at_from TEXT CHECK (delivered_at_from = 'told' OR delivered_at_from = 'arrival' OR delivered_at_from = 'feed'),
    read_at           INTEGER,
    read_at_from      TEXT CHECK (read_at_from = 'told' OR read_at_from = 'arrival' OR read_at_from = 'feed'),
    PRIMARY KEY (app_id, message_id, uid)
) STRICT, WITHOUT ROWID;
CREATE TABLE read_markers (
    -- Everything in the conversation up to that message is read by that person. One marker a kind of id.
    app_id          TEXT NOT NULL,
    conversation_id TEXT NOT NULL,
    low_length      INTEGER NOT NULL,                  -- with conversation_id: the key of `conversations`
    uid             TEXT NOT NULL,
    numeric         INTEGER NOT NULL CHECK (numeric IN (0, 1)),
    message_no      INTEGER NOT NULL,
    message_id      TEXT NOT NULL,
    at              INTEGER,                           -- earliest read time told of that message; null: none was told
    PRIMARY KEY (app_id, conversation_id, low_length, uid, numeric)
) STRICT, WITHOUT ROWID;
CREATE TABLE presence (
    -- Whether a person is online.
    app_id       TEXT NOT NULL,
    uid          TEXT NOT NULL,
    online       INTEGER,
    changed_at   INTEGER,                              -- newest time told of a flip, else the newest arrival of one
    changed_at_from TEXT CHECK (changed_at_from = 'told' OR changed_at_from = 'arrival' OR changed_at_from = 'feed'),
    last_seen_at INTEGER,                              -- the same of any event; a day after it nobody counts as online
    last_seen_at_from TEXT CHECK (last_seen_at_from = 'told' OR last_seen_at_from = 'arrival' OR last_seen_at_from = 'feed'),
    offline_at   INTEGER,                              -- newest offline; closes older connections
    registers    BLOB NOT NULL,
    PRIMARY KEY (app_id, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX presence_online ON presence (app_id, uid) WHERE online;
CREATE INDEX presence_seen ON presence (app_id, last_seen_at, uid);
CREATE TABLE connections (
    -- A person's websocket connections.
    app_id       TEXT NOT NULL,
    uid          TEXT NOT NULL,
    platform     TEXT NOT NULL,                        -- '': not told
    connected_at INTEGER NOT NULL,                     -- 0: not told
    open         INTEGER,                              -- no disconnect of its own; see presence.offline_at
    seen_at      INTEGER NOT NULL,                     -- when it was last told open
    registers    BLOB NOT NULL,
    PRIMARY KEY (app_id, uid, platform, connected_at)
) STRICT, WITHOUT ROWID;
CREATE TABLE blocks (
    -- Who blocks whom.
    app_id      TEXT NOT NULL,
    blocker_uid TEXT NOT NULL,
    blocked_uid TEXT NOT NULL,
    since       INTEGER,                               -- earliest block newer than the newest unblock
    since_from  TEXT CHECK (since_from = 'told' OR since_from = 'arrival' OR since_from = 'feed'),
    current     INTEGER NOT NULL CHECK (current IN (0, 1)),
    facts       TEXT NOT NULL,                         -- JSON: order keys of the facts that decide
    PRIMARY KEY (app_id, blocker_uid, blocked_uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_current ON blocks (app_id, blocker_uid, blocked_uid) WHERE current;
CREATE INDEX blocks_by_blocked ON blocks (app_id, blocked_uid, blocker_uid, current) WHERE current;
CREATE TABLE call_facts (
    -- What was told about one session id, in the order of time; `call_sessions` and its kin are decided over these.
    app_id      TEXT NOT NULL,
    session_key TEXT NOT NULL,                         -- s:<session id>, or m:<message id> where none was told
    at          INTEGER NOT NULL,                      -- the first time that the fact names
    seq         INTEGER NOT NULL,
    fact        TEXT NOT NULL,                         -- JSON
    PRIMARY KEY (app_id, session_key, at, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE call_histories (
    -- What all rows in `call_facts` of one session id have in common. It tells how few of them a new fact can touch.
    app_id       TEXT NOT NULL,
    session_key  TEXT NOT NULL,
    longest      INTEGER NOT NULL,                     -- ms between the first and the last time that one fact names, at most
    calls        INTEGER NOT NULL CHECK (calls IN (0, 1)),    -- media events of calls are known
    meetings     INTEGER NOT NULL CHECK (meetings IN (0, 1)), -- the same of meetings
    signals      INTEGER NOT NULL CHECK (signals IN (0, 1)),  -- somebody rang
    files        INTEGER NOT NULL CHECK (files IN (0, 1)),    -- recordings or transcripts
    undated      INTEGER NOT NULL CHECK (undated IN (0, 1)),  -- a signal that does not tell when the call was initiated
    started_at   INTEGER,                              -- earliest start told
    initiated_at INTEGER,                              -- earliest initiation told
    PRIMARY KEY (app_id, session_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE call_sessions (
    -- Calls and meetings: one row an instance, for a session id may be used again.
    app_id           TEXT NOT NULL,
    session_key      TEXT NOT NULL,
    kind             TEXT NOT NULL CHECK (kind IN ('call', 'meeting')),
    anchor           INTEGER NOT NULL,                 -- what tells instances apart: the start told, else the earliest participant, else the initiation
    session_id       TEXT,
    type             TEXT,                             -- audio, video
    status           TEXT CHECK (status = 'initiated' OR status = 'ongoing' OR status = 'ended' OR status = 'cancelled' OR status = 'rejected' OR status = 'unanswered' OR status = 'busy'),
    initiator_uid    TEXT,
    receiver_type    TEXT,
    receiver_id      TEXT,
    call_message_id  TEXT,
    initiated_at     INTEGER,
    started_at       INTEGER,
    ended_at         INTEGER,
    duration_seconds INTEGER,
    order_at         INTEGER NOT NULL,                 -- started, else initiated, else the first news
    news_at          INTEGER NOT NULL,                 -- newest fact
    PRIMARY KEY (app_id, session_key, kind, anchor)
) STRICT, WITHOUT ROWID;
CREATE INDEX call_sessions_by_time ON call_sessions (app_id, order_at, session_key, kind, anchor);
CREATE INDEX call_sessions_by_message ON call_sessions (app_id, call_message_id) WHERE call_message_id IS NOT NULL;
CREATE TABLE call_participants (
    -- One row a stay of one person in one instance.
    app_id      TEXT NOT NULL,
    session_key TEXT NOT NULL,
    kind        TEXT NOT NULL,
    anchor      INTEGER NOT NULL,
    person      TEXT NOT NULL,                         -- u:<uid>, or n:<joined_at>:<name> where no uid was told
    joined_at   INTEGER NOT NULL,                      -- 0: not told
    uid         TEXT,
    name        TEXT,
    left_at     INTEGER,
    audio_only  INTEGER,
    PRIMARY KEY (app_id, session_key, kind, anchor, person, joined_at)
) STRICT, WITHOUT ROWID;
CREATE INDEX call_participants_by_user ON call_participants (app_id, uid, session_key, kind, anchor) WHERE uid IS NOT NULL;
CREATE TABLE recordings (
    -- Recordings of a call or meeting.
    app_id           TEXT NOT NULL,
    session_key      TEXT NOT NULL,
    kind             TEXT NOT NULL,
    anchor           INTEGER NOT NULL,
    started_at       INTEGER NOT NULL,                 -- 0: not told
    url              TEXT NOT NULL,                    -- '': not told
    duration_seconds REAL,                             -- to the millisecond
    PRIMARY KEY (app_id, session_key, kind, anchor, started_at, url)
) STRICT, WITHOUT ROWID;
CREATE TABLE transcripts (
    -- Transcripts of a call or meeting.
    app_id        TEXT NOT NULL,
    session_key   TEXT NOT NULL,
    kind          TEXT NOT NULL,
    anchor        INTEGER NOT NULL,
    transcript_id TEXT NOT NULL,
    url           TEXT,
    started_at    INTEGER,
    ended_at      INTEGER,
    PRIMARY KEY (app_id, session_key, kind, anchor, transcript_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE moderation (
    -- The newest verdict about a message. Only 'disapproved' hides it.
    app_id     TEXT NOT NULL,
    message_id TEXT NOT NULL,
    status     TEXT,
    reviewed   INTEGER,                                -- by a person
    rule       TEXT,                                   -- id of the rule that caught it
    failed_at  INTEGER,                                -- newest time told of a failure, else the newest arrival of one
    failed_at_from TEXT CHECK (failed_at_from = 'told' OR failed_at_from = 'arrival' OR failed_at_from = 'feed'),
    failure    TEXT,
    registers  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX moderation_key ON moderation (app_id, message_id);
CREATE INDEX moderation_by_status ON moderation (app_id, status, message_id);
CREATE TABLE feeds (
    -- One row an app: how fresh its deliveries are, to date facts that carry no time, and how far its log goes.
    app_id           TEXT NOT NULL PRIMARY KEY,
    told_at          INTEGER,                          -- newest told time
    told_received_at INTEGER,                          -- arrival of the delivery that told it
    clock_at         INTEGER,                          -- newest told time or floor shown
    lags             TEXT NOT NULL,                    -- JSON: of the newest told facts, arrival less told time in ms
    clock_offset     INTEGER NOT NULL,                 -- ms that arrivals are ahead of the vendor's clock; 0: too little to count
    newest_seq       INTEGER NOT NULL                  -- log position of its newest event, also where that was deleted since
) STRICT;
CREATE TABLE deliveries (
    -- Each further delivery of an event: what was known of it when it came, so that a rebuild can decide again whether it
    -- repeats the event. What was known of the first delivery is in `events`.
    position      INTEGER PRIMARY KEY,                 -- log position: first and further deliveries share one sequence
    seq           INTEGER NOT NULL,                    -- the event it repeats; its own position: a rebuild found that it is another event
    webhook_id    TEXT,
    received_at   INTEGER NOT NULL,
    bare          INTEGER NOT NULL CHECK (bare IN (0, 1)), -- 1: read from a file that does not tell when it came
    -- When it would have happened as an event of its own. Null where the body told that itself.
    occurred_at   INTEGER,
    occurred_from TEXT CHECK (occurred_from IN ('arrival', 'feed')),
    arrived_at    INTEGER,
    floor_at      INTEGER
) STRICT;
CREATE INDEX deliveries_untold ON deliveries (seq, coalesce(webhook_id, ''), received_at) WHERE occurred_from IS NOT NULL;
CREATE TABLE unfinished (
    -- Large events that the log holds and the tables do not, or only in part: their rows are saved piece by piece. What a
    -- crash left here is finished by the next chatfold that writes the file.
    seq    INTEGER PRIMARY KEY,
    app_id TEXT NOT NULL
) STRICT;
CREATE TABLE event_counts (
    -- Deliveries per minute, for charts and alarms. Outcome may also be 'duplicate'.
    app_id  TEXT NOT NULL,
    minute  INTEGER NOT NULL,                          -- unix minutes
    trigger TEXT NOT NULL,
    outcome TEXT NOT NULL,
    n       INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, minute, trigger, outcome)
) STRICT, WITHOUT ROWID;
CREATE TABLE refused (
    -- The newest deliveries that were answered 400. They name no app and are never folded.
    id          INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    problem     TEXT NOT NULL,
    body        BLOB NOT NULL                          -- at most its first 64 KiB
) STRICT;
CREATE TABLE tokens (
    -- Who may read through GraphQL. With any row here, a revoked one too, every reader needs a token.
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    hash         BLOB NOT NULL UNIQUE,                 -- SHA-256; the token itself is kept nowhere
    scope        TEXT NOT NULL CHECK (scope = 'metadata' OR scope = 'content' OR scope = 'admin'),
    apps         TEXT,                                 -- JSON list of app ids; null: all
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,                              -- to the minute or so
    revoked_at   INTEGER
) STRICT;
CREATE TABLE settings (
    -- Facts about this file, such as the fold version its tables were made with.
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    -- When a server ran, the newest 200 times. Between two runs no delivery could be taken.
    id         INTEGER PRIMARY KEY,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL                        -- when it was last known to run: to the minute while deliveries come, else to the hour
) STRICT;
CREATE TABLE backfill (
    -- How far a backfill came that has not ended: the next run goes on there.
    app_id TEXT NOT NULL,
    stage  TEXT NOT NULL,                              -- users, groups, members, blocks, messages
    place  TEXT NOT NULL,                              -- what was read last: a page, a guid, a uid or the id of a message
    done   INTEGER NOT NULL CHECK (done IN (0, 1)),
    counts TEXT NOT NULL,                              -- JSON: what was read so far, and what came of it
    PRIMARY KEY (app_id, stage)
) STRICT, WITHOUT ROWID;
CREATE TABLE erasures (
    -- Whom `erase-user` took out of the log: late copies must not bring these people back. The salt is in `settings`.
    app_id    TEXT NOT NULL,
    hash      BLOB NOT NULL,                           -- SHA-256 of salt, kind and uid, name or address
    pseudonym TEXT NOT NULL,
    erased_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, hash)
) STRICT, WITHOUT ROWID;
CREATE TABLE shared_log (
    -- One row in the file of a node, whose log is PostgreSQL's: which log it is, and how far the tables are.
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    log_id      TEXT NOT NULL,
    position    INTEGER NOT NULL,                      -- the newest position that is folded
    delivery_id BLOB                                   -- the id of the delivery there; null: none is folded
) STRICT;
CREATE VIEW v_events AS
    -- The log. A body with secrets in it is left out: see events.body.
    SELECT
        app_id,
        seq,
        trigger,
        strftime('%Y-%m-%dT%H:%M:%fZ', occurred_at / 1000.0, 'unixepoch') AS occurred_at,
        occurred_from,
        strftime('%Y-%m-%dT%H:%M:%fZ', received_at / 1000.0, 'unixepoch') AS received_at,
        deliveries,
        strftime('%Y-%m-%dT%H:%M:%fZ', last_received_at / 1000.0, 'unixepoch') AS last_received_at,
        outcome,
        reason,
        region,
        webhook_id,
        CASE WHEN has_secret THEN NULL ELSE body END AS body
    FROM events;
CREATE VIEW v_apps AS
    -- CometChat apps heard of.
    SELECT
        app_id,
        region,
        strftime('%Y-%m-%dT%H:%M:%fZ', first_seen_at / 1000.0, 'unixepoch') AS first_seen_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', last_event_at / 1000.0, 'unixepoch') AS last_event_at,
        events_count
    FROM apps;
CREATE VIEW v_users AS
    -- People, as the newest snapshots describe them.
    SELECT
        app_id,
        uid,
        name,
        avatar,
        link,
        role,
        status_message,
        tags,
        metadata,
        strftime('%Y-%m-%dT%H:%M:%fZ', last_active_at / 1000.0, 'unixepoch') AS last_active_at
    FROM users;
CREATE VIEW v_groups AS
    -- Groups that are not deleted.
    SELECT
        app_id,
        guid,
        name,
        type,
        description,
        icon,
        tags,
        metadata,
        owner_uid AS owner,
        members_count,
        reported_members_count,
        drift_expected,
        drift_counted,
        strftime('%Y-%m-%dT%H:%M:%fZ', drift_since / 1000.0, 'unixepoch') AS drift_since,
        strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000.0, 'unixepoch') AS created_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', updated_at / 1000.0, 'unixepoch') AS updated_at,
        updated_by,
        strftime('%Y-%m-%dT%H:%M:%fZ', members_known_since / 1000.0, 'unixepoch') AS members_known_since
    FROM groups WHERE deleted_at IS NULL;
CREATE VIEW v_memberships AS
    -- Who is in which group now, with which scope, since when. Deleted groups are left out.
    SELECT
        m.app_id,
        m.guid,
        g.name AS group_name,
        m.uid,
        u.name,
        m.scope,
        m.uid IS g.owner_uid AS is_owner,
        strftime('%Y-%m-%dT%H:%M:%fZ', m.joined_at / 1000.0, 'unixepoch') AS joined_at,
        m.joined_at_from,
        strftime('%Y-%m-%dT%H:%M:%fZ', m.changed_at / 1000.0, 'unixepoch') AS changed_at,
        m.changed_at_from,
        m.changed_by
    FROM memberships AS m
    LEFT JOIN groups AS g ON g.app_id = m.app_id AND g.guid = m.guid
    LEFT JOIN users AS u ON u.app_id = m.app_id AND u.uid = m.uid
    WHERE m.current AND g.deleted_at IS NULL;
CREATE VIEW v_membership_changes AS
    -- The history of every group: who came, went, was put out or given another scope.
    SELECT
        c.app_id,
        c.guid,
        c.uid,
        u.name,
        strftime('%Y-%m-%dT%H:%M:%fZ', CASE WHEN c.at = 0 THEN c.occurred_at ELSE c.at END / 1000.0, 'unixepoch') AS at,
        c.at_from,
        c.trigger,
        c.state,
        c.old_scope,
        c.scope,
        c.by_uid,
        c.seq
    FROM membership_changes AS c
    LEFT JOIN users AS u ON u.app_id = c.app_id AND u.uid = c.uid
    -- Most of what a member list says is known already: it is no history.
    WHERE c.trigger <> 'chatfold.group_roster';
CREATE VIEW v_rosters AS
    -- When the complete list of a group's members was known.
    SELECT
        app_id,
        guid,
        strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at,
        created,
        seq
    FROM rosters;
CREATE VIEW v_conversations AS
    -- Conversations with chat that is not deleted and not blocked, and the last message of each. The key is
    -- conversation_id and low_length together: see conversations.
    SELECT
        app_id,
        conversation_id,
        low_length,
        type,
        guid,
        low_uid,
        high_uid,
        messages_count,
        last_message_id,
        strftime('%Y-%m-%dT%H:%M:%fZ', last_message_at / 1000.0, 'unixepoch') AS last_message_at
    FROM conversations WHERE active_at IS NOT NULL;
CREATE VIEW v_messages AS
    -- Chat that is not deleted and not blocked.
    SELECT
        m.app_id,
        m.message_id,
        m.conversation_id,
        m.low_length,
        m.sender_uid,
        u.name AS sender_name,
        m.receiver_type,
        m.receiver_id,
        m.category,
        m.type,
        m.text,
        m.attachments,
        m.mentions,
        m.tags,
        m.metadata,
        m.data,
        m.muid,
        m.parent_id,
        m.quoted_id,
        strftime('%Y-%m-%dT%H:%M:%fZ', m.sent_at / 1000.0, 'unixepoch') AS sent_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', m.edited_at / 1000.0, 'unixepoch') AS edited_at,
        m.edited_by,
        strftime('%Y-%m-%dT%H:%M:%fZ', m.pinned_at / 1000.0, 'unixepoch') AS pinned_at,
        m.pinned_at_from,
        m.pinned_by,
        strftime('%Y-%m-%dT%H:%M:%fZ', m.delivered_to_all_at / 1000.0, 'unixepoch') AS delivered_to_all_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', m.read_by_all_at / 1000.0, 'unixepoch') AS read_by_all_at
    FROM messages AS m
    LEFT JOIN users AS u ON u.app_id = m.app_id AND u.uid = m.sender_uid
    WHERE m.listed;
CREATE VIEW v_message_edits AS
    -- What a message said after each edit. An agent's steps are left out.
    SELECT
        e.app_id,
        e.message_id,
        strftime('%Y-%m-%dT%H:%M:%fZ', e.edited_at / 1000.0, 'unixepoch') AS edited_at,
        e.text,
        e.edited_by
    FROM message_edits AS e
    LEFT JOIN messages AS m ON m.app_id = e.app_id AND m.message_id = e.message_id
    WHERE NOT coalesce(m.step, 0);
CREATE VIEW v_message_tags AS
    -- Tags of messages. An agent's steps are left out.
    SELECT
        t.app_id,
        t.tag,
        t.message_id
    FROM message_tags AS t
    LEFT JOIN messages AS m ON m.app_id = t.app_id AND m.message_id = t.message_id
    WHERE NOT coalesce(m.step, 0);
CREATE VIEW v_mentions AS
    -- Who is mentioned where. An agent's steps are left out.
    SELECT
        n.app_id,
        n.uid,
        n.message_id
    FROM mentions AS n
    LEFT JOIN messages AS m ON m.app_id = n.app_id AND m.message_id = n.message_id
    WHERE NOT coalesce(m.step, 0);
CREATE VIEW v_receipts AS
    -- Earliest delivery and read time of a message and reader, and how each is known.
    SELECT
        app_id,
        message_id,
        uid,
        strftime('%Y-%m-%dT%H:%M:%fZ', delivered_at / 1000.0, 'unixepoch') AS delivered_at,
        delivered_at_from,
        strftime('%Y-%m-%dT%H:%M:%fZ', read_at / 1000.0, 'unixepoch') AS read_at,
        read_at_from
    FROM receipts;
CREATE VIEW v_read_markers AS
    -- How far each person has read each conversation.
    SELECT
        app_id,
        conversation_id,
        low_length,
        uid,
        message_id,
        strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at
    FROM read_markers;
CREATE VIEW v_presence AS
    -- Whether people are online. Left out: those told online of whom nothing was heard for 24 hours, whose offline may
    -- have been lost; the table keeps them.
    SELECT
        p.app_id,
        p.uid,
        u.name,
        p.online,
        strftime('%Y-%m-%dT%H:%M:%fZ', p.changed_at / 1000.0, 'unixepoch') AS changed_at,
        p.changed_at_from,
        strftime('%Y-%m-%dT%H:%M:%fZ', p.last_seen_at / 1000.0, 'unixepoch') AS last_seen_at,
        p.last_seen_at_from
    FROM presence AS p
    LEFT JOIN users AS u ON u.app_id = p.app_id AND u.uid = p.uid
    WHERE p.online IS NOT 1 OR p.last_seen_at >= (CAST(strftime('%s', 'now') AS INTEGER) - 24 * 60 * 60) * 1000;
CREATE VIEW v_connections AS
    -- Connections that are open.
    SELECT
        c.app_id,
        c.uid,
        nullif(c.platform, '') AS platform,
        strftime('%Y-%m-%dT%H:%M:%fZ', nullif(c.connected_at, 0) / 1000.0, 'unixepoch') AS connected_at
    FROM connections AS c
    LEFT JOIN presence AS p ON p.app_id = c.app_id AND p.uid = c.uid
    WHERE c.open AND c.seen_at >= coalesce(p.offline_at, 0);
CREATE VIEW v_blocks AS
    -- Who blocks whom now.
    SELECT
        app_id,
        blocker_uid,
        blocked_uid,
        strftime('%Y-%m-%dT%H:%M:%fZ', since / 1000.0, 'unixepoch') AS since,
        since_from
    FROM blocks WHERE current;
CREATE VIEW v_call_sessions AS
    -- Calls and meetings, newest news last.
    SELECT
        app_id,
        session_id,
        kind,
        type,
        status,
        initiator_uid,
        receiver_type,
        receiver_id,
        call_message_id,
        strftime('%Y-%m-%dT%H:%M:%fZ', initiated_at / 1000.0, 'unixepoch') AS initiated_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000.0, 'unixepoch') AS started_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', ended_at / 1000.0, 'unixepoch') AS ended_at,
        duration_seconds
    FROM call_sessions;
CREATE VIEW v_call_participants AS
    -- Who was in which call or meeting, one row a stay.
    SELECT
        x.app_id,
        s.session_id,
        x.kind,
        strftime('%Y-%m-%dT%H:%M:%fZ', s.started_at / 1000.0, 'unixepoch') AS started_at,
        x.uid,
        x.name,
        strftime('%Y-%m-%dT%H:%M:%fZ', nullif(x.joined_at, 0) / 1000.0, 'unixepoch') AS joined_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', x.left_at / 1000.0, 'unixepoch') AS left_at,
        x.audio_only
    FROM call_participants AS x
    LEFT JOIN call_sessions AS s ON s.app_id = x.app_id AND s.session_key = x.session_key AND s.kind = x.kind AND s.anchor = x.anchor;
CREATE VIEW v_recordings AS
    -- Recordings of calls and meetings.
    SELECT
        x.app_id,
        s.session_id,
        x.kind,
        strftime('%Y-%m-%dT%H:%M:%fZ', nullif(x.started_at, 0) / 1000.0, 'unixepoch') AS started_at,
        x.duration_seconds,
        nullif(x.url, '') AS url
    FROM recordings AS x
    LEFT JOIN call_sessions AS s ON s.app_id = x.app_id AND s.session_key = x.session_key AND s.kind = x.kind AND s.anchor = x.anchor;
CREATE VIEW v_transcripts AS
    -- Transcripts of calls and meetings.
    SELECT
        x.app_id,
        s.session_id,
        x.kind,
        x.transcript_id,
        strftime('%Y-%m-%dT%H:%M:%fZ', x.started_at / 1000.0, 'unixepoch') AS started_at,
        strftime('%Y-%m-%dT%H:%M:%fZ', x.ended_at / 1000.0, 'unixepoch') AS ended_at,
        x.url
    FROM transcripts AS x
    LEFT JOIN call_sessions AS s ON s.app_id = x.app_id AND s.session_key = x.session_key AND s.kind = x.kind AND s.anchor = x.anchor;
CREATE VIEW v_moderation AS
    -- The newest verdict about each message.
    SELECT
        app_id,
        message_id,
        status,
        coalesce(reviewed, 0) AS reviewed,
        rule,
        strftime('%Y-%m-%dT%H:%M:%fZ', failed_at / 1000.0, 'unixepoch') AS failed_at,
        failed_at_from,
        failure
    FROM moderation;
CREATE TABLE cut_facts (
    -- Events of the family `ignored` that were cut: a late copy of one is a duplicate.
    app_id TEXT NOT NULL,
    digest BLOB NOT NULL,                              -- first 16 bytes of the fingerprint
    seq    INTEGER NOT NULL,                           -- the log position that the event had
    PRIMARY KEY (app_id, digest)
) STRICT, WITHOUT ROWID;
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
CREATE VIEW v_horizons AS
    -- Up to when `chatfold retention` cut events of a family from the log.
    SELECT
        app_id,
        family,
        strftime('%Y-%m-%dT%H:%M:%fZ', before / 1000.0, 'unixepoch') AS before
    FROM horizons;
CREATE VIEW v_reactions AS
    -- Reactions that are still there: one row a person and emoji, which is shown as first told. Those to an agent's steps
    -- are left out.
    SELECT
        r.app_id,
        r.message_id,
        (
            SELECT x.reaction FROM reactions AS x
            WHERE x.app_id = r.app_id AND x.message_id = r.message_id AND x.emoji = r.emoji
            ORDER BY x.first_at NULLS LAST, x.reaction LIMIT 1
        ) AS reaction,
        r.uid,
        strftime('%Y-%m-%dT%H:%M:%fZ', r.reacted_at / 1000.0, 'unixepoch') AS reacted_at,
        r.reacted_at_from
    FROM reactions AS r
    WHERE r.present AND NOT EXISTS (
        SELECT 1 FROM reactions AS x
        WHERE x.app_id = r.app_id AND x.message_id = r.message_id AND x.emoji = r.emoji AND x.uid = r.uid AND x.present
            AND (x.reacted_at_from <> 'told', x.reacted_at_from, x.reacted_at, x.reaction)
                < (r.reacted_at_from <> 'told', r.reacted_at_from, r.reacted_at, r.reaction)
    ) AND NOT EXISTS (
        SELECT 1 FROM messages AS m WHERE m.app_id = r.app_id AND m.message_id = r.message_id AND m.step
    );
