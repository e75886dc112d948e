// GraphiQL on a server that asks for a token: node token.mjs URL TOKEN
import assert from 'node:assert/strict';
import { withPage } from './browser.mjs';

const [base, token] = process.argv.slice(2);

await withPage(base, async (graphiql, seen) => {
  await graphiql.open('{ apps { appId } }');
  const refused = (answer) => answer.errors?.[0].message.startsWith('401');
  await graphiql.run(refused);
  await graphiql.type('cf_wrong');
  await graphiql.run(refused);
  await graphiql.type(token);
  const answer = await graphiql.run((answer) => answer.data);
  assert.equal(answer.data.apps.length, 1);
  await graphiql.pane('Documentation Explorer', '.graphiql-doc-explorer', 'query: Query');

  await graphiql.open('subscription { changes(afterSeq: "0") { seq } }');
  await graphiql.run((answer) => answer.data?.changes?.seq === '1');
  await graphiql.page.evaluate(() => sessionStorage.clear());
  await graphiql.open('subscription { changes(afterSeq: "0") { seq } }');
  const closed = await graphiql.run((answer) => answer.errors);
  assert.equal(closed.errors[0].message, 'Forbidden');

  assert.ok(!(await graphiql.page.evaluate(() => JSON.stringify(localStorage))).includes(token), 'kept in its tab only');
  assert.deepEqual(seen.foreign, []);
  const other = seen.errors.filter((error) => !error.includes('the server responded with a status of 401'));
  assert.deepEqual(other, []);
});
