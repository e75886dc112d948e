// A receiver of CometChat's webhooks as people write it with Fastify and pg: each body once in a log, folded into tables of
// messages, conversations, users, members, reactions and receipts, in one transaction a request. It answers after the
// commit. PEER_DATABASE is an empty database; it listens on a free port and prints the address.
import { createHash } from "node:crypto";
import Fastify from "fastify";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.PEER_DATABASE, max: 16 });
await pool.query(`
  CREATE TABLE log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, received_at timestamptz NOT NULL DEFAULT now(),
    app_id text NOT NULL, trigger text NOT NULL, fingerprint bytea NOT NULL UNIQUE, body text NOT NULL
  );
  CREATE TABLE users (
    app_id text NOT NULL, uid text NOT NULL, name text, avatar text, role text, status text, last_active_at bigint,
    online boolean, updated_at bigint NOT NULL, PRIMARY KEY (app_id, uid)
  );
  CREATE TABLE groups (
    app_id text NOT NULL, guid text NOT NULL, name text, type text, owner text, created_at bigint,
    updated_at bigint NOT NULL, PRIMARY KEY (app_id, guid)
  );
  CREATE TABLE members (
    app_id text NOT NULL, guid text NOT NULL, uid text NOT NULL, state text NOT NULL, updated_at bigint NOT NULL,
    PRIMARY KEY (app_id, guid, uid)
  );
  CREATE INDEX members_by_user ON members (app_id, uid, guid);
  CREATE TABLE conversations (
    app_id text NOT NULL, id text NOT NULL, type text NOT NULL, last_message_id text, last_message_at bigint,
    messages_count bigint NOT NULL, PRIMARY KEY (app_id, id)
  );
  CREATE INDEX conversations_by_activity ON conversations (app_id, last_message_at);
  CREATE TABLE messages (
    app_id text NOT NULL, id text NOT NULL, conversation_id text, sender text, receiver_type text, receiver text,
    category text, type text, text text, data jsonb, sent_at bigint, updated_at bigint NOT NULL, PRIMARY KEY (app_id, id)
  );
  CREATE INDEX messages_by_conversation ON messages (app_id, conversation_id, sent_at);
  CREATE INDEX messages_by_sender ON messages (app_id, sender, sent_at);
  CREATE TABLE reactions (
    app_id text NOT NULL, message_id text NOT NULL, reaction text NOT NULL, uid text NOT NULL, reacted_at bigint,
    PRIMARY KEY (app_id, message_id, reaction, uid)
  );
  CREATE TABLE receipts (
    app_id text NOT NULL, message_id text NOT NULL, uid text NOT NULL, read_at bigint,
    PRIMARY KEY (app_id, message_id, uid)
  );
`);

// Prepared once a connection.
const statement = (name, text) => (db, ...values) => db.query({ name, text, values });

const insertEvent = statement("insert_event", `
  INSERT INTO log (app_id, trigger, fingerprint, body) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`);
const saveUser = statement("save_user", `
  INSERT INTO users AS u (app_id, uid, name, avatar, role, status, last_active_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
  ON CONFLICT (app_id, uid) DO UPDATE SET name = excluded.name, avatar = excluded.avatar, role = excluded.role,
    status = excluded.status, last_active_at = excluded.last_active_at, updated_at = excluded.updated_at
  WHERE excluded.updated_at >= u.updated_at`);
const saveOnline = statement("save_online",
  "UPDATE users SET online = $1 WHERE app_id = $2 AND uid = $3 AND updated_at <= $4");
const saveGroup = statement("save_group", `
  INSERT INTO groups AS g (app_id, guid, name, type, owner, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
  ON CONFLICT (app_id, guid) DO UPDATE SET name = excluded.name, type = excluded.type, owner = excluded.owner,
    updated_at = excluded.updated_at
  WHERE excluded.updated_at >= g.updated_at`);
const saveMember = statement("save_member", `
  INSERT INTO members AS m (app_id, guid, uid, state, updated_at) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (app_id, guid, uid) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at
  WHERE excluded.updated_at >= m.updated_at`);
const saveMessage = statement("save_message", `
  INSERT INTO messages AS m (app_id, id, conversation_id, sender, receiver_type, receiver, category, type, text, data,
    sent_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
  ON CONFLICT (app_id, id) DO UPDATE SET text = excluded.text, data = excluded.data, updated_at = excluded.updated_at
  WHERE excluded.updated_at >= m.updated_at`);
