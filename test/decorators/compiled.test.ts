import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cachedMethod, cachedMethods } from "../../src/decorators.ts";
import { compile, type Compiled } from "./compile.ts";
import type * as GenericMethods from "./fixtures/generic-methods.ts";
import type * as PrivateMethods from "./fixtures/private-methods.ts";
import type * as Users from "./fixtures/users.ts";
import { Session, wrappingCache } from "./wrapping-cache.ts";

const MODES = [
  { mode: "standard decorators", options: {} },
  {
    mode: "experimentalDecorators",
    options: { experimentalDecorators: true, emitDecoratorMetadata: true },
  },
];

describe.each(MODES)("@Cached compiled with $mode", ({ options }) => {
  let compiled: Compiled;
  let users: typeof Users;

  beforeAll(async () => {
    compiled = compile(["users"], options);
    users = await compiled.load<typeof Users>("users");
  }, 60_000);

  afterAll(() => {
    compiled.remove();
  });

  it("caches by class, method and arguments, without the injected ones", async () => {
    const { cache, keys } = wrappingCache();
    const { Users, runs } = users.defineUsers(cachedMethods(cache));
    const service = new Users("hello");
    expect(await service.getUser(7, new Session())).toBe("hello 7");
    expect(await service.getUser(7, new Session())).toBe("hello 7");
    expect(await service.getUser(8, new Session())).toBe("hello 8");
    expect(runs).toEqual(["getUser 7", "getUser 8"]);
    expect(keys()).toEqual(["test Users.getUser(7)", "test Users.getUser(8)"]);
  });

  it("takes a lifetime for its only argument", async () => {
    const { cache, advance } = wrappingCache();
    const { Users, runs } = users.defineUsers(cachedMethods(cache));
    const service = new Users("hello");
    await service.list();
    advance(299);
    await service.list();
    expect(runs).toEqual(["list"]);
    advance(1);
    await service.list();
    expect(runs).toEqual(["list", "list"]);
  });

  it("caches static methods", async () => {
    const { cache, keys } = wrappingCache();
    const { Users, runs } = users.defineUsers(cachedMethods(cache));
    expect(await Users.count("all")).toBe("Users: all");
    expect(await Users.count("all")).toBe("Users: all");
    expect(runs).toEqual(["count all"]);
    expect(keys()).toEqual(['test Users.count("all")']);
  });

  it("names the class that declares the method and, where it is inherited, the class of the instance", async () => {
    const { cache, keys } = wrappingCache();
    const { Users, Admins } = users.defineUsers(cachedMethods(cache));
    expect(await new Admins("hi").getUser(7, new Session())).toBe("hi 7");
    expect(await new Users("hello").getUser(7, new Session())).toBe("hello 7");
    expect(await new Admins("hi").list()).toEqual({ names: ["a", "root"] });
    expect(await new Users("hi").list()).toEqual({ names: ["a"] });
    expect(keys()).toEqual([
      "test Users.getUser[Admins](7)",
      "test Users.getUser(7)",
      "test Users.list[Admins]()",
      "test Admins.list()",
      "test Users.list()",
    ]);
  });

  it("is taken over by a second class of the same name, which is given nothing of the first one's", async () => {
    const { cache } = wrappingCache();
    const first = users.defineUsers(cachedMethods(cache));
    const ofFirst = new first.Users("first");
    await ofFirst.getUser(7, new Session());
    const second = users.defineUsers(cachedMethods(cache));
    const ofSecond = new second.Users("second");
    expect(await ofSecond.getUser(7, new Session())).toBe("second 7");
    expect(await ofFirst.getUser(7, new Session())).toBe("first 7");
    expect(await ofSecond.getUser(7, new Session())).toBe("second 7");
    expect(second.runs).toEqual(["getUser 7"]);
  });

  it("lets calls of all classes be purged before the first instance", async () => {
    const { cache, keys, store } = wrappingCache();
    const { Users, Admins, runs } = users.defineUsers(cachedMethods(cache));
    const cached = cachedMethod(Users.prototype.getUser as (id: number, session?: object) => Promise<string>);
    await cached.purge(7);
    await cached.purgeAll();
    const [user, admin] = [new Users("hello"), new Admins("hi")];
    const callBoth = async (): Promise<void> => {
      await user.getUser(7, new Session());
      await admin.getUser(7, new Session());
    };
    await callBoth();
    expect(keys()).toHaveLength(2);
    await cached.purge(7);
    for (const key of keys()) expect(store.get(key)).toBeUndefined();
    await callBoth();
    await cached.purgeAll();
    await callBoth();
    expect(runs).toHaveLength(6);
    expect(cached.keyOf(7)).toMatch(/^test Users\.getUser/);
  });

  it("purges from a process that has made no instance what another one has stored", async () => {
    const shared = wrappingCache();
    const { Users, runs } = users.defineUsers(cachedMethods(shared.cache));
    const service = new Users("hello");
    await service.getUser(7, new Session());
    const other = users.defineUsers(cachedMethods(shared.sharing()));
    await cachedMethod(other.Users.prototype.getUser as (id: number) => Promise<string>).purge(7);
    await service.getUser(7, new Session());
    expect(runs).toEqual(["getUser 7", "getUser 7"]);
  });

  it("takes methods with type parameters, and keeps them", async () => {
    const generic = compile(["generic-methods"], options);
    const { defineRepository } = await generic.load<typeof GenericMethods>("generic-methods");
    const repository = new (defineRepository(cachedMethods(wrappingCache().cache)))();
    expect(await repository.find({ id: 7, name: "a" })).toEqual({ id: 7, name: "a" });
    generic.remove();
  }, 60_000);

  it("does not confuse two caches", async () => {
    const first = users.defineUsers(cachedMethods(wrappingCache().cache));
    const second = users.defineUsers(cachedMethods(wrappingCache().cache));
    await new first.Users("first").getUser(7, new Session());
    expect(await new second.Users("second").getUser(7, new Session())).toBe("second 7");
  });

  it("keeps the name and the length of the method", () => {
    const { Users } = users.defineUsers(cachedMethods(wrappingCache().cache));
    const { getUser } = Users.prototype as { getUser: (...args: unknown[]) => unknown };
    expect({ name: getUser.name, length: getUser.length }).toEqual({ name: "getUser", length: 2 });
  });

  it("lets a call be purged", async () => {
    const { Users, runs } = users.defineUsers(cachedMethods(wrappingCache().cache));
    const service = new Users("hello");
    await service.getUser(7, new Session());
    // oxlint-disable-next-line typescript/unbound-method
    const cached = cachedMethod(service.getUser);
    expect(cached.keyOf(7, new Session())).toBe("test Users.getUser(7)");
    await cached.purge(7, new Session());
    await service.getUser(7, new Session());
    expect(runs).toEqual(["getUser 7", "getUser 7"]);
  });
});

