-- One view a table for people: text ids, ISO 8601 times (UTC), and only what is current. Every view works on SQLite
-- 3.40 and on every body the log can hold: none calls a JSON function.

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
            AND (x.reacted_at_from <> 'told', x.reacted_at, x.reaction) < (r.reacted_at_from <> 'told', r.reacted_at, r.reaction)
    ) AND NOT EXISTS (
        SELECT 1 FROM messages AS m WHERE m.app_id = r.app_id AND m.message_id = r.message_id AND m.step
    );

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
