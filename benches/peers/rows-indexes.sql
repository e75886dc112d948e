-- After the rows are in.
CREATE INDEX memberships_by_user ON memberships (uid, guid);
CREATE INDEX participants_by_activity ON participants (uid, last_message_at DESC);
CREATE INDEX messages_by_conversation ON messages (conversation_id, message_id);
CREATE INDEX messages_by_sender ON messages (sender_uid, message_id);
CREATE INDEX reactions_by_user ON reactions (uid);
