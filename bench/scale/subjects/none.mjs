/** No cache at all: what the others are compared with. */
export async function open(_settings, origin) {
  return {
    nodeHandler: async (request, response) => {
      const text = await origin.answer(request.url);
      response.setHeader("content-type", "text/plain");
      response.end(text);
    },
    close: async () => {},
  };
}
