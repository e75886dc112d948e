// The audits of GraphQL over HTTP, by graphql-http: node audit.mjs URL
import assert from 'node:assert/strict';
import { auditServer } from 'graphql-http';

const [base] = process.argv.slice(2);
const audits = await auditServer({ url: `${base}/graphql` });
const failed = audits.filter((audit) => audit.status !== 'ok');
assert.deepEqual(failed.map(({ id, name, reason }) => `${id} ${name}: ${reason}`), []);
console.log(`${audits.length} audits`);
