import type { RequestHandler } from "express";
import type { Demo, RouteCard } from "../demo.ts";
import { numberFrom, RequestError, textFrom } from "../query-values.ts";
import { drawWorldMap, PALETTES, type Palette } from "../world-map.ts";

/** A binary response: the map on the start page. */
export function mapRoute({ app, cached, cities }: Demo): RouteCard {
  const handler: RequestHandler = (request, response) => {
    const palette = textFrom(request, "palette", "light");
    if (!isPalette(palette)) throw new RequestError(400, `palette: expected ${Object.keys(PALETTES).join(" or ")}`);
    response.type("png").send(drawWorldMap(cities.all, numberFrom(request, "width", 100, 2400, 1200) | 0, palette));
  };

  app.get("/map.png", cached.oneWeek({ query: ["palette", "width"] }), handler);
  app.get("/uncached/map.png", handler);

  return {
    title: "A picture",
    says: "Draws the map above from the cities alone and packs it as PNG. Bytes come back as they were.",
    code: `app.get("/map.png", cached.oneWeek({ query: ["palette", "width"] }), map)`,
    examples: [
      "/map.png?width=600&palette=light",
      "/map.png?width=600&palette=dark",
      "/map.png?width=2400&palette=light",
    ],
  };
}

function isPalette(text: string): text is Palette {
  return Object.hasOwn(PALETTES, text);
}
