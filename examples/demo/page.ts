/** The start page: `page.html` with a card for each route put in. */
import { readFileSync } from "node:fs";
import type { RouteCard } from "./demo.ts";

/** Beside the source: the compiled demo runs from `examples/dist/demo`. */
const TEMPLATE = new URL("../../demo/page.html", import.meta.url);

export interface PageFacts {
  readonly cities: number;
  readonly store: string;
}

export function startPage(cards: readonly RouteCard[], { cities, store }: PageFacts): string {
  const parts: Readonly<Record<string, string>> = {
    cities: cities.toLocaleString("en"),
    routes: String(cards.length),
    store: store === "redis" ? "in Redis" : "in memory",
    cards: cards.map(cardHtml).join("\n"),
  };
  return readFileSync(TEMPLATE, "utf8").replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => parts[name] ?? "");
}

function cardHtml({ title, says, code, examples, control }: RouteCard): string {
  const first = examples[0] ?? "/";
  return `
    <article class="card" data-examples="${escaped(JSON.stringify(examples))}">
      <div>
        <h2>${escaped(title)}</h2>
        <p>${escaped(says)}</p>
        <pre class="code"><code>${escaped(code)}</code></pre>
        <p class="links">
          <a class="path" href="${escaped(encodeURI(first))}">${escaped(first)}</a>
          <a class="twin" href="${escaped(encodeURI(`/uncached${first}`))}">uncached</a>
        </p>
        <p class="actions"><button type="button" class="try">Try it</button>${controlHtml(control)}</p>
      </div>
      <div class="result" aria-live="polite"></div>
    </article>`;
}

function controlHtml(control: RouteCard["control"]): string {
  if (control === "outage")
    return `<button type="button" class="quiet outage" aria-pressed="false">Break the handler</button>`;
  if (control === "traveller") {
    return `<label class="traveller">as <select><option value="">guest</option><option>alice</option><option>bob</option></select></label>`;
  }
  return "";
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
