// GraphiQL from the CDN, which is played by the npm packages: node cdn.mjs URL
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { withPage } from './browser.mjs';

const [base] = process.argv.slice(2);
const packages = new URL('node_modules/', import.meta.url);
const read = (path) => readFileSync(new URL(path, packages));

const page = await (await fetch(`${base}/graphql`, { headers: { Accept: 'text/html' } })).text();
const tags = [...page.matchAll(/(?:src|href)="https:\/\/unpkg\.com\/([^@"]+)@([^/"]+)\/([^"]+)" integrity="([^"]+)"/g)];
assert.equal(tags.length, 5, page);
for (const [, name, version, file, integrity] of tags) {
  assert.equal(JSON.parse(read(`${name}/package.json`)).version, version, name);
  const hash = createHash('sha384').update(read(`${name}/${file}`)).digest('base64');
  assert.equal(integrity, `sha384-${hash}`, `${name}/${file}`);
}

async function cdn(page, change) {
  await page.route('https://unpkg.com/**', (route) => {
    const [name, file] = new URL(route.request().url()).pathname.slice(1).split(/@[^/]+\//);
    const contentType = file.endsWith('.css') ? 'text/css' : 'text/javascript';
    const headers = { 'Access-Control-Allow-Origin': '*' };
    return route.fulfill({ body: change(read(`${name}/${file}`), file), contentType, headers });
  });
}

await withPage(base, async (graphiql, seen) => {
  await cdn(graphiql.page, (bytes) => bytes);
  await graphiql.open('{ status { seq } }');
  assert.equal((await graphiql.run()).data.status.seq, '0');
  assert.equal(seen.foreign.length, 5);
  assert.deepEqual(seen.errors, []);
});

// A file of the CDN that is not the one published does not run.
await withPage(base, async (graphiql) => {
  await cdn(graphiql.page, (bytes, file) => (file === 'graphiql.min.js' ? Buffer.concat([bytes, Buffer.from(' ')]) : bytes));
  await graphiql.page.goto(`${base}/graphql`);
  await graphiql.page.getByText('GraphiQL could not be loaded').waitFor();
});
