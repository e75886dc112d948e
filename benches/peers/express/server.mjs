// A receiver of CometChat's webhooks as people write it: Express and better-sqlite3, one transaction a request. It keeps
// each body once, in a log, and folds it into tables of messages, conversations, users, members, reactions and receipts.
// It answers after the commit is on disk. `PEER_FILE` names its file; it listens on a free port and prints the address.
import { createHash } from "node:crypto";
import Database from "better-sqlite3";
import express from "express";

const db = new Database(process.env.PEER_FILE);
db.pragma("journal_mode = WAL");
// A commit returns after its fsync, as chatfold's does.
db.pragma("synchronous = FULL");
db.pragma("cache_size = -65536");
db.exec(`
  CREATE TABLE log (
    id INTEGER PRIMARY KEY, received_at INTEGER NOT NULL, app_id TEXT NOT NULL, trigger TEXT NOT NULL,
    fingerprint BLOB NOT NULL UNIQUE, body TEXT NOT NULL
  );
  CREATE TABLE users (
    app_id TEXT NOT NULL, uid TEXT NOT NULL, name TEXT, avatar TEXT, role TEXT, status TEXT, last_active_at INTEGER,
    online INTEGER, updated_at INTEGER NOT NULL, PRIMARY KEY (app_id, uid)
  );
  CREATE TABLE groups (
    app_id TEXT NOT NULL, guid TEXT NOT NULL, name TEXT, type TEXT, owner TEXT, created_at INTEGER,
    updated_at INTEGER NOT NULL, PRIMARY KEY (app_id, guid)
  );
  CREATE TABLE members (
    app_id TEXT NOT NULL, guid TEXT NOT NULL, uid TEXT NOT NULL, state TEXT NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, guid, uid)
  );
  CREATE INDEX members_by_user ON members (app_id, uid, guid);
  CREATE TABLE conversations (
    app_id TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, last_message_id TEXT, last_message_at INTEGER,
    messages_count INTEGER NOT NULL, PRIMARY KEY (app_id, id)
  );
  CREATE INDEX conversations_by_activity ON conversations (app_id, last_message_at);
  CREATE TABLE messages (
    app_id TEXT NOT NULL, id TEXT NOT NULL, conversation_id TEXT, sender TEXT, receiver_type TEXT, receiver TEXT,
    category TEXT, type TEXT, text TEXT, data TEXT, sent_at INTEGER, updated_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, id)
  );
  CREATE INDEX messages_by_conversation ON messages (app_id, conversation_id, sent_at);
  CREATE INDEX messages_by_sender ON messages (app_id, sender, sent_at);
  CREATE TABLE reactions (
    app_id TEXT NOT NULL, message_id TEXT NOT NULL, reaction TEXT NOT NULL, uid TEXT NOT NULL, reacted_at INTEGER,
    PRIMARY KEY (app_id, message_id, reaction, uid)
  );
  CREATE TABLE receipts (
    app_id TEXT NOT NULL, message_id TEXT NOT NULL, uid TEXT NOT NULL, read_at INTEGER,
    PRIMARY KEY (app_id, message_id, uid)
  );
`);

const insertEvent = db.prepare(
  "INSERT INTO log (received_at, app_id, trigger, fingerprint, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
);
const saveUser = db.prepare(`
  INSERT INTO users (app_id, uid, name, avatar, role, status, last_active_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET name = excluded.name, avatar = excluded.avatar, role = excluded.role,
    status = excluded.status, last_active_at = excluded.last_active_at, updated_at = excluded.updated_at
  WHERE excluded.updated_at >= updated_at`);
const saveOnline = db.prepare("UPDATE users SET online = ? WHERE app_id = ? AND uid = ? AND updated_at <= ?");
const saveGroup = db.prepare(`
  INSERT INTO groups (app_id, guid, name, type, owner, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET name = excluded.name, type = excluded.type, owner = excluded.owner,
    updated_at = excluded.updated_at
  WHERE excluded.updated_at >= updated_at`);
