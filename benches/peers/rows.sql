-- The tables of the programs that are compared on reads, in the SQL that SQLite and PostgreSQL share. Their rows are those
-- of a chatfold file: benches/benchmark/rows.rs copies them. Keys, foreign keys and indexes are those that the four
-- questions need.
CREATE TABLE users (
  uid text NOT NULL PRIMARY KEY,
  name text,
  avatar text
);
CREATE TABLE presence (
  uid text NOT NULL PRIMARY KEY REFERENCES users (uid),
  online boolean
);
CREATE TABLE groups (
  guid text NOT NULL PRIMARY KEY,
  name text
);
CREATE TABLE memberships (
  guid text NOT NULL REFERENCES groups (guid),
  uid text NOT NULL REFERENCES users (uid),
  scope text,
  joined_at timestamptz,
  PRIMARY KEY (guid, uid)
);
CREATE TABLE conversations (
  conversation_id text NOT NULL PRIMARY KEY,
  type text NOT NULL,
  last_message_id bigint,
  last_message_at timestamptz
);
-- Who is in which conversation: the two people of a 1:1, the members of a group.
CREATE TABLE participants (
  uid text NOT NULL REFERENCES users (uid),
  conversation_id text NOT NULL REFERENCES conversations (conversation_id),
  last_message_at timestamptz,
  read_id bigint NOT NULL,
  PRIMARY KEY (uid, conversation_id)
);
CREATE TABLE messages (
  message_id bigint NOT NULL PRIMARY KEY,
  conversation_id text NOT NULL REFERENCES conversations (conversation_id),
  sender_uid text NOT NULL REFERENCES users (uid),
  text text,
  sent_at timestamptz
);
CREATE TABLE reactions (
  message_id bigint NOT NULL REFERENCES messages (message_id),
  uid text NOT NULL REFERENCES users (uid),
  reaction text NOT NULL,
  PRIMARY KEY (message_id, uid, reaction)
);
