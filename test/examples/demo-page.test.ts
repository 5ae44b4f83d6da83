import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { CHROMIUM_FLAGS, installedBrowser } from "../browser.ts";
import { buildExamples, type BuiltExamples, type RunningProgram } from "./built-examples.ts";

const SEARCH = "Search by name";

let examples: BuiltExamples;
let browser: Browser;
let demo: RunningProgram;
let origin: string;
let page: Page;
/** What the browser found wrong, and what of it the test means to cause. */
let complaints: string[];
let expected: string[];

beforeAll(async () => {
  browser = await chromium.launch({ executablePath: installedBrowser(), args: [...CHROMIUM_FLAGS] });
  examples = buildExamples();
}, 12 * 60_000);

afterAll(async () => {
  await browser?.close();
  examples?.remove();
});

beforeEach(async () => {
  demo = examples.start("demo/main");
  origin = await demo.origin();
  page = await newPage({ width: 1280, height: 900 });
  await page.goto(origin, { waitUntil: "networkidle" });
  return async () => {
    await page.context().close();
    await demo.stop();
    expect(complaints.filter((text) => !expected.some((part) => text.includes(part)))).toEqual([]);
  };
});

describe("the start page in a browser", () => {
  it("shows miss, hits, a 304 and the uncached twin side by side, with their fields", async () => {
    const card = await pressTryIt(SEARCH);
    expect(await card.bars()).toEqual(["miss", "hit, next 5", "304, same ETag", "uncached"]);
    for (const ms of await card.milliseconds()) expect(ms).toMatch(/^\d+(\.\d)? ms$/);

    const fields = await card.fields();
    expect(fields["Status"]).toEqual(["200", "200", "304", "200"]);
    expect(fields["X-Reprise-Cache"]).toEqual(["Miss", "Hit", "Hit", ""]);
    expect(fields["Cache-Status"]?.[0]).toBe("reprise; fwd=uri-miss; fwd-status=200; stored");
    expect(fields["Cache-Status"]?.[1]).toMatch(/^reprise; hit; ttl=\d+$/);
    expect(fields["Cache-Control"]?.[1]).toMatch(/^max-age=\d+$/);
    expect(fields["Expires"]?.[1]).toMatch(/GMT$/);
    expect(fields["ETag"]?.[0]).toMatch(/^"[\w-]+"$/);
    expect(new Set(fields["ETag"]?.slice(0, 3)).size).toBe(1);

    expect(await page.locator("#lines").textContent()).toContain("stored GET /cities?q=stokholm for 600 s");
  });

  it("takes the next example with each press, and shows the earlier miss where it finds the answer stored", async () => {
    await pressTryIt(SEARCH);
    const link = cardOf(SEARCH).locator("a.path");
    const first = await link.getAttribute("href");
    await pressTryIt(SEARCH);
    expect(await link.getAttribute("href")).not.toBe(first);

    await page.reload({ waitUntil: "networkidle" });
    const card = await pressTryIt(SEARCH);
    expect(await card.bars()).toEqual(["miss, earlier", "hit", "hit, next 5", "304, same ETag", "uncached"]);
  });

  it("tries all routes at one press", async () => {
    await page.click("#try-all");
    await page.waitForFunction("!document.querySelector('#try-all').disabled", undefined, { timeout: 60_000 });
    expect(await page.locator(".card").count()).toBe(11);
    expect(await page.locator(".result:not(:empty)").count()).toBe(11);
    expect(await page.locator(".bar.error").count()).toBe(0);
  }, 90_000);

  it("breaks and repairs the handler of stale if error", async () => {
    const button = page.locator(".outage");
    await button.click();
    await page.waitForFunction("document.querySelector('.outage').textContent === 'Repair the handler'");
    // The uncached twin fails now, and nothing is stored that could stand in.
    expected.push("status of 500");
    const broken = await pressTryIt("Stale if error");
    expect((await broken.fields())["Status"]?.at(-1)).toBe("500");
    await button.click();
    await page.waitForFunction("document.querySelector('.outage').textContent === 'Break the handler'");
    const repaired = await pressTryIt("Stale if error");
    expect((await repaired.fields())["Status"]?.at(-1)).toBe("200");
  });

  it("asks as the chosen traveller, and for that card only", async () => {
    const title = "One answer per person";
    const bodyAs = async (traveller: string): Promise<string> => {
      await cardOf(title).locator("select").selectOption(traveller);
      await pressTryIt(title);
      return (await cardOf(title).locator(".body").textContent()) ?? "";
    };
    expect(await bodyAs("alice")).toContain('"traveller":"alice"');
    expect(await bodyAs("bob")).toContain('"traveller":"bob"');
    expect(await bodyAs("")).toContain('"traveller":"guest"');
    await bodyAs("alice");
    const search = await pressTryIt(SEARCH);
    expect((await search.fields())["X-Reprise-Cache"]?.slice(0, 2)).toEqual(["Miss", "Hit"]);
  });

  it("a page that is opened again is revalidated by the browser itself: 304", async () => {
    const url = `${origin}/my/round-trip`;
    expect((await page.goto(url))?.status()).toBe(200);
    const statuses: string[] = [];
    await page
      .context()
      .newCDPSession(page)
      .then(async (session) => {
        session.on("Network.responseReceivedExtraInfo", ({ statusCode }) => statuses.push(String(statusCode)));
        await session.send("Network.enable");
      });
    await page.goto("about:blank");
    await page.goto(url);
    expect(statuses).toContain("304");
    expect(await page.textContent("body")).toContain('"traveller":"guest"');
  });

  it("shows the map, drawn for the colour scheme of the reader", async () => {
    for (const [colorScheme, palette] of [
      ["light", "light"],
      ["dark", "dark"],
    ] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto(origin, { waitUntil: "networkidle" });
      const map = await page.evaluate<{ src: string; width: number }>(
        "(({ currentSrc, naturalWidth }) => ({ src: currentSrc, width: naturalWidth }))(document.getElementById('map'))",
      );
      expect(map).toEqual({ src: `${origin}/map.png?palette=${palette}&width=2400`, width: 2400 });
    }
  });

  it("fits a phone, before and after a try, in both colour schemes", async () => {
    await page.context().close();
    page = await newPage({ width: 360, height: 740 });
    await page.goto(origin, { waitUntil: "networkidle" });
    await pressTryIt(SEARCH);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
    const grounds = new Set<unknown>();
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      grounds.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
    }
    expect(grounds.size).toBe(2);
  });
});

