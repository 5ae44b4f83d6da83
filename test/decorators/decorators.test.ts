import { afterEach, describe, expect, it } from "vitest";
import {
  cachedMethod,
  cachedMethods,
  type CachedMethodDecorator,
  type CachedMethodOptions,
} from "../../src/decorators.ts";
import { settled } from "../functions/harness.ts";
import { wrappingCache } from "./wrapping-cache.ts";

type Method = (this: unknown, ...args: unknown[]) => unknown;
type Decorate = (...args: unknown[]) => unknown;

/** What a compiler does for a standard decorator on an instance method. */
function standard(
  decorator: CachedMethodDecorator,
  method: Method,
  context: object,
): { method: Method; initialise: Method } {
  const initialisers: Method[] = [];
  const replaced = (decorator as Decorate)(method, {
    kind: "method",
    static: false,
    private: false,
    addInitializer: (initialiser: Method) => initialisers.push(initialiser),
    ...context,
  }) as Method;
  return {
    method: replaced,
    initialise(this: unknown) {
      for (const initialiser of initialisers) initialiser.call(this);
    },
  };
}

/** What a compiler does for a legacy decorator on a method. */
function legacy(decorator: CachedMethodDecorator, target: object, key: string | symbol): void {
  const descriptor = Object.getOwnPropertyDescriptor(target, key);
  Object.defineProperty(target, key, (decorator as Decorate)(target, key, descriptor) as PropertyDescriptor);
}

function factory(): ReturnType<typeof cachedMethods> {
  return cachedMethods(wrappingCache().cache);
}

const invalid = (message: string): Error =>
  expect.objectContaining({
    code: "ERR_INVALID_DECORATION",
    message: expect.stringContaining(message) as string,
  }) as Error;

class Empty {
  readonly isEmpty = true;
}

describe("@Cached where it cannot stand", () => {
  it.each([
    { kind: "class", name: "Users" },
    { kind: "getter", name: "users" },
    { kind: "setter", name: "users" },
    { kind: "field", name: "users" },
    { kind: "accessor", name: "users" },
  ])("refuses a standard $kind", ({ kind, name }) => {
    expect(() => standard(factory()(), () => 1, { kind, name })).toThrow(
      invalid(`@Cached on ${name}: it caches methods only, and this is a ${kind}.`),
    );
  });

  it.each([
    { what: "class", args: [Empty] },
    { what: "field", args: [{}, "users", undefined] },
    { what: "getter", args: [{}, "users", { get: () => 1 }] },
    { what: "parameter", args: [{}, "users", 0] },
  ])("refuses a legacy $what", ({ args }) => {
    expect(() => (factory()() as Decorate)(...args)).toThrow(invalid("it caches methods only"));
  });

  it("refuses to stand there without brackets", () => {
    const bare = factory() as unknown as Decorate;
    const problem = invalid("write @Cached() with brackets");
    expect(() => bare({}, "getUser", { value: () => 1 })).toThrow(problem);
    expect(() => bare(() => 1, { kind: "method", name: "getUser" })).toThrow(problem);
    expect(() => bare(Empty)).toThrow(problem);
  });

  it("refuses what is no cache", () => {
    expect(() => cachedMethods(undefined as never)).toThrow(
      invalid("expected a cache made by createCache(), got undefined"),
    );
  });

  it("refuses options that are wrong where they stand", () => {
    class Users {
      getUser(): number {
        return 1;
      }
    }
    expect(() => legacy(factory()({ expire: "5 parsecs" }), Users.prototype, "getUser")).toThrow(RangeError);
    expect(() => legacy(factory()({ expires: "5m" } as CachedMethodOptions), Users.prototype, "getUser")).toThrow(
      TypeError,
    );
  });
});