const saveMember = db.prepare(`
  INSERT INTO members (app_id, guid, uid, state, updated_at) VALUES (?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at
  WHERE excluded.updated_at >= updated_at`);
const saveMessage = db.prepare(`
  INSERT INTO messages (app_id, id, conversation_id, sender, receiver_type, receiver, category, type, text, data,
    sent_at, updated_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET text = excluded.text, data = excluded.data, updated_at = excluded.updated_at
  WHERE excluded.updated_at >= updated_at`);
const saveConversation = db.prepare(`
  INSERT INTO conversations (app_id, id, type, last_message_id, last_message_at, messages_count) VALUES (?, ?, ?, ?, ?, 1)
  ON CONFLICT DO UPDATE SET messages_count = messages_count + 1,
    last_message_id = iif(excluded.last_message_at >= last_message_at, excluded.last_message_id, last_message_id),
    last_message_at = max(excluded.last_message_at, last_message_at)`);
const saveReaction = db.prepare(
  "INSERT INTO reactions (app_id, message_id, reaction, uid, reacted_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
);
const saveReceipt = db.prepare(`
  INSERT INTO receipts (app_id, message_id, uid, read_at) VALUES (?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET read_at = min(excluded.read_at, read_at)`);

function user(app, at, it) {
  saveUser.run(app, it.uid, it.name, it.avatar, it.role, it.status, it.lastActiveAt, at);
}

function group(app, at, it) {
  saveGroup.run(app, it.guid, it.name, it.type, it.owner, it.createdAt, at);
}

function message(app, it) {
  const at = it.updatedAt;
  const { sender, receiver } = it.data.entities;
  user(app, at, sender.entity);
  if (it.receiverType === "group") {
    group(app, at, receiver.entity);
  } else {
    user(app, at, receiver.entity);
  }
  const people = [it.sender, it.receiver].sort();
  const conversation = it.receiverType === "group" ? `group_${it.receiver}` : people.join("_user_");
  saveMessage.run(
    app, it.id, conversation, it.sender, it.receiverType, it.receiver, it.category, it.type, it.data.text,
    JSON.stringify(it.data), it.sentAt, at,
  );
  saveConversation.run(app, conversation, it.receiverType, it.id, it.sentAt);
}

function members(app, data, state) {
  const at = data.group.updatedAt;
  group(app, at, data.group);
  for (const it of Object.values(data.members)) {
    user(app, at, it);
    saveMember.run(app, data.group.guid, it.uid, state, at);
  }
}

function fold({ appId: app, trigger, data }) {
  switch (trigger) {
    case "message_sent":
      message(app, data.message);
      break;
    case "message_read_receipt":
      user(app, data.body.timestamp, data.body.user);
      saveReceipt.run(app, data.body.messageId, data.sender, data.body.timestamp);
      break;
    case "message_reaction_added": {
      const it = data.reaction;
      user(app, it.reactedAt, it.reactedBy);
      saveReaction.run(app, it.messageId, it.reaction, it.uid, it.reactedAt);
      break;
    }
    case "group_member_joined":
      members(app, data, "joined");
      break;
    case "user_connection_status_changed": {
      const at = Math.floor(data.timestamp / 1000);
      user(app, at, data.user);
      saveOnline.run(data.status === "online" ? 1 : 0, app, data.user.uid, at);
      break;
    }
  }
}

const take = db.transaction((body) => {
  const event = JSON.parse(body);
  const fingerprint = createHash("sha256").update(body).digest();
  const kept = insertEvent.run(Date.now(), event.appId, event.trigger, fingerprint, body.toString());
  if (kept.changes === 1) {
    fold(event);
  }
});

const app = express();
app.disable("x-powered-by");
app.post("/webhooks/cometchat", express.raw({ type: "application/json", limit: "2mb" }), (request, response) => {
  take(request.body);
  response.json({});
});
const server = app.listen(0, "127.0.0.1", () => {
  console.error(`listening on http://127.0.0.1:${server.address().port}`);
});
process.on("SIGTERM", () => {
  db.close();
  process.exit(0);
});
