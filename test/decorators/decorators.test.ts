import { afterEach, describe, expect, it } from "vitest";
import {
  cachedMethod,
  cachedMethods,
  type CachedMethodDecorator,
  type CachedMethodOptions,
} from "../../src/decorators.ts";
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

  it.each([{ options: Promise.resolve({ expire: "5m" }) }, { options: [] }, { options: new Map() }, { options: null }])(
    "refuses what are no options: $options",
    ({ options }) => {
      expect(() => factory()(options as never)).toThrow("@Cached(options): expected an object of options, got ");
    },
  );

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
    expect(await new Users().getUser(7)).toBe(7);
    expect(keys()).toEqual(["test Users.getUser[Admins](7)", "test Users.getUser(7)"]);
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
  it("refuses a method without @Cached", () => {
    expect(() => cachedMethod(async () => 1)).toThrow(invalid("expected a method with @Cached"));
  });

  it("tells what it cannot do before the first instance", async () => {
    const { method } = standard(factory()(), async () => 1, { name: "getUser" });
    const cached = cachedMethod(method as (id: number) => Promise<unknown>);
    const unknown = invalid("cachedMethod(getUser): its class is not known before its first instance");
    expect(() => cached.keyOf(7)).toThrow(unknown);
    expect(() => cached.cacheName).toThrow(unknown);
    await expect(cached.refresh(7)).rejects.toThrow(unknown);
    await cached.purge(7);
  });
});

describe("@Cached on an inherited method", () => {
  class Base {
    readonly table: string;
    constructor(table: string) {
      this.table = table;
    }
    async find(id: number): Promise<string> {
      return `${this.table} ${id}`;
    }
    static async count(): Promise<string> {
      return this.name;
    }
  }

  function decoratedBase(cache: Parameters<typeof cachedMethods>[0], options: CachedMethodOptions = {}): typeof Base {
    class Repository extends Base {}
    for (const [target, key] of [
      [Repository.prototype, "find"],
      [Repository, "count"],
    ] as const) {
      const method = (target as unknown as Record<string, unknown>)[key];
      Object.defineProperty(target, key, { value: method, configurable: true });
      legacy(
        cachedMethods(cache)(options.name === undefined ? options : { ...options, name: `${options.name}.${key}` }),
        target,
        key,
      );
    }
    return Repository;
  }

  it.each([{ options: {} }, { options: { name: "base" } }, { options: { key: (id: number) => id } }])(
    "does not mix the subclasses ($options)",
    async ({ options }) => {
      const Repository = decoratedBase(wrappingCache().cache, options);
      class Users extends Repository {}
      class Orders extends Repository {}
      for (let call = 0; call < 2; call++) {
        expect(await new Users("user").find(1)).toBe("user 1");
        expect(await new Orders("order").find(1)).toBe("order 1");
        expect(await new Repository("any").find(1)).toBe("any 1");
        expect(await Users.count()).toBe("Users");
        expect(await Orders.count()).toBe("Orders");
      }
    },
  );

  it("gives `this` to key, so that instances of different tenants can be told apart", async () => {
    const Repository = decoratedBase(wrappingCache().cache, {
      key(id: number) {
        return [this.table, id];
      },
    });
    expect(await new Repository("a").find(1)).toBe("a 1");
    expect(await new Repository("b").find(1)).toBe("b 1");
  });

  it("is purged for the instances of all classes", async () => {
    const { cache, keys, store } = wrappingCache();
    const Repository = decoratedBase(cache);
    class Users extends Repository {}
    await new Users("user").find(1);
    await new Repository("any").find(1);
    await new Repository("any").find(2);
    const [ofUsers, ofBase, other] = keys();
    // oxlint-disable-next-line typescript/unbound-method
    await cachedMethod(new Users("user").find).purge(1);
    expect(store.get(ofUsers ?? "")).toBeUndefined();
    expect(store.get(ofBase ?? "")).toBeUndefined();
    expect(store.get(other ?? "")).toBeDefined();
  });

  it("is not cached for classes that cannot be told apart by their names, and says so", async () => {
    const { cache, events, warnings } = wrappingCache();
    const Repository = decoratedBase(cache);
    const named = (): typeof Base => class Mixed extends Repository {};
    const nameless = (): typeof Base => class extends Repository {};
    const classes = [named(), named(), nameless()];
    for (const [index, each] of classes.entries()) expect(await new each(`t${index}`).find(1)).toBe(`t${index} 1`);
    const refused = events.filter((event) => event.type === "not-stored");
    expect(refused).toEqual([
      expect.objectContaining({ because: "class", error: expect.objectContaining({ code: "ERR_INDISTINCT_CLASS" }) }),
      expect.objectContaining({ because: "class", error: expect.objectContaining({ code: "ERR_INDISTINCT_CLASS" }) }),
    ]);
    expect(warnings).toEqual([
      expect.stringContaining("Repository.find: several classes Mixed with the same source text inherit it."),
    ]);
  });

  it("is refreshed on the object that is named, or on the only one there is", async () => {
    const Repository = decoratedBase(wrappingCache().cache);
    const [one, two] = [new Repository("one"), new Repository("two")];
    // oxlint-disable-next-line typescript/unbound-method
    const cached = cachedMethod(Repository.prototype.find);
    await one.find(1);
    expect(await cached.refresh(1)).toBe("one 1");
    await two.find(2);
    await expect(cached.refresh(1)).rejects.toMatchObject({ code: "ERR_UNKNOWN_THIS" });
    expect(await cached.refresh.call(two, 1)).toBe("two 1");
    expect(await one.find(1)).toBe("two 1");
  });
});

describe("@Cached on classes that share a name in two processes", () => {
  /** One text in both classes: what they call differs. */
  const get = async function (this: { load(id: number): string }, id: number): Promise<string> {
    return this.load(id);
  };

  it("does not mix them where the text of the class, or of the subclass that inherits the method, differs", async () => {
    const parts = wrappingCache();
    const inProcess = (cache: Parameters<typeof cachedMethods>[0], target: { readonly prototype: object }): void => {
      Object.defineProperty(target.prototype, "get", { value: get, configurable: true, writable: true });
      legacy(cachedMethods(cache)({ expire: "1h" }), target.prototype, "get");
    };
    type Gets = { get(id: number): Promise<string> };
    const users = ((): new () => Gets => {
      class Service {
        declare get: Gets["get"];
        load(id: number): string {
          return `user ${id}`;
        }
      }
      inProcess(parts.cache, Service);
      return Service;
    })();
    const orders = ((): new () => Gets => {
      class Service {
        declare get: Gets["get"];
        load(id: number): string {
          return `order ${id}`;
        }
      }
      inProcess(parts.sharing(), Service);
      return Service;
    })();
    expect([await new users().get(1), await new orders().get(1), await new users().get(1)]).toEqual([
      "user 1",
      "order 1",
      "user 1",
    ]);
    expect(new Set(parts.keys())).toEqual(new Set(["test Service.get(1)"]));
    expect(await new users().get(1)).toBe("user 1");
    expect(parts.trace().at(-1)).toBe("found");
  });
});