describe("the name of a decorated method", () => {
  it("must be given for a class without one", () => {
    const nameless = (): object =>
      Object.assign(Object.create({ constructor: { name: "" } }) as object, { getUser: () => 1 });
    expect(() => legacy(factory()(), nameless(), "getUser")).toThrow(invalid("its class has no name"));
    const { method, initialise } = standard(factory()(), () => 1, { name: "getUser" });
    const instance = Object.create(Object.assign(nameless(), { getUser: method })) as object;
    expect(() => initialise.call(instance)).toThrow(invalid("its class has no name"));
  });

  it("must be given for a method named by a symbol", () => {
    const getUser = Symbol("getUser");
    class Users {
      [getUser](): number {
        return 1;
      }
    }
    expect(() => legacy(factory()(), Users.prototype, getUser)).toThrow(invalid("its name is a symbol"));
    expect(() => standard(factory()(), () => 1, { name: getUser })).toThrow(
      invalid("methods named by a symbol need a name"),
    );
  });

  it("may be given for any method", async () => {
    const { cache, keys } = wrappingCache();
    class Users {
      async getUser(id: number): Promise<number> {
        return id;
      }
    }
    legacy(cachedMethods(cache)({ name: "people:byId" }), Users.prototype, "getUser");
    await new Users().getUser(7);
    expect(keys()).toEqual(["test people:byId(7)"]);
  });

  it("is found where another decorator has replaced the method once more", async () => {
    const { cache, keys } = wrappingCache();
    const { method, initialise } = standard(cachedMethods(cache)(), async (id) => id, { name: "getUser" });
    class Users {
      constructor() {
        initialise.call(this);
      }
      declare getUser: Method;
    }
    class Admins extends Users {}
    Users.prototype.getUser = function (this: unknown, ...args) {
      return method.apply(this, args);
    };
    expect(await new Admins().getUser(7)).toBe(7);
    expect(keys()).toEqual(["test Users.getUser(7)"]);
  });

  it("is asked for where it is in doubt which class declares the method", async () => {
    const { method, initialise } = standard(factory()(), async (id) => id, { name: "getUser" });
    class Users {
      getUser(id: unknown): unknown {
        return method.call(this, id);
      }
    }
    class Admins extends Users {
      override getUser(id: unknown): unknown {
        return super.getUser(id);
      }
    }
    const problem = invalid("cannot tell which class declares it");
    expect(() => initialise.call(new Admins())).toThrow(problem);
    await expect(new Admins().getUser(7)).rejects.toThrow(problem);
    await expect(method.call(undefined, 7)).rejects.toThrow(problem);
  });
});

describe("metadata of other decorators", () => {
  const reflect = Reflect as unknown as Record<string, unknown>;

  afterEach(() => {
    for (const name of ["getOwnMetadataKeys", "getOwnMetadata", "defineMetadata"]) delete reflect[name];
  });

  /** What `reflect-metadata` keeps, as far as decorators of functions use it. */
  function installMetadata(): { get: (target: object, key: string) => unknown; Get: (path: string) => Decorate } {
    const all = new WeakMap<object, Map<unknown, unknown>>();
    const of = (target: object): Map<unknown, unknown> => {
      const own = all.get(target) ?? new Map<unknown, unknown>();
      all.set(target, own);
      return own;
    };
    reflect["getOwnMetadataKeys"] = (target: object) => [...of(target).keys()];
    reflect["getOwnMetadata"] = (key: unknown, target: object) => of(target).get(key);
    reflect["defineMetadata"] = (key: unknown, value: unknown, target: object) => of(target).set(key, value);
    const Get =
      (path: string): Decorate =>
      (_target, _key, descriptor) => {
        of((descriptor as { value: object }).value).set("path", path);
        return descriptor;
      };
    return { get: (target, key) => of(target).get(key), Get };
  }

  it.each([{ order: "above" }, { order: "below" }])("stays when @Cached stands $order", async ({ order }) => {
    const { get, Get } = installMetadata();
    const Cached = factory();
    let runs = 0;
    class UsersController {
      async getUser(id: number): Promise<number> {
        runs++;
        return id;
      }
    }
    const decorators = [Get("users/:id"), Cached("5m") as Decorate];
    if (order === "below") decorators.reverse();
    // Decorators apply from the bottom up.
    for (const decorator of decorators)
      legacy(decorator as CachedMethodDecorator, UsersController.prototype, "getUser");
    const controller = new UsersController();
    await controller.getUser(7);
    await controller.getUser(7);
    expect(runs).toBe(1);
    const { getUser } = UsersController.prototype as unknown as { getUser: Method };
    expect(get(getUser, "path")).toBe("users/:id");
  });
});

describe("cachedMethod", () => {
  it("refuses a method without @Cached, or one whose class was never made", async () => {
    const { method } = standard(factory()(), async () => 1, { name: "getUser" });
    expect(() => cachedMethod(async () => 1)).toThrow(invalid("expected a method with @Cached"));
    expect(() => cachedMethod(method as () => Promise<unknown>)).toThrow(invalid("expected a method with @Cached"));
    await settled();
  });
});
