// Browsers under test: Debian's Chromium by playwright-core and Firefox ESR by
// puppeteer-core over WebDriver BiDi, both headless with fake cameras.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

export const chromiumPath = process.env.E2E_CHROMIUM ?? "/usr/bin/chromium";
export const firefoxPath = process.env.E2E_FIREFOX ?? "/usr/bin/firefox-esr";

const chromiumArgs = [
  "--no-sandbox",
  // The second fake camera gives 16-bit depth pictures, which no encoder takes: tests use the third.
  "--use-fake-device-for-media-stream=device-count=3",
  "--use-fake-ui-for-media-stream",
  "--auto-select-desktop-capture-source=Entire screen",
  "--auto-accept-this-tab-capture",
  "--autoplay-policy=no-user-gesture-required",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--disable-quic",
  // A background page must go on decoding: the tests watch several at once.
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--disable-background-timer-throttling",
];

export function need(path) {
  if (!existsSync(path)) throw new Error(`${path} is missing: install it or name another one in E2E_CHROMIUM / E2E_FIREFOX`);
  return path;
}

export function launchChromium(extra = []) {
  return chromium.launch({ executablePath: need(chromiumPath), headless: true, args: [...chromiumArgs, ...extra] });
}

const firefoxPrefs = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.autoplay.default": 0,
  "media.autoplay.blocking_policy": 0,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  // No calls home, no H.264 plugin download.
  "media.gmp-manager.updateEnabled": false,
  "media.gmp-gmpopenh264.autoupdate": false,
  "media.gmp-manager.url": "data:text/plain,",
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "app.normandy.enabled": false,
  "browser.safebrowsing.downloads.remote.enabled": false,
  "datareporting.policy.dataSubmissionEnabled": false,
};

export async function launchFirefox() {
  const puppeteer = (await import("puppeteer-core")).default;
  return puppeteer.launch({ browser: "firefox", executablePath: need(firefoxPath), headless: true, extraPrefsFirefox: firefoxPrefs });
}