describe("@Cached on a private method", () => {
  let compiled: Compiled;
  let fixture: typeof PrivateMethods;

  beforeAll(async () => {
    compiled = compile(["private-methods"], {});
    fixture = await compiled.load<typeof PrivateMethods>("private-methods");
  }, 60_000);

  afterAll(() => {
    compiled.remove();
  });

  it("caches under the name it is given", async () => {
    const { cache, keys } = wrappingCache();
    const { Vault, runs } = fixture.defineVault(cachedMethods(cache));
    expect(await new Vault().open("left")).toBe("gold behind left");
    expect(await new Vault().open("left")).toBe("gold behind left");
    expect(runs).toEqual(["left"]);
    expect(keys()).toEqual(['test Vault.load("left")']);
  });

  it("keeps the instances of a subclass apart", async () => {
    const { cache, keys } = wrappingCache();
    const { Vault } = fixture.defineVault(cachedMethods(cache));
    class Annex extends Vault {}
    await new Annex().open("left");
    await new Vault().open("left");
    expect(keys()).toEqual(['test Vault.load[Annex]("left")', 'test Vault.load("left")']);
  });

  it("is refused without a name", () => {
    expect(() => fixture.defineNamelessVault(cachedMethods(wrappingCache().cache))).toThrow(
      '@Cached on #load: private methods need a name of their own for the key: @Cached({ name: "Users.load" }).',
    );
  });
});
