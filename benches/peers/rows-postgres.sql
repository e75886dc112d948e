-- What PostGraphile and Fastify read besides: the index of words, and what PostGraphile shows as fields. The constraints of
-- rows.sql make its relations.
ALTER TABLE conversations ADD FOREIGN KEY (last_message_id) REFERENCES messages (message_id);
CREATE INDEX conversations_by_last ON conversations (last_message_id);
CREATE INDEX messages_by_word ON messages USING gin (to_tsvector('simple', text));
CREATE FUNCTION participants_unread(p participants) RETURNS integer LANGUAGE sql STABLE AS $$
  SELECT count(*)::integer FROM (
    SELECT 1 FROM messages AS u
    WHERE u.conversation_id = p.conversation_id AND u.message_id > p.read_id AND u.sender_uid <> p.uid LIMIT 1000
  ) AS unread
$$;
CREATE FUNCTION search_messages(word text) RETURNS SETOF messages LANGUAGE sql STABLE AS $$
  SELECT * FROM messages WHERE to_tsvector('simple', text) @@ plainto_tsquery('simple', word) ORDER BY message_id DESC
$$;
VACUUM ANALYZE;
