// Reprise with Express: one middleware in front of a handler caches its responses.
import express from "express";
import { createCache } from "reprise";
import { expressCache } from "reprise/express";

const cached = expressCache(createCache({ logger: console }));
const app = express();

// The handler runs once; for five minutes everybody gets the stored response, and browsers are told how long it lasts.
app.get("/time", cached("5m"), (_request, response) => {
  response.json({ computedAt: new Date() });
});

// Only `lang` makes a difference: /greeting?lang=fr&utm_source=mail finds the response of /greeting?lang=fr.
app.get("/greeting", cached({ expire: "1h", query: ["lang"] }), (request, response) => {
  response.send(request.query.lang === "fr" ? "Bonjour" : "Hello");
});

// PORT chooses the port; without it the system picks a free one.
const server = app.listen(Number(process.env.PORT ?? 0), () => {
  const address = server.address();
  if (typeof address === "object" && address !== null) console.log(`http://localhost:${address.port}/time`);
});
