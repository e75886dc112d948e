// Makes the pictures of the README: node screenshots.mjs http://127.0.0.1:8080, of a server that has read the demo story.
import { chromium } from 'playwright-core';
import { CHROMIUM } from './browser.mjs';

const [base] = process.argv.slice(2);
const app = '2489f0demo01';
const pictures = {
  group: ['/group', { guid: 'night-shift' }, 1000],
  conversation: ['/conversation', { conversationId: 'group_night-shift' }, 860],
  why: ['/why', { entity: 'message:2005' }, 760],
};
const browser = await chromium.launch({ ...CHROMIUM, args: [...CHROMIUM.args, '--hide-scrollbars'] });
const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC' });
const page = await context.newPage();
for (const [name, [path, about, height]] of Object.entries(pictures)) {
  await page.setViewportSize({ width: 1440, height });
  await page.goto(`${base}${path}?${new URLSearchParams({ appId: app, ...about })}`);
  for (const edits of await page.$$('details:has(.edits) summary')) await edits.click();
  await page.screenshot({ path: new URL(`../../docs/images/${name}.png`, import.meta.url).pathname });
}
await browser.close();