async function newPage(viewport: { width: number; height: number }): Promise<Page> {
  const context = await browser.newContext({ viewport });
  const opened = await context.newPage();
  complaints = [];
  expected = [];
  opened.on("pageerror", (error) => complaints.push(error.message));
  opened.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  opened.on("request", (request) => {
    if (!request.url().startsWith(origin) && !/^(about|data|blob):/.test(request.url()))
      complaints.push(`asked ${request.url()}`);
  });
  return opened;
}

function cardOf(title: string): ReturnType<Page["locator"]> {
  return page.locator(".card").filter({ has: page.locator(`h2:text-is("${title}")`) });
}

interface TriedCard {
  bars(): Promise<readonly string[]>;
  milliseconds(): Promise<readonly string[]>;
  fields(): Promise<Record<string, readonly string[]>>;
}

async function pressTryIt(title: string): Promise<TriedCard> {
  const card = cardOf(title);
  const button = card.locator(".try");
  await button.click();
  await card.locator(".try:not([disabled])").waitFor();
  await card.locator(".result .bars").waitFor();
  return {
    bars: () => card.locator(".bars dt").allTextContents(),
    milliseconds: () => card.locator(".bars .ms").allTextContents(),
    fields: async () => {
      const fields: Record<string, readonly string[]> = {};
      for (const row of await card.locator(".fields tbody tr").all()) {
        fields[(await row.locator("th").textContent()) ?? ""] = await row.locator("td").allTextContents();
      }
      return fields;
    },
  };
}
