// The reads as people write them with Express and better-sqlite3, over the tables of ../rows.sql in the file PEER_ROWS. It
// listens on a free port and prints the address.
import Database from "better-sqlite3";
import express from "express";

const db = new Database(process.env.PEER_ROWS, { readonly: true });
db.pragma("cache_size = -65536");

const members = db.prepare(`
  SELECT m.uid, m.scope, u.name, u.avatar, p.online
  FROM memberships AS m JOIN users AS u ON u.uid = m.uid LEFT JOIN presence AS p ON p.uid = m.uid
  WHERE m.guid = ? ORDER BY m.uid LIMIT 50`);
const messages = db.prepare(`
  SELECT m.message_id, m.text, m.sent_at, m.sender_uid, u.name
  FROM messages AS m JOIN users AS u ON u.uid = m.sender_uid
  WHERE m.conversation_id = ? ORDER BY m.message_id DESC LIMIT 50`);
const reactions = db.prepare(`
  SELECT message_id, reaction, count(*) AS count FROM reactions
  WHERE message_id IN (SELECT value FROM json_each(?)) GROUP BY message_id, reaction`);
const conversations = db.prepare(
  "SELECT conversation_id, unread, last_message_id, last_text FROM inbox WHERE uid = ? ORDER BY last_message_at DESC LIMIT 50",
);
const search = db.prepare(`
  SELECT m.message_id, m.text, u.name
  FROM messages_fts AS f JOIN messages AS m ON m.message_id = f.rowid JOIN users AS u ON u.uid = m.sender_uid
  WHERE messages_fts MATCH ? ORDER BY f.rowid DESC LIMIT 50`);

const app = express();
app.disable("x-powered-by");
app.disable("etag");
app.get("/members/:key", ({ params }, response) => {
  const node = (it) => ({
    uid: it.uid,
    scope: it.scope,
    user: { name: it.name, avatar: it.avatar, presence: { online: it.online === null ? null : it.online === 1 } },
  });
  response.json({ nodes: members.all(params.key).map(node) });
});
app.get("/messages/:key", ({ params }, response) => {
  const rows = messages.all(params.key);
  const given = new Map(rows.map((it) => [it.message_id, []]));
  for (const { message_id, reaction, count } of reactions.all(JSON.stringify([...given.keys()]))) {
    given.get(message_id).push({ reaction, count });
  }
  const node = (it) => ({
    messageId: it.message_id,
    text: it.text,
    sentAt: it.sent_at,
    sender: { uid: it.sender_uid, name: it.name },
    reactions: given.get(it.message_id),
  });
  response.json({ nodes: rows.map(node) });
});
app.get("/conversations/:key", ({ params }, response) => {
  const node = (it) => ({
    conversationId: it.conversation_id,
    unreadCount: it.unread,
    lastMessage: { messageId: it.last_message_id, text: it.last_text },
  });
  response.json({ nodes: conversations.all(params.key).map(node) });
});
app.get("/search/:key", ({ params }, response) => {
  const node = (it) => ({ messageId: it.message_id, text: it.text, sender: { name: it.name } });
  response.json({ nodes: search.all(params.key).map(node) });
});
const server = app.listen(0, "127.0.0.1", () => {
  console.error(`listening on http://127.0.0.1:${server.address().port}`);
});
process.on("SIGTERM", () => process.exit(0));
