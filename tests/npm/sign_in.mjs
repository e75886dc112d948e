// The console behind tokens: who signs in with a token of one app sees nothing of another, until signed out.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { CHROMIUM } from './browser.mjs';

const [base, token, theirs] = process.argv.slice(2);
const browser = await chromium.launch(CHROMIUM);
try {
  const page = await browser.newPage();
  await page.goto(`${base}/groups`);
  assert.match(page.url(), /\/sign-in\?next=%2Fgroups$/);
  await page.fill('input[name=token]', 'cf_wrong');
  await page.click('main button');
  assert.match(await page.textContent('[role=alert]'), /no valid token/);
  await page.fill('input[name=token]', token);
  await page.click('main button');
  await page.waitForURL(`${base}/groups`);
  assert.match(await page.textContent('main'), /Night bus drivers/);
  const [cookie] = await page.context().cookies();
  assert.equal(cookie.name, 'chatfold_session');
  assert.ok(!cookie.value.includes(token) && !token.includes(cookie.value), 'a session, not the token');
  assert.deepEqual([cookie.httpOnly, cookie.sameSite, await page.evaluate(() => document.cookie)], [true, 'Strict', '']);
  for (const where of ['/', '/groups', '/users', '/conversations', '/calls', '/events', '/search?q=Mira', `/groups?appId=${theirs}`]) {
    await page.goto(base + where);
    const text = await page.textContent('main');
    assert.ok(!/Mira Halonen|Reading circle|Trail walkers/.test(text), `${where}: ${text}`);
  }
  await page.click('text=Sign out');
  await page.goto(`${base}/groups`);
  assert.match(page.url(), /\/sign-in/);
  await page.context().addCookies([cookie]);
  await page.goto(`${base}/groups`);
  assert.match(page.url(), /\/sign-in/, 'signed out, whoever kept the cookie');
} finally {
  await browser.close();
}
