// The console behind tokens: who signs in with a token of one app sees nothing of another, until signed out.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';
import { CHROMIUM, Graphiql } from './browser.mjs';

const [base, token, theirs] = process.argv.slice(2);
const MEMBERS = { app: '2489f0demo02', guid: 'night-shift' };
const browser = await chromium.launch(CHROMIUM);
try {
  const page = await (await browser.newContext({ viewport: { width: 1366, height: 768 }, timezoneId: 'America/New_York' })).newPage();
  await page.goto(`${base}/groups`);
  assert.match(page.url(), /\/sign-in\?next=%2Fgroups$/);
  await page.fill('input[name=token]', 'cf_wrong');
  await page.click('main button');
  assert.match(await page.textContent('[role=alert]'), /no valid token/);
  await page.fill('input[name=token]', token);
  await page.click('main button');
  await page.waitForURL(`${base}/groups`);
  assert.match(await page.textContent('main'), /Night bus drivers/);
  assert.ok((await page.locator('header').boundingBox()).height < 60, 'the header of a desk is one line');
  const [cookie] = await page.context().cookies();
  assert.equal(cookie.name, 'chatfold_session');
  assert.ok(!cookie.value.includes(token) && !token.includes(cookie.value), 'a session, not the token');
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, await page.evaluate(() => document.cookie)], [true, 'Strict', '']);
  for (const where of ['/', '/groups', '/users', '/conversations', '/calls', '/events', '/search?q=Mira', `/groups?appId=${theirs}`]) {
    await page.goto(base + where);
    const text = await page.textContent('main');
    assert.ok(!/Mira Halonen|Reading circle|Trail walkers/.test(text), `${where}: ${text}`);
  }
  // GraphiQL takes the same session, and shows the same app.
  const graphiql = new Graphiql(page, base);
  await graphiql.open(await readFile(new URL('../cookbook/03-members-now.graphql', import.meta.url), 'utf8'), MEMBERS);
  const answer = await graphiql.run();
  assert.equal(answer.errors, undefined);
  assert.ok(answer.data.group.members.nodes.length > 0, JSON.stringify(answer));
  await graphiql.open('subscription { changes(afterSeq: "0") { seq } }');
  await graphiql.run((answer) => answer.data?.changes?.seq);
  await page.goto(`${base}/groups`);

  // Another page of the same browser signs out: the open one says that it hears no news.
  const open = await page.context().newPage();
  await open.goto(`${base}/events`);
  await page.click('text=Sign out');
  await open.waitForFunction(() => document.querySelector('[data-state]')?.textContent.includes('signed out'), null, { timeout: 60_000 });
  await page.goto(`${base}/groups`);
  assert.match(page.url(), /\/sign-in/);
  await page.context().addCookies([cookie]);
  await page.goto(`${base}/groups`);
  assert.match(page.url(), /\/sign-in/, 'signed out, whoever kept the cookie');
} finally {
  await browser.close();
}