const saveConversation = statement("save_conversation", `
  INSERT INTO conversations AS c (app_id, id, type, last_message_id, last_message_at, messages_count)
  VALUES ($1, $2, $3, $4, $5, 1)
  ON CONFLICT (app_id, id) DO UPDATE SET messages_count = c.messages_count + 1,
    last_message_id = CASE WHEN excluded.last_message_at >= c.last_message_at THEN excluded.last_message_id
      ELSE c.last_message_id END,
    last_message_at = greatest(excluded.last_message_at, c.last_message_at)`);
const saveReaction = statement("save_reaction", `
  INSERT INTO reactions (app_id, message_id, reaction, uid, reacted_at) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT DO NOTHING`);
const saveReceipt = statement("save_receipt", `
  INSERT INTO receipts AS r (app_id, message_id, uid, read_at) VALUES ($1, $2, $3, $4)
  ON CONFLICT (app_id, message_id, uid) DO UPDATE SET read_at = least(excluded.read_at, r.read_at)`);

// Rows are locked in one order, people by uid and then the group: two requests never wait for each other.
async function users(db, app, at, people) {
  for (const it of people.sort((one, other) => (one.uid < other.uid ? -1 : 1))) {
    await saveUser(db, app, it.uid, it.name, it.avatar, it.role, it.status, it.lastActiveAt, at);
  }
}

async function group(db, app, at, it) {
  await saveGroup(db, app, it.guid, it.name, it.type, it.owner, it.createdAt, at);
}

async function message(db, app, it) {
  const at = it.updatedAt;
  const { sender, receiver } = it.data.entities;
  if (it.receiverType === "group") {
    await users(db, app, at, [sender.entity]);
    await group(db, app, at, receiver.entity);
  } else {
    await users(db, app, at, [sender.entity, receiver.entity]);
  }
  const people = [it.sender, it.receiver].sort();
  const conversation = it.receiverType === "group" ? `group_${it.receiver}` : people.join("_user_");
  await saveMessage(
    db, app, it.id, conversation, it.sender, it.receiverType, it.receiver, it.category, it.type, it.data.text,
    JSON.stringify(it.data), it.sentAt, at,
  );
  await saveConversation(db, app, conversation, it.receiverType, it.id, it.sentAt);
}

async function members(db, app, data, state) {
  const at = data.group.updatedAt;
  const people = Object.values(data.members);
  await users(db, app, at, people);
  await group(db, app, at, data.group);
  for (const it of people) {
    await saveMember(db, app, data.group.guid, it.uid, state, at);
  }
}

async function fold(db, { appId: app, trigger, data }) {
  switch (trigger) {
    case "message_sent":
      await message(db, app, data.message);
      break;
    case "message_read_receipt":
      await users(db, app, data.body.timestamp, [data.body.user]);
      await saveReceipt(db, app, data.body.messageId, data.sender, data.body.timestamp);
      break;
    case "message_reaction_added": {
      const it = data.reaction;
      await users(db, app, it.reactedAt, [it.reactedBy]);
      await saveReaction(db, app, it.messageId, it.reaction, it.uid, it.reactedAt);
      break;
    }
    case "group_member_joined":
      await members(db, app, data, "joined");
      break;
    case "user_connection_status_changed": {
      const at = Math.floor(data.timestamp / 1000);
      await users(db, app, at, [data.user]);
      await saveOnline(db, data.status === "online", app, data.user.uid, at);
      break;
    }
  }
}

async function take(body) {
  const event = JSON.parse(body);
  const fingerprint = createHash("sha256").update(body).digest();
  const db = await pool.connect();
  try {
    await db.query("BEGIN");
    const kept = await insertEvent(db, event.appId, event.trigger, fingerprint, body);
    if (kept.rowCount === 1) {
      await fold(db, event);
    }
    await db.query("COMMIT");
  } catch (error) {
    await db.query("ROLLBACK");
    throw error;
  } finally {
    db.release();
  }
}

const app = Fastify({ bodyLimit: 2 << 20 });
app.removeContentTypeParser("application/json");
app.addContentTypeParser("application/json", { parseAs: "string" }, (_, body, done) => done(null, body));
app.post("/webhooks/cometchat", async (request) => {
  await take(request.body);
  return {};
});
await app.listen({ port: 0, host: "127.0.0.1" });
console.error(`listening on http://127.0.0.1:${app.server.address().port}`);
process.on("SIGTERM", () => process.exit(0));
