// Starts GraphiQL on this server, with the session of the console or with an access token. The token stays in this tab: it
// is gone when the tab is closed, and travels in a header or in the first message of a websocket, never in an address.
'use strict';

(() => {
  const KEY = 'chatfold.token';
  const SAMPLE = `# The apps of this file. The panes at the left document what else can be asked.
{
  apps {
    appId
    lastEventAt
  }
}
`;
  const place = document.getElementById('graphiql');
  if (!window.React || !window.ReactDOM || !window.GraphiQL || !window.graphqlWs) {
    place.textContent = 'GraphiQL could not be loaded. Where the CDN is out of reach, chatfold serves it with --graphiql-dir: see docs/query.md.';
    return;
  }

  const endpoint = new URL(location.pathname, location.href);
  const authorization = () => {
    const token = sessionStorage.getItem(KEY);
    return token ? { Authorization: `Bearer ${token}` } : {};
  };

  async function ask(params, headers) {
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: {
        Accept: 'application/graphql-response+json, application/json',
        'Content-Type': 'application/json',
        ...authorization(),
        ...headers,
      },
      body: JSON.stringify(params),
      // Without a token here, the session of the console counts.
      credentials: 'same-origin',
    });
    const answer = await response.json();
    // What is refused before it is GraphQL is a problem, not an answer.
    return answer.detail ? { errors: [{ message: `${response.status} ${answer.title}: ${answer.detail}` }] } : answer;
  }

  function follow(params) {
    const url = new URL(endpoint);
    url.protocol = url.protocol.replace('http', 'ws');
    // Not tried again: a subscription that begins anew would show again what was shown.
    const client = graphqlWs.createClient({ url: url.href, connectionParams: authorization, retryAttempts: 0 });
    return {
      subscribe: (sink) => {
        const told = (cause) => {
          const errors = Array.isArray(cause) ? cause : [{ message: cause.reason || cause.message || 'the connection ended' }];
          sink.next({ errors });
          sink.complete();
        };
        return { unsubscribe: client.subscribe(params, { ...sink, error: told }) };
      },
    };
  }

  function fetcher(params, options) {
    const operations = (options?.documentAST?.definitions ?? []).filter((it) => it.kind === 'OperationDefinition');
    const named = (it) => !params.operationName || it.name?.value === params.operationName;
    const isSubscription = operations.find(named)?.operation === 'subscription';
    return isSubscription ? follow(params) : ask(params, options?.headers);
  }

  const asked = new URLSearchParams(location.search);
  const root = ReactDOM.createRoot(place);
  let shown = 0;
  // Another token may see another schema: GraphiQL begins again.
  const show = () => {
    shown += 1;
    root.render(
      React.createElement(GraphiQL, {
        key: shown,
        fetcher,
        defaultQuery: SAMPLE,
        query: asked.get('query') ?? undefined,
        variables: asked.get('variables') ?? undefined,
        operationName: asked.get('operationName') ?? undefined,
      }),
    );
  };

  const form = document.getElementById('token');
  const [field, state] = [form.querySelector('input'), form.querySelector('output')];
  const signIn = form.querySelector('a');
  signIn.href = `sign-in?${new URLSearchParams({ next: `/graphql${location.search}` })}`;
  const tell = () => {
    state.textContent = sessionStorage.getItem(KEY) ? 'in use, in this tab only' : '';
    signIn.hidden = Boolean(sessionStorage.getItem(KEY));
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const token = field.value.trim();
    field.value = '';
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
    tell();
    show();
  });
  tell();
  show();
})();
