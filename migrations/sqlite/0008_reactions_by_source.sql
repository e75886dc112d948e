-- Of two spellings of a person's emoji without a told time, the one dated by its arrival comes before the one dated by its feed.
DROP VIEW v_reactions;
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
