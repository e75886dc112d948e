// A subscriber whose connection is cut at random moments while deliveries arrive: node resume.mjs URL [SEED]
import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { deliver, message } from './deliver.mjs';

const CUTS = 100;
const [base, told] = process.argv.slice(2);
const seed = Number(told ?? Math.floor(Math.random() * 2 ** 32));
console.log(`seed ${seed}`);

/** Mulberry32. */
let state = seed;
function random(below) {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
}

const seen = [];
let posting = true;

/** Posts until told to stop; the log positions of what was applied. */
async function post(first) {
  const applied = [];
  for (let id = first; posting; id += 1) {
    const body = message(id);
    const one = await deliver(base, body);
    assert.equal(one.outcome, 'applied');
    applied.push(one.seq);
    if (id % 5 === 0) assert.equal((await deliver(base, body)).outcome, 'duplicate');
    if (id % 7 === 0) {
      const unknown = JSON.stringify({ ...JSON.parse(body), trigger: `of_tomorrow_${id}` });
      assert.equal((await deliver(base, unknown)).outcome, 'ignored');
    }
  }
  return applied;
}

/** Follows from the last position seen until `enough` or until the connection is cut; whether it was greeted. */
async function follow({ cutAfter, enough = () => false }) {
  let socket;
  let greeted = false;
  const client = createClient({
    url: `${base.replace('http', 'ws')}/graphql`,
    retryAttempts: 0,
    on: { connected: () => (greeted = true) },
    webSocketImpl: class extends WebSocket {
      constructor(...args) {
        super(...args);
        // Cut before it was open: nobody else listens any more.
        this.on('error', () => {});
        socket = this;
      }
    },
  });
  const hard = random(2) === 1;
  const end = () => (hard && socket ? socket.terminate() : client.terminate());
  const cut = cutAfter === undefined ? undefined : setTimeout(end, cutAfter);
  const afterSeq = String(seen.at(-1) ?? 0);
  const query = 'subscription($afterSeq: BigInt) { changes(afterSeq: $afterSeq) { seq } }';
  try {
    for await (const { data, errors } of client.iterate({ query, variables: { afterSeq } })) {
      assert.equal(errors, undefined);
      seen.push(Number(data.changes.seq));
      if (enough()) break;
    }
  } catch (cause) {
    // What the server has against the subscription comes as a list of errors, the end of a connection does not.
    assert.ok(cut && !Array.isArray(cause), JSON.stringify(cause));
  }
  clearTimeout(cut);
  await client.dispose();
  return greeted;
}

// Without any the file has no app to follow.
const { seq: begun } = await deliver(base, message(1));
const posters = [post(1_000_000), post(2_000_000)];
let greeted = 0;
let moved = 0;
// Milliseconds; more where the machine is too busy for a connection to come to anything.
let longest = 60;
for (let cuts = 0; cuts < CUTS; cuts += 1) {
  const before = seen.length;
  greeted += (await follow({ cutAfter: random(longest) })) ? 1 : 0;
  if (seen.length > before) moved += 1;
  else longest = Math.min(longest + 10, 400);
}
posting = false;
const applied = [begun, ...(await Promise.all(posters)).flat()].sort((one, other) => one - other);
const newest = applied.at(-1);
if (seen.at(-1) !== newest) await follow({ enough: () => seen.at(-1) >= newest });
assert.deepEqual(seen, applied, 'every applied fact once, in order');
assert.ok(moved > CUTS / 4, `changes came on ${moved} connections only`);
console.log(`${applied.length} changes over ${CUTS} cut connections, ${greeted} of them greeted, ${moved} with changes`);
process.exit();
