/** `reprise/testing`: what the tests of this package use, for yours. */

export { fakeClock, type ClockStep, type FakeClock } from "./testing/fake-clock.ts";
export {
  originStub,
  type Hold,
  type OriginStub,
  type ReplyBody,
  type ReplyFields,
  type ReplyInit,
} from "./testing/origin-stub.ts";
export { storeContract, type StoreContractOptions } from "./testing/store-contract.ts";
