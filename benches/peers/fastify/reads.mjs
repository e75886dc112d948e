// The reads as people write them with Fastify and pg, over the tables of ../rows.sql in PEER_DATABASE. It listens on a free
// port and prints the address.
import Fastify from "fastify";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.PEER_DATABASE, max: 16 });
const app = Fastify();

// Named statements are prepared once a connection.
function ask(name, text, node) {
  app.get(`/${name}/:key`, async ({ params }) => {
    const { rows } = await pool.query({ name, text, values: [params.key] });
    return { nodes: rows.map(node) };
  });
}

ask(
  "members",
  `SELECT m.uid, m.scope, u.name, u.avatar, p.online
   FROM memberships AS m JOIN users AS u ON u.uid = m.uid LEFT JOIN presence AS p ON p.uid = m.uid
   WHERE m.guid = $1 ORDER BY m.uid LIMIT 50`,
  (it) => ({ uid: it.uid, scope: it.scope, user: { name: it.name, avatar: it.avatar, presence: { online: it.online } } }),
);
ask(
  "messages",
  `SELECT m.message_id, m.text, m.sent_at, m.sender_uid, u.name, r.reactions
   FROM (SELECT * FROM messages WHERE conversation_id = $1 ORDER BY message_id DESC LIMIT 50) AS m
   JOIN users AS u ON u.uid = m.sender_uid
   LEFT JOIN LATERAL (
     SELECT json_agg(json_build_object('reaction', c.reaction, 'count', c.count)) AS reactions
     FROM (SELECT reaction, count(*) FROM reactions WHERE message_id = m.message_id GROUP BY reaction) AS c
   ) AS r ON true
   ORDER BY m.message_id DESC`,
  (it) => ({
    messageId: it.message_id,
    text: it.text,
    sentAt: it.sent_at,
    sender: { uid: it.sender_uid, name: it.name },
    reactions: it.reactions ?? [],
  }),
);
ask(
  "conversations",
  `SELECT p.conversation_id, c.last_message_id, m.text,
     (SELECT count(*) FROM (
       SELECT 1 FROM messages AS u
       WHERE u.conversation_id = p.conversation_id AND u.message_id > p.read_id AND u.sender_uid <> p.uid LIMIT 1000
     ) AS unread) AS unread
   FROM participants AS p
   JOIN conversations AS c ON c.conversation_id = p.conversation_id
   LEFT JOIN messages AS m ON m.message_id = c.last_message_id
   WHERE p.uid = $1 ORDER BY p.last_message_at DESC LIMIT 50`,
  (it) => ({
    conversationId: it.conversation_id,
    unreadCount: it.unread,
    lastMessage: { messageId: it.last_message_id, text: it.text },
  }),
);
ask(
  "search",
  `SELECT m.message_id, m.text, u.name FROM messages AS m JOIN users AS u ON u.uid = m.sender_uid
   WHERE to_tsvector('simple', m.text) @@ plainto_tsquery('simple', $1) ORDER BY m.message_id DESC LIMIT 50`,
  (it) => ({ messageId: it.message_id, text: it.text, sender: { name: it.name } }),
);

await app.listen({ port: 0, host: "127.0.0.1" });
console.error(`listening on http://127.0.0.1:${app.server.address().port}`);
process.on("SIGTERM", () => process.exit(0));
