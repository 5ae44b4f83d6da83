/**
 * The decisions of an HTTP cache as pure functions: what may be stored, under which key, whether it may be reused and
 * how it is validated (RFC 9111). Nothing here reads a clock, waits or throws for what a peer sent.
 *
 * @packageDocumentation
 */

export type {
  CacheRequest,
  Fields,
  ForwardReason,
  Outcome,
  RangeReply,
  RequestDirectiveMode,
  ResponseHead,
  ReuseDecision,
  StoredResponse,
  VaryField,
} from "../http.ts";
export { normaliseAcceptLanguage } from "./accept-language.ts";
export { cacheGroups, formatGroups, groupInvalidations } from "./cache-groups.ts";
export { normaliseQuery, primaryKey, variantKey } from "./cache-key.ts";
export type { KeyRules, QueryRule } from "./cache-key.ts";
export { cacheStatus } from "./cache-status.ts";
export { asksToBypass, requestDirectives, responseDirectives } from "./directives.ts";
export type { RequestDirectives, ResponseDirectives } from "./directives.ts";
export {
  endToEndFields,
  fieldLines,
  fieldValue,
  hasField,
  isFieldName,
  isFieldValue,
  listMembers,
  parseEntityTag,
  parseEntityTagList,
} from "./fields.ts";
export type { EntityTag } from "./fields.ts";
export {
  correctedInitialAgeSeconds,
  currentAgeSeconds,
  freshnessLifetimeSeconds,
  HEURISTIC_STATUSES,
} from "./freshness.ts";
export type { FreshnessRules } from "./freshness.ts";
export { formatHttpDate, parseHttpDate } from "./http-date.ts";
export { invalidatedUris, isSafeMethod } from "./invalidation.ts";
export { noVarySearchQuery, parseNoVarySearch, searchEquivalent } from "./no-vary-search.ts";
export type { NoVarySearch } from "./no-vary-search.ts";
export { announcesPart, combinePartials, isWellFormedPartial, partialReply } from "./partial-content.ts";
export type { PartialContent } from "./partial-content.ts";
export { evaluatePreconditions, notModifiedFields } from "./preconditions.ts";
export {
  contentRange,
  multipartByteranges,
  parseContentRange,
  parseRangeField,
  rangeApplies,
  rangeReply,
  sliceBody,
  unsatisfiedContentRange,
} from "./ranges.ts";
export type { ByteRange, ContentRange, RangeSet } from "./ranges.ts";
export { decideReuse, type SelectedResponses } from "./reuse.ts";
export { mayStore, whyNotStored } from "./storing.ts";
export type { NotStoredReason, StoringRules } from "./storing.ts";
export { effectiveDirectives, targetedDirectives } from "./targeted.ts";
export { conditionalFields, freshenedFields, validates } from "./validation.ts";
export { matchesVary, presentedFields, varyNames } from "./vary.ts";
