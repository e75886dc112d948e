// Clients of GraphQL as their pages say to set them up: node clients.mjs URL TOKEN
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from '@apollo/client/core';
import { PersistedQueryLink } from '@apollo/client/link/persisted-queries';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { Client as UrqlClient, cacheExchange, fetchExchange, subscriptionExchange } from '@urql/core';
import { GraphQLClient } from 'graphql-request';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const [base, token] = process.argv.slice(2);
const url = `${base}/graphql`;
const headers = { Authorization: `Bearer ${token}` };
const GROUP = 'query Group($guid: String!) { group(guid: $guid) { guid members { nodes { uid } } } }';
const NOTHING = 'query Nothing { nothing }';
const CHANGES = 'subscription Changes { changes(afterSeq: "0") { seq } }';
const variables = { guid: 'book-club' };

function check(data) {
  assert.equal(data.group.guid, 'book-club');
  assert.ok(data.group.members.nodes.some(({ uid }) => uid === 'mira'));
}

/** The methods of the requests made since it was last read. */
let methods = [];
function recorded() {
  const made = methods;
  methods = [];
  return made;
}
const recording = (input, init) => {
  methods.push(init.method);
  return fetch(input, init);
};

const socket = () => createClient({ url: url.replace('http', 'ws'), connectionParams: headers, webSocketImpl: WebSocket });

async function apollo() {
  const client = (link) => new ApolloClient({ link, cache: new InMemoryCache() });
  const http = (options) => new HttpLink({ uri: url, headers, fetch: recording, ...options });
  const ask = async (link) => check((await client(link).query({ query: gql(GROUP), variables })).data);

  await ask(http());
  assert.deepEqual(recorded(), ['POST']);
  await ask(http({ useGETForQueries: true }));
  assert.deepEqual(recorded(), ['GET']);

  const sha256 = (text) => createHash('sha256').update(text).digest('hex');
  const persisted = new PersistedQueryLink({ sha256, useGETForHashedQueries: true });
  const link = () => ApolloLink.from([persisted, http()]);
  await ask(link());
  const first = recorded();
  assert.equal(first.length, 2, 'the hash is not known, and then it is sent with its query');
  await ask(link());
  assert.deepEqual(recorded(), ['GET'], 'from then on the hash is enough');

  const wrong = client(http({ useGETForQueries: true })).query({ query: gql(NOTHING) });
  await assert.rejects(wrong, /"nothing"/);
  const stranger = new HttpLink({ uri: url, useGETForQueries: true });
  await assert.rejects(client(stranger).query({ query: gql(GROUP), variables }), /401/);

  const live = socket();
  const changes = client(new GraphQLWsLink(live)).subscribe({ query: gql(CHANGES) });
  const change = await new Promise((next, error) => changes.subscribe({ next, error }));
  assert.equal(change.data.changes.seq, '1');
  await live.dispose();
}

async function urql() {
  const live = socket();
  const forward = ({ query, variables }) => ({
    subscribe: (sink) => ({ unsubscribe: live.subscribe({ query, variables }, sink) }),
  });
  const exchanges = [cacheExchange, fetchExchange, subscriptionExchange({ forwardSubscription: forward })];
  const options = { url, exchanges, fetchOptions: { headers }, fetch: recording };

  recorded();
  const byDefault = new UrqlClient(options);
  const { data, error } = await byDefault.query(GROUP, variables).toPromise();
  assert.equal(error, undefined);
  check(data);
  assert.deepEqual(recorded(), ['GET'], 'its default');
  const post = await new UrqlClient({ ...options, preferGetMethod: false }).query(GROUP, variables).toPromise();
  check(post.data);
  assert.deepEqual(recorded(), ['POST']);

  const wrong = await byDefault.query(NOTHING, {}).toPromise();
  assert.equal(wrong.error.graphQLErrors[0].extensions.code, 'BAD_INPUT');

  const change = await new Promise((resolve) => {
    const { unsubscribe } = byDefault.subscription(CHANGES, {}).subscribe((result) => {
      resolve(result);
      setTimeout(() => unsubscribe());
    });
  });
  assert.equal(change.data?.changes.seq, '1', String(change.error));
  await live.dispose();
}

async function graphqlRequest() {
  recorded();
  for (const method of ['POST', 'GET']) {
    const client = new GraphQLClient(url, { method, headers, fetch: recording });
    check(await client.request(GROUP, variables));
    await assert.rejects(client.request(NOTHING), (error) => error.response.errors[0].extensions.code === 'BAD_INPUT');
    assert.deepEqual(recorded(), [method, method]);
  }
}

await apollo();
await urql();
await graphqlRequest();
