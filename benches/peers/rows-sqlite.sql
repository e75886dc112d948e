-- What Datasette and the Express receiver read besides: the index of words, and the number of unread messages.
CREATE VIRTUAL TABLE messages_fts USING fts5(text, content="messages", content_rowid='message_id');
INSERT INTO messages_fts(messages_fts) VALUES ('rebuild');
CREATE VIEW inbox AS
  SELECT p.uid, p.conversation_id, p.last_message_at, c.last_message_id, m.text AS last_text,
    (SELECT count(*) FROM (
      SELECT 1 FROM messages AS u
      WHERE u.conversation_id = p.conversation_id AND u.message_id > p.read_id AND u.sender_uid <> p.uid LIMIT 1000
    )) AS unread
  FROM participants AS p
  JOIN conversations AS c ON c.conversation_id = p.conversation_id
  LEFT JOIN messages AS m ON m.message_id = c.last_message_id;
ANALYZE;
