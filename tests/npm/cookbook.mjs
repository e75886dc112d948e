// The documents of the cookbook in GraphiQL, as the address fills them in: node cookbook.mjs URL
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { withPage } from './browser.mjs';

const [base] = process.argv.slice(2);
const folder = new URL('../cookbook/', import.meta.url);
const read = (name) => readFileSync(new URL(name, folder), 'utf8');
const variables = JSON.parse(read('variables.json'));
const recipes = readdirSync(folder).filter((name) => name.endsWith('.graphql')).map((name) => name.replace('.graphql', ''));
assert.equal(recipes.length, 20);

await withPage(base, async (graphiql, seen) => {
  for (const recipe of recipes) {
    await graphiql.open(read(`${recipe}.graphql`), variables[recipe]);
    const answer = await graphiql.run();
    assert.equal(answer.errors, undefined, `${recipe}: ${JSON.stringify(answer.errors)}`);
    assert.ok(Object.values(answer.data).every((field) => field !== null), `${recipe}: ${JSON.stringify(answer.data)}`);
  }
  assert.deepEqual(seen, { errors: [], foreign: [] });
});
