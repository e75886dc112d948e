// GraphiQL on a server that serves it from a folder: node graphiql.mjs URL
import assert from 'node:assert/strict';
import { withPage } from './browser.mjs';
import { deliver, message } from './deliver.mjs';

const [base] = process.argv.slice(2);

await withPage(base, async (graphiql, seen) => {
  await deliver(base, message(1));
  const response = await graphiql.open('query($n: Int) { users(first: $n) { nodes { uid } } }', { n: 1 });
  assert.equal(
    response.headers()['content-security-policy'],
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; " +
      "font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  );
  const answer = await graphiql.run();
  assert.deepEqual(answer.data, { users: { nodes: [{ uid: 'mira' }] } }, 'query and variables of the address');

  await graphiql.pane('Documentation Explorer', '.graphiql-doc-explorer', 'query: Query');
  await graphiql.page.click('.graphiql-doc-explorer a:text-is("Query")');
  await graphiql.page.getByText('Groups, by guid or in the order of').waitFor();
  await graphiql.pane('History', '.graphiql-history', 'users(first: $n)');

  await graphiql.open('subscription { changes(afterSeq: "0") { seq nodes { ... on Message { messageId } } } }');
  const changed = (seq) => (answer) => answer.data?.changes?.seq === String(seq);
  await graphiql.run(changed(1));
  const { seq } = await deliver(base, message(2));
  const live = await graphiql.answer(changed(seq));
  assert.deepEqual(live.data.changes.nodes[0], { messageId: '2' });

  assert.deepEqual(seen, { errors: [], foreign: [] });
});
