// Code generators read the schema without a word of complaint: node generate.mjs SCHEMA
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const [schema] = process.argv.slice(2);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'chatfold-generate-'));
const scalars = { BigInt: 'string', DateTime: 'string', JSON: 'unknown' };

/** By the package's own path: several packages bring a tool called relay-compiler. */
function run(tool, ...args) {
  const script = here(`node_modules/${tool}`);
  const env = { ...process.env, CI: 'true', NO_COLOR: '1', FORCE_COLOR: '0' };
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], { cwd: dir, env, encoding: 'utf8' });
  assert.equal(status, 0, `${tool}: ${stdout}${stderr}`);
  assert.doesNotMatch(stdout + stderr, /warn|deprecat|error/i, tool);
}

try {
  cpSync(here('documents'), dir, { recursive: true });
  cpSync(schema, join(dir, 'schema.graphql'));
  symlinkSync(here('node_modules'), join(dir, 'node_modules'));

  const codegen = {
    schema: 'schema.graphql',
    documents: 'apollo/asks.graphql',
    config: { scalars, strictScalars: true },
    generates: { 'apollo/generated.ts': { plugins: ['typescript', 'typescript-operations'] } },
  };
  writeFileSync(join(dir, 'codegen.json'), JSON.stringify(codegen));
  run('@graphql-codegen/cli/cjs/bin.js', '--config', 'codegen.json');
  const generated = readFileSync(join(dir, 'apollo/generated.ts'), 'utf8');
  for (const type of ['GroupPageQuery', 'AgainQueryVariables', 'ChangesSubscription', 'PersonFragment', 'Membership']) {
    assert.ok(generated.includes(`export type ${type} = `), type);
  }
  const strict = ['--noEmit', '--strict', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler'];
  run('typescript/bin/tsc', ...strict, '--skipLibCheck', 'apollo/usage.ts');

  const relay = {
    src: 'relay',
    schema: 'schema.graphql',
    language: 'typescript',
    artifactDirectory: 'relay/__generated__',
    customScalarTypes: scalars,
    requireCustomScalarTypes: true,
  };
  writeFileSync(join(dir, 'relay.config.json'), JSON.stringify(relay));
  mkdirSync(join(dir, relay.artifactDirectory));
  run('relay-compiler/cli.js', 'relay.config.json');
  const artifacts = readdirSync(join(dir, 'relay/__generated__')).sort();
  assert.deepEqual(artifacts, [
    'ChatAgainQuery.graphql.ts',
    'ChatChangesSubscription.graphql.ts',
    'ChatEarlierPageQuery.graphql.ts',
    'ChatMessagesPageQuery.graphql.ts',
    'ChatQuery.graphql.ts',
    'Chat_earlier.graphql.ts',
    'Chat_messages.graphql.ts',
    'Chat_person.graphql.ts',
  ]);
  const page = readFileSync(join(dir, 'relay/__generated__/ChatMessagesPageQuery.graphql.ts'), 'utf8');
  assert.match(page, /node\(\s*id: \$id\s*\)/, 'the next page is asked for by node(id)');
} finally {
  rmSync(dir, { recursive: true });
}
