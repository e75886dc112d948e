// PostGraphile as its documentation sets it up, over the tables of ../rows.sql in PEER_DATABASE. It listens on a free port
// and prints the address.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const serv = postgraphile({
  extends: [PostGraphileAmberPreset],
  pgServices: [makePgService({ connectionString: process.env.PEER_DATABASE, poolConfig: { max: 16 } })],
  grafserv: { watch: false, graphiql: false },
}).createServ(grafserv);
const server = createServer();
server.once("listening", () => console.error(`listening on http://127.0.0.1:${server.address().port}`));
await serv.addTo(server);
server.listen(0, "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
